#include "agent/slot.hpp"

#include "agent/errors.hpp"

#include <fmt/format.h>

namespace walcast {

asio::awaitable<SlotFacts> read_slot(PgConnection& connection, std::string slot, Plugin plugin) {
    auto sql = fmt::format(
        "SELECT slot_type, plugin, database, two_phase, wal_status, confirmed_flush_lsn, "
        "active_pid, "
        "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE "
        "pg_current_wal_flush_lsn() END, temporary FROM pg_replication_slots "
        "WHERE slot_name = {}",
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
    if (row[4] == "lost")
        throw SetupError(fmt::format(
            "postgres: slot \"{}\" is lost, its WAL was removed (max_slot_wal_keep_size): "
            "`walcast drop`, then `walcast init`; clients then get a reset",
            slot));
    if (row[5].empty())
        throw PgError(fmt::format("postgres: slot \"{}\" is still being created", slot));
    co_return SlotFacts{.confirmed_lsn = parse_lsn(row[5]).value_or(Lsn{}),
                        .wal_end = parse_lsn(row[7]).value_or(Lsn{}),
                        .active_pid = row[6],
                        .wal_status = row[4],
                        .is_temporary = row[8] == "t"};
}

}  // namespace walcast
