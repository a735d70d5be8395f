#include "agent/router.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

namespace walcast {

// --- making rules ready ---

Router::Router(const std::vector<Rule>& rules, const Catalog& catalog, WithoutId without_id)
    : rules_(&rules), catalog_(catalog), without_id_(without_id) {}

std::span<const TableRule> Router::rules_of(const Relation& relation) {
    if (&relation == last_relation_ && last_table_->generation == relation.generation)
        return last_table_->rules;
    auto& table = tables_[&relation];
    if (table.generation != relation.generation) {
        table.rules.clear();
        for (const auto& rule : *rules_)
            if (matches_table(rule, relation.schema, relation.name))
                add_ready(table, rule, relation);
        table.generation = relation.generation;
    }
    last_relation_ = &relation;
    last_table_ = &table;
    return table.rules;
}

void Router::add_ready(Table& table, const Rule& rule, const Relation& relation) {
    auto ready = make_ready(rule, relation);
    if (!ready.id.empty() || without_id_ != WithoutId::left_out)
        table.rules.push_back(std::move(ready));
    else
        without_id_found_.push_back(fmt::format("{}.{}", relation.schema, relation.name));
}

void Router::forget() {
    for (auto& [relation, table] : tables_) table.generation = 0;
    last_relation_ = nullptr;
}

void Router::replace_rules(const std::vector<Rule>& rules) {
    // A table that was dropped and made anew is two relations, of which the older one is past.
    std::map<std::pair<std::string_view, std::string_view>, const Relation*> newest;
    for (const auto& [relation, table] : tables_) {
        auto& found = newest[{relation->schema, relation->name}];
        if (found == nullptr || found->generation < relation->generation) found = relation;
    }
    Router next(rules, catalog_, without_id_);
    for (const auto& [name, relation] : newest) {
        try {
            next.rules_of(*relation);
        } catch (const ValueError&) {
            // Names that cannot be written are the table's fault, and known when its next row is.
        }
    }
    rules_ = &rules;
    tables_ = std::move(next.tables_);
    last_relation_ = nullptr;
    without_id_found_ = std::move(next.without_id_found_);
}

static std::size_t find_column(const Relation& relation, const Rule& rule,
                               const std::string& name) {
    auto found = std::find_if(relation.columns.begin(), relation.columns.end(),
                              [&](const Column& column) { return column.name == name; });
    if (found == relation.columns.end()) {
        std::string columns;
        for (const auto& column : relation.columns)
            columns += fmt::format("{}{}", columns.empty() ? "" : ", ", column.name);
        throw SetupError(
            fmt::format("rule at line {}: {}.{} has no column \"{}\" in the publication; it has {}",
                        rule.line, relation.schema, relation.name, name, columns));
    }
    return static_cast<std::size_t>(found - relation.columns.begin());
}

TableRule Router::make_ready(const Rule& rule, const Relation& relation) const {
    TableRule ready;
    ready.rule = &rule;
    ready.model = rule.model.empty() ? relation.name : rule.model;
    ready.row = RowJson(relation, catalog_.types());
    ready.is_old_null_unknown =
        relation.replica_identity == 'f' && catalog_.has_partial_old_rows(relation.oid);
    append_json_string(ready.model_json, ready.model);
    for (const auto& channel : rule.channels) {
        auto& parts = ready.channels.emplace_back();
        for (const auto& part : channel.parts) {
            auto index = part.is_column ? find_column(relation, rule, part.text) : 0;
            parts.push_back({part.is_column, index, part.is_column ? "" : part.text});
            auto is_unseen = part.is_column && !relation.columns[index].is_key;
            ready.can_move_unseen = ready.can_move_unseen || is_unseen;
        }
    }
    for (const auto& name : rule.id) ready.id.push_back(find_column(relation, rule, name));
    if (!rule.id.empty()) return ready;
    ready.id = id_columns(relation, catalog_);
    if (ready.id.empty() && without_id_ == WithoutId::refused)
        throw SetupError(fmt::format(
            "rule at line {}: {}.{} has neither a primary key nor a replica identity, so its rows "
            "have no id: give the table a primary key, or the rule id = [...]",
            rule.line, relation.schema, relation.name));
    return ready;
}

// --- routing ---

namespace {

enum class Known { yes, is_null, no };
enum class Row { old_row, new_row };

// What is known of a column of the row before the change.
Known known_in_old(const TableRule& rule, const Change& change, std::size_t index) {
    if (change.old_tuple == nullptr) return Known::no;
    auto is_carried =
        change.old_kind == Change::OldTuple::full || change.relation->columns[index].is_key;
    if (!is_carried) return Known::no;
    if ((*change.old_tuple)[index].kind != Value::Kind::null) return Known::yes;
    return rule.is_old_null_unknown ? Known::no : Known::is_null;
}

Known known_in_new(const Change& change, std::size_t index) {
    switch ((*change.new_tuple)[index].kind) {
        case Value::Kind::null: return Known::is_null;
        case Value::Kind::unchanged: return Known::no;
        default: return Known::yes;
    }
}

// Appends the channels of a row. A channel that reads a null column does not exist for it. False
// when a column is not known.
bool append_channels(const TableRule& rule, const Change& change, Row row, Routes& routes) {
    auto first = routes.channels.size();
    for (const auto& parts : rule.channels) {
        auto begin = routes.names.size();
        auto is_null = false;
        for (const auto& part : parts) {
            if (!part.is_column) {
                routes.names += part.text;
                continue;
            }
            auto known = row == Row::old_row ? known_in_old(rule, change, part.index)
                                             : known_in_new(change, part.index);
            if (known == Known::no) return false;
            is_null = is_null || known == Known::is_null;
            const auto& tuple = row == Row::old_row ? *change.old_tuple : *change.new_tuple;
            append_channel_value(routes.names, tuple[part.index].text);
        }
        auto name = std::string_view(routes.names).substr(begin);
        auto is_there = false;  // Two templates may give the same name.
        for (auto i = first; i < routes.channels.size(); ++i)
            is_there = is_there || routes.name(i) == name;
        if (is_null || is_there)
            routes.names.resize(begin);
        else
            routes.channels.push_back({begin, routes.names.size()});
    }
    return true;
}

bool is_id_known(const TableRule& rule, const Change& change, Row row) {
    return std::all_of(rule.id.begin(), rule.id.end(), [&](std::size_t index) {
        auto known =
            row == Row::old_row ? known_in_old(rule, change, index) : known_in_new(change, index);
        return known != Known::no;
    });
}

bool has_id_changed(const TableRule& rule, const Change& change) {
    if (change.old_tuple == nullptr) return false;
    return std::any_of(rule.id.begin(), rule.id.end(), [&](std::size_t index) {
        const auto& before = (*change.old_tuple)[index];
        const auto& after = (*change.new_tuple)[index];
        if (known_in_old(rule, change, index) == Known::no || after.kind == Value::Kind::unchanged)
            return false;
        return before.kind != after.kind || before.text != after.text;
    });
}

void cannot_route(const TableRule& rule, const Change& change, std::string_view what,
                  Routes& routes) {
    if (rule.rule->unroutable == Unroutable::error) {
        const auto& relation = *change.relation;
        throw SetupError(fmt::format(
            "rule at line {}: {} of {}.{} cannot be routed: the replica identity does not have "
            "every column of its "
            "channels and id. For changes from now on: ALTER TABLE \"{}\".\"{}\" REPLICA IDENTITY "
            "FULL; for this one: "
            "unroutable = \"reset\" in the rule",
            rule.rule->line, what, relation.schema, relation.name, relation.schema, relation.name));
    }
    routes.unroutable.push_back(&rule);
}

void add_route(Routes& routes, Route route) {
    if (route.channels_begin != route.channels_end) routes.routes.push_back(route);
}

std::uint32_t mark(const Routes& routes) {
    return static_cast<std::uint32_t>(routes.channels.size());
}

void route_insert(const TableRule& rule, const Change& change, Routes& routes) {
    auto begin = mark(routes);
    if (!is_id_known(rule, change, Row::new_row) ||
        !append_channels(rule, change, Row::new_row, routes)) {
        routes.channels.resize(begin);
        return cannot_route(rule, change, "an insert", routes);
    }
    add_route(routes, {&rule, Action::insert, false, change.new_tuple, begin, mark(routes)});
}

void route_remove(const TableRule& rule, const Change& change, Routes& routes) {
    auto begin = mark(routes);
    if (!is_id_known(rule, change, Row::old_row) ||
        !append_channels(rule, change, Row::old_row, routes)) {
        routes.channels.resize(begin);
        return cannot_route(rule, change, "a delete", routes);
    }
    add_route(routes, {&rule, Action::remove, false, change.old_tuple, begin, mark(routes)});
}

// Puts the channels of [begin, end) that are also in [others_begin, others_end) first; returns
// where the other ones begin.
std::uint32_t partition(Routes& routes, std::uint32_t begin, std::uint32_t end,
                        std::uint32_t others_begin, std::uint32_t others_end) {
    // Not std::stable_partition, which allocates; there are only a few.
    auto middle = begin;
    for (auto i = begin; i < end; ++i) {
        auto is_other = false;
        for (auto other = others_begin; other < others_end; ++other)
            is_other = is_other || routes.name(other) == routes.name(i);
        if (!is_other) continue;
        std::rotate(&routes.channels[middle], &routes.channels[i], &routes.channels[i] + 1);
        ++middle;
    }
    return middle;
}

// Removes the row that was from some channels, under the id that it had.
void add_removal(const TableRule& rule, const Change& change, std::uint32_t channels_begin,
                 std::uint32_t channels_end, Routes& routes) {
    if (channels_begin == channels_end) return;
    if (!is_id_known(rule, change, Row::old_row))
        return cannot_route(rule, change, "a move or change of id", routes);
    add_route(routes,
              {&rule, Action::remove, false, change.old_tuple, channels_begin, channels_end});
}

void route_update(const TableRule& rule, const Change& change, Routes& routes) {
    auto new_begin = mark(routes);
    if (!is_id_known(rule, change, Row::new_row) ||
        !append_channels(rule, change, Row::new_row, routes)) {
        routes.channels.resize(new_begin);
        return cannot_route(rule, change, "an update", routes);
    }
    auto new_end = mark(routes);
    auto is_renamed = has_id_changed(rule, change);
    auto is_old_known =
        change.old_tuple != nullptr && append_channels(rule, change, Row::old_row, routes);
    if (!is_old_known) {
        // Where the row was before is not told: taken to be where it is now, which is right
        // whenever the channel's columns do not change.
        routes.channels.resize(new_end);
        if (is_renamed) add_removal(rule, change, new_begin, new_end, routes);
        add_route(routes, {&rule, is_renamed ? Action::insert : Action::update, true,
                           change.new_tuple, new_begin, new_end});
        return;
    }
    auto old_end = mark(routes);
    if (is_renamed) {
        add_removal(rule, change, new_end, old_end, routes);
        add_route(routes, {&rule, Action::insert, true, change.new_tuple, new_begin, new_end});
        return;
    }
    auto left = partition(routes, new_end, old_end, new_begin, new_end);
    auto entered = partition(routes, new_begin, new_end, new_end, old_end);
    add_removal(rule, change, left, old_end, routes);
    add_route(routes, {&rule, Action::update, true, change.new_tuple, new_begin, entered});
    add_route(routes, {&rule, Action::insert, true, change.new_tuple, entered, new_end});
}

}  // namespace

void route(std::span<const TableRule> rules, const Change& change, Routes& routes) {
    routes.clear();
    for (const auto& rule : rules) {
        switch (change.action) {
            case Action::insert: route_insert(rule, change, routes); break;
            case Action::update: route_update(rule, change, routes); break;
            case Action::remove: route_remove(rule, change, routes); break;
        }
    }
    auto first_ids = routes.routes.begin();
    for (auto found = routes.routes.begin(); found != routes.routes.end(); ++found)
        if (!found->has_second_id) std::rotate(first_ids++, found, found + 1);
}

void append_model_id(std::string& out, std::string& scratch, const TableRule& rule,
                     const Tuple& row) {
    if (rule.id.size() == 1) return append_json_string(out, row[rule.id[0]].text);
    scratch.clear();
    for (auto index : rule.id) {
        if (index != rule.id[0]) scratch += ',';
        if (row[index].kind == Value::Kind::null) scratch += "\\N";
        for (auto character : row[index].text) {
            if (character == ',' || character == '\\') scratch += '\\';
            scratch += character;
        }
    }
    append_json_string(out, scratch);
}

}  // namespace walcast
