#include "agent/setup.hpp"

#include "agent/concurrency.hpp"
#include "agent/errors.hpp"
#include "agent/numbering.hpp"
#include "agent/publishable_table.hpp"
#include "agent/resume.hpp"
#include "sinks/redis_sink.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace walcast {

void expect_logical(std::string_view wal_level) {
    if (wal_level == "logical") return;
    throw SetupError(
        fmt::format("postgres: wal_level is {}, and must be logical: ALTER SYSTEM SET wal_level = "
                    "'logical', then restart Postgres",
                    wal_level));
}

void expect_encoding(Plugin plugin, std::string_view encoding) {
    if (plugin == Plugin::pgoutput || encoding == "UTF8" || encoding == "SQL_ASCII") return;
    throw SetupError(
        fmt::format("postgres: the database's encoding is {}, which wal2json does not convert: use "
                    "[source] plugin = \"pgoutput\"",
                    encoding));
}

namespace {

// The tables that the rules name, each once.
std::vector<PublishableTable> choose_tables(const Config& config,
                                            const std::vector<PublishableTable>& all) {
    std::vector<PublishableTable> chosen;
    for (const auto& rule : config.rules) {
        auto is_found = false;
        for (const auto& table : all) {
            if (!matches_table(rule, table.schema, table.name)) continue;
            is_found = true;
            auto is_there =
                std::any_of(chosen.begin(), chosen.end(), [&](const PublishableTable& other) {
                    return other.schema == table.schema && other.name == table.name;
                });
            if (!is_there) chosen.push_back(table);
        }
        if (!is_found)
            throw SetupError(fmt::format("{}:{}: no table matches \"{}\"; create it first",
                                         config.file, rule.line, rule.table));
    }
    return chosen;
}

enum class Generated { published, left_out };

void refuse_what_breaks_writes(const std::vector<PublishableTable>& tables, Generated generated) {
    for (const auto& table : tables) {
        auto is_left_out = table.has_virtual_identity() ||
                           (table.generated == 's' && generated == Generated::left_out);
        if (is_left_out)
            throw SetupError(fmt::format(
                "{} has REPLICA IDENTITY FULL and a generated column that the publication leaves "
                "out: published, its UPDATEs and DELETEs would fail. ALTER TABLE {} REPLICA "
                "IDENTITY "
                "DEFAULT, or, for stored columns, ALTER PUBLICATION ... SET "
                "(publish_generated_columns = stored). Nothing was changed",
                table.quoted_name(), table.quoted_name()));
        if (!table.has_identity)
            throw SetupError(fmt::format(
                "{} has no primary key and no replica identity: published, its UPDATEs and DELETEs "
                "would fail. Give it a "
                "primary key, or ALTER TABLE {} REPLICA IDENTITY FULL. Nothing was changed",
                table.quoted_name(), table.quoted_name()));
    }
}

// Columns that decide who hears of a row, and that old rows do not carry.
void note_unseen_moves(const Config& config, const std::vector<PublishableTable>& tables,
                       const Say& say) {
    for (const auto& rule : config.rules) {
        for (const auto& table : tables) {
            if (!matches_table(rule, table.schema, table.name)) continue;
            auto deciding = rule.where ? rule.where->columns() : std::vector<std::string>();
            for (const auto& channel : rule.channels)
                for (const auto& part : channel.parts)
                    if (part.is_column) deciding.push_back(part.text);
            std::string missing;
            for (const auto& column : deciding)
                if (std::find(table.identity.begin(), table.identity.end(), column) ==
                    table.identity.end())
                    missing += (missing.empty() ? "" : ", ") + column;
            if (missing.empty()) continue;
            say(fmt::format(
                "note: {}: deletes of {}, and updates that may have moved a row, cannot be routed, "
                "since its replica identity lacks {}: ALTER TABLE {} REPLICA IDENTITY FULL",
                rule.place_of("table"), table.quoted_name(), missing, table.quoted_name()));
        }
    }
}

asio::awaitable<void> run_sql(PgConnection& connection, std::string sql, std::string attempted,
                              Doing doing, Say say) {
    say(sql + ";");
    if (doing == Doing::really) co_await connection.query(std::move(sql), std::move(attempted));
}

// wal2json has no publications; what it does not send is said.
asio::awaitable<void> check_tables(PgConnection& connection, const Config& config, Say say) {
    auto all = co_await publishable_tables(connection);
    auto tables = choose_tables(config, all);
    for (const auto& table : tables)
        if (!table.has_identity)
            say(
                fmt::format("note: {} has no primary key or replica identity: wal2json does not "
                            "send its updates and deletes. ALTER TABLE {} REPLICA IDENTITY FULL",
                            table.quoted_name(), table.quoted_name()));
    note_unseen_moves(config, tables, say);
}

asio::awaitable<void> init_publication(PgConnection& connection, const Config& config, Doing doing,
                                       Say say) {
    auto all = co_await publishable_tables(connection);
    auto tables = choose_tables(config, all);
    const auto& name = config.source.publication;
    auto look_up = fmt::format(
        "SELECT pubupdate OR pubdelete, to_jsonb(p) ->> 'pubgencols' FROM "
        "pg_publication p WHERE pubname = {}",
        quote_literal(name));
    auto found = co_await connection.query(std::move(look_up), "look the publication up");
    // What is published of inserts alone makes no write fail.
    auto leaves_out = connection.server_version() >= 180000 && !found.empty() && found[0][1] != "s";
    if (found.empty() || found[0][0] == "t")
        refuse_what_breaks_writes(tables, leaves_out ? Generated::left_out : Generated::published);
    note_unseen_moves(config, tables, say);
    // By name, and, where partitions are published for their root, the root too.
    auto list_tables = fmt::format(
        "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = {0} UNION SELECT "
        "n.nspname, c.relname FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid "
        "JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
        "p.pubname = {0}",
        quote_literal(name));
    auto published =
        co_await connection.query(std::move(list_tables), "list the publication's tables");
    std::string missing;
    for (const auto& table : tables) {
        auto is_published = std::any_of(published.begin(), published.end(), [&](const auto& row) {
            return row[0] == table.schema && row[1] == table.name;
        });
        if (!is_published) missing += (missing.empty() ? "" : ", ") + table.published_name();
    }
    if (found.empty()) {
        auto sql = fmt::format(
            "CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true{})",
            quote_identifier(name), missing, publish_generated(connection));
        co_await run_sql(connection, std::move(sql), "create the publication", doing, say);
        co_return;
    }
    if (!missing.empty()) {
        auto sql =
            fmt::format("ALTER PUBLICATION {} ADD TABLE {}", quote_identifier(name), missing);
        co_await run_sql(connection, std::move(sql), "add to the publication", doing, say);
    } else {
        say(fmt::format("publication \"{}\" exists, with every table that the rules name", name));
    }
    for (const auto& row : published) {
        auto is_wanted =
            std::any_of(tables.begin(), tables.end(), [&](const PublishableTable& table) {
                return table.schema == row[0] && table.name == row[1];
            });
        if (!is_wanted)
            say(fmt::format("note: the publication also has {}.{}, which no rule names", row[0],
                            row[1]));
    }
}

}  // namespace

