#include "agent/rules/rule_keys.hpp"

#include "agent/errors.hpp"
#include "agent/spelling.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <span>

namespace walcast {

namespace {

constexpr std::string_view keys[] = {
    "table",   "model",  "channels", "id",         "where", "delete_when", "operations", "columns",
    "exclude", "rename", "data",     "unroutable", "ids",   "metadata",    "coalesce"};

// One key of a rule, and where it and its value stand.
class RuleKey {
public:
    RuleKey(Rule& rule, const toml::key& key, const toml::node& node)
        : rule_(rule), name_(key.str()), key_(key), node_(node) {}

    void read();

private:
    [[noreturn]] void fail(toml::source_position at, std::string_view why) const {
        throw ConfigError(fmt::format("{}:{}:{}: {}", rule_.file, at.line, at.column, why));
    }
    [[noreturn]] void fail(std::string_view why) const {
        fail(node_.source().begin, fmt::format("{}: {}", name_, why));
    }

    // Remembers where a string begins, behind its quote where that is all there is before it.
    void note(const std::string& key, const toml::node& node, const std::string& text) {
        const auto& source = node.source();
        auto is_plain = source.end.line == source.begin.line &&
                        source.end.column == source.begin.column + text.size() + 2;
        rule_.places[key] = {source.begin.line, source.begin.column + (is_plain ? 1U : 0U)};
    }
    std::string text();
    bool boolean();
    std::vector<std::string> list(std::string_view one);
    void read_channels();
    void read_rename();
    void read_operations();
    void read_predicate(std::optional<Predicate>& predicate);
    template <typename Choice, std::size_t count>
    Choice choice(const std::array<std::pair<std::string_view, Choice>, count>& choices);

