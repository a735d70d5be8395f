#include "agent/tail.hpp"

#include "agent/concurrency.hpp"
#include "agent/errors.hpp"
#include "agent/session.hpp"
#include "sinks/stdout_sink.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <fmt/format.h>
#include <fnmatch.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <random>

namespace walcast {

using asio::use_awaitable;
using asio::posix::stream_descriptor;

static void complain(const std::string& line) {
    fmt::print(stderr, "{}\n", line);
}

// Standard output in the loop: nothing else stands still while its reader does, and a reader that
// leaves is noticed even while there is nothing to print.
class Output {
public:
    explicit Output(const asio::any_io_executor& executor) : descriptor_(executor) {
        struct stat kind {};
        is_pollable_ =
            fstat(STDOUT_FILENO, &kind) == 0 && !S_ISREG(kind.st_mode);  // A file never waits.
        if (is_pollable_) descriptor_.assign(dup(STDOUT_FILENO));
    }

    asio::awaitable<void> print(std::string_view text) {
        constexpr std::size_t chunk =
            4096;  // PIPE_BUF: what a writable pipe takes without blocking.
        while (!text.empty()) {
            if (is_pollable_)
                co_await descriptor_.async_wait(stream_descriptor::wait_write, use_awaitable);
            auto written = write(STDOUT_FILENO, text.data(), std::min(text.size(), chunk));
            if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
            if (written < 0) throw OutputClosed();
            text.remove_prefix(static_cast<std::size_t>(written));
        }
    }

    asio::awaitable<void> wait_until_closed() {
        while (!is_closed()) co_await sleep_for(std::chrono::milliseconds{200});
        throw OutputClosed();
    }

private:
    static bool is_closed() {
        pollfd out{.fd = STDOUT_FILENO, .events = 0, .revents = 0};
        return poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)) != 0;
    }

    stream_descriptor descriptor_;
    bool is_pollable_ = false;
};

// --- from Postgres ---

