#pragma once

#include "agent/config.hpp"
#include "sinks/envelope.hpp"

#include <vector>

namespace walcast {

// Throws ConfigError where these outputs and the rules of a configuration do not go together: an
// envelope that cannot take what a rule makes, or two outputs that could publish on one Redis
// channel.
void check_outputs(const Config& config, const std::vector<OutputSettings>& outputs);

}  // namespace walcast
