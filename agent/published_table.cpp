#include "agent/published_table.hpp"

#include "agent/describe.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace walcast {

Catalog PublishedTable::catalog(JsonPolicy policy) const {
    Catalog catalog(policy);
    catalog.set_primary_key(relation.oid, primary_key);
    catalog.add_types(types);
    if (has_partial_old_rows) catalog.set_partial_old_rows(relation.oid);
    return catalog;
}

std::string PublishedTable::quoted_name() const {
    return quote_identifier(relation.schema) + "." + quote_identifier(relation.name);
}

// Leaves out what the publication does.
static asio::awaitable<void> apply_publication(PgConnection& connection, std::string publication,
                                               PublishedTable& table) {
    auto& relation = table.relation;
    auto generated_sql =
        fmt::format("SELECT attname FROM pg_attribute WHERE attrelid = {} AND attgenerated <> ''",
                    relation.oid);
    auto generated =
        co_await connection.query(std::move(generated_sql), "look for generated columns");
    // By way of JSON, since PostgreSQL 14 has neither lists of columns nor row filters.
    auto sql = fmt::format(
        "SELECT a.name, to_jsonb(p) ->> 'rowfilter' FROM pg_publication_tables p LEFT JOIN LATERAL "
        "jsonb_array_elements_text(CASE jsonb_typeof(to_jsonb(p) -> 'attnames') WHEN 'array' THEN "
        "to_jsonb(p) -> 'attnames' END) a(name) ON true "
        "WHERE p.pubname = {} AND p.schemaname = {} AND p.tablename = {}",
        quote_literal(publication), quote_literal(relation.schema), quote_literal(relation.name));
    auto published = co_await connection.query(std::move(sql), "look at the publication");
    table.is_published = !published.empty();
    if (table.is_published) table.row_filter = published[0][1];
    auto has_list = table.is_published && !published[0][0].empty();
    auto is_listed = [&](const std::string& name) {
        return std::any_of(published.begin(), published.end(),
                           [&](const auto& row) { return row[0] == name; });
    };
    auto is_generated = [&](const std::string& name) {
        return std::any_of(generated.begin(), generated.end(),
                           [&](const auto& row) { return row[0] == name; });
    };
    auto sends_generated = connection.server_version() >= 180000 && has_list;
    std::erase_if(relation.columns, [&](const Column& column) {
        auto is_sent = (!has_list || is_listed(column.name)) &&
                       (sends_generated || !is_generated(column.name));
        if (!is_sent) table.hidden_columns.push_back(column.name);
        return !is_sent;
    });
}

asio::awaitable<std::vector<ListedTable>> list_published_tables(PgConnection& connection,
                                                                Config::Source source) {
    constexpr std::string_view sql =
        "SELECT c.oid, n.nspname, c.relname, c.relkind, CASE c.relkind WHEN 'p' THEN (SELECT "
        "coalesce(sum(greatest(l.reltuples, 0)), 0) FROM pg_partition_tree(c.oid) t JOIN pg_class "
        "l ON l.oid = t.relid WHERE t.isleaf) ELSE greatest(c.reltuples, 0) END::int8 "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', "
        "'p') AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
        "AND {} ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";
    auto which = source.plugin == Plugin::wal2json
                     ? std::string("NOT c.relispartition")
                     : fmt::format(
                           "(n.nspname, c.relname) IN (SELECT schemaname, tablename FROM "
                           "pg_publication_tables WHERE pubname = {})",
                           quote_literal(source.publication));
    auto rows = co_await connection.query(fmt::format(sql, which), "list the tables");
    std::vector<ListedTable> listed;
    for (auto& row : rows)
        listed.push_back({.oid = to_number<std::uint32_t>(row[0]),
                          .schema = std::move(row[1]),
                          .name = std::move(row[2]),
                          .is_partitioned = row[3] == "p",
                          .estimated_rows = to_number<std::uint64_t>(row[4])});
    co_return listed;
}

asio::awaitable<PublishedTable> read_published_table(PgConnection& connection,
                                                     Config::Source source, Relation asked) {
    auto described = co_await describe_table(connection, std::move(asked));
    PublishedTable table;
    auto& relation = table.relation;
    relation.oid = described.oid;
    relation.schema = described.schema;
    relation.name = described.name;
    relation.replica_identity = described.replica_identity;
    relation.generation = 1;
    if (relation.oid == 0) co_return table;
    table.primary_key = described.primary_key;
    for (auto& column : described.columns) {
        if (column.is_generated)
            table.hidden_columns.push_back(column.name);
        else
            relation.columns.push_back(column);
    }
    if (source.plugin == Plugin::pgoutput)
        co_await apply_publication(connection, source.publication, table);
    std::vector<std::uint32_t> oids;
    for (const auto& column : relation.columns) oids.push_back(column.type_oid);
    table.types = co_await describe_types(connection, std::move(oids));
    auto sql = fmt::format(
        "SELECT 1 FROM pg_partition_tree({}) t JOIN pg_class c ON c.oid = t.relid WHERE t.isleaf "
        "AND c.relkind = 'r' AND c.relreplident <> 'f' AND t.level > 0 LIMIT 1",
        relation.oid);
    auto partial = co_await connection.query(std::move(sql), "look at the partitions");
    table.has_partial_old_rows = relation.replica_identity == 'f' && !partial.empty();
    co_return table;
}

}  // namespace walcast