static bool is_wanted(const TailOptions& options, const PublishableTable& table) {
    if (options.tables.empty()) return true;
    return std::any_of(
        options.tables.begin(), options.tables.end(), [&](const std::string& pattern) {
            Rule rule{.table = pattern.find('.') == std::string::npos ? "*." + pattern : pattern,
                      .model = {},
                      .channels = {},
                      .id = {}};
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
        auto& list = !table.is_ours ? foreign : table.has_identity ? whole : inserts_only;
        list += (list.empty() ? "" : ", ") + table.quoted_name();
    }
    if (!foreign.empty())
        complain(fmt::format("not shown, since only their owner can publish them: {}", foreign));
    if (!inserts_only.empty())
        complain(fmt::format("without primary key, so only inserts and truncates are shown: {}",
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
            "true);",
            quote_identifier(names.back()), tables, actions);
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
            "JOIN pg_class c ON c.oid = r.prrelid WHERE p.pubname = {} AND c.relreplident <> 'f' "
            "AND NOT EXISTS "
            "(SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indimmediate AND "
            "i.indisvalid AND "
            "((c.relreplident = 'd' AND i.indisprimary) OR (c.relreplident = 'i' AND "
            "i.indisreplident)))",
            quote_literal(name));
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

static asio::awaitable<void> show_stream(PgConnection& connection, std::string conninfo,
                                         const TailOptions& options, std::string name, Log& log) {
    auto executor = co_await asio::this_coro::executor;
    auto publications = co_await create_publications(connection, options, name);
    Output output(executor);
    TailView view(options.form, options.colours);
    StdoutSink sink([&](std::string_view channel, std::string_view message) {
        return output.print(view.render(channel, message));
    });
    // One channel, named as nothing else; each table is its own model.
    std::vector<Rule> rules{
        {.table = "*.*", .model = {}, .channels = {parse_channel_template("tail")}, .id = {}}};
    Session::Memory memory;
    for (;;) {
        try {
            ReplicationStream::Settings settings{.conninfo = conninfo,
                                                 .slot = name,
                                                 .publications = publications,
                                                 .is_temporary = true};
            Session session(executor, std::move(settings), rules, Router::WithoutId::allowed, sink,
                            memory, log, {.connect = std::chrono::hours{24}, .batches = {}});
            co_await run_together(session.run(), output.wait_until_closed(),
                                  protect_writes(connection, name));
        } catch (const UnknownTable&) {
            // Cannot be: a table made after the start is not in the publication.
            throw SetupError("a table was made anew while it was shown: start tail again");
        }
    }
}

asio::awaitable<void> tail_postgres(std::string conninfo, TailOptions options, Log& log) {
    auto executor = co_await asio::this_coro::executor;
    PgConnection connection(executor, conninfo, PgConnection::Mode::sql);
    co_await connection.open();
    co_await drop_stale_publications(connection);
    auto pid = co_await connection.query("SELECT pg_backend_pid()", "ask for the backend's pid");
    std::random_device random;
    auto name = fmt::format("walcast_tail_{}_{:08x}", pid.at(0).at(0), random());
    std::exception_ptr ended;
    try {
        co_await show_stream(connection, conninfo, options, name, log);
    } catch (...) {
        ended = std::current_exception();  // Rethrown below, when we have cleaned up.
    }
    // Cancelled, we still clean up.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await drop_publications(executor, conninfo, name);
    if (ended) std::rethrow_exception(ended);
}

// --- from Redis ---

namespace {

bool is_pattern(std::string_view channel) {
    return channel.find_first_of("*?[") != std::string_view::npos;
}

// Keeps the place in each channel, so that history and what is published make one row without hole
// or repeat.
class RedisTail {
public:
    RedisTail(asio::any_io_executor executor, RedisSettings settings, const TailOptions& options)
        : settings_(std::move(settings)),
          control_(settings_.prefix + "control"),
          options_(options),
          subscriber_(executor, settings_.address),
          reader_(executor, settings_.address),
          output_(executor),
          view_(options.form, options.colours) {}

    asio::awaitable<void> run() {
        co_await subscriber_.open();
        co_await reader_.open();
        co_await subscribe();
        if (options_.from) co_await replay();
        co_await run_together(follow(), output_.wait_until_closed());
    }

private:
    struct Entry {
        std::string channel;
        std::string message;
        TailView::Head head;
    };

    asio::awaitable<void> subscribe() {
        auto channels = options_.channels;
        channels.push_back(control_);  // Resets of whole models concern every channel.
        for (const auto& channel : channels) {
            std::string command;
            append_command(command, {is_pattern(channel) ? "PSUBSCRIBE" : "SUBSCRIBE", channel});
            co_await subscriber_.ask(std::move(command));
        }
    }

    // Histories that exist, of the channels asked for.
    asio::awaitable<std::vector<std::string>> channels_with_history() {
        std::vector<std::string> found;
        std::string command;
        append_command(command, {"ZRANGE", settings_.prefix + "channels", "0", "-1"});
        auto names = co_await reader_.ask(std::move(command));
        for (const auto& name : names.items) {
            auto is_wanted = std::any_of(
                options_.channels.begin(), options_.channels.end(), [&](const std::string& wanted) {
                    return is_pattern(wanted) ? fnmatch(wanted.c_str(), name.text.c_str(), 0) == 0
                                              : wanted == name.text;
                });
            if (is_wanted) found.push_back(name.text);
        }
        found.push_back(control_);
        co_return found;
    }

    std::string history_key(const std::string& channel) const {
        return channel == control_ ? channel : settings_.prefix + "log:" + channel;
    }

    asio::awaitable<std::vector<Entry>> read_history(std::string channel, SyncId after) {
        std::vector<Entry> entries;
        auto key = history_key(channel);
        for (;;) {
            std::string command;
            append_command(command,
                           {"XRANGE", key, fmt::format("({}-0", after), "+", "COUNT", "100"});
            auto reply = co_await reader_.ask(std::move(command));
            for (auto& item : reply.items) {
                auto& message = item.items.at(1).items.at(1).text;
                auto head = view_.read_head(message);
                if (!head)
                    throw SinkError(
                        fmt::format("redis: {} holds something that is not a message", key));
                after = head->last_sync_id;
                entries.push_back({channel, std::move(message), std::move(*head)});
            }
            if (reply.items.empty()) break;
        }
        co_return entries;
    }

    asio::awaitable<void> replay() {
        auto channels = co_await channels_with_history();
        std::vector<Entry> entries;
        for (auto& channel : channels) {
            auto read = co_await read_history(channel, *options_.from);
            if (!read.empty() && read[0].head.prev_sync_id > *options_.from)
                complain(fmt::format("history of {} does not reach back to {}: it begins after {}",
                                     channel, *options_.from, read[0].head.prev_sync_id));
            std::move(read.begin(), read.end(), std::back_inserter(entries));
        }
        std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
            return a.head.last_sync_id < b.head.last_sync_id;
        });
        for (const auto& entry : entries) co_await show(entry);
    }

    asio::awaitable<void> show(const Entry& entry) {
        known_[entry.channel] = {entry.head.epoch, entry.head.last_sync_id};
        co_await output_.print(view_.render(entry.channel, entry.message));
    }

    asio::awaitable<void> follow() {
        for (;;) {
            auto reply = co_await subscriber_.read();
            if (reply.is_error()) throw_redis_error("subscribe", reply.text);
            if (reply.items.size() < 3) continue;
            auto is_message = reply.items[0].text == "message" || reply.items[0].text == "pmessage";
            if (!is_message) continue;
            Entry entry{.channel = reply.items[reply.items.size() - 2].text,
                        .message = std::move(reply.items.back().text),
                        .head = {}};
            auto head = view_.read_head(entry.message);
            if (!head) {  // Not ours: shown as it is.
                co_await output_.print(view_.render(entry.channel, entry.message));
                continue;
            }
            if (head->type == "agent")
                continue;  // Says that the agent is up or down; nothing of the data.
            entry.head = std::move(*head);
            co_await show_in_order(std::move(entry));
        }
    }

    asio::awaitable<void> show_in_order(Entry entry) {
        auto known = known_.find(entry.channel);
        if (known == known_.end() && options_.from) {
            known = known_.emplace(entry.channel, Known{entry.head.epoch, *options_.from}).first;
        }
        auto is_same_epoch = known != known_.end() && known->second.epoch == entry.head.epoch;
        if (is_same_epoch && entry.head.last_sync_id <= known->second.last_sync_id) co_return;
        if (is_same_epoch && entry.head.prev_sync_id > known->second.last_sync_id) {
            auto missed = co_await read_history(entry.channel, known->second.last_sync_id);
            for (const auto& found : missed)
                if (found.head.last_sync_id < entry.head.last_sync_id) co_await show(found);
            auto reached = known_[entry.channel].last_sync_id;
            if (reached < entry.head.prev_sync_id)
                complain(fmt::format("{}: messages between {} and {} are no longer in history",
                                     entry.channel, reached, entry.head.prev_sync_id));
        }
        co_await show(entry);
    }

    struct Known {
        std::string epoch;
        SyncId last_sync_id = 0;
    };
    RedisSettings settings_;
    std::string control_;
    const TailOptions& options_;
    RedisConnection subscriber_;
    RedisConnection reader_;
    Output output_;
    TailView view_;
    std::map<std::string, Known> known_;
};

}  // namespace

asio::awaitable<void> tail_redis(RedisSettings settings, TailOptions options) {
    auto executor = co_await asio::this_coro::executor;
    RedisTail tail(executor, std::move(settings), options);
    co_await tail.run();
}

}  // namespace walcast
