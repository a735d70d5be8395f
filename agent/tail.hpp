#pragma once

#include "agent/config.hpp"
#include "agent/log.hpp"
#include "agent/setup.hpp"
#include "agent/tail_view.hpp"

#include <optional>
#include <string>
#include <vector>

namespace walcast {

struct TailOptions {
    TailView::Form form = TailView::Form::text;
    TailView::Colours colours = TailView::Colours::none;
    std::vector<std::string> tables;    // schema.table or table, with globs; none: all.
    std::vector<std::string> channels;  // Names or patterns as PSUBSCRIBE takes them.
    std::optional<SyncId> from;         // Show what came after this id first.
};

// Shows the changes of a database through a temporary slot and a publication of its own, both gone
// afterwards. Publishes updates only of tables where that makes none fail. Until cancelled, or
// OutputClosed.
asio::awaitable<void> tail_postgres(std::string conninfo, TailOptions options, Log& log);

// Shows the messages of channels as they are published, after their history if asked for: without
// hole or repeat, or it says where the history does not reach. Until cancelled, or OutputClosed.
asio::awaitable<void> tail_redis(RedisSettings settings, TailOptions options);

}  // namespace walcast
