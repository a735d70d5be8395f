#include "agent/slot.hpp"

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

}  // namespace walcast
