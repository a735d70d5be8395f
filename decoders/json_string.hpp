#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace walcast {

// A value that cannot be written: text that is not UTF-8, or not what its type prints. What was
// appended until then is to be taken back.
struct ValueError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// `text` in quotes; control characters, quotes and backslashes escaped. Throws ValueError when it
// is not UTF-8.
void append_json_string(std::string& out, std::string_view text);

// JSON as it is; only that it is UTF-8 is looked at. Throws ValueError.
void append_json(std::string& out, std::string_view json);

}  // namespace walcast
