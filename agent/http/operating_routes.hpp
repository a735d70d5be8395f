#pragma once

#include "agent/http/http_routes.hpp"
#include "agent/metrics.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace walcast {

// /livez: the loop turns. /readyz: changes reach their subscribers. /metrics: for Prometheus.
// `metrics` must outlive them.
std::vector<HttpRoute> operating_routes(const Metrics& metrics, std::chrono::milliseconds heartbeat,
                                        std::string version);

}  // namespace walcast
