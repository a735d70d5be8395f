#include "agent/replication_stream.hpp"

#include "agent/describe.hpp"
#include "agent/errors.hpp"
#include "agent/setup.hpp"
#include "agent/slot.hpp"

#include <fmt/format.h>

namespace walcast {

ReplicationStream::ReplicationStream(asio::any_io_executor executor, Settings settings)
    : executor_(std::move(executor)),
      settings_(std::move(settings)),
      connection_(executor_, settings_.conninfo, PgConnection::Mode::replication),
      catalog_(settings_.values) {
    connection_.on_notice = [this](std::string_view sqlstate, std::string_view line) {
        if (settings_.notice) settings_.notice(line);
        // Of a publication that is gone; standbys that are waited for are told of by the same code,
        // and known by the setting's name, which no language translates.
        auto is_about_standbys = line.find("synchronized_standby_slots") != std::string_view::npos;
        if (sqlstate == "55000" && !is_about_standbys) unpublished_ = line;
    };
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
    // What the stream's own connection looked up in the catalog as it is now would stay in its
    // cache, and be taken for what it was when older changes were made. So others are asked.
    auto asking = ask_beside();
    co_await asking.open();
    co_await identify(asking);
    start_recording();
    if (settings_.is_temporary)
        co_await create_slot(connection_, settings_.conninfo, settings_.slot, settings_.plugin,
                             SlotKind::temporary, settings_.say);
    co_await check_slot(asking);
    if (settings_.plugin == Plugin::pgoutput) {
        co_await check_publications(asking);
        co_await read_catalog(asking);
    }
    co_await list_tables(asking);
    facts_.source.slot = settings_.slot;
    auto attempted = fmt::format("start replication on slot \"{}\"", settings_.slot);
    if (settings_.plugin == Plugin::pgoutput) {
        co_await connection_.start_copy(pgoutput_command(), std::move(attempted));
    } else {
        co_await start_wal2json(std::move(attempted));
    }
}

void ReplicationStream::start_recording() {
    if (settings_.recording == nullptr) return;
    settings_.recording->start({.plugin = settings_.plugin,
                                .format_version = settings_.format_version,
                                .server_version = connection_.server_version(),
                                .encoding = facts_.encoding});
    catalog_.on_fact = [this](const CatalogFact& fact) { settings_.recording->note(fact); };
}

static std::string start_command(std::string_view slot, std::string_view options) {
    return fmt::format("START_REPLICATION SLOT {} LOGICAL 0/0 ({})", quote_identifier(slot),
                       options);
}

std::string ReplicationStream::pgoutput_command() {
    std::string publications;
    for (const auto& name : settings_.publications)
        publications += (publications.empty() ? "" : ",") + quote_identifier(name);
    // A transaction in progress, its xids taken out, holds the bytes of a whole one: a position
    // inside it is good for either version.
    facts_.source.fingerprint = fmt::format("pgoutput/1 messages publications={}", publications);
    auto options = fmt::format("proto_version '{}', publication_names {}, messages 'true'",
                               settings_.is_streaming ? 2 : 1, quote_literal(publications));
    if (settings_.is_streaming) options += ", streaming 'on'";
    if (settings_.is_without_origins) {
        if (connection_.server_version() < 160000)
            throw SetupError(fmt::format(
                "[source] origin = \"none\" needs PostgreSQL 16; this server is version {}",
                connection_.server_version() / 10000));
        options += ", origin 'none'";
        facts_.source.fingerprint += " origin=none";
    }
    return start_command(settings_.slot, options);
}

// There is no way to ask for wal2json's version: from 2.6 on it knows the option that tells NaN
// from null.
asio::awaitable<void> ReplicationStream::start_wal2json(std::string attempted) {
    auto options = fmt::format(
        "\"format-version\" '{}', \"include-lsn\" 'true', \"include-xids\" 'true', "
        "\"include-timestamp\" 'true', \"include-types\" 'false', \"include-type-oids\" 'true'",
        settings_.format_version);
    if (settings_.format_version == 1) options += ", \"write-in-chunks\" 'true'";
    constexpr std::string_view newest = "numeric-data-types-as-string";
    facts_.source.fingerprint = fmt::format("wal2json/{}", settings_.format_version);
    auto is_newest = true;
    try {
        co_await connection_.start_copy(
            start_command(settings_.slot, fmt::format("{}, \"{}\" 'true'", options, newest)),
            attempted);
    } catch (const PgError& error) {
        if (std::string_view(error.what()).find(newest) == std::string_view::npos) throw;
        is_newest = false;
    }
    if (is_newest) {
        are_nans_told_ = true;
        for (auto& table : facts_.published) table.has_floats = false;
        co_return;
    }
    co_await connection_.start_copy(start_command(settings_.slot, options), std::move(attempted));
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

asio::awaitable<void> ReplicationStream::identify(PgConnection& asking) {
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
    auto settings = co_await asking.query(
        "SELECT current_setting('wal_level'), (SELECT setting FROM pg_settings WHERE name = "
        "'wal_sender_timeout'), current_setting('server_encoding')",
        "read settings");
    expect_logical(settings.at(0).at(0));
    facts_.encoding = settings[0].at(2);
    expect_encoding(settings_.plugin, facts_.encoding);
    facts_.wal_sender_timeout =
        std::chrono::milliseconds{to_number<std::int64_t>(settings[0].at(1))};
}

asio::awaitable<void> ReplicationStream::check_slot(PgConnection& asking) {
    auto slot = co_await read_slot(asking, settings_.slot, settings_.plugin);
    if (!slot.active_pid.empty() && !settings_.is_temporary)
        throw SlotActive(fmt::format("postgres: slot \"{}\" is active for PID {}", settings_.slot,
                                     slot.active_pid));
    facts_.confirmed_lsn = slot.confirmed_lsn;
    // Not the end that IDENTIFY_SYSTEM told: whoever had the slot until just now may have got
    // further.
    facts_.wal_end = std::max(facts_.wal_end, slot.wal_end);
}

// On PostgreSQL 14 to 17 a missing publication shows only when the first change is decoded; on 18
// never.
asio::awaitable<void> ReplicationStream::check_publications(PgConnection& asking) {
    for (const auto& name : settings_.publications) {
        auto sql =
            fmt::format("SELECT 1 FROM pg_publication WHERE pubname = {}", quote_literal(name));
        auto rows = co_await asking.query(std::move(sql), "look the publication up");
        if (rows.empty())
            throw SetupError(fmt::format(
                "postgres: publication \"{}\" does not exist: run `walcast init`", name));
    }
}

asio::awaitable<void> ReplicationStream::list_tables(PgConnection& connection) {
    std::vector<StreamFacts::Published> found;
    if (settings_.plugin == Plugin::wal2json) {
        auto listing = list_all(connection);
        found = co_await std::move(listing);
    } else {
        for (const auto& name : settings_.publications) {
            auto sql = fmt::format(
                "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = {}",
                quote_literal(name));
            auto rows = co_await connection.query(std::move(sql), "list the publication's tables");
            for (auto& row : rows) found.push_back({std::move(row[0]), std::move(row[1])});
        }
    }
    facts_.published = std::move(found);
}

asio::awaitable<void> ReplicationStream::read_catalog(PgConnection& asking) {
    auto rows = co_await asking.query(
        "SELECT c.oid, a.attname FROM pg_class c "
        "LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary "
        "LEFT JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(attnum, place) ON k.place <= "
        "i.indnkeyatts "
        "LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum "
        "WHERE c.relkind IN ('r', 'p') AND c.relnamespace NOT IN "
        "('pg_catalog'::regnamespace, 'information_schema'::regnamespace) ORDER BY c.oid, k.place",
        "read primary keys");
    std::uint32_t oid = 0;
    std::vector<std::string> key;
    for (auto& row : rows) {
        auto next = to_number<std::uint32_t>(row[0]);
        if (next != oid && oid != 0) catalog_.set_primary_key(oid, std::exchange(key, {}));
        oid = next;
        if (!row[1].empty()) key.push_back(std::move(row[1]));
    }
    if (oid != 0) catalog_.set_primary_key(oid, std::move(key));

    auto partial = co_await asking.query(
        "WITH identity AS (SELECT c.oid, c.relreplident, (SELECT array_agg(a.attname ORDER BY "
        "a.attname) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = "
        "ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) WHERE i.indrelid = c.oid AND CASE "
        "c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false "
        "END) "
        "AS columns FROM pg_class c WHERE c.relkind IN ('r', 'p')) "
        "SELECT DISTINCT r.oid, n.nspname, r.relname FROM pg_class c JOIN pg_class r ON r.oid = "
        "pg_partition_root(c.oid) JOIN pg_namespace n ON n.oid = r.relnamespace JOIN identity own "
        "ON "
        "own.oid = c.oid JOIN identity its ON its.oid = r.oid WHERE c.relispartition AND c.relkind "
        "= 'r' AND own.relreplident <> 'f' AND (its.relreplident = 'f' OR NOT coalesce(own.columns "
        "@> its.columns, its.columns IS NULL))",
        "compare the identities of partitions");
    for (auto& row : partial) {
        catalog_.set_partial_old_rows(to_number<std::uint32_t>(row[0]));
        facts_.partial_old_rows.emplace_back(std::move(row[1]), std::move(row[2]));
    }

    std::vector<std::uint32_t> types;
    for (const auto& name : settings_.publications) {
        auto sql = fmt::format(
            "SELECT DISTINCT a.atttypid FROM pg_publication_tables p JOIN pg_namespace n ON "
            "n.nspname = p.schemaname JOIN pg_class c ON c.relname = p.tablename AND "
            "c.relnamespace = n.oid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND "
            "NOT a.attisdropped WHERE p.pubname = {} AND a.atttypid >= {}",
            quote_literal(name), first_catalog_oid);
        auto found = co_await asking.query(std::move(sql), "list the types in use");
        for (const auto& row : found) types.push_back(to_number<std::uint32_t>(row[0]));
    }
    catalog_.add_types(co_await describe_types(asking, std::move(types)));
}

// wal2json has no publications: it sends every table.
asio::awaitable<std::vector<StreamFacts::Published>> ReplicationStream::list_all(
    PgConnection& connection) const {
    auto rows = co_await connection.query(
        "SELECT n.nspname, c.relname, c.relreplident = 'f' OR EXISTS (SELECT 1 FROM pg_index i "
        "WHERE i.indrelid = c.oid AND ((c.relreplident = 'd' AND i.indisprimary) OR "
        "(c.relreplident = 'i' AND i.indisreplident))), EXISTS (SELECT 1 FROM pg_attribute a WHERE "
        "a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN (700, 701, "
        "1700)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN "
        "('r', 'p') AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', "
        "'information_schema')",
        "list the tables");
    std::vector<StreamFacts::Published> found;
    for (auto& row : rows)
        found.push_back({std::move(row[0]), std::move(row[1]), row[2] == "t",
                         row[3] == "t" && !are_nans_told_});
    co_return found;
}

std::optional<StreamMessage> ReplicationStream::next() {
    auto frame = connection_.next_frame();
    // From 18 on that is no error, and the publication's changes are merely left out.
    if (!unpublished_.empty()) throw_pg_error("stream", "42704", "publication: " + unpublished_);
    if (!frame) return std::nullopt;
    auto message = read_stream_message(*frame);
    if (settings_.recording != nullptr)
        if (const auto* data = std::get_if<WalData>(&message)) settings_.recording->received(*data);
    return message;
}

asio::awaitable<void> ReplicationStream::report(StandbyStatus status) {
    auto bytes = write_standby_status(status);
    std::string frame(bytes.data(), bytes.size());
    co_await connection_.put_copy(std::move(frame));
}

// --- beside the stream ---

// Closed after each question: a smart shutdown waits for every connection but the stream's own.
PgConnection ReplicationStream::ask_beside() {
    return PgConnection(executor_, connection_.conninfo_of_this_server(), PgConnection::Mode::sql);
}

asio::awaitable<void> ReplicationStream::list_tables() {
    auto asking = ask_beside();
    co_await asking.open();
    co_await list_tables(asking);
}

asio::awaitable<TableDescription> ReplicationStream::describe(Relation relation,
                                                              std::uint32_t xid) {
    auto asking = ask_beside();
    co_await asking.open();
    auto learning = learn_table(asking, std::move(relation), xid, catalog_);
    auto table = co_await std::move(learning);
    if (settings_.recording != nullptr) settings_.recording->describe(table);
    co_return table;
}

asio::awaitable<bool> ReplicationStream::has_slot() {
    auto asking = ask_beside();
    co_await asking.open();
    auto slot = co_await read_slot(asking, settings_.slot, settings_.plugin);
    if (slot.active_pid != fmt::to_string(connection_.backend_pid())) co_return false;
    // Between our look at it and its start another one may have had it.
    facts_.confirmed_lsn = slot.confirmed_lsn;
    facts_.wal_end = std::max(facts_.wal_end, slot.wal_end);
    auto rows = co_await asking.query("SELECT pg_current_snapshot(), pg_is_in_recovery()",
                                      "look at running transactions");
    facts_.snapshot.reset();
    if (rows.at(0).at(1) == "f") facts_.snapshot = std::move(rows[0][0]);
    facts_.conninfo = connection_.conninfo_of_this_server();
    co_return true;
}

asio::awaitable<bool> ReplicationStream::is_stopping() {
    auto probe = ask_beside();
    try {
        co_await probe.open();
    } catch (const PgError& error) {
        co_return std::string_view(error.what()).find("shutting down") != std::string_view::npos;
    } catch (const SetupError&) {
        co_return false;
    }
    co_return false;
}

// With one more column, if any.
asio::awaitable<ChangeStream::Wal> ReplicationStream::ask_wal(std::string beside) {
    auto asking = ask_beside();
    co_await asking.open();
    auto sql = fmt::format(
        "SELECT pg_current_wal_lsn(), pg_current_wal_lsn() - restart_lsn, safe_wal_size{} FROM "
        "(SELECT) AS once LEFT JOIN pg_replication_slots ON slot_name = {}",
        beside, quote_literal(settings_.slot));
    auto rows = co_await asking.query(std::move(sql), "ask how far the log is");
    const auto& row = rows.at(0);
    Wal wal{.end = parse_lsn(row[0]).value_or(Lsn{})};
    if (!row[1].empty()) wal.retained_bytes = to_number<std::int64_t>(row[1]);
    if (!row[2].empty()) wal.safe_bytes = to_number<std::int64_t>(row[2]);
    co_return wal;
}

asio::awaitable<ChangeStream::Wal> ReplicationStream::emit(std::string prefix,
                                                           std::string content) {
    return ask_wal(fmt::format(", pg_logical_emit_message(true, {}, {})", quote_literal(prefix),
                               quote_literal(content)));
}

ReplicationStream::Settings stream_settings(const Config& config) {
    return {.conninfo = config.source.url,
            .slot = config.source.slot,
            .publications = {config.source.publication},
            .plugin = config.source.plugin,
            .format_version = config.source.format_version,
            .is_streaming = config.source.is_streaming,
            .is_without_origins = config.source.is_without_origins,
            .values = config.values};
}

}  // namespace walcast
