#include "agent/describe.hpp"

#include "agent/concurrency.hpp"
#include "agent/errors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace walcast {

static std::uint32_t to_oid(std::string_view text) {
    return to_number<std::uint32_t>(text);
}

// The replica identity is that of the table itself, since its rows are what is logged; all else is
// of the topmost table that it is part of. What may be large is a matter of the type: values stored
// out of line before SET STORAGE PLAIN stay there.
static constexpr std::string_view table_sql = R"(
SELECT r.oid, rn.nspname, r.relname, t.relreplident, a.attname, a.atttypid, a.atttypmod,
    t.relreplident = 'f' OR coalesce(own.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]), false),
    y.typlen = -1 AND y.typstorage <> 'p', a.attgenerated = 'v',
    array_position((p.indkey::int2[])[0:p.indnkeyatts - 1], a.attnum),
    (SELECT root.oid FROM pg_class root WHERE root.oid = pg_partition_root(t.oid) AND root.relreplident = 'f'
     AND t.relispartition AND t.relreplident <> 'f')
FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_class r ON r.oid = {1}
JOIN pg_namespace rn ON rn.oid = r.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attribute own ON own.attrelid = t.oid AND own.attname = a.attname AND own.attnum > 0
LEFT JOIN pg_type y ON y.oid = a.atttypid
LEFT JOIN pg_index i ON i.indrelid = t.oid AND i.indisvalid AND i.indimmediate
    AND CASE t.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
LEFT JOIN pg_index p ON p.indrelid = r.oid AND p.indisprimary
WHERE t.relkind IN ('r', 'p') AND {0}
ORDER BY a.attnum)";

asio::awaitable<TableDescription> describe_table(PgConnection& connection, Relation relation) {
    auto sql =
        relation.oid != 0
            ? fmt::format(table_sql, fmt::format("t.oid = {}", relation.oid), "t.oid")
            : fmt::format(table_sql,
                          fmt::format("n.nspname = {} AND t.relname = {}",
                                      quote_literal(relation.schema), quote_literal(relation.name)),
                          "coalesce(pg_partition_root(t.oid), t.oid)");
    auto rows = co_await connection.query(std::move(sql), "read the table's description");
    TableDescription table;
    std::vector<std::pair<int, std::string>> key;
    for (auto& row : rows) {
        table.oid = to_oid(row[0]);
        table.schema = row[1];
        table.name = row[2];
        table.replica_identity = row[3].empty() ? 'd' : row[3][0];
        table.full_root_oid = to_oid(row[11]);
        if (row[4].empty()) continue;  // A table without columns.
        if (!row[10].empty()) key.emplace_back(to_number<int>(row[10]), row[4]);
        TableDescription::Column column;
        column.name = std::move(row[4]);
        column.type_oid = to_oid(row[5]);
        column.type_modifier = to_number<std::int32_t>(row[6]);
        column.is_key = row[7] == "t";
        column.is_large = row[8] == "t";
        column.is_generated = row[9] == "t";
        table.columns.push_back(std::move(column));
    }
    std::sort(key.begin(), key.end());
    for (auto& [place, name] : key) table.primary_key.push_back(std::move(name));
    co_return table;
}

std::string has_identity_sql(std::string_view table) {
    return fmt::format(
        "({0}.relreplident = 'f' OR EXISTS (SELECT 1 FROM pg_index identity WHERE "
        "identity.indrelid = {0}.oid AND identity.indimmediate AND identity.indisvalid AND "
        "(({0}.relreplident = 'd' AND identity.indisprimary) OR "
        "({0}.relreplident = 'i' AND identity.indisreplident))))",
        table);
}

static constexpr std::string_view types_sql = R"(
WITH RECURSIVE needed(oid) AS (
    SELECT unnest('{{{}}}'::oid[])
    UNION
    SELECT part.oid FROM needed JOIN pg_type t ON t.oid = needed.oid CROSS JOIN LATERAL (
        SELECT t.typbasetype UNION ALL SELECT t.typelem WHERE t.typlen = -1
        UNION ALL SELECT a.atttypid FROM pg_attribute a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) part(oid)
    WHERE part.oid <> 0)
