#pragma once

#include <string>
#include <string_view>

namespace walcast {

// Names and row data are anybody's: what could steer a terminal becomes visible.
void append_harmless(std::string& out, std::string_view text);

}  // namespace walcast
