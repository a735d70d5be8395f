#pragma once

#include "sinks/sink.hpp"

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

namespace walcast {

// The actions of the message that is being written, the last of its batch. A later one of a row
// takes the place of the one before it. Bounded by the size of a message.
class NetEffects {
public:
    struct Written {
        std::size_t begin = 0;  // Its bytes.
        std::size_t end = 0;
        std::size_t action_name = 0;  // Where `insert`, `update` or `delete` stands.
        std::size_t part = 0;         // Its place in Batch::actions, if it has one.
        Action action = Action::insert;
        bool is_whole = true;  // It says all that a reader needs to know of the row.
    };
    // An action of a row, named in any way, was appended.
    void note(const Written& written, std::string row);

    // Takes out what has been overtaken since the last time.
    void merge(Batch& batch);

    // Another message begins, or what was noted since the last `merge` is taken back.
    void clear();
    void take_back() { actions_.resize(merged_); }

private:
    struct Noted {
        Written written;
        std::string row;
    };
    void take_out(Batch& batch, std::size_t place);
    static void take_part_out(Batch& batch, const Written& gone, std::size_t length);

    std::vector<Noted> actions_;
    std::size_t merged_ = 0;
    std::unordered_map<std::string, std::size_t> latest_;  // Of a row: its place in `actions_`.
};

}  // namespace walcast
