#include "agent/concurrency.hpp"
#include "agent/describe.hpp"
#include "agent/errors.hpp"
#include "agent/output.hpp"
#include "agent/publishable_table.hpp"
#include "agent/replication_stream.hpp"
#include "agent/session.hpp"
#include "agent/tail/tail.hpp"
#include "sinks/stdout_sink.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <random>

namespace walcast {

static bool is_wanted(const TailOptions& options, const PublishableTable& table) {
    if (options.tables.empty()) return true;
    return std::any_of(
        options.tables.begin(), options.tables.end(), [&](const std::string& pattern) {
            Rule rule;
            rule.table = pattern.find('.') == std::string::npos ? "*." + pattern : pattern;
            return matches_table(rule, table.schema, table.name);
        });
}

// What tail leaves behind when it is killed, is taken away by the next one: publications whose
// maker's connection is gone. Named after the maker's process on the server.
static asio::awaitable<void> drop_stale_publications(PgConnection& connection) {
    auto stale = co_await connection.query(
        "SELECT pubname FROM pg_publication WHERE pubname ~ '^walcast_tail_[0-9]+_' AND NOT EXISTS "
        "(SELECT 1 FROM pg_stat_activity WHERE pid = split_part(pubname, '_', 3)::int) "
        "AND pg_has_role(pubowner, 'USAGE')",
        "look for left-over publications");
    for (const auto& row : stale) {
        auto sql = fmt::format("DROP PUBLICATION IF EXISTS {}", quote_identifier(row[0]));
        co_await connection.query(std::move(sql), "drop a left-over publication");
    }
}

// Creates what publishes the wanted tables: all their changes where updates have an identity to go
// by, inserts and truncates of the others, whose updates would fail if they were published.
static asio::awaitable<std::vector<std::string>> create_publications(PgConnection& connection,
                                                                     const TailOptions& options,
                                                                     std::string name) {
    auto all = co_await publishable_tables(connection);
    std::string whole;
    std::string inserts_only;
    std::string foreign;
    for (const auto& table : all) {
        if (!is_wanted(options, table)) continue;
        auto& list = !table.is_ours                                        ? foreign
                     : table.has_identity && !table.has_virtual_identity() ? whole
                                                                           : inserts_only;
        list += (list.empty() ? "" : ", ") + table.published_name();
    }
    if (!foreign.empty())
        complain(fmt::format("not shown, since only their owner can publish them: {}", foreign));
    if (!inserts_only.empty())
        complain(
            fmt::format("without primary key, or with a virtual column under REPLICA "
                        "IDENTITY FULL, so only inserts and truncates are shown: {}",
                        inserts_only));
    if (whole.empty() && inserts_only.empty()) {
        if (all.empty()) throw SetupError("postgres: this database has no tables");
        std::string wanted;
        for (const auto& pattern : options.tables) wanted += fmt::format(" --table {}", pattern);
        throw SetupError(fmt::format(
            "postgres: no table to show for{}: check that it exists and that the user owns it",
            wanted.empty() ? " this user" : wanted));
    }
    std::vector<std::string> names;
    std::string sql;
    auto add = [&](const std::string& suffix, const std::string& tables, std::string_view actions) {
        if (tables.empty()) return;
        names.push_back(name + suffix);
        sql += fmt::format(
            "CREATE PUBLICATION {} FOR TABLE {} WITH (publish = '{}', publish_via_partition_root = "
            "true{});",
            quote_identifier(names.back()), tables, actions, publish_generated(connection));
    };
    add("", whole, "insert, update, delete, truncate");
    add("_inserts", inserts_only, "insert, truncate");
    co_await connection.query(std::move(sql), "create a publication for the time of this tail");
    co_return names;
}

// A table that loses its identity while it is shown (ALTER TABLE ... DROP CONSTRAINT, REPLICA
// IDENTITY NOTHING) would have its updates fail from then on: it is taken out as soon as that is
// seen.
static asio::awaitable<void> protect_writes(PgConnection& connection, std::string name) {
    for (;;) {
        co_await sleep_for(std::chrono::milliseconds{200});
        auto sql = fmt::format(
            "SELECT c.oid::regclass FROM pg_publication_rel r JOIN pg_publication p ON p.oid = "
            "r.prpubid "
            "JOIN pg_class c ON c.oid = r.prrelid WHERE p.pubname = {} AND NOT {}",
            quote_literal(name), has_identity_sql("c"));
        auto lost =
            co_await connection.query(std::move(sql), "look for tables that lost their identity");
        for (const auto& row : lost) {
            auto drop =
                fmt::format("ALTER PUBLICATION {} DROP TABLE {}", quote_identifier(name), row[0]);
            co_await connection.query(std::move(drop),
                                      "take a table out of the publication of this tail");
            complain(fmt::format(
                "{} has lost its primary key or replica identity, and is not shown any more",
                row[0]));
        }
    }
}

static asio::awaitable<void> drop_publications(asio::any_io_executor executor, std::string conninfo,
                                               std::string name) {
    PgConnection connection(executor, conninfo, PgConnection::Mode::sql);
    co_await connection.open();
    auto sql = fmt::format("DROP PUBLICATION IF EXISTS {}, {}", quote_identifier(name),
                           quote_identifier(name + "_inserts"));
    co_await connection.query(std::move(sql), "drop the publication of this tail");
}

std::vector<Rule> rules_of_tail() {
    std::vector<Rule> rules(1);
    rules[0].table = "*.*";
    rules[0].channels.push_back(parse_channel_template("tail"));
    return rules;
}

static asio::awaitable<void> show_stream(PgConnection& connection, std::string conninfo,
                                         const TailOptions& options, std::string name,
                                         RecordingWriter* recording, Log& log) {
    auto executor = co_await asio::this_coro::executor;
    auto publications = co_await create_publications(connection, options, name);
    Output output(executor);
    TailView view(options.form, options.colours, options.filter);
    StdoutSink sink([&](std::string_view channel, std::string_view message) {
        return output.print(view.render(channel, message));
    });
    RuleBook rules;
    rules.in_force = std::make_unique<const RuleSet>(RuleSet{.rules = rules_of_tail()});
    Session::Memory memory;
    ReplicationStream::Settings from{.conninfo = conninfo,
                                     .slot = name,
                                     .publications = publications,
                                     .is_temporary = true,
                                     .say = complain,
                                     .recording = recording};
    auto stream = std::make_unique<ReplicationStream>(executor, std::move(from));
    Session::Settings settings{.pipeline = {.without_id = Router::WithoutId::allowed,
                                            .batches = {},
                                            .recording = recording},
                               .limits = {.connect = std::chrono::hours{24}}};
    Metrics metrics;  // Nobody asks.
    Session session(executor, std::move(settings), std::move(stream), rules, sink, memory, metrics,
                    log);
    co_await run_together(session.run(), output.wait_until_closed(),
                          protect_writes(connection, name));
}

// A recording that failed is not whole; any other has all that came.
[[noreturn]] static void rethrow(const std::exception_ptr& ended, RecordingWriter* recording) {
    try {
        std::rethrow_exception(ended);
    } catch (const RecordingError&) {
        throw;
    } catch (...) {
        if (recording != nullptr) recording->end();
        throw;
    }
}

asio::awaitable<void> tail_postgres(std::string conninfo, TailOptions options, Log& log) {
    auto executor = co_await asio::this_coro::executor;
    std::optional<RecordingWriter> recording;
    if (!options.recording.empty()) recording.emplace(options.recording, options.masking);
    PgConnection connection(executor, conninfo, PgConnection::Mode::sql);
    co_await connection.open();
    co_await drop_stale_publications(connection);
    auto pid = co_await connection.query("SELECT pg_backend_pid()", "ask for the backend's pid");
    std::random_device random;
    auto name = fmt::format("walcast_tail_{}_{:08x}", pid.at(0).at(0), random());
    std::exception_ptr ended;
    try {
        co_await show_stream(connection, conninfo, options, name, recording ? &*recording : nullptr,
                             log);
    } catch (...) {
        ended = std::current_exception();  // Rethrown below, when we have cleaned up.
    }
    // Cancelled, we still clean up.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    auto dropping = drop_publications(executor, conninfo, name);
    auto is_dropped = false;
    try {
        is_dropped = co_await within(std::chrono::seconds{5}, std::move(dropping));
    } catch (const std::runtime_error& error) {
        complain(error.what());
    }
    if (!is_dropped)
        complain(fmt::format("publication {} is left behind; the next tail removes it", name));
    if (ended) rethrow(ended, recording ? &*recording : nullptr);
}

}  // namespace walcast
