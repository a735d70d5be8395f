#include "agent/rules/predicate_mistake.hpp"

#include "agent/rules/predicate.hpp"
#include "agent/spelling.hpp"

#include <fmt/format.h>

namespace walcast {

using Kind = PredicateToken::Kind;

// Of the words that could stand there, the one that is meant.
static std::string meant(const PredicateToken& found,
                         std::initializer_list<std::string_view> words) {
    constexpr std::size_t size_max = 20;  // Nothing longer is near to any of them.
    constexpr std::size_t distance_max = 2;
    if (found.kind != Kind::word || found.text.size() > size_max) return {};
    auto word = nearest(found.text, words);
    auto distance = edit_distance(found.text, word);
    if (distance > distance_max || distance >= word.size()) return {};
    return fmt::format("; did you mean \"{}\"?", word);
}

void fail_at(const PredicateToken& found, const std::string& what) {
    throw PredicateError(found.offset, what);
}

void fail_expected(const PredicateToken& found, std::string_view what,
                   std::initializer_list<std::string_view> words) {
    fail_at(found,
            fmt::format("found {}, expected {}{}", found.excerpt(), what, meant(found, words)));
}

void fail_not_column(const PredicateToken& found) {
    if (found.is_reserved())
        fail_expected(found, "a column; one of that name is written in double quotes");
    fail_expected(found, "a column");
}

void fail_not_literal(const PredicateToken& found) {
    if (found.is_word("null"))
        fail_at(found,
                "nothing is equal to null, or less or more; write \"is null\" or \"is not null\"");
    if (found.kind == Kind::quoted_name)
        fail_at(found, fmt::format("{} in double quotes is a column, which cannot be compared with "
                                   "another; text is written in single quotes: '{}'",
                                   found.excerpt(), shorten(found.text)));
    if (found.kind == Kind::word && !found.is_reserved())
        fail_at(found, fmt::format("{} is not a literal, and columns cannot be compared with each "
                                   "other; text is written in single quotes: '{}'{}",
                                   found.excerpt(), shorten(found.shown),
                                   meant(found, {"true", "false", "null"})));
    fail_expected(found, "a number, a text in single quotes, true or false");
}

void fail_after_column(const PredicateToken& found) {
    if (found.is_symbol("("))
        fail_at(found, "functions are not supported; a row filter of the publication has them");
    if (found.is_symbol(".")) fail_at(found, "columns are named without their table");
    if (found.is_symbol("::"))
        fail_at(found, "casts are not supported; a literal takes its column's type");
    if (found.is_symbol("==")) fail_at(found, "found \"==\"; equality is \"=\"");
    if (found.is_word("ilike"))
        fail_at(found, "ilike is not supported; a row filter of the publication has it");
    if (found.kind == Kind::symbol)
        fail_at(found, fmt::format(
                           "{} is not supported; expected one of = <> < <= > >= is in between like",
                           found.excerpt()));
    fail_expected(found, "one of = <> < <= > >= is in between like and or",
                  {"is", "in", "between", "like", "not", "and", "or"});
}

void fail_after_condition(const PredicateToken& found) {
    if (found.is_symbol(")")) fail_at(found, "the ) was not opened");
    if (found.is_comparison() || found.is_word("is") || found.is_word("in"))
        fail_at(found,
                fmt::format("{} needs a column before it, as in \"amount > 10\"", found.excerpt()));
    fail_expected(found, "and, or, or the end", {"and", "or"});
}

}  // namespace walcast
