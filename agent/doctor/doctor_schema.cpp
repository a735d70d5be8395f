#include "agent/doctor/doctor_schema.hpp"

#include "agent/describe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

namespace walcast {

namespace {

std::uint32_t to_oid(std::string_view text) {
    std::uint32_t oid = 0;
    std::from_chars(text.data(), text.data() + text.size(), oid);
    return oid;
}

// Columns that only some versions have are read through JSON, which lacks them elsewhere.
constexpr std::string_view publication_sql = R"(
SELECT puballtables, pubviaroot, pubinsert, pubupdate, pubdelete, pubtruncate, to_jsonb(p) ->> 'pubgencols'
FROM pg_publication p WHERE pubname = {})";

// With pgoutput what the publication shows of each table; with wal2json all there is.
constexpr std::string_view published_sql = R"(
SELECT schemaname, tablename, to_jsonb(t) -> 'attnames' AS attnames, to_jsonb(t) ->> 'rowfilter' AS rowfilter,
    false AS has_stored FROM pg_publication_tables t WHERE pubname = {})";
constexpr std::string_view everything_sql = R"(
SELECT n.nspname AS schemaname, c.relname AS tablename, NULL::jsonb AS attnames, NULL AS rowfilter, true AS has_stored
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition
AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%')";

// One row for each column of each table. Before PostgreSQL 18 attnames may have generated columns,
// which the stream never carries there.
constexpr std::string_view tables_sql = R"(
SELECT c.oid, n.nspname, c.relname, c.relkind, {1}, coalesce(p.rowfilter, ''),
    EXISTS (SELECT 1 FROM pg_publication_rel r JOIN pg_publication u ON u.oid = r.prpubid
        WHERE u.pubname = {2} AND r.prrelid = c.oid) AS is_listed,
    EXISTS (SELECT 1 FROM pg_publication_rel r JOIN pg_publication u ON u.oid = r.prpubid
        WHERE u.pubname = {2} AND r.prrelid = c.oid AND to_jsonb(r) ->> 'prattrs' IS NOT NULL) AS has_column_list,
    {3}, a.attname, a.attnotnull, a.attgenerated, {4},
    CASE WHEN p.attnames IS NULL THEN a.attgenerated = '' OR p.has_stored AND a.attgenerated = 's'
        ELSE p.attnames ? a.attname::text
            AND (a.attgenerated = '' OR current_setting('server_version_num')::int >= 180000) END
FROM ({0}) p JOIN pg_namespace n ON n.nspname = p.schemaname
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY n.nspname, c.relname, a.attnum)";

// FOR TABLES IN SCHEMA came with PostgreSQL 15.
constexpr std::string_view schema_sql = R"(
CASE WHEN EXISTS (SELECT 1 FROM pg_publication_namespace s JOIN pg_publication u ON u.oid = s.pnpubid
    WHERE u.pubname = {} AND s.pnnspid = c.relnamespace) THEN n.nspname ELSE '' END)";

// Whether the row filter uses the column: it depends on it once more than the column list does.
constexpr std::string_view filter_sql = R"(
EXISTS (SELECT 1 FROM pg_publication_rel r JOIN pg_publication u ON u.oid = r.prpubid
    WHERE u.pubname = {} AND r.prrelid = c.oid AND r.prqual IS NOT NULL
    AND (SELECT count(*) FROM pg_depend d WHERE d.classid = 'pg_publication_rel'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum)
    > CASE WHEN a.attnum = ANY (r.prattrs::int2[]) THEN 1 ELSE 0 END))";

constexpr std::string_view unpublished_sql = R"(
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence = 'p', c.relreplident, {},
    coalesce((SELECT max(a.attgenerated::text) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
        AND NOT a.attisdropped AND a.attgenerated <> ''), ''),
    CASE WHEN c.relispartition THEN rn.nspname ELSE '' END, CASE WHEN c.relispartition THEN r.relname ELSE '' END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class r ON r.oid = pg_partition_root(c.oid) LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp%'
ORDER BY n.nspname, c.relname)";

// Every partition that holds rows, with the columns of its identity.
constexpr std::string_view partitions_sql = R"(
SELECT pg_partition_root(c.oid)::oid, c.oid, n.nspname, c.relname, c.relreplident, {}, a.attname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
    AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
WHERE c.relispartition AND c.relkind = 'r'
ORDER BY n.nspname, c.relname, a.attnum)";

using Partitions = std::map<std::uint32_t, std::vector<PartitionFacts>>;  // By their root.

asio::awaitable<Partitions> read_partitions(PgConnection& connection) {
    auto sql = fmt::format(partitions_sql, has_identity_sql("c"));
    auto rows = co_await connection.query(std::move(sql), "list the partitions");
    Partitions partitions;
    std::string last;
    for (auto& row : rows) {
        auto& of_root = partitions[to_oid(row[0])];
        if (row[1] != last) {
            auto& partition = of_root.emplace_back();
            partition.schema = row[2];
            partition.name = row[3];
            partition.replica_identity = row[4].at(0);
            partition.has_identity = row[5] == "t";
        }
        last = row[1];
        if (!row[6].empty()) of_root.back().identity.push_back(row[6]);
    }
    co_return partitions;
}

asio::awaitable<void> read_publication(PgConnection& connection, std::string name,
                                       std::optional<PublicationFacts>& publication) {
    auto sql = fmt::format(publication_sql, quote_literal(name));
    auto rows = co_await connection.query(std::move(sql), "look the publication up");
    if (rows.empty()) co_return;
    const auto& row = rows[0];
    publication.emplace();
    publication->name = name;
    publication->has_all_tables = row[0] == "t";
    publication->is_via_root = row[1] == "t";
    publication->operations =
        (row[2] == "t" ? 1U : 0U) | (row[3] == "t" ? 2U : 0U) | (row[4] == "t" ? 4U : 0U);
    publication->has_truncates = row[5] == "t";
    publication->has_generated = row[6] == "s";
}