SELECT t.oid,
    CASE WHEN t.typtype = 'd' THEN 'domain' WHEN t.typtype = 'c' THEN 'composite' WHEN t.typtype = 'e' THEN 'enum'
        WHEN t.typelem <> 0 AND t.typlen = -1 AND t.typsubscript = 'pg_catalog.array_subscript_handler'::regproc THEN 'array'
        WHEN (SELECT p.proname FROM pg_proc p WHERE p.oid = t.typoutput) = 'hstore_out' THEN 'hstore'
        ELSE 'base' END,
    CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END,
    (SELECT e.typdelim FROM pg_type e WHERE e.oid = t.typelem),
    a.attname, a.atttypid
FROM needed JOIN pg_type t ON t.oid = needed.oid
LEFT JOIN pg_attribute a ON t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
WHERE t.oid >= {}
ORDER BY t.oid, a.attnum)";

static TypeDescription::Kind to_kind(std::string_view text) {
    using Kind = TypeDescription::Kind;
    if (text == "domain") return Kind::domain;
    if (text == "composite") return Kind::composite;
    if (text == "enum") return Kind::enumeration;
    if (text == "array") return Kind::array;
    if (text == "hstore") return Kind::hstore;
    return Kind::base;
}

asio::awaitable<std::vector<TypeDescription>> describe_types(PgConnection& connection,
                                                             std::vector<std::uint32_t> oids) {
    std::vector<TypeDescription> types;
    std::erase_if(oids, [](std::uint32_t oid) { return oid < first_catalog_oid; });
    if (oids.empty()) co_return types;
    auto sql = fmt::format(types_sql, fmt::join(oids, ","), first_catalog_oid);
    auto rows = co_await connection.query(std::move(sql), "read what types are made of");
    for (auto& row : rows) {
        auto oid = to_oid(row[0]);
        if (types.empty() || types.back().oid != oid) {
            auto& type = types.emplace_back();
            type.oid = oid;
            type.kind = to_kind(row[1]);
            type.of = to_oid(row[2]);
            type.delimiter = row[3].empty() ? ',' : row[3][0];
        }
        if (!row[4].empty()) types.back().fields.push_back({row[4], to_oid(row[5])});
    }
    // A type that is gone by now is its text.
    for (auto oid : oids)
        if (std::none_of(types.begin(), types.end(),
                         [&](const TypeDescription& type) { return type.oid == oid; }))
            types.emplace_back().oid = oid;
    co_return types;
}

// With synchronous replication a commit is in the stream before anybody can see it: it runs still,
// as the snapshot says, or began after all that have ended. The snapshot has 64-bit ids, the stream
// their lower half.
static asio::awaitable<void> wait_until_visible(PgConnection& connection, std::uint32_t xid) {
    for (;;) {
        auto sql = fmt::format(
            "SELECT 1 FROM pg_current_snapshot() s WHERE (({0} - pg_snapshot_xmax(s)::text::int8) "
            "& "
            "4294967295) < 2147483648 OR EXISTS (SELECT 1 FROM pg_snapshot_xip(s) x WHERE "
            "(x::text::int8 & 4294967295) = {0})",
            xid);
        auto running = co_await connection.query(std::move(sql), "look at running transactions");
        if (running.empty()) co_return;
        co_await sleep_for(std::chrono::milliseconds{20});
    }
}

asio::awaitable<TableDescription> learn_table(PgConnection& connection, Relation relation,
                                              std::uint32_t xid, Catalog& catalog) {
    co_await wait_until_visible(connection, xid);
    auto table = co_await describe_table(connection, relation);
    std::vector<std::uint32_t> types;
    for (const auto& column : relation.columns) types.push_back(column.type_oid);
    for (const auto& column : table.columns) types.push_back(column.type_oid);
    catalog.add_types(co_await describe_types(connection, std::move(types)));
    if (table.full_root_oid != 0) catalog.set_partial_old_rows(table.full_root_oid);
    // A table that is gone by now keeps the key that it had.
    auto oid = table.oid != 0 ? table.oid : relation.oid;
    if (table.oid != 0 || !catalog.knows_table(oid))
        catalog.set_primary_key(oid, table.primary_key);
    co_return table;
}

}  // namespace walcast
