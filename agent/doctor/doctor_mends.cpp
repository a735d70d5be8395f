#include "agent/doctor/doctor_mends.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace walcast {

static constexpr int first_with_generated = 180000;  // Publications may have generated columns.

static std::string publication_name(const DatabaseFacts& database) {
    return printable_identifier(database.publication.name);
}

Mend set_publication(const DatabaseFacts& database, std::string_view setting) {
    return {.lines = {fmt::format("ALTER PUBLICATION {} SET ({});", publication_name(database),
                                  setting)}};
}

std::vector<std::string> list_anew(const TableFacts& table, const DatabaseFacts& database,
                                   const std::vector<std::string>& columns,
                                   const std::string& row_filter) {
    auto publication = publication_name(database);
    auto name = printable_table(table.schema, table.name);
    std::string list;
    for (const auto& column : columns)
        list += (list.empty() ? " (" : ", ") + printable_identifier(column);
    if (!list.empty()) list += ')';
    auto filter = row_filter.empty() ? "" : fmt::format(" WHERE ({})", row_filter);
    return {"BEGIN;", fmt::format("ALTER PUBLICATION {} DROP TABLE {};", publication, name),
            fmt::format("ALTER PUBLICATION {} ADD TABLE {}{}{};", publication, name, list, filter),
            "COMMIT;"};
}

// --- replica identity ---

static std::string identity_full(std::string_view schema, std::string_view name) {
    return fmt::format("ALTER TABLE {} REPLICA IDENTITY FULL;", printable_table(schema, name));
}

// From PostgreSQL 18 on writes to a table of FULL identity fail while some generated column is not
// published, which virtual ones cannot be; likewise ever since there are column lists.
static std::vector<std::string> full_lines(const TableFacts& table, const DatabaseFacts& database) {
    auto has = [&](char generated) {
        return std::any_of(
            table.columns.begin(), table.columns.end(),
            [&](const ColumnFacts& column) { return column.generated == generated; });
    };
    auto is_published = database.plugin == Plugin::pgoutput;
    auto heeds_generated = is_published && database.server_version >= first_with_generated;
    if (heeds_generated && has('v')) return {};
    std::vector<std::string> lines;
    if (is_published && table.has_column_list)
        lines = list_anew(table, database, {}, table.row_filter);
    if (heeds_generated && has('s') && !database.publication.has_generated)
        lines.push_back(set_publication(database, "publish_generated_columns = stored").lines[0]);
    if (table.replica_identity != 'f') lines.push_back(identity_full(table.schema, table.name));
    for (const auto& partition : table.partitions)
        if (partition.replica_identity != 'f')
            lines.push_back(identity_full(partition.schema, partition.name));
    return lines;
}

// Its name, no longer than Postgres keeps, and cut between characters.
static std::string index_name(const std::string& table) {
    constexpr std::string_view suffix = "_walcast_identity";
    constexpr std::size_t name_bytes_max = 63;
    auto size = std::min(table.size(), name_bytes_max - suffix.size());
    while (size < table.size() && size > 0 &&
           (static_cast<unsigned char>(table[size]) & 0xC0U) == 0x80)
        --size;
    return table.substr(0, size).append(suffix);
}

// An index is unique with the primary key in it; its columns must be NOT NULL, and small.
static std::vector<std::string> index_lines(const TableFacts& table,
                                            const std::vector<std::string>& needed) {
    if (table.is_partitioned || table.replica_identity != 'd' || !table.has_identity) return {};
    std::vector<std::string> columns;
    auto has_large_key = false;
    for (const auto& column : table.columns) {
        if (!column.is_key) continue;
        columns.push_back(printable_identifier(column.name));
        has_large_key = has_large_key || column.is_large;
    }
    for (const auto& name : needed) {
        const auto* column = table.column(name);
        if (column == nullptr || !column->is_published || !column->is_not_null ||
            column->is_large || column->generated != ' ')
            return {};
        if (!column->is_key) columns.push_back(printable_identifier(name));
    }
    constexpr std::size_t index_columns_max = 32;
    if (columns.size() > index_columns_max || has_large_key) return {};
    auto index = printable_identifier(index_name(table.name));
    auto name = printable_table(table.schema, table.name);
    return {fmt::format("CREATE UNIQUE INDEX CONCURRENTLY {} ON {} ({});", index, name,
                        fmt::join(columns, ", ")),
            fmt::format("ALTER TABLE {} REPLICA IDENTITY USING INDEX {};", name, index)};
}

std::vector<Mend> mend_identity(const TableFacts& table, const DatabaseFacts& database,
                                const std::vector<std::string>& needed) {
    std::vector<Mend> mends;
    if (auto lines = full_lines(table, database); !lines.empty()) mends.push_back({.lines = lines});
    if (needed.empty()) return mends;
    if (auto lines = index_lines(table, needed); !lines.empty()) {
        Mend mend{.lines = lines};
        // A column list that somebody chose is better left as it is.
        auto at = table.has_column_list ? mends.begin() : mends.end();
        mends.insert(at, mend);
    }
    return mends;
}

std::vector<Mend> mend_publication(const UnpublishedTable& table, const DatabaseFacts& database) {
    std::vector<std::string> lines;
    if (!table.has_identity) lines.push_back(identity_full(table.schema, table.name));
    for (const auto& partition : table.partitions)
        if (!partition.has_identity)
            lines.push_back(identity_full(partition.schema, partition.name));
    auto is_full = table.replica_identity == 'f' || !lines.empty();
    auto heeds_generated = is_full && database.server_version >= first_with_generated;
    if (heeds_generated && table.generated == 'v') return {};
    if (heeds_generated && table.generated == 's' && !database.publication.has_generated)
        lines.push_back(set_publication(database, "publish_generated_columns = stored").lines[0]);
    lines.push_back(fmt::format("ALTER PUBLICATION {} ADD TABLE {};", publication_name(database),
                                printable_table(table.schema, table.name)));
    return {{.lines = lines}};
}

}  // namespace walcast
