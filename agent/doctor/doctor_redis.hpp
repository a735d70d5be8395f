#pragma once

#include "agent/change_stream.hpp"
#include "agent/config.hpp"
#include "agent/doctor/doctor_finding.hpp"
#include "sinks/awaitable.hpp"

#include <optional>

namespace walcast {

struct RedisDiagnosis {
    Findings findings;
    bool is_reached = false;
    bool is_asked = false;  // What is stored.
    std::optional<Stored> stored;
};

// Checks the server, what it permits, and what is stored. Writes nothing.
asio::awaitable<RedisDiagnosis> check_redis(const Config& config);

// Whether the stream goes on where the stored position ends.
void check_position(const Config& config, const RedisDiagnosis& redis,
                    const std::optional<StreamFacts>& facts, Findings& findings);

}  // namespace walcast
