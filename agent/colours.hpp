#pragma once

#include <string_view>

namespace walcast {

// What makes a terminal write in another way, until `reset_colour`.
inline constexpr std::string_view reset_colour = "\x1b[0m";
inline constexpr std::string_view dim = "\x1b[2m";
inline constexpr std::string_view bold = "\x1b[1m";
inline constexpr std::string_view cyan = "\x1b[36m";
inline constexpr std::string_view green = "\x1b[32m";
inline constexpr std::string_view yellow = "\x1b[33m";
inline constexpr std::string_view red = "\x1b[31m";
inline constexpr std::string_view magenta = "\x1b[35m";

}  // namespace walcast
