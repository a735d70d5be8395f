#include "agent/explain/explanation.hpp"

#include "agent/errors.hpp"
#include "agent/explain/verdict.hpp"
#include "agent/rules/channel_names.hpp"
#include "agent/spelling.hpp"
#include "decoders/nested_values.hpp"
#include "decoders/utf8.hpp"
#include "sinks/native_envelope.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace walcast {

namespace {

using Part = TableRule::Part;

// Why one rule makes of one change what it does.
class RuleExplaining {
public:
    RuleExplaining(const TableRule& rule, const Change& change, const Catalog& catalog)
        : rule_(rule), change_(change), catalog_(catalog) {}

    Explanation::OfRule explain(SyncId first_id);

private:
    // The row before or after the change.
    struct Side {
        KnownRow row;
        std::string_view name;
        bool is_before = false;
    };
    void add(std::string sentence) { told_.why.push_back(std::move(sentence)); }
    std::string column_name(std::size_t index) const {
        return change_.relation->columns[index].name;
    }
    std::string shown(const Side& side, std::size_t column) const;
    std::string why_unknown(const Side& side, std::size_t column) const;
    void tell_side(const Side& side);
    void tell_predicate(const Side& side, std::string_view key, const Predicate& predicate);
    void tell_channel(const Side& side, std::size_t channel);
    std::string why_absent(const Side& side, const std::vector<Part>& parts) const;
    void tell_routes(SyncId first_id);

