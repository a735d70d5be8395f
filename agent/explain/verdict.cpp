#include "agent/explain/verdict.hpp"

#include "agent/rules/bound_predicate.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace walcast {

using Condition = Predicate::Condition;
using Kind = Predicate::Node::Kind;
using Test = Condition::Test;

// --- as text ---

static std::string quoted(std::string_view text, char mark) {
    std::string out(1, mark);
    for (auto character : text) {
        if (character == mark) out += mark;
        out += character;
    }
    return out + mark;
}

static std::string column_as_sql(const std::string& name) {
    auto is_plain = std::all_of(name.begin(), name.end(), [](char character) {
        return (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9') ||
               character == '_';
    });
    return is_plain ? name : quoted(name, '"');
}

static std::string literal_as_sql(const Predicate::Literal& literal) {
    auto is_string = literal.kind == Predicate::Literal::Kind::string;
    return is_string ? quoted(literal.text, '\'') : literal.text;
}

std::string to_sql(const Condition& condition) {
    std::vector<std::string> literals;
    for (const auto& literal : condition.literals) literals.push_back(literal_as_sql(literal));
    auto column = column_as_sql(condition.column);
    auto is_negated = condition.is_negated;
    auto word = is_negated ? "not " : "";
    switch (condition.test) {
        case Test::is_in:
            if (literals.size() == 1)
                return fmt::format("{} {} {}", column, is_negated ? "<>" : "=", literals[0]);
            return fmt::format("{} {}in ({})", column, word, fmt::join(literals, ", "));
        case Test::is_less:
            return fmt::format("{} {} {}", column, is_negated ? ">=" : "<", literals[0]);
        case Test::is_less_or_equal:
            return fmt::format("{} {} {}", column, is_negated ? ">" : "<=", literals[0]);
        case Test::is_between:
            return fmt::format("{} {}between {} and {}", column, word, literals[0], literals[1]);
        case Test::is_like: return fmt::format("{} {}like {}", column, word, literals[0]);
        case Test::is_null: return fmt::format("{} is {}null", column, word);
        case Test::is_true: return fmt::format("{} is {}true", column, word);
        case Test::is_false: return fmt::format("{} is {}false", column, word);
        case Test::holds: return word + column;
    }
    return column;
}

std::string_view name_of(Truth truth) {
    if (truth.is_true()) return "true";
    if (truth.is_false()) return "false";
    if (truth == Truth::null()) return "null";
    return truth.is_not_true() ? "false or null" : "not known";
}

// --- judged ---

namespace {

class Judge {
public:
    Judge(const Predicate& predicate, const Relation& relation, const JsonTypes& types,
          const KnownRow& row)
        : predicate_(predicate), relation_(relation), types_(types), row_(row) {}

    Truth truth_of(std::size_t node) const;
    void find_deciders(std::size_t node, std::vector<Verdict::Decider>& deciders) const;

private:
    const Predicate& predicate_;
    const Relation& relation_;
    const JsonTypes& types_;
    const KnownRow& row_;
};

// Each part as a predicate by itself, so that there is one that says what is true.
Truth Judge::truth_of(std::size_t node) const {
    auto begin = predicate_.nodes.begin() + static_cast<std::ptrdiff_t>(node);
    Predicate part;
    part.text = predicate_.text;
    part.nodes.assign(begin, begin + static_cast<std::ptrdiff_t>(begin->size));
    return BoundPredicate(part, relation_, types_).evaluate(row_);
}

void Judge::find_deciders(std::size_t at, std::vector<Verdict::Decider>& deciders) const {
    const auto& node = predicate_.nodes[at];
    auto truth = truth_of(at);
    if (node.kind == Kind::condition) {
        deciders.push_back({to_sql(node.condition), node.condition.column, truth});
        return;
    }
    if (node.kind == Kind::negation) return find_deciders(at + 1, deciders);
    for (auto part = at + 1; part < at + node.size; part += predicate_.nodes[part].size) {
        auto of_part = truth_of(part);
        auto is_idle = false;  // The result would be the same without it.
        if (node.kind == Kind::all_of)
            is_idle =
                truth.is_false() ? !of_part.is_false() : !truth.is_true() && of_part.is_true();
        else
            is_idle =
                truth.is_true() ? !of_part.is_true() : !truth.is_false() && of_part.is_false();
        if (!is_idle) find_deciders(part, deciders);
    }
}

}  // namespace

Verdict judge(const Predicate& predicate, const Relation& relation, const JsonTypes& types,
              const KnownRow& row) {
    Judge judge(predicate, relation, types, row);
    Verdict verdict{.truth = judge.truth_of(0), .deciders = {}};
    judge.find_deciders(0, verdict.deciders);
    return verdict;
}

}  // namespace walcast