    Rule& rule_;
    std::string name_;
    const toml::key& key_;
    const toml::node& node_;
};

std::string RuleKey::text() {
    auto value = node_.value_exact<std::string>();
    if (!value || value->empty()) fail("expected a string");
    note(name_, node_, *value);
    return *value;
}

bool RuleKey::boolean() {
    auto value = node_.value_exact<bool>();
    if (!value) fail("expected true or false");
    return *value;
}

std::vector<std::string> RuleKey::list(std::string_view one) {
    const auto* array = node_.as_array();
    if (array == nullptr) fail(fmt::format("expected a list of strings: {} = [\"...\"]", name_));
    std::vector<std::string> texts;
    std::set<std::string> seen;
    for (const auto& item : *array) {
        auto value = item.value_exact<std::string>();
        if (!value) fail(item.source().begin, fmt::format("{}: expected a string", name_));
        note(fmt::format("{}.{}", name_, texts.size()), item, *value);
        auto is_there = !seen.insert(*value).second;
        if (is_there && name_ != "channels")  // Of channels one is named once, whatever names it.
            fail(item.source().begin, fmt::format("{}: \"{}\" is there twice", name_, *value));
        texts.push_back(*value);
    }
    if (texts.empty()) fail(fmt::format("expected at least one {}", one));
    return texts;
}

void RuleKey::read_channels() {
    auto texts = list("channel");
    for (std::size_t i = 0; i < texts.size(); ++i) {
        try {
            rule_.channels.push_back(parse_channel_template(texts[i]));
        } catch (const ChannelTemplateError& error) {
            throw ConfigError(fmt::format(
                "{}: channels: {}", rule_.place_of(fmt::format("channels.{}", i), error.offset),
                error.what()));
        }
    }
}

void RuleKey::read_predicate(std::optional<Predicate>& predicate) {
    auto written = text();
    try {
        predicate = parse_predicate(written);
    } catch (const PredicateError& error) {
        throw ConfigError(
            fmt::format("{}: {}: {}", rule_.place_of(name_, error.offset), name_, error.what()));
    }
}

void RuleKey::read_operations() {
    constexpr std::array<std::string_view, 3> names{"insert", "update", "delete"};
    auto words = list("operation");
    rule_.operations = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto* found = std::find(names.begin(), names.end(), words[i]);
        if (found == names.end())
            throw ConfigError(fmt::format("{}: operations: \"{}\"; did you mean \"{}\"?",
                                          rule_.place_of(fmt::format("operations.{}", i)), words[i],
                                          nearest(words[i], names)));
        rule_.operations |= 1U << static_cast<unsigned>(found - names.begin());
    }
}

void RuleKey::read_rename() {
    const auto* names = node_.as_table();
    if (names == nullptr || names->empty())
        fail("expected columns and their new names: rename = { workspace_id = \"workspaceId\" }");
    for (const auto& [column, node] : *names) {
        auto name = node.value_exact<std::string>();
        if (!name || name->empty())
            fail(node.source().begin, fmt::format("rename: {}: expected a name", column.str()));
        for (const auto& [other, taken] : rule_.rename)
            if (taken == *name)
                fail(node.source().begin, fmt::format("rename: {} and {} would both be \"{}\"",
                                                      other, column.str(), *name));
        auto at = column.source().begin;
        rule_.places[fmt::format("rename.{}", rule_.rename.size())] = {at.line, at.column};
        rule_.rename.emplace_back(column.str(), *name);
    }
}

template <typename Choice, std::size_t count>
Choice RuleKey::choice(const std::array<std::pair<std::string_view, Choice>, count>& choices) {
    auto word = text();
    std::vector<std::string_view> words;
    for (const auto& [name, value] : choices) {
        if (word == name) return value;
        words.push_back(name);
    }
    fail(fmt::format("\"{}\"; did you mean \"{}\"? There are {}", word, nearest(word, words),
                     fmt::join(words, ", ")));
}

void RuleKey::read() {
    if (name_ == "table") {
        rule_.table = text();
        if (rule_.table.find('.') == std::string::npos)
            fail(fmt::format("expected schema and table: \"public.{}\"", rule_.table));
    } else if (name_ == "model") {
        rule_.model = text();
    } else if (name_ == "id") {
        rule_.id = list("column");
    } else if (name_ == "channels") {
        read_channels();
    } else if (name_ == "where") {
        read_predicate(rule_.where);
    } else if (name_ == "delete_when") {
        read_predicate(rule_.delete_when);
    } else if (name_ == "operations") {
        read_operations();
    } else if (name_ == "columns") {
        rule_.columns = list("column");
    } else if (name_ == "exclude") {
        rule_.exclude = list("column");
    } else if (name_ == "rename") {
        read_rename();
    } else if (name_ == "data") {
        rule_.data = choice<DataKind, 3>(
            {{{"full", DataKind::full}, {"delta", DataKind::delta}, {"patch", DataKind::patch}}});
    } else if (name_ == "ids") {
        rule_.are_ids_strings = choice<bool, 2>({{{"typed", false}, {"string", true}}});
    } else if (name_ == "metadata") {
        rule_.has_metadata = boolean();
    } else if (name_ == "coalesce") {
        rule_.is_coalescing = boolean();
        note(name_, node_, "");
    } else if (name_ == "unroutable") {
        rule_.unroutable = choice<Unroutable, 3>({{{"reset", Unroutable::reset},
                                                   {"error", Unroutable::error},
                                                   {"skip", Unroutable::skip}}});
    } else {
        fail(key_.source().begin,
             fmt::format("unknown key \"{}\" in [[rule]]; did you mean \"{}\"?", name_,
                         nearest(name_, keys)));
    }
}

// What a column is called in the data, where nothing of the table need be known.
std::string_view name_in_data(const Rule& rule, std::string_view column) {
    for (const auto& [from, to] : rule.rename)
        if (from == column) return to;
    return column;
}

// What does not go together.
void check_whole(const Rule& rule) {
    auto refuse = [&](std::string_view key, const std::string& why) {
        throw ConfigError(fmt::format("{}: {}", rule.place_of(key), why));
    };
    if (rule.table.empty()) refuse("", "rule: table is missing: table = \"public.todos\"");
    if (rule.channels.empty()) refuse("", "rule: channels is missing: channels = [\"todos:{id}\"]");
    if (rule.is_coalescing && rule.data != DataKind::full)
        refuse(
            "coalesce",
            "coalesce: the last of several changes is not all of them: it needs data = \"full\"");
    if (!rule.columns.empty() && !rule.exclude.empty())
        refuse("exclude.0", "exclude: columns says already which ones are left: give one of both");
    auto has = [](const std::vector<std::string>& names, const std::string& name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    for (std::size_t i = 0; i < rule.rename.size(); ++i) {
        const auto& column = rule.rename[i].first;
        if (has(rule.exclude, column) || (!rule.columns.empty() && !has(rule.columns, column)))
            refuse(fmt::format("rename.{}", i),
                   fmt::format("rename: {} is not part of the data", column));
    }
    for (std::size_t i = 0; i < rule.columns.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (name_in_data(rule, rule.columns[i]) == name_in_data(rule, rule.columns[j]))
                refuse(fmt::format("columns.{}", i),
                       fmt::format("columns: {} and {} would both be \"{}\"", rule.columns[j],
                                   rule.columns[i], name_in_data(rule, rule.columns[i])));
    for (std::size_t i = 0; i < rule.id.size(); ++i)
        if (has(rule.exclude, rule.id[i]))
            refuse(fmt::format("id.{}", i),
                   fmt::format("id: {} is excluded, and would be in every modelId", rule.id[i]));
}

}  // namespace

Rule read_rule(const toml::table& table, const std::string& file) {
    Rule rule;
    rule.file = file;
    rule.line = table.source().begin.line;
    // In the order in which they are written, so that the first error is the first.
    std::vector<std::pair<const toml::key*, const toml::node*>> members;
    for (const auto& [key, node] : table) members.emplace_back(&key, &node);
    std::sort(members.begin(), members.end(), [](const auto& a, const auto& b) {
        auto at = [](const toml::key* key) {
            const auto& begin = key->source().begin;
            return std::pair(begin.line, begin.column);
        };
        return at(a.first) < at(b.first);
    });
    for (const auto& [key, node] : members) RuleKey(rule, *key, *node).read();
    check_whole(rule);
    return rule;
}

}  // namespace walcast
