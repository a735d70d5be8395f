#pragma once

#include "agent/config.hpp"
#include "agent/explain/explained_table.hpp"
#include "agent/explain/explanation_view.hpp"
#include "sinks/awaitable.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace walcast {

struct ExplainOptions {
    ExplanationView::Form form = ExplanationView::Form::text;
    ExplanationView::Colours colours = ExplanationView::Colours::none;

    // A change of one row: made of JSON objects, or of a row of the database.
    std::string table;
    std::optional<std::string> old_row;
    std::optional<std::string> new_row;
    std::vector<std::string> key;
    bool is_delete = false;
    std::vector<std::string> unchanged;  // Large columns that the update leaves alone.
    ExplainedTable::Identity identity = ExplainedTable::Identity::own;

    // Or what a history holds.
    std::optional<SyncId> sync_id;

    // Or a recording: its changes, of `table` if that is given.
    std::string recording;
    std::optional<std::uint32_t> xid;
    std::optional<std::uint64_t> limit;
};

enum class Explained {
    shown,
    not_found,  // No message has the sync id.
    differs,    // The rules of `against` do something else.
};

// Throws ConfigError when the options do not go together.
void check_options(const ExplainOptions& options, const Config* against);

// Prints which rules take a change, which do not and why, the channels and the bytes that result;
// of two configurations, what differs. Only reads, of both database and Redis.
asio::awaitable<void> explain(const Config& config, const Config* against, ExplainOptions options,
                              Explained& outcome);

}  // namespace walcast
