#pragma once

#include <string>
#include <string_view>

namespace walcast {

// JSON texts that are known to be sound, since we wrote them or they were checked: taken apart and
// quoted without a parser.

// `text`, which is UTF-8, as a JSON string.
void append_quoted(std::string& out, std::string_view text);

// A JSON string's own text: its escapes resolved. As we write them, only control characters are
// escaped by number.
std::string unquoted(std::string_view json);

// What stands between the quotes of a JSON string, escapes and all; other values as they are.
std::string_view bare(std::string_view json);

// The members of an object, or of a part of one as messages are made of: `,"name":"x","data":7`.
class JsonMembers {
public:
    explicit JsonMembers(std::string_view text) : text_(text) {}

    // False at the end. `name` is what stands between its quotes, `value` the value's own text.
    bool next();
    std::string_view name() const { return name_; }
    std::string_view value() const { return value_; }

private:
    std::string_view text_;
    std::size_t at_ = 0;
    std::string_view name_;
    std::string_view value_;
};

// The elements of an array.
class JsonElements {
public:
    explicit JsonElements(std::string_view text) : text_(text) {}

    // False at the end. `value` is the element's own text.
    bool next();
    std::string_view value() const { return value_; }

private:
    std::string_view text_;
    std::size_t at_ = 0;
    std::string_view value_;
};

// The value of the member with this name; empty where there is none.
std::string_view json_member(std::string_view text, std::string_view name);

}  // namespace walcast
