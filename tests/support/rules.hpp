#pragma once

#include "agent/rules/router.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace walcast {

// A rule: `rule_for("public.todos").model("Todo").channel("todos:{id}")`.
class RuleBuilder {
public:
    explicit RuleBuilder(std::string table) { rule_.table = std::move(table); }

    RuleBuilder& model(std::string model) {
        rule_.model = std::move(model);
        return *this;
    }
    RuleBuilder& channel(std::string_view text) {
        rule_.channels.push_back(parse_channel_template(text));
        return *this;
    }
    RuleBuilder& id(std::vector<std::string> columns) {
        rule_.id = std::move(columns);
        return *this;
    }
    RuleBuilder& where(std::string_view text) {
        rule_.where = parse_predicate(text);
        return *this;
    }
    RuleBuilder& delete_when(std::string_view text) {
        rule_.delete_when = parse_predicate(text);
        return *this;
    }
    RuleBuilder& only(Action action) {
        rule_.operations = 1U << static_cast<unsigned>(action);
        return *this;
    }
    RuleBuilder& columns(std::vector<std::string> names) {
        rule_.columns = std::move(names);
        return *this;
    }
    RuleBuilder& exclude(std::vector<std::string> names) {
        rule_.exclude = std::move(names);
        return *this;
    }
    RuleBuilder& rename(std::string from, std::string to) {
        rule_.rename.emplace_back(std::move(from), std::move(to));
        return *this;
    }
    RuleBuilder& data(DataKind kind) {
        rule_.data = kind;
        return *this;
    }
    RuleBuilder& string_ids() {
        rule_.are_ids_strings = true;
        return *this;
    }
    RuleBuilder& metadata() {
        rule_.has_metadata = true;
        return *this;
    }
    RuleBuilder& coalescing() {
        rule_.is_coalescing = true;
        return *this;
    }
    RuleBuilder& unroutable(Unroutable policy) {
        rule_.unroutable = policy;
        return *this;
    }

    operator Rule() const { return rule_; }  // NOLINT(google-explicit-constructor)

private:
    Rule rule_;
};

inline RuleBuilder rule_for(std::string table) {
    return RuleBuilder(std::move(table));
}

// A router with all that it needs. No table is in the catalog unless it is put there.
struct RouterFixture {
    std::vector<Rule> rules;
    Catalog catalog;
    Router router;

    explicit RouterFixture(std::vector<Rule> given)
        : rules(std::move(given)), router(rules, catalog, Router::WithoutId::refused) {}
    RouterFixture(const RouterFixture&) = delete;
};

}  // namespace walcast
