#include "agent/doctor/doctor_rules.hpp"

#include "agent/doctor/doctor_identity.hpp"
#include "agent/doctor/doctor_mends.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>

namespace walcast {

using Level = Finding::Level;

// What Postgres leaves out before the agent sees it, and how moves across that look.
static void check_row_filter(const Rule& rule, const TableFacts& table,
                             const DatabaseFacts& database, Findings& findings) {
    if (table.row_filter.empty()) return;
    std::vector<std::string> columns;
    for (const auto& column : table.columns)
        if (table.has_column_list && column.is_published) columns.push_back(column.name);
    findings.push_back(
        {.level = Level::note,
         .check = "row-filter",
         .place = rule.place_of("table"),
         .table = table.shown_name(),
         .what = fmt::format(
             "the publication has only rows of {} where {}: others never come; a row that leaves "
             "that comes as a delete, one that enters it as an insert, perhaps without its large "
             "values. TRUNCATE ignores it",
             table.shown_name(), table.row_filter),
         .mends = {}});
    if (table.is_listed)
        findings.back().mends.push_back({.lines = list_anew(table, database, columns, "")});
}

// What the publication's option `publish` leaves out.
static void check_operations(const Rule& rule, const TableFacts& table,
                             const DatabaseFacts& database, Findings& findings) {
    const auto& publication = database.publication;
    constexpr std::string_view names[] = {"insert", "update", "delete"};
    std::vector<std::string> missing;
    std::string taken;
    for (auto action : {Action::insert, Action::update, Action::remove}) {
        auto bit = static_cast<unsigned>(action);
        if (!rule.takes(action)) continue;
        auto is_published = (publication.operations >> bit & 1U) != 0;
        if (!is_published) missing.emplace_back(names[bit]);
        if (is_published) taken += fmt::format("{}\"{}\"", taken.empty() ? "" : ", ", names[bit]);
    }
    if (rule.takes(Action::remove) && !publication.has_truncates) missing.emplace_back("truncate");
    if (missing.empty()) return;
    Finding finding{.check = "operation-unpublished",
                    .place = rule.place_of("operations.0"),
                    .table = table.shown_name(),
                    .what = fmt::format("publication \"{}\" leaves {} out: clients never hear of "
                                        "them",
                                        publication.name, enumerate(missing))};
    auto is_safe =
        std::all_of(database.tables.begin(), database.tables.end(), [&](const TableFacts& other) {
            return other.has_identity &&
                   std::all_of(other.partitions.begin(), other.partitions.end(),
                               [](const PartitionFacts& part) { return part.has_identity; });
        });
    // Published, updates of a table without identity would fail.
    if (is_safe)
        finding.mends.push_back(
            set_publication(database, "publish = 'insert, update, delete, truncate'"));
    if (!taken.empty())
        finding.mends.push_back(
            {.where = Mend::Where::config, .lines = {fmt::format("operations = [{}]", taken)}});
    findings.push_back(std::move(finding));
}

// Of `walcast.toml:12:1`; of what has none, one after all others.
static unsigned long line_of(const std::string& place) {
    auto column = place.rfind(':');
    if (column == std::string::npos || column == 0)
        return std::numeric_limits<unsigned long>::max();
    auto line = place.rfind(':', column - 1);
    return line == std::string::npos ? std::numeric_limits<unsigned long>::max()
                                     : std::strtoul(&place[line + 1], nullptr, 10);
}

Findings check_rules(const std::vector<Rule>& rules, const DatabaseFacts& database) {
    Findings findings;
    std::vector<FittedRule> fitted;
    for (const auto& rule : rules) {
        auto is_first = true;
        for (const auto& table : database.tables) {
            if (!matches_table(rule, table.schema, table.name)) continue;
            check_writes(table, database, rule.place_of("table"), findings);
            check_row_filter(rule, table, database, findings);
            if (std::exchange(is_first, false)) check_operations(rule, table, database, findings);
            auto ready = check_fit(rule, table, database, findings);
            if (!ready) continue;
            if (table.has_identity) check_identity(*ready, table, database, findings);
            fitted.push_back({std::move(*ready), &table});
            check_secrets(fitted.back(), findings);
        }
    }
    check_sharing(fitted, findings);
    check_coverage(rules, database, findings);
    // As they stand in the file; what is no rule's comes last.
    std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
        return line_of(a.place) < line_of(b.place);
    });
    return findings;
}

}  // namespace walcast
