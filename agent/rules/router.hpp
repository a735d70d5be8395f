#pragma once

#include "agent/catalog.hpp"
#include "agent/config.hpp"
#include "agent/rules/channel_names.hpp"
#include "agent/rules/rule.hpp"
#include "agent/rules/table_rule.hpp"
#include "decoders/event.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace walcast {

// One sync action for some channels. The names are in Routes::channels.
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
    struct Unroutable {
        const TableRule* rule = nullptr;
        std::string_view why;
    };
    std::vector<Route> routes;  // By id, those with the first id before those with the second.
    ChannelNames channels;
    std::vector<Unroutable> unroutable;  // Rules that could not tell whom the change concerns.

    void clear() {
        routes.clear();
        channels.clear();
        unroutable.clear();
    }
};

// Decides who hears of a change. A row that moves from one channel to another is removed in the
// first and inserted in the second; so is a row whose id changes. A row that a rule begins to see
// is inserted, one that it ceases to see removed. Pure; clears `routes` first. Throws SetupError
// where a rule says that what cannot be routed is an error, ValueError where a value that decides
// cannot be read.
void route(std::span<const TableRule> rules, const Change& change, Routes& routes);

// Finds the rules of a table, and keeps them ready.
class Router {
public:
    // Tables whose rows have no id: a mistake of the rule; left out and noted; or published.
    enum class WithoutId { refused, left_out, allowed };
    // wal2json sends every table, whatever was asked of `init`.
    static constexpr WithoutId without_id_of(Plugin plugin) {
        return plugin == Plugin::wal2json ? WithoutId::left_out : WithoutId::refused;
    }

    // Both must outlive the router.
    Router(const std::vector<Rule>& rules, const Catalog& catalog, WithoutId without_id);

    // Valid until the relation changes. Throws SetupError when a rule does not fit its table, and
    // ValueError when its names cannot be written.
    std::span<const TableRule> rules_of(const Relation& relation);

    // The tables left out since the last time, for the log.
    std::vector<std::string> take_without_id() { return std::exchange(without_id_found_, {}); }

    // The catalog has news: rules are made ready again.
    void forget();

    // Tables that rules took and, under another name, take no longer, since the last time.
    std::vector<std::string> take_unmatched() { return std::exchange(unmatched_, {}); }

    // From now on other rules, once they are ready for every table met so far that is still there.
    // They must outlive the router. Throws SetupError when one does not fit; then nothing has
    // changed.
    using IsThere = std::function<bool(const Relation&)>;
    void replace_rules(const std::vector<Rule>& rules, const IsThere& is_there);

private:
    struct Table {
        std::uint64_t generation = 0;
        std::vector<TableRule> rules;
        std::string name;                 // Under which rules took it.
        std::vector<std::string> hidden;  // Columns that it had, and exclude.
    };
    void make_ready(Table& table, const Relation& relation);
    void expect_still_hidden(Table& table, const Rule& rule, const Relation& relation);
    void add_ready(Table& table, const Rule& rule, const Relation& relation);

    const std::vector<Rule>* rules_;
    const Catalog& catalog_;
    WithoutId without_id_;
    std::vector<std::string> without_id_found_;
    std::vector<std::string> unmatched_;
    std::unordered_map<const Relation*, Table> tables_;
    const Relation* last_relation_ = nullptr;
    Table* last_table_ = nullptr;
};

}  // namespace walcast
