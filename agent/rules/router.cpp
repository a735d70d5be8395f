#include "agent/rules/router.hpp"

#include "agent/errors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

namespace walcast {

// --- rules of tables ---

Router::Router(const std::vector<Rule>& rules, const Catalog& catalog, WithoutId without_id)
    : rules_(&rules), catalog_(catalog), without_id_(without_id) {}

std::span<const TableRule> Router::rules_of(const Relation& relation) {
    if (&relation == last_relation_ && last_table_->generation == relation.generation)
        return last_table_->rules;
    auto& table = tables_[&relation];
    if (table.generation != relation.generation) make_ready(table, relation);
    last_relation_ = &relation;
    last_table_ = &table;
    return table.rules;
}

void Router::make_ready(Table& table, const Relation& relation) {
    auto name = fmt::format("{}.{}", relation.schema, relation.name);
    table.rules.clear();
    // An outbox is nothing else, whatever a glob says.
    auto is_outbox = [&](const Rule& rule) {
        return rule.outbox && matches_table(rule, relation.schema, relation.name);
    };
    auto outbox = std::find_if(rules_->begin(), rules_->end(), is_outbox);
    for (const auto& rule : *rules_) {
        if (outbox != rules_->end() && &rule != &*outbox) continue;
        if (matches_table(rule, relation.schema, relation.name)) add_ready(table, rule, relation);
    }
    if (table.rules.empty() && !table.name.empty())
        unmatched_.push_back(fmt::format("{} was={}", name, table.name));
    table.name = table.rules.empty() ? "" : name;
    table.generation = relation.generation;
}

// A column that was hidden, and that the table has no longer, may be there under another name.
void Router::expect_still_hidden(Table& table, const Rule& rule, const Relation& relation) {
    for (const auto& column : rule.exclude) {
        auto is_there = std::any_of(relation.columns.begin(), relation.columns.end(),
                                    [&](const Column& one) { return one.name == column; });
        auto& hidden = table.hidden;
        auto was_there = std::find(hidden.begin(), hidden.end(), column) != hidden.end();
        if (is_there && !was_there) hidden.push_back(column);
        if (is_there || !was_there) continue;
        throw SetupError(fmt::format(
            "{}: {}.{}: column \"{}\" is gone, which exclude hides. If it was renamed, exclude the "
            "new name; if it was dropped, start the agent anew",
            rule.place_of("exclude.0"), relation.schema, relation.name, column));
    }
}

void Router::add_ready(Table& table, const Rule& rule, const Relation& relation) {
    expect_still_hidden(table, rule, relation);
    auto ready = walcast::make_ready(rule, relation, catalog_);
    if (!ready.id.empty() || ready.outbox || without_id_ == WithoutId::allowed) {
        table.rules.push_back(std::move(ready));
    } else if (without_id_ == WithoutId::left_out) {
        without_id_found_.push_back(fmt::format("{}.{}", relation.schema, relation.name));
    } else {
        throw SetupError(fmt::format(
            "{}: {}.{} has neither a primary key nor a replica identity, so its rows have no id: "
            "give the table a primary key, or the rule id = [...]",
            rule.place_of("table"), relation.schema, relation.name));
    }
}

void Router::forget() {
    for (auto& [relation, table] : tables_) table.generation = 0;
    last_relation_ = nullptr;
}

void Router::replace_rules(const std::vector<Rule>& rules, const IsThere& is_there) {
    // A table that was dropped and made anew is two relations, of which the older one is past.
    std::map<std::pair<std::string_view, std::string_view>, const Relation*> newest;
    for (const auto& [relation, table] : tables_) {
        auto& found = newest[{relation->schema, relation->name}];
        if (found == nullptr || found->generation < relation->generation) found = relation;
    }
    Router next(rules, catalog_, without_id_);
    for (const auto& [name, relation] : newest) {
        if (!is_there(*relation)) continue;
        try {
            for (const auto& ready : next.rules_of(*relation))
                if (ready.outbox && !ready.outbox->misfit.empty())
                    throw SetupError(ready.outbox->misfit);
        } catch (const ValueError&) {
            // Names that cannot be written are the table's fault, and known when its next row is.
        }
    }
    rules_ = &rules;
    tables_ = std::move(next.tables_);
    last_relation_ = nullptr;
    without_id_found_ = std::move(next.without_id_found_);
}

// --- routing ---

namespace {

constexpr std::string_view lacks_columns =
    "the replica identity lacks a column of its channels, id or where";
constexpr std::string_view may_have_moved =
    "the replica identity lacks a column of the channels, id or where, so nobody can tell whether "
    "the update moved the row";
constexpr std::string_view has_too_many = "the row has more than 1,024 channels";

// One rule and one change.
class Routing {
public:
    Routing(const TableRule& rule, const Change& change, Routes& routes)
        : rule_(rule),
          change_(change),
          routes_(routes),
          before_(KnownRow::before(change, rule.is_old_null_unknown)),
          after_(KnownRow::after(change)) {}

