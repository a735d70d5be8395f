#pragma once

#include <cstddef>
#include <string_view>

namespace walcast {

bool is_utf8(std::string_view text);

// The offset of the first character that is none; the size of `text` when all are.
std::size_t first_not_utf8(std::string_view text);

}  // namespace walcast