    const TableRule& rule_;
    const Change& change_;
    const Catalog& catalog_;
    Explanation::OfRule told_;
};

// A column's value, unless the rule leaves it out of its data: then it goes nowhere.
std::string RuleExplaining::shown(const Side& side, std::size_t column) const {
    constexpr std::size_t shown_max = 60;
    const auto* value = side.row.value(column);
    if (value == nullptr) return why_unknown(side, column);
    const auto& chosen = rule_.row.columns;
    auto is_chosen = std::any_of(chosen.begin(), chosen.end(), [&](const RowJson::Column& other) {
        return other.index == column;
    });
    auto name = column_name(column);
    if (!is_chosen) return name + " is (excluded)";
    if (value->kind == Value::Kind::null) return name + " is null";
    auto text = value->text.substr(0, shown_max);
    text = text.substr(0, first_not_utf8(text));
    return fmt::format("{} is '{}{}'", name, text, text.size() < value->text.size() ? "…" : "");
}

std::string RuleExplaining::why_unknown(const Side& side, std::size_t column) const {
    auto name = column_name(column);
    const auto* tuple = side.row.tuple();
    auto is_key = change_.relation->columns[column].is_key;
    if (side.is_before && change_.old_kind != Change::OldTuple::full && !is_key)
        return fmt::format("{} is not part of the replica identity", name);
    if (tuple != nullptr && (*tuple)[column].kind == Value::Kind::unchanged)
        return fmt::format("{} is large and did not change, so the stream leaves it out", name);
    return fmt::format("{} may not be told, since a partition does not log it", name);
}

void RuleExplaining::tell_predicate(const Side& side, std::string_view key,
                                    const Predicate& predicate) {
    const auto& relation = *change_.relation;
    auto verdict = judge(predicate, relation, catalog_.types(), side.row);
    auto sentence = fmt::format("{} \"{}\" is {} of {}", key, predicate.text,
                                name_of(verdict.truth), side.name);
    auto is_usual = key == "where" ? verdict.truth.is_true() : verdict.truth.is_not_true();
    if (is_usual) return add(std::move(sentence));
    std::vector<std::string> reasons;
    for (const auto& decider : verdict.deciders) {
        auto found = std::find_if(relation.columns.begin(), relation.columns.end(),
                                  [&](const Column& c) { return c.name == decider.column; });
        auto column = static_cast<std::size_t>(found - relation.columns.begin());
        auto reason = shown(side, column);
        if (predicate.nodes.size() > 1 && side.row.value(column) != nullptr)
            reason =
                fmt::format("\"{}\" is {}: {}", decider.condition, name_of(decider.truth), reason);
        if (std::find(reasons.begin(), reasons.end(), reason) == reasons.end())
            reasons.push_back(std::move(reason));
    }
    add(fmt::format("{}, since {}", sentence, fmt::join(reasons, "; ")));
}

// Why a template gave a row no channel.
std::string RuleExplaining::why_absent(const Side& side, const std::vector<Part>& parts) const {
    NestedValues nested;
    for (const auto& part : parts) {
        if (part.kind == Part::Kind::literal) continue;
        const auto* value = side.row.value(part.index);
        auto name = column_name(part.index);
        if (value->kind == Value::Kind::null) return name + " is null";
        if (part.kind == Part::Kind::column) continue;
        auto is_array = part.kind == Part::Kind::array;
        if (is_array)
            nested.read_array(*part.type, value->text);
        else
            nested.read_json(value->text, part.keys);
        if (nested.size() > 0) continue;
        return is_array ? name + " has no element"
                        : fmt::format("{} has no value under {}", name, fmt::join(part.keys, "."));
    }
    return fmt::format("its name would be longer than {} bytes", channel_bytes_max);
}

void RuleExplaining::tell_channel(const Side& side, std::size_t channel) {
    const auto& parts = rule_.channels[channel];
    auto alone = rule_;
    alone.channels = {parts};
    ChannelNames names;
    auto outcome = names.append(alone, side.row);
    auto subject = fmt::format("channel \"{}\"", rule_.rule->channels[channel].text);
    if (outcome == ChannelNames::Outcome::too_many)
        return add(fmt::format("{} has more than {} names for {}", subject,
                               ChannelNames::channels_max, side.name));
    if (outcome == ChannelNames::Outcome::unknown) {
        for (const auto& part : parts)
            if (part.kind != Part::Kind::literal && side.row.value(part.index) == nullptr)
                return add(fmt::format("{} is not known of {}: {}", subject, side.name,
                                       why_unknown(side, part.index)));
    }
    if (names.size() == 0)
        return add(fmt::format("{} does not exist for {}: {}", subject, side.name,
                               why_absent(side, parts)));
    if (names.has_too_long())
        add(fmt::format("{} lacks a name for {} that would be longer than {} bytes", subject,
                        side.name, channel_bytes_max));
}

void RuleExplaining::tell_side(const Side& side) {
    const auto& rule = *rule_.rule;
    if (rule.where) tell_predicate(side, "where", *rule.where);
    if (rule.delete_when) tell_predicate(side, "delete_when", *rule.delete_when);
    auto membership =
        side.is_before ? membership_before(rule_, side.row) : membership_after(rule_, side.row);
    if (membership == Membership::out) return;
    for (auto index : rule_.id)
        if (side.row.value(index) == nullptr)
            add(fmt::format("the id is not known of {}: {}", side.name, why_unknown(side, index)));
    for (std::size_t i = 0; i < rule_.channels.size(); ++i) tell_channel(side, i);
}

void RuleExplaining::tell_routes(SyncId first_id) {
    Routes routes;
    route({&rule_, 1}, change_, routes);
    std::string scratch;
    for (const auto& found : routes.routes) {
        Explanation::Sent sent{.action = found.action,
                               .sync_id = first_id + (found.has_second_id ? 1 : 0),
                               .model_id = {},
                               .channels = {}};
        append_model_id(sent.model_id, scratch, rule_, *found.row);
        for (auto i = found.channels_begin; i < found.channels_end; ++i)
            sent.channels.emplace_back(routes.channels[i]);
        told_.sent.push_back(std::move(sent));
    }
    for (const auto& unroutable : routes.unroutable) {
        told_.is_unroutable = true;
        auto is_reset = rule_.rule->unroutable == Unroutable::reset;
        add(fmt::format("it cannot be routed: {}; unroutable = {}", unroutable.why,
                        is_reset ? "\"reset\": clients fetch the model afresh"
                                 : "\"skip\": it is counted and logged"));
    }
}

Explanation::OfRule RuleExplaining::explain(SyncId first_id) {
    told_.rule = rule_.rule;
    told_.model = rule_.model;
    auto action = change_.action;
    if (!rule_.rule->takes(action)) {
        add(fmt::format("operations does not have \"{}\"", name_of(action)));
        return std::move(told_);
    }
    auto is_update = action == Action::update;
    try {
        if (action != Action::insert)
            tell_side({KnownRow::before(change_, rule_.is_old_null_unknown),
                       is_update ? "the old row" : "the row", true});
        if (action != Action::remove)
            tell_side({KnownRow::after(change_), is_update ? "the new row" : "the row", false});
        tell_routes(first_id);
    } catch (const SetupError& error) {
        told_.is_unroutable = true;
        add(fmt::format("the agent would stop: {}", error.what()));
    } catch (const ValueError&) {
        // Of a column that may be left out of the data: its value is not repeated.
        add("a value of its channels or where cannot be read");
    }
    return std::move(told_);
}

}  // namespace

