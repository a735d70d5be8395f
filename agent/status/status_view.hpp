#pragma once

#include "agent/status/status_facts.hpp"

#include <cstdint>
#include <string>

namespace walcast {

// For a terminal, which nothing in it can steer.
std::string show_text(const Status& status, const Config& config, const Findings& findings);

// One JSON object, with its line end. What is not known is absent.
std::string show_json(const Status& status, const Config& config, const Findings& findings);

// `52.1 MB`, `3 min`
std::string shown_bytes(std::uint64_t bytes);
std::string shown_seconds(double seconds);

}  // namespace walcast
