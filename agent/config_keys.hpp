#pragma once

#include "agent/config.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// A setting with one value. All take text, so that file and environment are read alike.
struct ConfigKey {
    enum class Kind { text, number, boolean, secret };  // A secret is not repeated in errors.
    std::string_view path;                              // `redis.history.age`
    Kind kind;
    void (*set)(Config& config, const std::string& text);  // Throws std::invalid_argument.
    bool (*is_same)(const Config& a, const Config& b);
};

// All there are, but for rules and outputs.
std::span<const ConfigKey> config_keys();

// The paths of the settings that differ.
std::vector<std::string_view> changed_settings(const Config& before, const Config& after);

}  // namespace walcast
