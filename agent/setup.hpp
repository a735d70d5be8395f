#pragma once

#include "agent/config.hpp"
#include "agent/slot.hpp"
#include "sinks/awaitable.hpp"

#include <string_view>

namespace walcast {

// Throws SetupError, with what mends it, unless `wal_level` is logical.
void expect_logical(std::string_view wal_level);

// Throws SetupError unless `plugin` sends what a database of this encoding holds as UTF-8.
void expect_encoding(Plugin plugin, std::string_view encoding);

enum class Doing { really, dry_run };

// Creates the publication of exactly the rules' tables, then the slot, then the first position in
// Redis. What is there already is checked and left. Throws SetupError before anything is changed
// where a write of the application would begin to fail.
asio::awaitable<void> init(const Config& config, Doing doing, Say say);

// Removes slot and publication.
asio::awaitable<void> drop(const Config& config, Doing doing, Say say);

}  // namespace walcast
