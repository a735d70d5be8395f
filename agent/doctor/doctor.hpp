#pragma once

#include "agent/config.hpp"
#include "agent/doctor/doctor_finding.hpp"
#include "sinks/awaitable.hpp"

namespace walcast {

struct Diagnosis {
    Findings findings;
    bool is_whole = false;  // Both servers answered.
};

// Checks all that `run` needs, on both sides, and each rule against the schema. Reads only.
asio::awaitable<Diagnosis> doctor(const Config& config);

}  // namespace walcast