asio::awaitable<void> init(const Config& config, Doing doing, Say say) {
    auto executor = co_await asio::this_coro::executor;
    // Redis first: a slot that nothing reads would hold WAL back.
    RedisSink sink(executor, config.redis, "init");
    if (doing == Doing::really) {
        auto connecting = sink.connect();
        auto stored = co_await within(std::chrono::seconds{15}, std::move(connecting));
        if (!stored) throw SinkError("redis: no answer in time");
        if (*stored && (*stored)->source.slot != config.source.slot)
            throw SetupError(
                fmt::format("redis: prefix \"{}\" is in use for slot \"{}\": two agents need two "
                            "[redis] prefixes",
                            config.redis.prefix, (*stored)->source.slot));
    }
    PgConnection connection(executor, config.source.url, PgConnection::Mode::replication);
    co_await connection.open();
    auto system = co_await connection.query("IDENTIFY_SYSTEM", "IDENTIFY_SYSTEM");
    auto level = co_await connection.query("SHOW wal_level", "read wal_level");
    expect_logical(level.at(0).at(0));
    auto plugin = config.source.plugin;
    auto encoding = co_await connection.query("SHOW server_encoding", "read server_encoding");
    expect_encoding(plugin, encoding.at(0).at(0));
    if (plugin == Plugin::pgoutput)
        co_await init_publication(connection, config, doing, say);
    else
        co_await check_tables(connection, config, say);

    auto look_up = fmt::format("SELECT plugin FROM pg_replication_slots WHERE slot_name = {}",
                               quote_literal(config.source.slot));
    auto slots = co_await connection.query(std::move(look_up), "look the slot up");
    if (!slots.empty()) {
        if (slots[0][0] != name_of(plugin))
            throw SetupError(fmt::format(
                "postgres: slot \"{}\" has plugin \"{}\", not {}: name another in [source] slot",
                config.source.slot, slots[0][0], name_of(plugin)));
        say(fmt::format("slot \"{}\" exists", config.source.slot));
        co_return;
    }
    say(create_slot_sql(connection, config.source.slot, plugin, SlotKind::lasting) + ";");
    if (doing == Doing::dry_run) co_return;
    auto consistent_point = co_await create_slot(connection, config.source.url, config.source.slot,
                                                 plugin, SlotKind::lasting, say);

    auto begin = parse_lsn(consistent_point).value_or(Lsn{});
    Position position{.epoch = random_epoch(),
                      .sync_id = 0,
                      .lsn = begin,
                      .partial = {},
                      .last = none_before(begin)};
    Source source{.system_id = system.at(0).at(0),
                  .timeline = static_cast<std::uint32_t>(std::stoul(system[0].at(1))),
                  .slot = config.source.slot,
                  .fingerprint = {}};
    auto is_written = co_await sink.write_first_position(std::move(position), std::move(source));
    if (is_written)
        say(fmt::format("first position written to {}", config.redis.address.shown()));
    else
        say("Redis has a position of an earlier slot: `walcast run` begins a new epoch, and "
            "clients "
            "get a reset");
}

