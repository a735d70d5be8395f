#pragma once

#include "agent/delta/redis_reader.hpp"
#include "agent/http/bootstrap_routes.hpp"
#include "agent/http/http_routes.hpp"

#include <memory>
#include <vector>

namespace walcast {

// /chorus/schema and /chorus/sync/{table}: the bodies that Laravel Chorus' client expects
// (docs/sync-systems.md). `reader` must outlive them.
std::vector<HttpRoute> chorus_routes(std::shared_ptr<BootstrapService> bootstraps,
                                     RedisReader& reader);

}  // namespace walcast