    void insert();
    void update();
    void remove();

private:
    // Some of the channels in Routes.
    struct Range {
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
    };
    std::uint32_t mark() const { return static_cast<std::uint32_t>(routes_.channels.size()); }
    bool append_channels(const KnownRow& row, Range& range);
    bool is_id_known(const KnownRow& row) const;
    bool has_id_changed() const;
    std::uint32_t partition(Range range, Range others);
    void add(Action action, bool has_second_id, const Tuple* row, Range range);
    void add_removal(Range range);
    void move(Range from, Range to);
    void cannot_route(std::string_view why);

    const TableRule& rule_;
    const Change& change_;
    Routes& routes_;
    KnownRow before_;
    KnownRow after_;
    std::string_view why_ = lacks_columns;  // It cannot be routed, if it cannot.
};

// False, and nothing appended, when they cannot be told.
bool Routing::append_channels(const KnownRow& row, Range& range) {
    range.begin = mark();
    auto outcome = routes_.channels.append(rule_, row);
    range.end = mark();
    if (outcome == ChannelNames::Outcome::too_many) why_ = has_too_many;
    return outcome == ChannelNames::Outcome::known;
}

bool Routing::is_id_known(const KnownRow& row) const {
    return std::all_of(rule_.id.begin(), rule_.id.end(),
                       [&](std::size_t index) { return row.value(index) != nullptr; });
}

bool Routing::has_id_changed() const {
    return std::any_of(rule_.id.begin(), rule_.id.end(), [&](std::size_t index) {
        const auto* before = before_.value(index);
        const auto* after = after_.value(index);
        if (before == nullptr || after == nullptr) return false;
        return before->kind != after->kind || before->text != after->text;
    });
}

void Routing::cannot_route(std::string_view why) {
    if (rule_.rule->unroutable == Unroutable::error) {
        const auto& relation = *change_.relation;
        auto mend =
            why == has_too_many
                ? std::string("Fewer channels a row would do")
                : fmt::format(
                      "For changes from now on: ALTER TABLE \"{}\".\"{}\" REPLICA IDENTITY FULL",
                      relation.schema, relation.name);
        auto what = change_.action == Action::remove   ? "a delete"
                    : change_.action == Action::update ? "an update"
                                                       : "an insert";
        throw SetupError(fmt::format(
            "{}: {} of {}.{} cannot be routed: {}. {}; for this one: unroutable = \"reset\" in the "
            "rule",
            rule_.rule->place_of("table"), what, relation.schema, relation.name, why, mend));
    }
    routes_.unroutable.push_back({&rule_, why});
}

void Routing::add(Action action, bool has_second_id, const Tuple* row, Range range) {
    if (range.begin == range.end) return;
    routes_.routes.push_back({&rule_, action, has_second_id, row, range.begin, range.end});
}

void Routing::insert() {
    auto is_in = membership_after(rule_, after_);
    if (is_in == Membership::out) return;
    Range range;
    if (is_in == Membership::unknown || !is_id_known(after_) || !append_channels(after_, range))
        return cannot_route(why_);
    add(Action::insert, false, after_.tuple(), range);
}

void Routing::remove() {
    auto was_in = membership_before(rule_, before_);
    if (was_in == Membership::out) return;
    Range range;
    if (was_in == Membership::unknown || !is_id_known(before_) || !append_channels(before_, range))
        return cannot_route(why_);
    add(Action::remove, false, before_.tuple(), range);
}

void Routing::update() {
    auto was_in = membership_before(rule_, before_);
    auto is_in = membership_after(rule_, after_);
    if (was_in == Membership::out && is_in == Membership::out) return;
    if (is_in == Membership::unknown) return cannot_route(lacks_columns);
    Range to;
    if (is_in == Membership::in && (!is_id_known(after_) || !append_channels(after_, to)))
        return cannot_route(why_);
    if (was_in == Membership::out) return add(Action::insert, true, after_.tuple(), to);
    Range from;
    auto is_from_known = append_channels(before_, from);
    if (is_in == Membership::out) {
        if (was_in == Membership::unknown || !is_from_known)
            return cannot_route(why_ == has_too_many ? why_ : may_have_moved);
        return add_removal(from);
    }
    auto is_id_told = is_id_known(before_);
    if (is_from_known && is_id_told && was_in == Membership::in) return move(from, to);
    // Where the row was before, or under which id, is not told. It is put where it is now, which is
    // all that there is to tell unless it has moved.
    auto is_renamed = has_id_changed();
    if (is_renamed && is_id_told && was_in == Membership::in) add_removal(to);
    add(is_renamed ? Action::insert : Action::update, true, after_.tuple(), to);
    auto stays = is_from_known && is_id_told && !is_renamed && partition(from, to) == from.end;
    if (!stays) cannot_route(why_ == has_too_many ? why_ : may_have_moved);
}

void Routing::move(Range from, Range to) {
    if (has_id_changed()) {
        add_removal(from);
        return add(Action::insert, true, after_.tuple(), to);
    }
    auto left = partition(from, to);
    auto entered = partition(to, from);
    add_removal({left, from.end});
    add(Action::update, true, after_.tuple(), {to.begin, entered});
    add(Action::insert, true, after_.tuple(), {entered, to.end});
}

// Puts the channels of a range that are also among the others first; returns where the rest
// begins.
std::uint32_t Routing::partition(Range range, Range others) {
    return static_cast<std::uint32_t>(
        routes_.channels.put_shared_first(range.begin, range.end, others.begin, others.end));
}

// Removes the row that was from some channels, under the id that it had.
void Routing::add_removal(Range range) {
    if (range.begin == range.end) return;
    if (!is_id_known(before_)) return cannot_route(why_);
    add(Action::remove, false, before_.tuple(), range);
}

}  // namespace

void route(std::span<const TableRule> rules, const Change& change, Routes& routes) {
    routes.clear();
    for (const auto& rule : rules) {
        if (!rule.rule->takes(change.action)) continue;
        Routing routing(rule, change, routes);
        try {
            switch (change.action) {
                case Action::insert: routing.insert(); break;
                case Action::update: routing.update(); break;
                case Action::remove: routing.remove(); break;
            }
        } catch (const ValueError&) {
            // Of a column that may be left out of the data: its value is not repeated.
            throw ValueError(fmt::format("{}: a value of its channels or where cannot be read",
                                         rule.rule->place_of("channels.0")));
        }
    }
    auto first_ids = routes.routes.begin();
    for (auto found = routes.routes.begin(); found != routes.routes.end(); ++found)
        if (!found->has_second_id) std::rotate(first_ids++, found, found + 1);
}

}  // namespace walcast
