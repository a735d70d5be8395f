#pragma once

#include "sinks/envelope.hpp"

#include <toml++/toml.h>

#include <string>

namespace walcast {

// Reads one [[output]] of `file`. Throws ConfigError with file, line, column and what would do.
OutputSettings read_output(const toml::table& table, const std::string& file);

}  // namespace walcast
