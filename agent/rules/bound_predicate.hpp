#pragma once

#include "agent/rules/known_row.hpp"
#include "agent/rules/predicate.hpp"
#include "agent/rules/sql_value.hpp"
#include "agent/rules/truth.hpp"
#include "decoders/event.hpp"
#include "decoders/json_type.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace walcast {

// A predicate made ready for one table. It is what a row filter of the publication would be.
class BoundPredicate {
public:
    // Throws PredicateError when a column is missing, when its type cannot be compared so, or when
    // a literal is none of its type.
    BoundPredicate(const Predicate& predicate, const Relation& relation, const JsonTypes& types);

    // Throws ValueError when a value is not what its type prints.
    Truth evaluate(const KnownRow& row) const;

private:
    using Test = Predicate::Condition::Test;

    // Copies share the text, which the value is a view of.
    struct Literal {
        std::shared_ptr<const std::string> text;
        SqlValue value;
    };
    struct Condition {
        std::size_t column = 0;
        SqlType type = SqlType::other;
        Test test = Test::holds;
        bool is_negated = false;
        std::vector<Literal> literals = {};
    };
    struct Node {
        Predicate::Node::Kind kind = Predicate::Node::Kind::condition;
        std::size_t size = 1;  // As Predicate::Node.
        Condition condition = {};
    };

    static Condition bind(const Predicate::Condition& condition, const Relation& relation,
                          const JsonTypes& types);
    static Truth evaluate(const Condition& condition, const KnownRow& row);
    static bool holds(const Condition& condition, std::string_view text);
    Truth evaluate(std::size_t node, const KnownRow& row) const;

    std::vector<Node> nodes_;
};

}  // namespace walcast
