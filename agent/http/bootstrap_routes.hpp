#pragma once

#include "agent/bootstrap/bootstrap.hpp"
#include "agent/clock.hpp"
#include "agent/config.hpp"
#include "agent/http/http_routes.hpp"
#include "agent/log.hpp"
#include "agent/snapshot/snapshot_positions.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace walcast {

// What all answers with rows need, and how many are on their way: a few at a time. `rules` gives
// those that are in force. All must outlive the routes.
struct BootstrapService {
    asio::any_io_executor executor;
    const Config& config;
    SnapshotPositions& snapshots;
    std::function<std::vector<Rule>()> rules;
    Log& log;
    unsigned running = 0;
    std::string refusal_logged = {};
    Clock::time_point refusal_logged_at = {};

    bool is_full() const;
};

// What the rows are sent as.
struct BootstrapForm {
    std::string content_type = "application/x-ndjson";
    bool is_head = false;                                  // Without the rows.
    SyncId seen = 0;                                       // The snapshot has seen all up to it.
    std::function<void(std::string& lines)> rewrite = {};  // If it is not to be these lines.
};

// A bootstrap, or why there is none.
asio::awaitable<HttpResponse> answer_bootstrap(std::shared_ptr<BootstrapService> service,
                                               BootstrapRequest wanted, BootstrapForm form);

// /position-of: which sync ids a snapshot has seen. /bootstrap: rows and where they belong.
std::vector<HttpRoute> bootstrap_routes(std::shared_ptr<BootstrapService> service);

}  // namespace walcast
