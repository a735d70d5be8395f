#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// A channel's name with columns in it: `workspace:{workspace_id}`. `{{` and `}}` stand for braces.
struct ChannelTemplate {
    struct Part {
        bool is_column = false;
        std::string text;  // The column's name, or literal text.
    };
    std::vector<Part> parts;
};

// Throws std::invalid_argument that says what is wrong and where.
ChannelTemplate parse_channel_template(std::string_view text);

// Appends a column's text to a channel's name. Letters, digits, `-._~@+` and all beyond ASCII stand
// for themselves; any other byte becomes %XX, so that no value can end its part of the name and
// reach another channel.
void append_channel_value(std::string& out, std::string_view value);

}  // namespace walcast
