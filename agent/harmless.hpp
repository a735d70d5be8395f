#pragma once

#include <string>
#include <string_view>

namespace walcast {

// Row data is anybody's: what could steer a terminal becomes visible.
void append_harmless(std::string& out, std::string_view text);

}  // namespace walcast
