#include "agent/doctor/doctor_mends.hpp"
#include "agent/doctor/doctor_rules.hpp"
#include "agent/doctor/secret_names.hpp"
#include "agent/errors.hpp"
#include "agent/rules/router.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace walcast {

namespace {

using Level = Finding::Level;
using Where = Mend::Where;

// A part of a rule that names columns: a key, or an element of its list.
struct RulePart {
    std::string key;
    std::vector<std::string> columns;
    Rule alone;  // The rule as it would be without the others.
};

// The parts of a rule each by itself, so that each is seen to fit or not.
class RuleParts {
public:
    explicit RuleParts(const Rule& rule) : rule_(rule), bare_(rule) {
        bare_.channels.clear();
        bare_.id.clear();
        bare_.where.reset();
        bare_.delete_when.reset();
        bare_.columns.clear();
        bare_.exclude.clear();
        bare_.rename.clear();
    }

    std::vector<RulePart> list() {
        for (std::size_t i = 0; i < rule_.channels.size(); ++i) {
            auto& part = add("channels", i);
            part.alone.channels = {rule_.channels[i]};
            for (const auto& piece : rule_.channels[i].parts)
                if (piece.is_column) part.columns.push_back(piece.text);
        }
        add_names("id", &Rule::id);
        add_names("columns", &Rule::columns);
        add_names("exclude", &Rule::exclude);
        for (std::size_t i = 0; i < rule_.rename.size(); ++i) {
            auto& part = add("rename", i);
            part.alone.rename = {rule_.rename[i]};
            part.columns = {rule_.rename[i].first};
        }
        add_predicate("where", &Rule::where);
        add_predicate("delete_when", &Rule::delete_when);
        return std::move(parts_);
    }

private:
    RulePart& add(const std::string& key, std::size_t i) {
        auto& part = parts_.emplace_back(RulePart{fmt::format("{}.{}", key, i), {}, bare_});
        auto place = rule_.places.find(part.key);
        if (place != rule_.places.end()) part.alone.places[key + ".0"] = place->second;
        return part;
    }
    void add_names(const std::string& key, std::vector<std::string> Rule::*names) {
        for (std::size_t i = 0; i < (rule_.*names).size(); ++i) {
            auto& part = add(key, i);
            part.alone.*names = {(rule_.*names)[i]};
            part.columns = {(rule_.*names)[i]};
        }
    }
    void add_predicate(const std::string& key, std::optional<Predicate> Rule::*predicate) {
        if (!(rule_.*predicate)) return;
        parts_.push_back({key, (rule_.*predicate)->columns(), bare_});
        parts_.back().alone.*predicate = rule_.*predicate;
    }

    const Rule& rule_;
    Rule bare_;
    std::vector<RulePart> parts_;
};

// What the agent says of a rule: place and message.
Finding refused(const Rule& rule, const TableFacts& table, std::string_view message) {
    Finding finding{.check = "rule-does-not-fit",
                    .place = rule.place_of("table"),
                    .table = table.shown_name(),
                    .what = std::string(message)};
    auto prefix = fmt::format("{}:", rule.file.empty() ? "rule" : rule.file);
    auto end = message.starts_with(prefix) ? message.find(": ") : std::string_view::npos;
    if (end == std::string_view::npos) return finding;
    finding.place = message.substr(0, end);
    finding.what = message.substr(end + 2);
    return finding;
}

// Why a column that is there is not in the stream, and what would put it there.
Finding unpublished(const RulePart& part, const ColumnFacts& column, const Rule& rule,
                    const TableFacts& table, const DatabaseFacts& database) {
    Finding finding{.check = "column-unpublished",
                    .place = rule.place_of(part.key),
                    .table = table.shown_name(),
                    .columns = {column.name}};
    auto say = [&](std::string_view why) {
        finding.what = fmt::format("{} of {} is not published: {}. The agent stops at its rows",
                                   column.name, table.shown_name(), why);
    };
    auto has_generated = database.server_version >= 180000;
    if (part.key.starts_with("exclude")) {
        say("the publication leaves it out already, and exclude may only name what is there");
        auto names = rule.exclude;
        std::erase(names, column.name);
        finding.mends = {
            {.where = Where::config,
             .lines = {names.empty() ? "no exclude" : "exclude = " + toml_list(names)}}};
    } else if (column.generated == 'v') {
        say("it is a virtual generated column, which is never in the stream. A stored one can be");
    } else if (column.generated == 's' && !has_generated) {
        say("it is a generated column, which PostgreSQL publishes from 18 on");
    } else if (column.generated == 's' && !table.has_column_list) {
        say("it is a generated column");
        finding.mends = {set_publication(database, "publish_generated_columns = stored")};
    } else {
        say("the publication's column list leaves it out");
        // All that the rule needs, so that one statement does.
        std::vector<std::string> columns;
        auto parts = RuleParts(rule).list();
        for (const auto& other : table.columns) {
            auto is_needed = other.generated != 'v' && (other.generated == ' ' || has_generated) &&
                             std::any_of(parts.begin(), parts.end(), [&](const RulePart& needing) {
                                 return !needing.key.starts_with("exclude") &&
                                        std::find(needing.columns.begin(), needing.columns.end(),
                                                  other.name) != needing.columns.end();
                             });
            if (other.is_published || is_needed) columns.push_back(other.name);
        }
        if (table.is_listed)
            finding.mends = {{.lines = list_anew(table, database, columns, table.row_filter)}};
    }
    return finding;
}

}  // namespace

