#include "agent/table_warnings.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace walcast {

static bool warn_of_rule(const Rule& rule, const StreamFacts& facts,
                         std::vector<std::string>& warnings) {
    auto is_matched = false;
    for (const auto& table : facts.published) {
        if (!matches_table(rule, table.schema, table.name)) continue;
        is_matched = true;
        if (!table.has_identity)
            warnings.push_back(fmt::format(
                "table={}.{} has no primary key or replica identity: wal2json does not send its "
                "updates and deletes. ALTER TABLE ... REPLICA IDENTITY FULL",
                table.schema, table.name));
        if (table.has_floats)
            warnings.push_back(fmt::format(
                "table={}.{} has floats or numerics: this wal2json sends NaN and infinities as "
                "null; 2.6 does not",
                table.schema, table.name));
    }
    return is_matched;
}

std::vector<std::string> table_warnings(const std::vector<Rule>& rules, const StreamFacts& facts,
                                        Plugin plugin, unsigned format_version) {
    std::vector<std::string> warnings;
    if (plugin == Plugin::wal2json && format_version == 1)
        warnings.emplace_back(
            "wal2json's format 1 does not tell of TRUNCATE: [source] format_version = 2 does");
    for (const auto& rule : rules)
        for (const auto& [schema, name] : facts.partial_old_rows)
            if (matches_table(rule, schema, name))
                warnings.push_back(fmt::format(
                    "table={}.{} has a partition whose replica identity lacks columns of the "
                    "table's own, so its old rows lack them too: ALTER TABLE <partition> REPLICA "
                    "IDENTITY ...; `walcast doctor` names it",
                    schema, name));
    for (const auto& rule : rules) {
        if (warn_of_rule(rule, facts, warnings)) continue;
        warnings.push_back(fmt::format(
            "rule table={} line={} matches no table{}", rule.table, rule.line,
            plugin == Plugin::pgoutput ? " of the publication: `walcast init` adds what it names"
                                       : ""));
    }
    return warnings;
}

std::vector<std::string> unpublished_tables(const std::vector<Rule>& rules,
                                            const std::vector<StreamFacts::Published>& before,
                                            const std::vector<StreamFacts::Published>& now) {
    std::vector<std::string> gone;
    for (const auto& table : before) {
        auto is_ruled = std::any_of(rules.begin(), rules.end(), [&](const Rule& rule) {
            return matches_table(rule, table.schema, table.name);
        });
        auto is_there = std::any_of(now.begin(), now.end(), [&](const auto& other) {
            return other.schema == table.schema && other.name == table.name;
        });
        if (is_ruled && !is_there) gone.push_back(fmt::format("{}.{}", table.schema, table.name));
    }
    return gone;
}

}  // namespace walcast
