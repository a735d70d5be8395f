#pragma once

#include "agent/tail/tail_filter.hpp"
#include "decoders/sync_action.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// How messages look in a terminal or a pipe. Text in, text out.
class TailView {
public:
    enum class Form { json, text };
    enum class Colours { none, ansi };

    TailView(Form form, Colours colours, TailFilter filter = {});
    ~TailView();

    // What to print for a message that came on `channel`, with its line ends; nothing when the
    // filter wants none of it. Valid until the next call. JSON: the message on one line, with only
    // the actions that are wanted. Text: one line for each of them. Messages are given in their
    // order, so that a row that left one channel for another is seen to.
    std::string_view render(std::string_view channel, std::string_view message);

    // What a reader must know of a message to keep its place. Nothing when it is not one of ours.
    struct Head {
        std::string type;
        std::string epoch;
        SyncId prev_sync_id = 0;
        SyncId last_sync_id = 0;
    };
    std::optional<Head> read_head(std::string_view message);

private:
    struct Parser;
    struct Shown;
    struct Message;
    // The last delete, which may be one half of a move.
    struct Left {
        SyncId sync_id = 0;
        std::string message;  // Epoch and transaction.
        std::string model;
        std::string model_id;
        std::vector<std::string> channels;
    };

    bool read(std::string_view text, Message& message);
    bool is_wanted(const Message& message, const Shown& action) const;
    void show_json(std::string_view text, const Message& message);
    void show_text(std::string_view channel, const Message& message);
    void show_action(std::string_view channel, const Message& message, const Shown& action);
    std::string follow_move(std::string_view channel, const Message& message, const Shown& action);
    std::string_view show_as_it_is(std::string_view text);

    Form form_;
    Colours colours_;
    TailFilter filter_;
    Left left_;
    std::unique_ptr<Parser> parser_;
    std::string out_;
};

}  // namespace walcast
