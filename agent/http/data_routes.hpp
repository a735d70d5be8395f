#pragma once

#include "agent/delta/receipts.hpp"
#include "agent/delta/redis_reader.hpp"
#include "agent/http/http_routes.hpp"

#include <vector>

namespace walcast {

// /delta, /position and /receipt: what Redis has, for clients that cannot ask it themselves
// (docs/protocol.md). `reader` and `receipts` must outlive them.
std::vector<HttpRoute> data_routes(RedisReader& reader, Receipts& receipts);

}  // namespace walcast
