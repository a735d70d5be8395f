#include "agent/replication_stream.hpp"

#include "agent/errors.hpp"
#include "agent/setup.hpp"

#include <fmt/format.h>

#include <charconv>

namespace walcast {

ReplicationStream::ReplicationStream(asio::any_io_executor executor, Settings settings)
    : settings_(std::move(settings)),
      connection_(std::move(executor), settings_.conninfo, PgConnection::Mode::replication) {}

template <typename Number>
static Number to_number(std::string_view text) {
    Number number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

static Lsn to_lsn(std::string_view text) {
    auto lsn = parse_lsn(text);
    if (!lsn) throw PgError(fmt::format("postgres: \"{}\" is not an LSN", text));
    return *lsn;
}

asio::awaitable<void> ReplicationStream::start() {
    co_await connection_.open();
    if (connection_.server_version() < 140000)
        throw SetupError(fmt::format("postgres: version {} is too old: walcast needs 14 or later",
                                     connection_.server_version() / 10000));
    co_await identify();
    if (settings_.is_temporary)
        co_await create_slot(connection_, settings_.conninfo, settings_.slot, SlotKind::temporary,
                             settings_.say);
    co_await check_slot();
    co_await check_publications();
    co_await read_catalog();

    std::string publications;
    for (const auto& name : settings_.publications)
        publications += (publications.empty() ? "" : ",") + quote_identifier(name);
    auto command = fmt::format(
        "START_REPLICATION SLOT {} LOGICAL 0/0 (proto_version '1', publication_names {}, messages "
        "'true')",
        quote_identifier(settings_.slot), quote_literal(publications));
    facts_.source.slot = settings_.slot;
    facts_.source.fingerprint = fmt::format("pgoutput/1 messages publications={}", publications);
    auto attempted = fmt::format("start replication on slot \"{}\"", settings_.slot);
    co_await connection_.start_copy(std::move(command), std::move(attempted));
}

// The lines of a timeline's history: number, where it was left, why.
static std::map<std::uint32_t, Lsn> read_timeline_history(std::string_view content) {
    std::map<std::uint32_t, Lsn> ends;
    while (!content.empty()) {
        auto line = content.substr(0, content.find('\n'));
        content.remove_prefix(std::min(content.size(), line.size() + 1));
        auto tab = line.find('\t');
        if (tab == std::string_view::npos || line[0] == '#') continue;
        auto rest = line.substr(tab + 1);
        ends[to_number<std::uint32_t>(line)] = to_lsn(rest.substr(0, rest.find('\t')));
    }
    return ends;
}

asio::awaitable<void> ReplicationStream::identify() {
    auto system = co_await connection_.query("IDENTIFY_SYSTEM", "IDENTIFY_SYSTEM");
    facts_.source.system_id = system.at(0).at(0);
    facts_.source.timeline = to_number<std::uint32_t>(system[0].at(1));
    facts_.wal_end = to_lsn(system[0].at(2));
    if (facts_.source.timeline > 1) {
        auto command = fmt::format("TIMELINE_HISTORY {}", facts_.source.timeline);
        auto history =
            co_await connection_.query(std::move(command), "read the timeline's history");
        facts_.timeline_ends = read_timeline_history(history.at(0).at(1));
    }
    auto settings = co_await connection_.query(
        "SELECT current_setting('wal_level'), (SELECT setting FROM pg_settings WHERE name = "
        "'wal_sender_timeout')",
        "read settings");
    expect_logical(settings.at(0).at(0));
    facts_.wal_sender_timeout =
        std::chrono::milliseconds{to_number<std::int64_t>(settings[0].at(1))};
}

asio::awaitable<void> ReplicationStream::check_slot() {
    const auto& slot = settings_.slot;
    auto sql = fmt::format(
        "SELECT slot_type, plugin, database, two_phase, wal_status, confirmed_flush_lsn, "
        "active_pid, "
        "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE "
        "pg_current_wal_flush_lsn() END FROM "
        "pg_replication_slots "
        "WHERE slot_name = {}",
        quote_literal(slot));
    auto rows = co_await connection_.query(std::move(sql), "look the slot up");
    if (rows.empty())
        throw SetupError(
            fmt::format("postgres: slot \"{}\" does not exist: run `walcast init`", slot));
    const auto& row = rows[0];
    if (row[0] != "logical")
        throw SetupError(fmt::format(
            "postgres: slot \"{}\" is a physical one: name another in [source] slot", slot));
    if (row[1] != "pgoutput")
        throw SetupError(fmt::format(
            "postgres: slot \"{}\" has plugin {}, not pgoutput: name another in [source] slot, "
            "or `walcast drop` and `walcast init`",
            slot, row[1]));
    if (row[2] != connection_.database())
        throw SetupError(fmt::format(
            "postgres: slot \"{}\" belongs to database {}, not {}: name another in [source] slot",
            slot, row[2], connection_.database()));
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
    if (!row[6].empty() && !settings_.is_temporary)
        throw SlotActive(fmt::format("postgres: slot \"{}\" is active for PID {}", slot, row[6]));
    if (row[5].empty())
        throw PgError(fmt::format("postgres: slot \"{}\" is still being created", slot));
    facts_.confirmed_lsn = to_lsn(row[5]);
    // Not the end that IDENTIFY_SYSTEM told: whoever had the slot until just now may have got
    // further.
    facts_.wal_end = std::max(facts_.wal_end, to_lsn(row[7]));
}

// On PostgreSQL 14 to 17 a missing publication shows only when the first change is decoded; on 18
// never.
asio::awaitable<void> ReplicationStream::check_publications() {
    for (const auto& name : settings_.publications) {
        auto sql =
            fmt::format("SELECT 1 FROM pg_publication WHERE pubname = {}", quote_literal(name));
        auto rows = co_await connection_.query(std::move(sql), "look the publication up");
        if (rows.empty())
            throw SetupError(fmt::format(
                "postgres: publication \"{}\" does not exist: run `walcast init`", name));
        auto list_tables = fmt::format(
            "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = {}",
            quote_literal(name));
        auto tables =
            co_await connection_.query(std::move(list_tables), "list the publication's tables");
        for (auto& row : tables)
            facts_.published.emplace_back(std::move(row[0]), std::move(row[1]));
    }
}

asio::awaitable<void> ReplicationStream::read_catalog() {
    auto rows = co_await connection_.query(
        "SELECT c.oid, a.attname FROM pg_class c "
        "LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary "
        "LEFT JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(attnum, place) ON k.place <= "
        "i.indnkeyatts "
        "LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum "
        "WHERE c.relkind IN ('r', 'p') AND c.relnamespace NOT IN "
        "('pg_catalog'::regnamespace, 'information_schema'::regnamespace) ORDER BY c.oid, k.place",
        "read primary keys");
    for (auto& row : rows) {
        auto oid = to_number<std::uint32_t>(row[0]);
        facts_.catalog.add_table(oid);
        if (!row[1].empty()) facts_.catalog.add_key_column(oid, std::move(row[1]));
    }
}

std::optional<StreamMessage> ReplicationStream::next() {
    auto frame = connection_.next_frame();
    if (!frame) return std::nullopt;
    return read_stream_message(*frame);
}

asio::awaitable<void> ReplicationStream::report(StandbyStatus status) {
    auto bytes = write_standby_status(status);
    std::string frame(bytes.data(), bytes.size());
    co_await connection_.put_copy(std::move(frame));
}

}  // namespace walcast
