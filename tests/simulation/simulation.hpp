#pragma once

#include "tests/simulation/schedule.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace walcast {

struct Outcome {
    std::optional<std::string> failure;  // The promise that was broken.
    std::vector<std::string> trace;
    std::uint64_t batches = 0;
    std::uint64_t changes = 0;
    std::uint64_t epochs = 0;
    std::uint64_t turns = 0;
};

// Runs whole agents (supervisor, session, pipeline, queue) against a simulated Postgres and Redis,
// in virtual time, by a schedule: the same schedule gives the same run. After its end all is
// mended, and must come to rest.
Outcome simulate(const Schedule& schedule, bool is_traced = false,
                 SimulatedRedis::Flaws flaws = {});

}  // namespace walcast
