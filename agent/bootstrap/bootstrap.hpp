#pragma once

#include "agent/bootstrap/bootstrap_token.hpp"
#include "agent/bootstrap/channel_condition.hpp"
#include "agent/bootstrap/copy_row.hpp"
#include "agent/config.hpp"
#include "agent/pg_connection.hpp"
#include "agent/published_table.hpp"
#include "agent/rules/channel_names.hpp"
#include "agent/rules/router.hpp"
#include "agent/snapshot/snapshot_positions.hpp"
#include "decoders/value_writer.hpp"
#include "sinks/awaitable.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// What of the tables is wanted: the rows of these channels, or of these models, or those that are
// of both.
struct BootstrapRequest {
    std::vector<std::string> channels;
    std::vector<std::string> models;
    std::string after;  // A token: only what comes after it.
};

// The request makes no sense.
struct BadRequest : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Reads the rows that channels or models have as of one snapshot, and writes them as JSON lines
// (docs/protocol.md, "Bootstrap"), each with the bytes that a live message would have. Reads no
// more than is asked for, so that memory is bounded by the largest row.
class Bootstrap {
public:
    struct Settings {
        std::string conninfo;
        Config::Source source;
        JsonPolicy values;
        std::size_t action_bytes = std::size_t{16} * 1024 * 1024;  // As for messages.
        std::uint64_t rows_between_marks = 10'000;
    };
    // Which sync ids a snapshot has seen. Throws SnapshotRefused when a later one may do.
    using AskPosition = std::function<asio::awaitable<SnapshotAnswer>(std::string snapshot)>;

    Bootstrap(asio::any_io_executor executor, Settings settings, std::vector<Rule> rules,
              BootstrapRequest request);

    // Takes the snapshot, and learns its position. Throws BadRequest, SnapshotRefused,
    // NotStreaming, PgError, SetupError.
    asio::awaitable<void> begin(AskPosition ask);

    // Appends some lines. False when those were the last. Throws PgError, SetupError.
    asio::awaitable<bool> next(std::string& out);

    std::uint64_t rows() const { return rows_; }            // Written,
    std::uint64_t rows_read() const { return rows_read_; }  // and read for that,
    // of how many, by the server's statistics; nothing where only some of a table's are read.
    std::optional<std::uint64_t> estimated_rows() const { return estimated_rows_; }
    // Tables that rules name and nobody publishes, so that no row of theirs comes.
    const std::vector<std::string>& unpublished() const { return unpublished_; }
    const std::string& last_mark() const { return last_mark_; }  // A token; empty: none yet.

private:
    struct Table {
        PublishedTable published = {};
        bool is_partitioned = false;
        std::uint64_t estimated_rows = 0;
        std::optional<Catalog> catalog = {};
        std::optional<Router> router = {};
        std::vector<const TableRule*> rules = {};  // Those that are wanted.
        std::vector<std::size_t> key = {};  // The primary key's columns, where rows come by it.
        std::string sql = {};
    };
    asio::awaitable<void> lock();
    asio::awaitable<void> list_tables();
    asio::awaitable<void> take_snapshot(AskPosition& ask);
    bool is_wanted(const Rule& rule) const;
    bool is_wanted_model(const Rule& rule) const;
    bool is_before(const std::string& schema, const std::string& table) const;

    asio::awaitable<void> describe_tables();
    void choose_rules(Table& table);
    static void find_key(Table& table);
    ChannelCondition condition_of_channels(const Table& table) const;
    void write_query(Table& table, std::string condition) const;

    asio::awaitable<void> start_table();
    void append_head(std::string& out) const;
    void append_end(std::string& out) const;
    void append_mark(std::string& out, const Table& table, std::vector<std::string> key);
    void append_rows(std::string& out, const Table& table, std::string_view line);
    void append_row(std::string& out, const TableRule& rule, const Change& change);
    bool find_channels(const TableRule& rule, const KnownRow& row);
    void append_data(std::string& out, const TableRule& rule, const Tuple& row);
    void leave_out(const Table& table, std::string_view why);

    Settings settings_;
    std::vector<Rule> rules_;
    BootstrapRequest request_;
    std::string asked_;  // The request, as tokens remember it.
    std::optional<BootstrapToken> after_;
    PgConnection connection_;
    bool is_utf8_ = true;
    SnapshotAnswer position_;
    std::vector<std::unique_ptr<Table>> tables_;
    std::vector<std::string> unpublished_;
    std::optional<std::uint64_t> estimated_rows_;

    bool has_head_ = false;
    std::size_t table_ = 0;  // The one that is read.
    bool is_copying_ = false;
    CopyRow copied_;
    ChannelNames names_;
    std::vector<std::string_view> channels_;  // Of the row at hand, those that were asked for.
    ValueWriter writer_;
    std::string scratch_;
    std::uint64_t rows_ = 0;
    std::uint64_t rows_read_ = 0;
    std::uint64_t left_out_ = 0;
    std::uint64_t rows_since_mark_ = 0;  // Read.
    std::vector<std::string> last_key_;  // Of the last row written of the table, since the mark.
    std::string last_mark_;
};

}  // namespace walcast
