#pragma once

#include "decoders/sync_action.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace walcast {

// How messages look in a terminal or a pipe. Text in, text out.
class TailView {
public:
    enum class Form { json, text };
    enum class Colours { none, ansi };

    TailView(Form form, Colours colours);
    ~TailView();

    // What to print for a message that came on `channel`, with its line ends. Valid until the next
    // call. JSON: the message on one line. Text: one line for each action.
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

    std::string_view show_as_it_is(std::string_view text);

    Form form_;
    Colours colours_;
    std::unique_ptr<Parser> parser_;
    std::string out_;
};

}  // namespace walcast
