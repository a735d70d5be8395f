#pragma once

#include "agent/config.hpp"
#include "agent/log.hpp"
#include "agent/recording/recording.hpp"
#include "agent/tail/tail_view.hpp"
#include "sinks/awaitable.hpp"

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
    TailFilter filter;
    std::string recording;  // File to record to, or to replay.
    RecordingWriter::Masking masking = RecordingWriter::Masking::none;
};

// Shows the changes of a database through a temporary slot and a publication of its own, both gone
// afterwards. Publishes updates only of tables where that makes none fail. Records what it reads,
// if asked for. Until cancelled, or OutputClosed.
asio::awaitable<void> tail_postgres(std::string conninfo, TailOptions options, Log& log);

// Shows the messages of channels as they are published, after their history if asked for: without
// hole or repeat, or it says where the history does not reach. Until cancelled, or OutputClosed.
asio::awaitable<void> tail_redis(RedisSettings settings, TailOptions options);

// Shows a recording as the tail that made it did, and ends with it; RecordingError when it is cut
// short or damaged, after all that came before.
asio::awaitable<void> tail_replay(TailOptions options);

// Of a tail without rules: one channel, named as nothing else; each table is its own model.
std::vector<Rule> rules_of_tail();

}  // namespace walcast
