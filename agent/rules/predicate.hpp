#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// A predicate as a rule writes it: part of the SQL that a publication's row filter takes.
struct Predicate {
    struct Literal {
        enum class Kind { number, string, boolean } kind = Kind::number;
        std::string text = {};  // A string's without its quotes.
        std::size_t offset = 0;

        bool operator==(const Literal&) const = default;
    };
    // What is asked of one column.
    struct Condition {
        enum class Test {
            is_in,             // Equal to any of the literals; `=` has one.
            is_less,           // `>=` is its negation,
            is_less_or_equal,  // and `>` is that of this one.
            is_between,        // Two literals.
            is_like,
            is_null,
            is_true,
            is_false,
            holds,  // A boolean column by itself.
        };
        std::string column;  // Folded to lower case unless it was quoted.
        std::size_t offset = 0;
        Test test = Test::holds;
        bool is_negated = false;
        std::vector<Literal> literals;

        bool operator==(const Condition&) const = default;
    };
    struct Node {
        enum class Kind { all_of, any_of, negation, condition } kind = Kind::condition;
        std::size_t size = 1;  // It, and all nodes below it, which follow it.
        Condition condition = {};

        bool operator==(const Node&) const = default;
    };

    std::string text;
    std::vector<Node> nodes;

    // The columns it uses, each once.
    std::vector<std::string> columns() const;

    bool operator==(const Predicate&) const = default;
};

// What is wrong with a predicate, where, and what would do.
struct PredicateError : std::invalid_argument {
    PredicateError(std::size_t where, const std::string& what);

    std::size_t offset;  // In bytes.
};

// Throws PredicateError.
Predicate parse_predicate(std::string_view text);

}  // namespace walcast
