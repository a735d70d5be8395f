#pragma once

#include "agent/explain/found_id.hpp"
#include "decoders/sync_action.hpp"
#include "sinks/awaitable.hpp"
#include "sinks/redis_sink.hpp"

namespace walcast {

// Looks in every channel's history and in that of the control channel. Reads only. Throws
// SinkError.
asio::awaitable<FoundId> find_sync_id(RedisSettings settings, SyncId id);

}  // namespace walcast
