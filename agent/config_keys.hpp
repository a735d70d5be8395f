#pragma once

#include "agent/config.hpp"

#include <span>
#include <string>
#include <string_view>

namespace walcast {

// A setting with one value. All take text, so that file and environment are read alike.
struct ConfigKey {
    enum class Kind { text, number, boolean, secret };  // A secret is not repeated in errors.
    std::string_view path;                              // `redis.history.age`
    Kind kind;
    void (*set)(Config& config, const std::string& text);  // Throws std::invalid_argument.
};

// All there are, but for rules.
std::span<const ConfigKey> config_keys();

}  // namespace walcast
