#include "agent/doctor/doctor_postgres.hpp"

#include "agent/concurrency.hpp"
#include "agent/doctor/doctor_rules.hpp"
#include "agent/doctor/doctor_schema.hpp"
#include "agent/errors.hpp"
#include "agent/setup.hpp"
#include "agent/slot.hpp"

#include <fmt/format.h>

#include <charconv>

namespace walcast {

namespace {

using Level = Finding::Level;
using Where = Mend::Where;

// A server that accepts and says nothing is not waited for like one that works.
constexpr std::chrono::seconds connect_max{15};

// Our messages begin with where they come from, which the place says already.
std::string without_side(std::string_view what) {
    constexpr std::string_view side = "postgres: ";
    return std::string(what.starts_with(side) ? what.substr(side.size()) : what);
}

// The checks of one server, on two connections of which neither writes.
class PostgresCheck {
public:
    PostgresCheck(asio::any_io_executor executor, const Config& config,
                  PostgresDiagnosis& diagnosis)
        : config_(config),
          diagnosis_(diagnosis),
          connection_(executor, config.source.url, PgConnection::Mode::sql),
          replication_(executor, config.source.url, PgConnection::Mode::replication) {}

    asio::awaitable<void> run();

private:
    asio::awaitable<void> check_settings();
    asio::awaitable<void> check_role();
    asio::awaitable<void> check_replication();
    asio::awaitable<void> check_slot();
    asio::awaitable<void> check_reader(SlotFacts slot);
    asio::awaitable<void> check_standbys(SlotFacts slot);
    asio::awaitable<void> check_capacity();
    asio::awaitable<void> check_schema();
    void add(Level level, std::string_view check, std::string what, std::vector<Mend> mends) {
        diagnosis_.findings.push_back({.level = level,
                                       .check = check,
                                       .place = "postgres",
                                       .what = without_side(what),
                                       .mends = std::move(mends)});
    }

