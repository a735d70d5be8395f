#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace walcast {

struct PredicateToken {
    enum class Kind { word, quoted_name, number, string, symbol, end } kind = Kind::end;
    std::string text = {};        // Words in lower case; names and strings without their quotes.
    std::string_view shown = {};  // As it is written.
    std::size_t offset = 0;

    bool is(Kind wanted, std::string_view wanted_text) const {
        return kind == wanted && text == wanted_text;
    }
    bool is_word(std::string_view word) const { return is(Kind::word, word); }
    bool is_symbol(std::string_view symbol) const { return is(Kind::symbol, symbol); }
    bool is_comparison() const;
    bool is_reserved() const;  // A word that is no column, unless it is quoted.
    bool is_name() const {
        return kind == Kind::quoted_name || (kind == Kind::word && !is_reserved());
    }

    // For errors.
    std::string excerpt() const;
};

// As SQL folds words: in lower case, of ASCII only.
std::string folded(std::string_view text);

// Whether it needs no double quotes.
bool is_plain_name(std::string_view name);

// The beginning of what may be long.
std::string shorten(std::string_view text);

// The token at `offset`, or after blanks there. Throws PredicateError.
PredicateToken read_predicate_token(std::string_view text, std::size_t offset);

}  // namespace walcast
