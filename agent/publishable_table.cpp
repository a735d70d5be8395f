#include "agent/publishable_table.hpp"

#include "agent/describe.hpp"

#include <fmt/format.h>

#include <utility>

namespace walcast {

// A partitioned table has an identity when it and each of its partitions do.
static constexpr std::string_view tables_sql = R"(
WITH identity AS (
    SELECT c.oid, {} AS is_there
    FROM pg_class c WHERE c.relkind IN ('r', 'p'))
SELECT n.nspname, c.relname,
    identity.is_there AND NOT EXISTS (
        SELECT 1 FROM pg_partition_tree(c.oid) t JOIN identity leaf ON leaf.oid = t.relid
        WHERE c.relkind = 'p' AND t.isleaf AND NOT leaf.is_there),
    pg_has_role(c.relowner, 'USAGE'),
    a.attname,
    (SELECT max(g.attgenerated::text) FROM pg_attribute g
     WHERE c.relreplident = 'f' AND g.attrelid = c.oid AND g.attnum > 0 AND g.attgenerated <> ''),
    c.relkind = 'r' AND EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhparent = c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN identity ON identity.oid = c.oid
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (c.relreplident = 'f' OR EXISTS (
    SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND a.attnum = ANY (i.indkey)
    AND ((c.relreplident = 'd' AND i.indisprimary) OR (c.relreplident = 'i' AND i.indisreplident))))
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition
AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%'
ORDER BY 1, 2)";

asio::awaitable<std::vector<PublishableTable>> publishable_tables(PgConnection& connection) {
    auto sql = fmt::format(tables_sql, has_identity_sql("c"));
    auto rows = co_await connection.query(std::move(sql), "list the tables");
    std::vector<PublishableTable> tables;
    for (auto& row : rows) {
        if (tables.empty() || tables.back().schema != row[0] || tables.back().name != row[1])
            tables.push_back({.schema = row[0],
                              .name = row[1],
                              .has_identity = row[2] == "t",
                              .is_ours = row[3] == "t",
                              .generated = row[5].empty() ? ' ' : row[5][0],
                              .has_children = row[6] == "t",
                              .identity = {}});
        if (!row[4].empty()) tables.back().identity.push_back(std::move(row[4]));
    }
    co_return tables;
}

std::string_view publish_generated(const PgConnection& connection) {
    return connection.server_version() >= 180000 ? ", publish_generated_columns = stored" : "";
}

}  // namespace walcast
