#pragma once

#include "agent/config.hpp"

#include <string>

namespace walcast {

// The Redis commands that a sample insert, update, delete and rejection become under a
// configuration: its first rule's model and channel, its outputs. Asks no server.
std::string show_envelopes(const Config& config);

}  // namespace walcast
