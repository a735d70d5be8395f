#pragma once

#include "decoders/event.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace walcast {

// What the members of one wal2json frame say, in either format; its views live until the next read.
struct Wal2jsonFrame {
    struct Cell {
        std::string_view name;
        std::uint32_t type_oid = 0;  // 0: the frame does not tell.
        Value value;
    };
    // Columns with their values: objects in format 2, arrays side by side in format 1.
    struct Row {
        bool is_given = false;
        std::vector<Cell> cells;
    };

    Lsn start;                               // What the frame bears.
    std::optional<std::string_view> action;  // Format 2: "I"; format 1: "insert".
    std::optional<std::uint32_t> xid;
    std::optional<std::string_view> timestamp;
    std::optional<Lsn> lsn;
    std::optional<Lsn> nextlsn;
    std::optional<std::string_view> schema;
    std::optional<std::string_view> table;
    Row columns;
    Row identity;
    std::optional<bool> is_transactional;
    std::optional<std::string_view> prefix;
    std::optional<std::string_view> content;
    bool has_changes = false;  // Format 1: the array of a transaction's changes, which is empty.

    // Throws DecodeError, naming the frame and its table.
    [[noreturn]] void fail(std::string_view why) const;
};

// Reads frames as JSON. Keeps its buffers, so that frames of a kind allocate nothing.
class Wal2jsonFrameReader {
public:
    Wal2jsonFrameReader();
    ~Wal2jsonFrameReader();

    // The frame made of `text` and, where the plugin sends only a part of some JSON, what `suffix`
    // adds. Valid until the next call. Throws DecodeError.
    const Wal2jsonFrame& read(std::string_view text, std::string_view suffix, Lsn start);

private:
    struct Parser;
    std::unique_ptr<Parser> parser_;
};

}  // namespace walcast