asio::awaitable<void> drop(const Config& config, Doing doing, Say say) {
    auto executor = co_await asio::this_coro::executor;
    PgConnection connection(executor, config.source.url, PgConnection::Mode::sql);
    co_await connection.open();
    auto look_up = fmt::format("SELECT active_pid FROM pg_replication_slots WHERE slot_name = {}",
                               quote_literal(config.source.slot));
    auto slots = co_await connection.query(std::move(look_up), "look the slot up");
    if (!slots.empty() && !slots[0][0].empty())
        throw SetupError(
            fmt::format("postgres: slot \"{}\" is in use by pid {}: stop that walcast first",
                        config.source.slot, slots[0][0]));
    if (slots.empty()) {
        say(fmt::format("slot \"{}\" does not exist", config.source.slot));
    } else {
        auto sql =
            fmt::format("SELECT pg_drop_replication_slot({})", quote_literal(config.source.slot));
        co_await run_sql(connection, std::move(sql), "drop the slot", doing, say);
    }
    if (config.source.plugin == Plugin::wal2json) {
        say("Redis keeps position and histories; after the next `walcast init` clients get a "
            "reset");
        co_return;
    }
    // Not before the slot: a stream without its publication breaks.
    auto find = fmt::format("SELECT 1 FROM pg_publication WHERE pubname = {}",
                            quote_literal(config.source.publication));
    auto publications = co_await connection.query(std::move(find), "look the publication up");
    auto find_others = fmt::format(
        "SELECT slot_name FROM pg_replication_slots WHERE plugin = 'pgoutput' AND database = "
        "current_database() AND slot_name <> {} ORDER BY 1 LIMIT 1",
        quote_literal(config.source.slot));
    auto others = co_await connection.query(std::move(find_others), "look for other slots");
    if (publications.empty()) {
        say(fmt::format("publication \"{}\" does not exist", config.source.publication));
    } else if (!others.empty()) {
        // Without it that stream would break, and only a new slot would mend it.
        say(fmt::format(
            "publication \"{0}\" is kept, since slot \"{1}\" may be read with it: DROP PUBLICATION "
            "{2}; removes it",
            config.source.publication, others[0][0], quote_identifier(config.source.publication)));
    } else {
        auto sql = fmt::format("DROP PUBLICATION {}", quote_identifier(config.source.publication));
        co_await run_sql(connection, std::move(sql), "drop the publication", doing, say);
    }
    say("Redis keeps position and histories; after the next `walcast init` clients get a reset");
}

}  // namespace walcast
