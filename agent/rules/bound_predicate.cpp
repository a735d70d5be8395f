#include "agent/rules/bound_predicate.hpp"

#include "agent/rules/like.hpp"
#include "agent/rules/predicate_token.hpp"
#include "agent/rules/sql_literal.hpp"
#include "agent/spelling.hpp"
#include "decoders/json_string.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace walcast {

using Kind = Predicate::Node::Kind;
using Test = Predicate::Condition::Test;

[[noreturn]] static void fail_missing(const Predicate::Condition& condition,
                                      const Relation& relation) {
    const auto& written = condition.column;
    std::vector<std::string> names;
    for (const auto& column : relation.columns) names.push_back(column.name);
    auto is_same = [&](const std::string& name) { return folded(name) == written; };
    auto in_other_case = std::find_if(names.begin(), names.end(), is_same);
    auto meant = in_other_case != names.end() ? *in_other_case : nearest(shorten(written), names);
    if (!is_plain_name(meant)) meant = '"' + meant + '"';
    throw PredicateError(
        condition.offset,
        fmt::format(
            "{}.{} has no column {}; did you mean {}?{}", relation.schema, relation.name,
            shorten(written), meant,
            in_other_case == names.end() ? "" : " Without double quotes a name is in lower case."));
}

static std::size_t column_of(const Predicate::Condition& condition, const Relation& relation) {
    const auto& columns = relation.columns;
    auto found = std::find_if(columns.begin(), columns.end(), [&](const Column& column) {
        return column.name == condition.column;
    });
    if (found == columns.end()) fail_missing(condition, relation);
    return static_cast<std::size_t>(found - columns.begin());
}

static bool is_ordering(Test test) {
    return test == Test::is_less || test == Test::is_less_or_equal || test == Test::is_between;
}

// Why values of the type cannot be asked so; empty where they can.
static std::string_view hindrance(Test test, SqlType type) {
    if (test == Test::is_null) return "";
    if (type == SqlType::other)
        return "of which only is null and is not null can be asked; "
               "a row filter of the publication can do more";
    if (test == Test::is_true || test == Test::is_false)
        return type == SqlType::boolean ? "" : "and only a boolean is true or false";
    if (test == Test::holds)
        return type == SqlType::boolean
                   ? ""
                   : "and only a boolean stands by itself; expected a comparison";
    if (test == Test::is_like)
        return has_patterns(type) ? "" : "and only text is like a pattern; expected a comparison";
    if (!is_ordering(test) || has_order(type)) return "";
    return has_patterns(type)
               ? "of which the order is that of a collation, which the stream does not tell; "
                 "expected =, <>, in or like"
               : "of which the stream does not tell the order; expected =, <> or in";
}

// --- made ready ---

BoundPredicate::BoundPredicate(const Predicate& predicate, const Relation& relation,
                               const JsonTypes& types) {
    assert(!predicate.nodes.empty());
    for (const auto& node : predicate.nodes) {
        auto& bound = nodes_.emplace_back(Node{.kind = node.kind, .size = node.size});
        if (node.kind == Kind::condition) bound.condition = bind(node.condition, relation, types);
    }
}

BoundPredicate::Condition BoundPredicate::bind(const Predicate::Condition& condition,
                                               const Relation& relation, const JsonTypes& types) {
    auto column = column_of(condition, relation);
    const auto& json_type = types.of(relation.columns[column].type_oid);
    auto type = sql_type_of(json_type);
    if (auto why = hindrance(condition.test, type); !why.empty())
        throw PredicateError(condition.offset,
                             fmt::format("column {} is {}, {}", shorten(condition.column),
                                         sql_name_of(json_type), why));
    Condition bound{
        .column = column, .type = type, .test = condition.test, .is_negated = condition.is_negated};
    // In a list numbers are made real; beside one by itself the column is made double.
    auto is_list = condition.test == Test::is_in && condition.literals.size() > 1;
    for (auto literal : condition.literals) {
        if (is_list && type == SqlType::float4 && literal.kind == Predicate::Literal::Kind::number)
            literal.kind = Predicate::Literal::Kind::string;
        auto made = sql_literal(type, literal);
        if (condition.test == Test::is_like) made = SqlLiteral{SqlType::text, literal.text};
        if (!made)
            throw PredicateError(literal.offset,
                                 fmt::format("column {} is {}, and {} is none; expected {}",
                                             shorten(condition.column), sql_name_of(json_type),
                                             shorten(literal.text), expected_literal(type)));
        auto text = std::make_shared<const std::string>(std::move(made->text));
        bound.literals.push_back({.text = text, .value = read_sql_value(made->type, *text)});
    }
    return bound;
}

// --- evaluated ---

Truth BoundPredicate::evaluate(const KnownRow& row) const {
    return evaluate(0, row);
}

Truth BoundPredicate::evaluate(std::size_t node, const KnownRow& row) const {
    const auto& [kind, size, condition] = nodes_[node];
    if (kind == Kind::condition) return evaluate(condition, row);
    if (kind == Kind::negation) return !evaluate(node + 1, row);
    auto is_all_of = kind == Kind::all_of;
    auto truth = Truth::of(is_all_of);
    for (auto part = node + 1; part < node + size; part += nodes_[part].size) {
        truth = is_all_of ? truth & evaluate(part, row) : truth | evaluate(part, row);
        if (is_all_of ? truth.is_false() : truth.is_true()) return truth;
    }
    return truth;
}

Truth BoundPredicate::evaluate(const Condition& condition, const KnownRow& row) {
    const auto* value = row.value(condition.column);
    auto test = condition.test;
    auto is_never_null = test == Test::is_null || test == Test::is_true || test == Test::is_false;
    if (value == nullptr) return is_never_null ? Truth::true_or_false() : Truth::anything();
    auto is_null = value->kind == Value::Kind::null;
    if (is_null && !is_never_null) return Truth::null();
    if (!is_null && value->kind != Value::Kind::text)
        throw ValueError("a value that is not text cannot be compared");
    auto is_so = is_null || test == Test::is_null ? is_null && test == Test::is_null
                                                  : holds(condition, value->text);
    return Truth::of(is_so != condition.is_negated);
}

bool BoundPredicate::holds(const Condition& condition, std::string_view text) {
    const auto& literals = condition.literals;
    if (condition.test == Test::is_like) return is_like(text, *literals[0].text);
    auto value = read_sql_value(condition.type, text);
    auto with = [&](std::size_t literal) { return compare(value, literals[literal].value); };
    switch (condition.test) {
        case Test::is_in:
            return std::any_of(literals.begin(), literals.end(), [&](const Literal& literal) {
                return compare(value, literal.value) == 0;
            });
        case Test::is_less: return with(0) < 0;
        case Test::is_less_or_equal: return with(0) <= 0;
        case Test::is_between: return with(0) >= 0 && with(1) <= 0;
        case Test::is_false: return std::get<std::int64_t>(value) == 0;
        default: return std::get<std::int64_t>(value) != 0;
    }
}

}  // namespace walcast