// The tables with what describe_table does not tell.
asio::awaitable<void> list_tables(PgConnection& connection, DatabaseFacts& database) {
    auto name = quote_literal(database.publication.name);
    auto is_pgoutput = database.plugin == Plugin::pgoutput;
    auto published = is_pgoutput ? fmt::format(published_sql, name) : std::string(everything_sql);
    // As row filters did.
    auto has_schemas = is_pgoutput && database.server_version >= 150000;
    auto schema = has_schemas ? fmt::format(schema_sql, name) : std::string("''");
    auto filter = has_schemas ? fmt::format(filter_sql, name) : std::string("false");
    auto sql = fmt::format(tables_sql, published, has_identity_sql("c"), name, schema, filter);
    auto rows = co_await connection.query(std::move(sql), "list the publication's tables");
    for (auto& row : rows) {
        auto oid = to_oid(row[0]);
        if (database.tables.empty() || database.tables.back().oid != oid) {
            auto& table = database.tables.emplace_back();
            table.oid = oid;
            table.schema = row[1];
            table.name = row[2];
            table.is_partitioned = row[3] == "p";
            table.has_identity = row[4] == "t";
            table.row_filter = row[5];
            table.is_listed = row[6] == "t";
            table.has_column_list = row[7] == "t";
            if (!table.is_listed) table.published_schema = row[8];
        }
        if (row[9].empty()) continue;  // A table without columns.
        auto& column = database.tables.back().columns.emplace_back();
        column.name = row[9];
        column.is_not_null = row[10] == "t";
        column.generated = row[11].empty() ? ' ' : row[11][0];
        column.is_in_filter = row[12] == "t";
        column.is_published = row[13] == "t";
    }
}

// What the agent itself asks of a table when it meets it.
asio::awaitable<void> describe(PgConnection& connection, DatabaseFacts& database,
                               TableFacts& table) {
    Relation relation;
    relation.oid = table.oid;
    auto described = co_await describe_table(connection, std::move(relation));
    table.replica_identity = described.replica_identity;
    // Numbers and addresses could be stored out of line, but never grow so long.
    constexpr std::uint32_t short_types[] = {1700, 869, 650};
    for (const auto& column : described.columns) {
        auto found =
            std::find_if(table.columns.begin(), table.columns.end(),
                         [&](const ColumnFacts& facts) { return facts.name == column.name; });
        if (found == table.columns.end()) continue;
        found->type_oid = column.type_oid;
        found->type_modifier = column.type_modifier;
        found->is_key = column.is_key;
        found->is_large =
            column.is_large && std::find(std::begin(short_types), std::end(short_types),
                                         column.type_oid) == std::end(short_types);
    }
    database.catalog.set_primary_key(table.oid, described.primary_key);
    auto is_partial = std::any_of(
        table.partitions.begin(), table.partitions.end(),
        [&](const PartitionFacts& partition) { return table.has_partial_old_rows(partition); });
    if (is_partial) database.catalog.set_partial_old_rows(table.oid);
}

asio::awaitable<void> list_unpublished(PgConnection& connection, DatabaseFacts& database,
                                       const Partitions& partitions) {
    auto sql = fmt::format(unpublished_sql, has_identity_sql("c"));
    auto rows = co_await connection.query(std::move(sql), "list what else there is");
    for (auto& row : rows) {
        auto oid = to_oid(row[0]);
        auto is_published = std::any_of(database.tables.begin(), database.tables.end(),
                                        [&](const TableFacts& table) { return table.oid == oid; });
        if (is_published) continue;
        auto& table = database.unpublished.emplace_back();
        table.schema = row[1];
        table.name = row[2];
        table.kind = row[3].at(0);
        table.is_permanent = row[4] == "t";
        table.replica_identity = row[5].at(0);
        table.has_identity = row[6] == "t";
        table.generated = row[7].empty() ? ' ' : row[7][0];
        table.root_schema = row[8];
        table.root_name = row[9];
        auto found = partitions.find(oid);
        if (found != partitions.end()) table.partitions = found->second;
    }
}

}  // namespace

asio::awaitable<std::optional<DatabaseFacts>> read_database(PgConnection& connection,
                                                            const Config& config) {
    std::optional<PublicationFacts> publication;
    if (config.source.plugin == Plugin::pgoutput)
        co_await read_publication(connection, config.source.publication, publication);
    else
        publication.emplace();
    if (!publication) co_return std::nullopt;
    DatabaseFacts database;
    database.server_version = connection.server_version();
    database.plugin = config.source.plugin;
    database.publication = std::move(*publication);
    database.catalog = Catalog(config.values);
    auto partitions = co_await read_partitions(connection);
    co_await list_tables(connection, database);
    std::vector<std::uint32_t> types;
    for (auto& table : database.tables) {
        auto found = partitions.find(table.oid);
        auto has_parts = table.is_partitioned && found != partitions.end();
        if (has_parts) table.partitions = found->second;
        co_await describe(connection, database, table);
        for (const auto& column : table.columns) types.push_back(column.type_oid);
    }
    database.catalog.add_types(co_await describe_types(connection, std::move(types)));
    co_await list_unpublished(connection, database, partitions);
    co_return std::move(database);
}

}  // namespace walcast