    const Config& config_;
    PostgresDiagnosis& diagnosis_;
    PgConnection connection_;
    PgConnection replication_;
    std::optional<StreamFacts> facts_;
};

Mend sql(std::vector<std::string> lines) {
    return {.where = Where::sql, .lines = std::move(lines)};
}
Mend shell(std::vector<std::string> lines) {
    return {.where = Where::shell, .lines = std::move(lines)};
}

asio::awaitable<void> PostgresCheck::check_settings() {
    if (connection_.server_version() < 140000)
        add(Level::error, "server-version",
            fmt::format("version {} is too old: walcast needs 14 or later",
                        connection_.server_version() / 10000),
            {});
    auto rows = co_await connection_.query(
        "SELECT current_setting('wal_level'), current_setting('server_encoding'), "
        "current_setting('max_slot_wal_keep_size'), current_setting('application_name'), "
        "EXISTS (SELECT FROM regexp_split_to_table(current_setting('synchronous_standby_names'), "
        "'[\\s,()\"]+') name WHERE name = '*' OR lower(name) = "
        "lower(current_setting('application_name')))",
        "read settings");
    const auto& row = rows.at(0);
    try {
        expect_logical(row[0]);
    } catch (const SetupError& error) {
        add(Level::error, "wal-level", error.what(),
            {sql({"ALTER SYSTEM SET wal_level = 'logical';  -- then restart Postgres"})});
    }
    try {
        expect_encoding(config_.source.plugin, row[1]);
    } catch (const SetupError& error) {
        add(Level::error, "encoding", error.what(),
            {{.where = Where::config, .lines = {"[source] plugin = \"pgoutput\""}}});
    }
    if (row[2] == "-1")
        add(Level::note, "wal-without-limit",
            "max_slot_wal_keep_size is -1: a slot that nobody reads for long keeps WAL until the "
            "disk is full",
            {sql({"ALTER SYSTEM SET max_slot_wal_keep_size = '50GB';  -- what the disk can spare",
                  "SELECT pg_reload_conf();"})});
    // It would wait for the transaction to be visible, to ask about the table, and the transaction
    // for it.
    if (row[4] == "t")
        add(Level::warning, "synchronous-standby",
            fmt::format("synchronous_standby_names takes walcast (application {}) for a standby: "
                        "every COMMIT may wait for it, and one that creates a table for ever",
                        row[3]),
            {sql({"ALTER SYSTEM SET synchronous_standby_names = 'standby1';  -- the standbys' own "
                  "names",
                  "SELECT pg_reload_conf();"})});
}

asio::awaitable<void> PostgresCheck::check_role() {
    auto rows = co_await connection_.query(
        "SELECT rolname, rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user",
        "look the role up");
    if (rows.empty() || rows[0][1] == "t") co_return;
    add(Level::error, "role-without-replication",
        fmt::format("role {} may not replicate", rows[0][0]),
        {sql({fmt::format("ALTER ROLE {} REPLICATION;", printable_identifier(rows[0][0]))})});
}

// A pooler in between, pg_hba.conf and max_wal_senders show only so.
asio::awaitable<void> PostgresCheck::check_replication() {
    try {
        auto opening = replication_.open();
        auto is_in_time = co_await within(connect_max, std::move(opening));
        if (!is_in_time) throw PgError("postgres: no answer while connecting");
        auto system = co_await replication_.query("IDENTIFY_SYSTEM", "IDENTIFY_SYSTEM");
        facts_.emplace();
        facts_->source.system_id = system.at(0).at(0);
        std::from_chars(system[0].at(1).data(), system[0][1].data() + system[0][1].size(),
                        facts_->source.timeline);
        facts_->source.slot = config_.source.slot;
    } catch (const SetupError& error) {
        // The role has been spoken of.
        for (const auto& finding : diagnosis_.findings)
            if (finding.check == "role-without-replication") co_return;
        add(Level::error, "replication-connection", error.what(), {});
    } catch (const PgError& error) {
        add(Level::error, "replication-connection", error.what(), {});
    }
}

// What to do about a slot, as the error itself says.
std::vector<Mend> slot_mends(std::string_view what) {
    auto init = what.find("`walcast init`") != std::string_view::npos;
    auto drop = what.find("`walcast drop`") != std::string_view::npos;
    if (drop) return {shell({"walcast drop", "walcast init"})};
    if (init) return {shell({"walcast init"})};
    return {};
}

asio::awaitable<void> PostgresCheck::check_slot() {
    std::optional<SlotFacts> slot;
    std::string refused;
    try {
        slot = co_await read_slot(connection_, config_.source.slot, config_.source.plugin);
    } catch (const SetupError& error) {
        refused = error.what();
    } catch (const PgError& error) {
        refused = error.what();
    }
    if (slot) {
        co_await check_reader(*slot);
        co_return;
    }
    add(Level::error, "slot", refused, slot_mends(refused));
    facts_.reset();
    co_await check_capacity();
}

// Who reads the slot, and how much longer it lasts.
asio::awaitable<void> PostgresCheck::check_reader(SlotFacts slot) {
    const auto& name = config_.source.slot;
    if (slot.is_temporary)
        add(Level::error, "slot",
            fmt::format("slot \"{}\" is temporary, and gone with the connection that made it",
                        name),
            {{.where = Where::config, .lines = {"[source] slot = \"another\""}}});
    if (slot.wal_status == "unreserved")
        add(Level::error, "slot",
            fmt::format("slot \"{}\" is about to be lost: it needs more WAL than "
                        "max_slot_wal_keep_size keeps, and the next checkpoint removes it",
                        name),
            {shell({"walcast run"})});
    if (!slot.has_failover && connection_.server_version() >= 170000) co_await check_standbys(slot);
    if (slot.active_pid.empty()) {
        if (facts_) facts_->confirmed_lsn = slot.confirmed_lsn;
        if (facts_) facts_->wal_end = slot.wal_end;
        co_return;
    }
    facts_.reset();
    // An agent of this configuration goes by the same name as this connection.
    auto ask = fmt::format(
        "SELECT application_name, client_addr FROM pg_stat_replication WHERE pid = {} AND "
        "application_name <> current_setting('application_name')",
        slot.active_pid);
    auto rows = co_await connection_.query(std::move(ask), "ask who reads the slot");
    if (rows.empty() || rows[0][0].empty()) co_return;
    add(Level::warning, "slot",
        fmt::format("slot \"{}\" is read by something else: pid {}, application {}{}{}", name,
                    slot.active_pid, rows[0][0], rows[0][1].empty() ? "" : " from ", rows[0][1]),
        {sql({fmt::format("SELECT pg_terminate_backend({});", slot.active_pid)})});
}

// A slot that standbys do not copy is gone with the primary.
asio::awaitable<void> PostgresCheck::check_standbys(SlotFacts slot) {
    auto rows = co_await connection_.query(
        "SELECT 1 FROM pg_replication_slots WHERE slot_type = 'physical' UNION ALL SELECT 1 FROM "
        "pg_stat_replication r WHERE NOT EXISTS (SELECT FROM pg_replication_slots s WHERE "
        "s.active_pid = r.pid AND s.slot_type = 'logical') LIMIT 1",
        "look for standbys");
    if (rows.empty() || slot.is_temporary) co_return;
    const auto& name = config_.source.slot;
    // Only a replication connection knows the command, and only while nobody reads the slot.
    add(Level::warning, "slot-without-failover",
        fmt::format(
            "there are standbys, and slot \"{}\" would not survive a failover to one: it was "
            "made without failover",
            name),
        {shell({fmt::format("psql {} -c {}  # while no walcast runs",
                            shell_quoted(connection_.shown_conninfo() + "replication=database"),
                            shell_quoted(fmt::format("ALTER_REPLICATION_SLOT {} (FAILOVER)",
                                                     quote_identifier(name))))})});
}

// Room for a slot that is not there yet.
asio::awaitable<void> PostgresCheck::check_capacity() {
    auto rows = co_await connection_.query(
        "SELECT (SELECT count(*) FROM pg_replication_slots WHERE slot_name <> " +
            quote_literal(config_.source.slot) + "), current_setting('max_replication_slots')",
        "count the slots");
    if (rows.at(0)[0] != rows[0][1]) co_return;
    add(Level::error, "slots-used-up",
        fmt::format("all {} replication slots are in use", rows[0][1]),
        {sql({fmt::format("ALTER SYSTEM SET max_replication_slots = {};  -- then restart Postgres",
                          std::stoi(rows[0][1]) + 10)})});
}

asio::awaitable<void> PostgresCheck::check_schema() {
    auto database = co_await read_database(connection_, config_);
    if (!database) {
        add(Level::error, "publication",
            fmt::format("publication \"{}\" does not exist", config_.source.publication),
            {shell({"walcast init"})});
        co_return;
    }
    for (auto& finding : check_rules(config_.rules, *database))
        diagnosis_.findings.push_back(std::move(finding));
}

asio::awaitable<void> PostgresCheck::run() {
    auto opening = connection_.open();
    auto is_in_time = co_await within(connect_max, std::move(opening));
    if (!is_in_time) throw PgError("postgres: no answer while connecting");
    diagnosis_.is_reached = true;
    co_await connection_.query("SET default_transaction_read_only = on", "begin to read only");
    co_await check_schema();
    co_await check_settings();
    co_await check_role();
    co_await check_replication();
    co_await check_slot();
    diagnosis_.facts = std::move(facts_);
}

}  // namespace

asio::awaitable<PostgresDiagnosis> check_postgres(const Config& config) {
    constexpr std::chrono::seconds limit{60};
    auto executor = co_await asio::this_coro::executor;
    PostgresDiagnosis diagnosis;
    PostgresCheck check(executor, config, diagnosis);
    std::string failed;
    try {
        auto running = check.run();
        if (!co_await within(limit, std::move(running))) failed = "no answer in time";
    } catch (const SetupError& error) {
        failed = error.what();
    } catch (const PgError& error) {
        failed = error.what();
    }
    if (!failed.empty()) {
        diagnosis.is_reached = false;
        diagnosis.findings.push_back(
            {.check = "postgres", .place = "postgres", .what = without_side(failed)});
    }
    co_return diagnosis;
}

}  // namespace walcast
