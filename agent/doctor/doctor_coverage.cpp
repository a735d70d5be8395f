#include "agent/doctor/doctor_mends.hpp"
#include "agent/doctor/doctor_rules.hpp"
#include "agent/spelling.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace walcast {

namespace {

using Level = Finding::Level;
using Where = Mend::Where;

std::string publication_name(const DatabaseFacts& database) {
    return printable_identifier(database.publication.name);
}

bool is_published(const DatabaseFacts& database, const std::string& schema,
                  const std::string& name) {
    return std::any_of(
        database.tables.begin(), database.tables.end(),
        [&](const TableFacts& table) { return table.schema == schema && table.name == name; });
}

// A table or partition that a rule names and that is published under another name, if at all.
class Unheard {
public:
    Unheard(const Rule& rule, const DatabaseFacts& database, Findings& findings)
        : rule_(rule), database_(database), findings_(findings) {}

    // False where nothing need be said.
    bool check(const UnpublishedTable& table);
    void report_nothing_matches();

private:
    void add(const UnpublishedTable& table, const std::string& why, std::vector<Mend> mends) {
        findings_.push_back(
            {.check = "table-unpublished",
             .place = rule_.place_of("table"),
             .table = table.shown_name(),
             .what = fmt::format("{} {}: none of its changes comes", table.shown_name(), why),
             .mends = std::move(mends)});
    }

    const Rule& rule_;
    const DatabaseFacts& database_;
    Findings& findings_;
};

bool Unheard::check(const UnpublishedTable& table) {
    auto is_whole = !rule_.has_globs();
    if (table.kind == 'v' || table.kind == 'm' || table.kind == 'f') {
        if (!is_whole) return false;
        add(table,
            table.kind == 'v'   ? "is a view, which has no changes of its own"
            : table.kind == 'm' ? "is a materialized view, whose changes are not in the stream"
                                : "is a foreign table, whose changes are elsewhere",
            {});
        return true;
    }
    if (!table.is_permanent) {
        if (is_whole) add(table, "is not permanent, and so not in the WAL", {});
        return is_whole;
    }
    if (!table.root_name.empty()) {
        auto root = fmt::format("{}.{}", table.root_schema, table.root_name);
        if (!is_published(database_, table.root_schema, table.root_name)) {
            if (is_whole)
                add(table, "is not published, as is the whole of " + root,
                    mend_publication(table, database_));
            return is_whole;
        }
        auto is_known = matches_table(rule_, table.root_schema, table.root_name);
        if (is_known || !is_whole) return is_known;
        add(table, fmt::format("is part of {}, under whose name its rows go out", root),
            {{.where = Where::config, .lines = {fmt::format("table = \"{}\"", root)}}});
        return true;
    }
    auto has_parts_published = false;
    for (const auto& partition : table.partitions)
        has_parts_published =
            has_parts_published || is_published(database_, partition.schema, partition.name);
    if (has_parts_published) {
        add(table, "is published as its partitions, under whose names its rows go out",
            {set_publication(database_, "publish_via_partition_root = true")});
        return true;
    }
    add(table, fmt::format("is not in publication \"{}\"", database_.publication.name),
        mend_publication(table, database_));
    return true;
}

void Unheard::report_nothing_matches() {
    std::vector<std::string> names;
    for (const auto& table : database_.tables) names.push_back(table.shown_name());
    for (const auto& table : database_.unpublished) names.push_back(table.shown_name());
    Finding finding{.check = "rule-without-table",
                    .place = rule_.place_of("table"),
                    .what = fmt::format("no table matches \"{}\"", rule_.table)};
    auto like = nearest(rule_.table, names);
    if (!like.empty() && !rule_.has_globs()) {
        finding.what += fmt::format("; did you mean \"{}\"?", like);
        finding.mends = {{.where = Where::config, .lines = {fmt::format("table = \"{}\"", like)}}};
    }
    findings_.push_back(std::move(finding));
}

// Rules with no table.
void check_rule(const Rule& rule, const DatabaseFacts& database, Findings& findings) {
    auto is_heard = std::any_of(
        database.tables.begin(), database.tables.end(),
        [&](const TableFacts& table) { return matches_table(rule, table.schema, table.name); });
    Unheard unheard(rule, database, findings);
    auto is_said = false;
    for (const auto& table : database.unpublished)
        if (matches_table(rule, table.schema, table.name)) is_said |= unheard.check(table);
    if (!is_heard && !is_said) unheard.report_nothing_matches();
}

// --- tables with no rule ---

std::string listed(const std::vector<const TableFacts*>& tables) {
    std::string names;
    for (const auto* table : tables)
        names += (names.empty() ? "" : ", ") + printable_table(table->schema, table->name);
    return names;
}

std::vector<std::string> publish_only(const DatabaseFacts& database,
                                      const std::vector<const TableFacts*>& wanted) {
    const auto& publication = database.publication;
    std::string actions;
    constexpr std::string_view names[] = {"insert", "update", "delete"};
    for (unsigned bit = 0; bit < 3; ++bit)
        if ((publication.operations >> bit & 1U) != 0)
            actions += fmt::format("{}{}", actions.empty() ? "" : ", ", names[bit]);
    if (publication.has_truncates) actions += actions.empty() ? "truncate" : ", truncate";
    return {
        "BEGIN;", fmt::format("DROP PUBLICATION {};", publication_name(database)),
        fmt::format("CREATE PUBLICATION {} FOR TABLE {} WITH (publish = '{}', "
                    "publish_via_partition_root = {}{});",
                    publication_name(database), listed(wanted), actions, publication.is_via_root,
                    publication.has_generated ? ", publish_generated_columns = stored" : ""),
        "COMMIT;"};
}

class Unwanted {
public:
    Unwanted(const std::vector<Rule>& rules, const DatabaseFacts& database, Findings& findings)
        : rules_(rules), database_(database), findings_(findings) {}

