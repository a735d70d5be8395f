#pragma once

#include "agent/rules/rule.hpp"

#include <toml++/toml.h>

#include <string>

namespace walcast {

// Reads one [[rule]] of `file`. Throws ConfigError with file, line, column and what would do.
Rule read_rule(const toml::table& table, const std::string& file);

}  // namespace walcast
