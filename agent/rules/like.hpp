#pragma once

#include <string_view>

namespace walcast {

// As `text LIKE pattern` in a database of UTF-8: `%` is any characters, `_` any one, `\` takes the
// next as itself. The pattern must not end in that escape.
bool is_like(std::string_view text, std::string_view pattern);

}  // namespace walcast