    void check();

private:
    void add(const std::string& what, const std::string& table, std::vector<Mend> mends) {
        findings_.push_back({.level = Level::warning,
                             .check = "table-without-rule",
                             .place = "postgres",
                             .table = table,
                             .what = what,
                             .mends = std::move(mends)});
    }
    void report(const TableFacts& table);
    void report_schema(const std::string& schema, const std::vector<const TableFacts*>& unwanted);

    const std::vector<Rule>& rules_;
    const DatabaseFacts& database_;
    Findings& findings_;
    std::vector<const TableFacts*> wanted_;
};

void Unwanted::check() {
    std::vector<const TableFacts*> unwanted;
    for (const auto& table : database_.tables) {
        auto is_named = std::any_of(rules_.begin(), rules_.end(), [&](const Rule& rule) {
            return matches_table(rule, table.schema, table.name);
        });
        (is_named ? wanted_ : unwanted).push_back(&table);
    }
    if (unwanted.empty()) return;
    if (database_.publication.has_all_tables) {
        std::vector<Mend> mends;
        if (!wanted_.empty()) mends = {{.lines = publish_only(database_, wanted_)}};
        add(fmt::format("publication \"{}\" is FOR ALL TABLES, and no rule names {} of them: "
                        "their changes are decoded and thrown away, and a new table without "
                        "primary key has its updates fail",
                        database_.publication.name, unwanted.size()),
            "", std::move(mends));
        return;
    }
    std::map<std::string, std::vector<const TableFacts*>> by_schema;
    for (const auto* table : unwanted) {
        if (table->published_schema.empty())
            report(*table);
        else
            by_schema[table->published_schema].push_back(table);
    }
    for (const auto& [schema, tables] : by_schema) report_schema(schema, tables);
}

void Unwanted::report(const TableFacts& table) {
    std::vector<Mend> mends;
    if (table.is_listed)
        mends = {{.lines = {fmt::format("ALTER PUBLICATION {} DROP TABLE {};",
                                        publication_name(database_),
                                        printable_table(table.schema, table.name))}}};
    mends.push_back({.where = Where::config, .lines = {"a [[rule]] that names it"}});
    add(fmt::format("{} is in the publication and no rule names it: its changes are decoded and "
                    "thrown away",
                    table.shown_name()),
        table.shown_name(), std::move(mends));
}

void Unwanted::report_schema(const std::string& schema,
                             const std::vector<const TableFacts*>& unwanted) {
    std::vector<const TableFacts*> kept;
    for (const auto* table : wanted_)
        if (table->published_schema == schema) kept.push_back(table);
    std::vector<std::string> lines{
        "BEGIN;", fmt::format("ALTER PUBLICATION {} DROP TABLES IN SCHEMA {};",
                              publication_name(database_), printable_identifier(schema))};
    if (!kept.empty())
        lines.push_back(fmt::format("ALTER PUBLICATION {} ADD TABLE {};",
                                    publication_name(database_), listed(kept)));
    lines.emplace_back("COMMIT;");
    std::vector<std::string> names;
    for (const auto* table : unwanted) names.push_back(table->shown_name());
    add(fmt::format("{} {} in the publication with all of schema {}, and no rule names {}: decoded "
                    "and thrown away",
                    enumerate(names), names.size() == 1 ? "is" : "are", schema,
                    names.size() == 1 ? "it" : "them"),
        unwanted.size() == 1 ? names[0] : "", {{.lines = lines}});
}

}  // namespace

void check_coverage(const std::vector<Rule>& rules, const DatabaseFacts& database,
                    Findings& findings) {
    for (const auto& rule : rules) check_rule(rule, database, findings);
    // wal2json sends every table.
    if (database.plugin == Plugin::pgoutput) Unwanted(rules, database, findings).check();
}

}  // namespace walcast
