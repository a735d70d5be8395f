#include "agent/doctor/doctor_rules.hpp"
#include "agent/rules/channel_template.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace walcast {

namespace {

using Level = Finding::Level;

// A channel of one rule that could be a channel of another one.
struct Shared {
    std::size_t first = 0;  // Into Rule::channels.
    std::size_t second = 0;
};

std::optional<Shared> shared_channel(const Rule& a, const Rule& b) {
    for (std::size_t i = 0; i < a.channels.size(); ++i)
        for (std::size_t j = 0; j < b.channels.size(); ++j)
            if (can_make_same(a.channels[i], b.channels[j])) return Shared{i, j};
    return std::nullopt;
}

// UUIDs of two tables are never the same.
bool has_uuid(const FittedRule& fitted) {
    constexpr std::uint32_t uuid = 2950;
    auto relation = fitted.table->relation();
    return std::any_of(fitted.ready.id.begin(), fitted.ready.id.end(),
                       [&](std::size_t index) { return relation.columns[index].type_oid == uuid; });
}

std::string rule_line(const Rule& rule) {
    return fmt::format("the rule of line {}", rule.line);
}

void report_two_tables(const FittedRule& a, const FittedRule& b, const Shared& shared,
                       Findings& findings) {
    const auto& rule = *b.ready.rule;
    auto is_one_rule = a.ready.rule == b.ready.rule;
    auto channel = fmt::format("\"{}\"", rule.channels[shared.second].text);
    const auto& other = a.ready.rule->channels[shared.first].text;
    if (other != rule.channels[shared.second].text)
        channel += fmt::format(" and \"{}\" can be one channel, on which", other);
    else
        channel = "on " + channel;
    findings.push_back(
        {.level = is_one_rule ? Level::warning : Level::error,
         .check = "model-of-two-tables",
         .place = rule.place_of(fmt::format("channels.{}", shared.second)),
         .table = b.table->shown_name(),
         .what = fmt::format(
             "{} rows of {} and of {}{} are both {}: clients take rows of one id for the same",
             channel, b.table->shown_name(), a.table->shown_name(),
             is_one_rule ? std::string() : fmt::format(" ({})", rule_line(*a.ready.rule)),
             b.ready.model),
         .mends = {
             {.where = Mend::Where::config,
              .lines = {is_one_rule ? std::string("a rule for each table, with a model or channels "
                                                  "of its own")
                                    : std::string("another model, or channels that cannot be the "
                                                  "same")}}}});
}

void report_one_table(const FittedRule& a, const FittedRule& b, const Shared& shared,
                      Findings& findings) {
    const auto& rule = *b.ready.rule;
    findings.push_back(
        {.level = Level::warning,
         .check = "model-twice",
         .place = rule.place_of(fmt::format("channels.{}", shared.second)),
         .table = b.table->shown_name(),
         .what =
             fmt::format("\"{}\" can be a channel of {} too, which makes {} of {} as well: each "
                         "change comes twice there",
                         rule.channels[shared.second].text, rule_line(*a.ready.rule), b.ready.model,
                         b.table->shown_name()),
         .mends = {{.where = Mend::Where::config,
                    .lines = {"one rule of the two, another model, or `where` in both"}}}});
}

}  // namespace

void check_sharing(const std::vector<FittedRule>& fitted, Findings& findings) {
    std::set<std::pair<const Rule*, const Rule*>> reported;  // Of many tables one pair is enough.
    for (std::size_t i = 0; i < fitted.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            const auto& a = fitted[j];
            const auto& b = fitted[i];
            if (a.ready.model != b.ready.model) continue;
            std::pair pair{a.ready.rule, b.ready.rule};
            if (reported.contains(pair)) continue;
            auto is_one_table = a.table == b.table;
            auto is_one_rule = a.ready.rule == b.ready.rule;
            // Rules with different conditions are meant for different rows.
            auto is_split = a.ready.rule->where && b.ready.rule->where &&
                            *a.ready.rule->where != *b.ready.rule->where;
            auto have_both = (a.ready.rule->operations & b.ready.rule->operations) != 0;
            if (is_one_table && (is_split || !have_both)) continue;
            if (is_one_rule && has_uuid(a) && has_uuid(b)) continue;
            auto shared = shared_channel(*a.ready.rule, *b.ready.rule);
            if (!shared) continue;
            reported.insert(pair);
            if (is_one_table)
                report_one_table(a, b, *shared, findings);
            else
                report_two_tables(a, b, *shared, findings);
        }
    }
}

}  // namespace walcast