// --- all rules ---

Explainer::Explainer(const std::vector<Rule>& rules, const Catalog& catalog,
                     Router::WithoutId without_id, std::string control)
    : rules_(rules),
      catalog_(catalog),
      router_(rules, catalog, without_id),
      control_(std::move(control)) {}

std::string Explainer::why_no_rule(const Relation& relation) const {
    auto table = fmt::format("{}.{}", relation.schema, relation.name);
    std::vector<std::string> tables;
    for (const auto& rule : rules_) {
        if (matches_table(rule, relation.schema, relation.name))
            return fmt::format(
                "{} has neither a primary key nor a replica identity, so that its "
                "rows have no id: it is left out",
                table);
        tables.push_back(rule.table);
    }
    if (tables.empty()) return fmt::format("no rule names {}: there are none", table);
    auto meant = nearest(table, tables);
    auto at = std::find(tables.begin(), tables.end(), meant) - tables.begin();
    return fmt::format("no rule names {}; the nearest is {}, {}", table, meant,
                       rules_[static_cast<std::size_t>(at)].place_of("table"));
}

Explanation Explainer::explain(const Change& change, const TransactionInfo& transaction,
                               std::string_view epoch, SyncId first_id) {
    Explanation explanation;
    BatchBuilder builder(router_, {});
    builder.begin(transaction);
    try {
        auto rules = router_.rules_of(*change.relation);
        if (rules.empty()) explanation.why_none = why_no_rule(*change.relation);
        for (const auto& rule : rules)
            explanation.rules.push_back(RuleExplaining(rule, change, catalog_).explain(first_id));
        builder.add(change, first_id);
    } catch (const SetupError& error) {
        explanation.failure = fmt::format("the agent would stop: {}", error.what());
    } catch (const ValueError& error) {
        explanation.failure = fmt::format("the row cannot be written: {}", error.what());
        explanation.has_bad_value = true;
    }
    take_messages(explanation, builder, epoch, first_id);
    return explanation;
}

Explanation Explainer::explain(const Truncate& truncate, const TransactionInfo& transaction,
                               std::string_view epoch, SyncId first_id) {
    Explanation explanation;
    BatchBuilder builder(router_, {});
    builder.begin(transaction);
    try {
        builder.add_truncate(truncate, first_id);
    } catch (const SetupError& error) {
        explanation.failure = fmt::format("the agent would stop: {}", error.what());
    } catch (const ValueError& error) {
        explanation.failure = fmt::format("a name cannot be written: {}", error.what());
    }
    take_messages(explanation, builder, epoch, first_id);
    if (explanation.messages.empty())
        explanation.why_none = "no rule that has \"delete\" among its operations names the table";
    return explanation;
}

void Explainer::take_messages(Explanation& explanation, BatchBuilder& builder,
                              std::string_view epoch, SyncId first_id) const {
    builder.end_transaction(first_id);
    auto batch = builder.take({});
    for (const auto& message : batch.messages) {
        auto& told = explanation.messages.emplace_back();
        for (auto i = message.channels_begin; i < message.channels_end; ++i)
            told.channels.emplace_back(batch.text(batch.channels[i]));
        if (message.kind == Message::Kind::reset) told.channels.push_back(control_);
        told.body = batch.text(message.body_begin, message.body_end);
        append_message(told.bytes, batch, message, epoch, first_id - 1);
    }
}

// --- two explanations ---

using Heard = std::map<std::string, std::string>;

static Heard heard(const Explanation& explanation) {
    Heard by_channel;
    for (const auto& message : explanation.messages)
        for (const auto& channel : message.channels) by_channel[channel] += message.body + '\n';
    return by_channel;
}

Difference difference(const Explanation& before, const Explanation& after) {
    Difference found{.gained = {},
                     .lost = {},
                     .changed = {},
                     .is_failure_other = before.failure.empty() != after.failure.empty()};
    auto heard_before = heard(before);
    auto heard_after = heard(after);
    for (const auto& [channel, bodies] : heard_before) {
        auto other = heard_after.find(channel);
        if (other == heard_after.end())
            found.lost.push_back(channel);
        else if (other->second != bodies)
            found.changed.push_back(channel);
    }
    for (const auto& [channel, bodies] : heard_after)
        if (!heard_before.contains(channel)) found.gained.push_back(channel);
    return found;
}

}  // namespace walcast
