#pragma once

#include "agent/metrics.hpp"

#include <chrono>
#include <string>

namespace walcast {

// Whether changes reach their subscribers now, as far as can be known: this agent is the active
// one, and a heartbeat went through Postgres, walcast and Redis lately.
struct Readiness {
    bool is_ready = false;
    std::string reason;  // Why not.
};

// `heartbeat` is the interval; 0: there are none, and being connected has to do.
Readiness readiness(const Metrics& metrics, std::chrono::milliseconds heartbeat,
                    Clock::time_point now);

// One JSON object, with what it was judged by.
std::string readiness_json(const Readiness& readiness, const Metrics& metrics,
                           Clock::time_point now);

}  // namespace walcast