std::optional<TableRule> check_fit(const Rule& rule, const TableFacts& table,
                                   const DatabaseFacts& database, Findings& findings) {
    auto relation = table.relation();
    auto count = findings.size();
    for (const auto& part : RuleParts(rule).list()) {
        auto is_hidden = false;
        auto may_be_missing = part.key.starts_with("exclude") && rule.has_globs();
        for (const auto& name : part.columns) {
            const auto* column = table.column(name);
            if (column == nullptr || column->is_published || may_be_missing) continue;
            findings.push_back(unpublished(part, *column, rule, table, database));
            is_hidden = true;
        }
        if (is_hidden) continue;
        try {
            make_ready(part.alone, relation, database.catalog);
        } catch (const SetupError& error) {
            findings.push_back(refused(rule, table, error.what()));
        } catch (const ValueError& error) {
            findings.push_back(refused(rule, table, error.what()));
        }
    }
    if (findings.size() > count) return std::nullopt;
    // All of it, just as the agent does.
    try {
        std::vector<Rule> rules{rule};
        Router router(rules, database.catalog, Router::without_id_of(database.plugin));
        if (!router.rules_of(relation).empty()) {
            auto ready = make_ready(rule, relation, database.catalog);
            if (!ready.outbox || ready.outbox->misfit.empty()) return ready;
            findings.push_back(refused(rule, table, ready.outbox->misfit));
            return std::nullopt;
        }
        findings.push_back(refused(rule, table,
                                   fmt::format("{} has no primary key and no replica identity, so "
                                               "its rows have no id, and are left out: give it a "
                                               "primary key, or the rule id = [...]",
                                               table.shown_name())));
    } catch (const SetupError& error) {
        findings.push_back(refused(rule, table, error.what()));
    } catch (const ValueError& error) {
        findings.push_back(refused(rule, table, error.what()));
    }
    return std::nullopt;
}

void check_secrets(const FittedRule& fitted, Findings& findings) {
    // Whether, when and how often are not told by a secret's type.
    constexpr std::uint32_t harmless[] = {16, 1082, 1083, 1114, 1184, 1186, 1266};
    const auto& table = *fitted.table;
    const auto& rule = *fitted.ready.rule;
    auto relation = table.relation();
    std::vector<std::string> secrets;
    for (const auto& column : fitted.ready.row.columns) {
        const auto& found = relation.columns[column.index];
        auto is_harmless = std::find(std::begin(harmless), std::end(harmless), found.type_oid) !=
                           std::end(harmless);
        if (!is_harmless && looks_secret(found.name)) secrets.push_back(found.name);
    }
    if (secrets.empty()) return;
    auto key = rule.columns.empty() ? "exclude" : "columns";
    auto names = rule.columns.empty() ? rule.exclude : rule.columns;
    for (const auto& secret : secrets) {
        if (rule.columns.empty())
            names.push_back(secret);
        else
            std::erase(names, secret);
    }
    findings.push_back(
        {.level = Level::warning,
         .check = "secret-column",
         .place = rule.place_of(rule.columns.empty() ? "exclude.0" : "columns.0"),
         .table = table.shown_name(),
         .columns = secrets,
         .what = fmt::format("{} of {} look{} secret, and every subscriber of {} gets {}",
                             enumerate(secrets), table.shown_name(), secrets.size() == 1 ? "s" : "",
                             fitted.ready.model, secrets.size() == 1 ? "it" : "them"),
         .mends = {
             {.where = Where::config, .lines = {fmt::format("{} = {}", key, toml_list(names))}}}});
}

}  // namespace walcast
