#pragma once

#include "agent/delta/delta.hpp"
#include "agent/tail/tail_view.hpp"
#include "sinks/awaitable.hpp"
#include "sinks/redis_sink.hpp"

#include <string>
#include <vector>

namespace walcast {

struct DeltaOptions {
    TailView::Form form = TailView::Form::text;
    TailView::Colours colours = TailView::Colours::none;
    std::vector<std::string> channels;  // Without control.
    std::string epoch;
    std::vector<SyncId> after;  // For each of them, and control.
};

// Prints what the histories have above the known ids, then whether that is all there was.
// `is_complete` says so, too. Throws SinkError.
asio::awaitable<void> print_delta(RedisSettings settings, DeltaOptions options, bool& is_complete);

}  // namespace walcast
