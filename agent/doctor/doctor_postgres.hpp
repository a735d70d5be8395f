#pragma once

#include "agent/change_stream.hpp"
#include "agent/config.hpp"
#include "agent/doctor/doctor_finding.hpp"
#include "sinks/awaitable.hpp"

#include <optional>

namespace walcast {

struct PostgresDiagnosis {
    Findings findings;
    bool is_reached = false;
    // What a position in Redis can be compared with; nothing while an agent is at work.
    std::optional<StreamFacts> facts;
};

// Checks the server, role, slot and publication, and each rule against the schema. Changes nothing.
asio::awaitable<PostgresDiagnosis> check_postgres(const Config& config);

}  // namespace walcast
