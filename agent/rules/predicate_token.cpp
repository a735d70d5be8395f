#include "agent/rules/predicate_token.hpp"

#include "agent/rules/predicate.hpp"
#include "decoders/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

namespace walcast {

namespace {

using Kind = PredicateToken::Kind;

bool is_one_of(char character, std::string_view characters) {
    return characters.find(character) != std::string_view::npos;
}

bool contains(std::initializer_list<std::string_view> texts, std::string_view text) {
    return std::find(texts.begin(), texts.end(), text) != texts.end();
}

bool is_digit(char character) {
    return character >= '0' && character <= '9';
}

// As Postgres: any byte beyond ASCII is a letter.
bool begins_word(char character) {
    auto is_letter =
        (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
    return is_letter || character == '_' || static_cast<unsigned char>(character) >= 0x80;
}

bool continues_word(char character) {
    return begins_word(character) || is_digit(character) || character == '$';
}

// Up to the closing mark, which is doubled where it means itself. `end` is moved behind it.
std::string unquoted(std::string_view text, std::size_t& end) {
    auto begin = end;
    auto mark = text[end++];
    std::string out;
    for (; end < text.size(); ++end) {
        if (text[end] != mark) {
            out += text[end];
        } else if (end + 1 < text.size() && text[end + 1] == mark) {
            out += text[end++];
        } else {
            ++end;
            return out;
        }
    }
    throw PredicateError(begin, fmt::format("the {} is not closed", mark));
}

void skip_digits(std::string_view text, std::size_t& end) {
    while (end < text.size() && is_digit(text[end])) ++end;
}

void skip_number(std::string_view text, std::size_t& end) {
    auto begin = end;
    skip_digits(text, end);
    if (end < text.size() && text[end] == '.') skip_digits(text, ++end);
    if (end < text.size() && is_one_of(text[end], "eE")) {
        auto digits = end + 1;
        if (digits < text.size() && is_one_of(text[digits], "+-")) ++digits;
        if (digits < text.size() && is_digit(text[digits])) skip_digits(text, end = digits);
    }
    auto number_end = end;
    while (end < text.size() && (continues_word(text[end]) || text[end] == '.')) ++end;
    if (end > number_end)
        throw PredicateError(begin,
                             fmt::format("\"{}\" is not a number; expected one as 10, -2.5 or 1e6",
                                         shorten(text.substr(begin, end - begin))));
}

// As Postgres: the longest run, of which a sign at the end belongs to what follows.
void skip_operator(std::string_view text, std::size_t& end) {
    auto begin = end;
    while (end < text.size() && is_one_of(text[end], "+-*/<>=~!@#%^&|`?:")) ++end;
    auto run = text.substr(begin, end - begin);
    if (run.find("--") != std::string_view::npos || run.find("/*") != std::string_view::npos)
        throw PredicateError(begin, "comments are not supported");
    while (end > begin + 1 && is_one_of(text[end - 1], "+-")) --end;
}

}  // namespace

bool PredicateToken::is_comparison() const {
    return kind == Kind::symbol && contains({"=", "<>", "!=", "<", "<=", ">", ">="}, text);
}

bool PredicateToken::is_reserved() const {
    return kind == Kind::word &&
           contains({"and", "or", "not", "in", "between", "is", "null", "true", "false", "like"},
                    text);
}

std::string PredicateToken::excerpt() const {
    return kind == Kind::end ? "the end" : '"' + shorten(shown) + '"';
}

bool is_plain_name(std::string_view name) {
    auto is_word = !name.empty() && begins_word(name[0]) &&
                   std::all_of(name.begin(), name.end(), continues_word) && folded(name) == name;
    return is_word && !PredicateToken{.kind = Kind::word, .text = std::string(name)}.is_reserved();
}

std::string folded(std::string_view text) {
    std::string lower(text);
    for (auto& character : lower)
        if (character >= 'A' && character <= 'Z') character = static_cast<char>(character + 32);
    return lower;
}

std::string shorten(std::string_view text) {
    constexpr std::size_t size_max = 40;
    if (text.size() <= size_max) return std::string(text);
    text = text.substr(0, size_max);
    return std::string(text.substr(0, first_not_utf8(text))) + "…";
}

PredicateToken read_predicate_token(std::string_view text, std::size_t offset) {
    while (offset < text.size() && is_one_of(text[offset], " \t\n\r\f\v")) ++offset;
    PredicateToken token{.kind = Kind::end, .offset = offset};
    if (offset == text.size()) return token;
    auto end = offset;
    auto first = text[offset];
    auto is_fraction = first == '.' && offset + 1 < text.size() && is_digit(text[offset + 1]);
    if (begins_word(first)) {
        while (end < text.size() && continues_word(text[end])) ++end;
        token.kind = Kind::word;
        token.text = folded(text.substr(offset, end - offset));
    } else if (first == '"' || first == '\'') {
        token.kind = first == '"' ? Kind::quoted_name : Kind::string;
        token.text = unquoted(text, end);
    } else if (is_digit(first) || is_fraction) {
        token.kind = Kind::number;
        skip_number(text, end);
    } else {
        token.kind = Kind::symbol;
        skip_operator(text, end);
        if (end == offset) end = offset + 1;
    }
    token.shown = text.substr(offset, end - offset);
    if (token.kind == Kind::number || token.kind == Kind::symbol) token.text = token.shown;
    return token;
}

}  // namespace walcast
