#pragma once

#include "agent/rules/predicate.hpp"
#include "agent/rules/sql_value.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace walcast {

// A literal as the server would print it, and the type that it is then read as: a number beside a
// column of integers may have a fraction.
struct SqlLiteral {
    SqlType type = SqlType::other;
    std::string text;
};

// Nothing when it is no value of the type.
std::optional<SqlLiteral> sql_literal(SqlType type, const Predicate::Literal& literal);

// What would have been one: `a number`.
std::string_view expected_literal(SqlType type);

}  // namespace walcast
