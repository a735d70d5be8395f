#pragma once

#include "agent/catalog.hpp"
#include "agent/config.hpp"
#include "decoders/event.hpp"
#include "decoders/row_json.hpp"

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace walcast {

// A rule made ready for one table.
struct TableRule {
    struct Part {
        bool is_column = false;
        std::size_t index = 0;  // Of the column.
        std::string text;       // Literal.
    };
    const Rule* rule = nullptr;
    std::string model;       // As written.
    std::string model_json;  // In quotes.
    std::vector<std::vector<Part>> channels;
    std::vector<std::size_t> id;
    RowJson row;
    bool is_old_null_unknown = false;  // A null of an old row may be one that was not told.
    bool can_move_unseen =
        false;  // An update may change a channel without the stream telling from where.
};

// One sync action for some channels. The names are in Routes::names.
struct Route {
    const TableRule* rule = nullptr;
    Action action = Action::insert;
    bool has_second_id = false;  // Of the two ids of an update.
    const Tuple* row = nullptr;  // Which names the row, and, unless it is removed, is its data.
    std::uint32_t channels_begin = 0;
    std::uint32_t channels_end = 0;
};

// Where a change goes; used again from change to change, so that nothing is allocated for a row.
struct Routes {
    struct Name {
        std::size_t begin = 0;
        std::size_t end = 0;
    };
    std::vector<Route> routes;  // By id, those with the first id before those with the second.
    std::vector<Name> channels;
    std::string names;
    std::vector<const TableRule*>
        unroutable;  // Rules that could not tell whom a delete or a move concerns.

    std::string_view name(std::size_t channel) const {
        return std::string_view(names).substr(channels[channel].begin,
                                              channels[channel].end - channels[channel].begin);
    }
    void clear() {
        routes.clear();
        channels.clear();
        names.clear();
        unroutable.clear();
    }
};

// Decides who hears of a change. A row that moves from one channel to another is removed in the
// first and inserted in the second; so is a row whose id changes. Pure; clears `routes` first.
// Throws SetupError where a rule says that what cannot be routed is an error.
void route(std::span<const TableRule> rules, const Change& change, Routes& routes);

// Finds the rules of a table, and keeps them ready.
class Router {
public:
    // Tables whose rows have no id: a mistake of the rule; left out and noted; or published.
    enum class WithoutId { refused, left_out, allowed };

    // Both must outlive the router.
    Router(const std::vector<Rule>& rules, const Catalog& catalog, WithoutId without_id);

    // Valid until the relation changes. Throws SetupError when a rule does not fit its table, and
    // ValueError when its names cannot be written.
    std::span<const TableRule> rules_of(const Relation& relation);

    // The tables left out since the last time, for the log.
    std::vector<std::string> take_without_id() { return std::exchange(without_id_found_, {}); }

    // The catalog has news: rules are made ready again.
    void forget();

    // From now on other rules, once they are ready for every table met so far. They must outlive
    // the router. Throws SetupError when one does not fit; then nothing has changed.
    void replace_rules(const std::vector<Rule>& rules);

private:
    struct Table {
        std::uint64_t generation = 0;
        std::vector<TableRule> rules;
    };
    TableRule make_ready(const Rule& rule, const Relation& relation) const;
    void add_ready(Table& table, const Rule& rule, const Relation& relation);

    const std::vector<Rule>* rules_;
    const Catalog& catalog_;
    WithoutId without_id_;
    std::vector<std::string> without_id_found_;
    std::unordered_map<const Relation*, Table> tables_;
    const Relation* last_relation_ = nullptr;
    Table* last_table_ = nullptr;
};

// A row's id as a JSON string: a single column's text; several joined by commas, where `\` stands
// before a comma or backslash of the text, and null is `\N`. `scratch` is overwritten.
void append_model_id(std::string& out, std::string& scratch, const TableRule& rule,
                     const Tuple& row);

}  // namespace walcast
