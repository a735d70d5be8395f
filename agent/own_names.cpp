#include "agent/own_names.hpp"

#include <algorithm>
#include <array>

namespace walcast {

// Those that end in a colon are of many names, which begin so.
static constexpr std::array<std::string_view, 6> own_names{
    "control", "receipt:", "log:", "position", "channels", "dead-letters"};

bool is_own_name(std::string_view channel, const std::string& prefix) {
    if (!channel.starts_with(prefix)) return false;
    auto name = channel.substr(prefix.size());
    return std::any_of(own_names.begin(), own_names.end(), [&](std::string_view own) {
        return own.ends_with(':') ? name.starts_with(own) : name == own;
    });
}

std::optional<std::string> own_name_of(const ChannelTemplate& channel, const std::string& prefix) {
    for (auto own : own_names) {
        auto name = prefix + std::string(own);
        if (own.ends_with(':') ? channel.can_begin_with(name) : channel.can_make(name)) return name;
    }
    return std::nullopt;
}

}  // namespace walcast
