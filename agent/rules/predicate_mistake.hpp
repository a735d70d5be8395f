#pragma once

#include "agent/rules/predicate_token.hpp"

#include <initializer_list>
#include <string>
#include <string_view>

namespace walcast {

// What may be wrong where a predicate does not go on: each throws PredicateError, at the token
// found there, and says what would do.

[[noreturn]] void fail_at(const PredicateToken& found, const std::string& what);

// `words`: those that could stand there, of which one may be misspelled.
[[noreturn]] void fail_expected(const PredicateToken& found, std::string_view what,
                                std::initializer_list<std::string_view> words = {});

[[noreturn]] void fail_not_column(const PredicateToken& found);
[[noreturn]] void fail_not_literal(const PredicateToken& found);
[[noreturn]] void fail_after_column(const PredicateToken& found);
[[noreturn]] void fail_after_condition(const PredicateToken& found);

}  // namespace walcast
