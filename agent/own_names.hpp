#pragma once

#include "agent/rules/channel_template.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace walcast {

// Under a prefix some names are walcast's: the control channel, receipts, and its other keys.

// Whether this channel would be one of them.
bool is_own_name(std::string_view channel, const std::string& prefix);

// One of them, or how several begin, that some row could make of a template.
std::optional<std::string> own_name_of(const ChannelTemplate& channel, const std::string& prefix);

}  // namespace walcast
