#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// A channel's name with columns in it: `workspace:{workspace_id}`, `team:{meta.team_id}`. `{{` and
// `}}` stand for braces.
struct ChannelTemplate {
    struct Part {
        bool is_column = false;
        std::string text;               // The column's name, or literal text.
        std::vector<std::string> keys;  // Into the column's JSON document.
    };
    std::vector<Part> parts;
    std::string text;  // As it was written.

    // Whether some row could give this very name.
    bool can_make(std::string_view name) const;

    // Whether some row could give a name that begins so.
    bool can_begin_with(std::string_view beginning) const;
};

// Whether two rows could give the same name, one by each of these. What types say of values is not
// looked at, so that it may say yes where no two rows do.
bool can_make_same(const ChannelTemplate& a, const ChannelTemplate& b);

// What is wrong with a template, and where.
struct ChannelTemplateError : std::invalid_argument {
    ChannelTemplateError(const std::string& what, std::size_t at)
        : std::invalid_argument(what), offset(at) {}
    std::size_t offset;  // In bytes.
};

// Throws ChannelTemplateError.
ChannelTemplate parse_channel_template(std::string_view text);

// Appends a column's text to a channel's name. Letters, digits, `-._~@+` and all beyond ASCII stand
// for themselves; any other byte becomes %XX, so that no value can end its part of the name and
// reach another channel.
void append_channel_value(std::string& out, std::string_view value);

// Whether a value's text may hold this byte as it is.
bool is_in_channel_values(char byte);

// Longer names do not exist, like those that read a null. A name costs memory here and in Redis,
// for as long as its history lasts, and values can be anybody's.
inline constexpr std::size_t channel_bytes_max = 1024;

}  // namespace walcast
