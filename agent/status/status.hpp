#pragma once

#include "agent/config.hpp"
#include "agent/status/status_facts.hpp"
#include "sinks/awaitable.hpp"

namespace walcast {

// Looks at both servers, beside an agent that runs or not; reads only. Takes about two seconds, to
// tell how fast WAL grows.
asio::awaitable<Status> status(const Config& config);

}  // namespace walcast
