#pragma once

#include "agent/config.hpp"
#include "agent/http/http_routes.hpp"
#include "agent/log.hpp"
#include "agent/snapshot/snapshot_positions.hpp"

#include <functional>
#include <vector>

namespace walcast {

// /position-of: which sync ids a snapshot has seen. /bootstrap: rows and where they belong. `rules`
// gives those that are in force. All must outlive the routes.
std::vector<HttpRoute> bootstrap_routes(asio::any_io_executor executor, const Config& config,
                                        SnapshotPositions& snapshots,
                                        std::function<std::vector<Rule>()> rules, Log& log);

}  // namespace walcast
