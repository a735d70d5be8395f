#include "agent/slot.hpp"

#include "agent/concurrency.hpp"
#include "agent/errors.hpp"

#include <fmt/format.h>

namespace walcast {

static std::string_view why_lost(std::string_view reason) {
    if (reason == "idle_timeout") return "nobody read it for idle_replication_slot_timeout";
    return "its WAL was removed (max_slot_wal_keep_size)";
}

asio::awaitable<SlotFacts> read_slot(PgConnection& connection, std::string slot, Plugin plugin) {
    // What is decoded there ends with the standby's promotion or loss; and what a primary copies to
    // it can be read after the promotion only.
    auto recovery = co_await connection.query("SELECT pg_is_in_recovery()", "ask for the role");
    if (recovery.at(0).at(0) == "t")
        throw PgError(
            "postgres: this server is a standby, from which walcast does not read: it waits until "
            "it is promoted. Name the primary in [source] url, or all hosts with "
            "target_session_attrs=read-write");
    auto sql = fmt::format(
        "SELECT slot_type, plugin, database, two_phase, wal_status, confirmed_flush_lsn, "
        "active_pid, "
        "pg_current_wal_flush_lsn(), temporary, "
        // Columns of 17 and later.
        "to_jsonb(s) ->> 'invalidation_reason', to_jsonb(s) ->> 'failover' "
        "FROM pg_replication_slots s WHERE slot_name = {}",
        quote_literal(slot));
    auto rows = co_await connection.query(std::move(sql), "look the slot up");
    if (rows.empty())
        throw SetupError(
            fmt::format("postgres: slot \"{}\" does not exist: run `walcast init`", slot));
    const auto& row = rows[0];
    if (row[0] != "logical")
        throw SetupError(fmt::format(
            "postgres: slot \"{}\" is a physical one: name another in [source] slot", slot));
    if (row[1] != name_of(plugin))
        throw SetupError(fmt::format(
            "postgres: slot \"{}\" has plugin {}, not {}: set [source] plugin, name another in "
            "[source] slot, or `walcast drop` and `walcast init`",
            slot, row[1], name_of(plugin)));
    if (row[2] != connection.database())
        throw SetupError(fmt::format(
            "postgres: slot \"{}\" belongs to database {}, not {}: name another in [source] slot",
            slot, row[2], connection.database()));
    if (row[3] == "t")
        throw SetupError(fmt::format(
            "postgres: slot \"{}\" was made with two_phase: rows of prepared transactions would "
            "not be sent again once confirmed. `walcast drop` and `walcast init` make one without",
            slot));
    if (row[4] == "lost" || !row[9].empty())
        throw SetupError(
            fmt::format("postgres: slot \"{}\" is lost, {}: `walcast drop`, then `walcast init`; "
                        "clients then get a reset",
                        slot, why_lost(row[9])));
    if (row[5].empty())
        throw PgError(fmt::format("postgres: slot \"{}\" is still being created", slot));
    co_return SlotFacts{.confirmed_lsn = parse_lsn(row[5]).value_or(Lsn{}),
                        .wal_end = parse_lsn(row[7]).value_or(Lsn{}),
                        .active_pid = row[6],
                        .wal_status = row[4],
                        .is_temporary = row[8] == "t",
                        .has_failover = row[10] == "true"};
}

// A slot is not made before every transaction that writes has ended, in any database.
static asio::awaitable<void> say_who_is_waited_for(std::string conninfo, Say say) {
    auto executor = co_await asio::this_coro::executor;
    co_await sleep_for(std::chrono::seconds{2});
    PgConnection connection(executor, conninfo, PgConnection::Mode::sql);
    co_await connection.open();
    // By its lock: of other users' transactions pg_stat_activity shows who, but not since when.
    auto rows = co_await connection.query(
        "SELECT l.pid, coalesce(date_trunc('second', now() - a.xact_start)::text, 'a time that is "
        "hidden from this user'), a.datname, a.usename FROM pg_locks l JOIN pg_stat_activity a ON "
        "a.pid = l.pid WHERE l.locktype = 'transactionid' AND l.granted ORDER BY a.xact_start "
        "LIMIT 3",
        "look for running transactions");
    for (const auto& row : rows)
        say(fmt::format(
            "waiting for a transaction that is still running: pid {} for {}, database {}, user {} "
            "(SELECT pg_terminate_backend({}) would end it)",
            row[0], row[1], row[2], row[3], row[0]));
    auto prepared = co_await connection.query(
        "SELECT gid, date_trunc('second', now() - prepared), database, owner FROM "
        "pg_prepared_xacts ORDER BY prepared LIMIT 3",
        "look for prepared transactions");
    for (const auto& row : prepared)
        say(
            fmt::format("waiting for a prepared transaction: {0} for {1}, database {2}, user {3} "
                        "(there, COMMIT "
                        "PREPARED {4} or ROLLBACK PREPARED {4} would end it)",
                        row[0], row[1], row[2], row[3], quote_literal(row[0])));
    for (Signal never(executor);;) co_await never.wait();
}

std::string create_slot_sql(const PgConnection& connection, std::string_view slot, Plugin plugin,
                            SlotKind kind) {
    std::string_view options;
    if (kind == SlotKind::temporary)
        options = ", true";
    else if (connection.server_version() >= 170000)
        options = ", failover => true";  // Standbys may keep a copy of it.
    return fmt::format("SELECT pg_create_logical_replication_slot({}, '{}'{})", quote_literal(slot),
                       name_of(plugin), options);
}

asio::awaitable<std::string> create_slot(PgConnection& connection, std::string conninfo,
                                         std::string slot, Plugin plugin, SlotKind kind, Say say) {
    // By a function and not by CREATE_REPLICATION_SLOT, so that a server that waits for others
    // looks after us: else a slot half made outlives us for as long as they last.
    try {
        co_await connection.query("SET client_connection_check_interval = '1s'", "be looked after");
    } catch (const PgError&) {
        // Not every platform can.
    }
    auto sql = create_slot_sql(connection, slot, plugin, kind);
    sql.insert(std::string_view("SELECT ").size(), "lsn FROM ");
    auto attempted = fmt::format("create slot \"{}\"", slot);
    std::string consistent_point;
    auto create = [](PgConnection& on, std::string command, std::string what,
                     std::string& point) -> asio::awaitable<void> {
        auto rows = co_await on.query(std::move(command), std::move(what));
        point = rows.at(0).at(0);
    };
    auto creating = create(connection, std::move(sql), std::move(attempted), consistent_point);
    auto explaining = say_who_is_waited_for(std::move(conninfo), std::move(say));
    co_await run_together(std::move(creating), std::move(explaining));
    co_return consistent_point;
}

}  // namespace walcast
