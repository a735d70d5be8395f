#include "agent/rules/predicate.hpp"

#include "agent/rules/predicate_mistake.hpp"
#include "agent/rules/predicate_token.hpp"
#include "decoders/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace walcast {

// Names and literals may hold anything.
static std::string printable(std::string text) {
    for (auto& character : text)
        if (static_cast<unsigned char>(character) < 0x20 || character == 0x7F) character = '?';
    return text;
}

PredicateError::PredicateError(std::size_t where, const std::string& what)
    : std::invalid_argument(printable(fmt::format("at {}: {}", where + 1, what))), offset(where) {}

namespace {

using Token = PredicateToken;
using Literal = Predicate::Literal;
using Condition = Predicate::Condition;
using Node = Predicate::Node;
using Test = Condition::Test;

constexpr std::size_t size_max = 65536;
constexpr std::size_t depth_max = 100;

// `a > 1` for `1 < a`.
std::string_view turned_round(std::string_view comparison) {
    if (comparison == "<") return ">";
    if (comparison == "<=") return ">=";
    if (comparison == ">") return "<";
    if (comparison == ">=") return "<=";
    return comparison;
}

void set_comparison(Condition& condition, std::string_view comparison) {
    auto is_equality = comparison == "=" || comparison == "<>" || comparison == "!=";
    auto is_less = comparison == "<" || comparison == ">=";
    condition.test = is_equality ? Test::is_in : is_less ? Test::is_less : Test::is_less_or_equal;
    condition.is_negated = comparison != "=" && comparison != "<" && comparison != "<=";
}

class Parser {
public:
    explicit Parser(std::string_view text) : text_(text) { next(); }

    std::vector<Node> parse() {
        if (token_.kind == Token::Kind::end)
            fail_at(token_, "a predicate is needed, as \"deleted_at is null\"");
        parse_any_of();
        if (token_.kind != Token::Kind::end) fail_after_condition(token_);
        return std::move(nodes_);
    }

private:
    void next() { token_ = read_predicate_token(text_, token_.offset + token_.shown.size()); }

    Token take() {
        auto taken = token_;
        next();
        return taken;
    }
    bool take_word(std::string_view word) {
        auto is_there = token_.is_word(word);
        if (is_there) next();
        return is_there;
    }
    bool take_symbol(std::string_view symbol) {
        auto is_there = token_.is_symbol(symbol);
        if (is_there) next();
        return is_there;
    }

    void enter() {
        if (++depth_ > depth_max)
            fail_at(token_,
                    fmt::format("more than {} parentheses and nots within each other", depth_max));
    }

    void parse_any_of() {
        parse_joined("or", Node::Kind::any_of, [this] { parse_all_of(); });
    }
    void parse_all_of() {
        parse_joined("and", Node::Kind::all_of, [this] { parse_negation(); });
    }

    template <typename Part>
    void parse_joined(std::string_view word, Node::Kind kind, Part parse_part) {
        auto begin = nodes_.size();
        parse_part();
        if (!token_.is_word(word)) return;
        nodes_.insert(nodes_.begin() + static_cast<std::ptrdiff_t>(begin), Node{.kind = kind});
        while (take_word(word)) parse_part();
        nodes_[begin].size = nodes_.size() - begin;
    }

    void parse_negation() {
        if (!token_.is_word("not")) return parse_part();
        enter();
        next();
        auto begin = nodes_.size();
        nodes_.push_back({.kind = Node::Kind::negation});
        parse_negation();
        nodes_[begin].size = nodes_.size() - begin;
        --depth_;
    }

    void parse_part() {
        if (!token_.is_symbol("(")) {
            nodes_.push_back({.condition = parse_condition()});
            return;
        }
        auto opened = token_;
        enter();
        next();
        parse_any_of();
        if (token_.kind == Token::Kind::end) fail_at(opened, "the ( is not closed");
        if (!take_symbol(")")) fail_after_condition(token_);
        --depth_;
    }

    Condition parse_condition() {
        if (is_literal_begin()) return parse_turned_round();
        Condition condition;
        condition.offset = token_.offset;
        condition.column = take_column();
        if (token_.is_comparison()) {
            set_comparison(condition, take().text);
            condition.literals.push_back(take_literal());
        } else if (take_word("is")) {
            parse_is(condition);
        } else {
            condition.is_negated = take_word("not");
            parse_word_test(condition);
        }
        return condition;
    }

    void parse_word_test(Condition& condition) {
        if (take_word("in")) {
            condition.test = Test::is_in;
            parse_list(condition);
        } else if (take_word("between")) {
            condition.test = Test::is_between;
            condition.literals.push_back(take_literal());
            if (!take_word("and")) fail_expected(token_, "and, as in \"between 1 and 9\"", {"and"});
            condition.literals.push_back(take_literal());
        } else if (take_word("like")) {
            condition.test = Test::is_like;
            if (token_.kind != Token::Kind::string) fail_expected(token_, "a pattern as 'x%'");
            condition.literals.push_back(take_literal());
            check_pattern(condition.literals[0]);
        } else if (condition.is_negated) {
            fail_expected(token_, "in, between or like", {"in", "between", "like"});
        } else {
            check_after_column();
        }
    }

    void parse_list(Condition& condition) {
        if (!take_symbol("(")) fail_expected(token_, "a list as (1, 2)");
        do condition.literals.push_back(take_literal());
        while (take_symbol(","));
        if (!take_symbol(")")) fail_expected(token_, "a comma or )");
    }

    void parse_is(Condition& condition) {
        condition.is_negated = take_word("not");
        if (take_word("null"))
            condition.test = Test::is_null;
        else if (take_word("true"))
            condition.test = Test::is_true;
        else if (take_word("false"))
            condition.test = Test::is_false;
        else
            fail_expected(token_,
                          condition.is_negated ? "null, true or false" : "null, true, false or not",
                          {"null", "true", "false", "not"});
    }

    // A column by itself is a condition; but what follows may show that another was meant.
    void check_after_column() const {
        auto is_end = token_.kind == Token::Kind::end || token_.is_symbol(")");
        if (!is_end && !token_.is_word("and") && !token_.is_word("or")) fail_after_column(token_);
    }

    bool is_literal_begin() const {
        return token_.kind == Token::Kind::number || token_.kind == Token::Kind::string ||
               token_.is_symbol("-") || token_.is_symbol("+") || token_.is_word("true") ||
               token_.is_word("false");
    }

    Condition parse_turned_round() {
        auto first = token_;
        Condition condition;
        condition.literals.push_back(take_literal());
        if (!token_.is_comparison())
            fail_at(first,
                    fmt::format("{} is not a predicate; expected a column, as in \"amount > 10\"",
                                first.excerpt()));
        set_comparison(condition, turned_round(take().text));
        condition.offset = token_.offset;
        condition.column = take_column();
        return condition;
    }

    std::string take_column() {
        if (!token_.is_name()) fail_not_column(token_);
        if (token_.text.empty()) fail_at(token_, "a column's name is not empty");
        return take().text;
    }

    Literal take_literal() {
        Literal literal{.offset = token_.offset};
        if (token_.is_symbol("-") || token_.is_symbol("+")) {
            literal.text = take().text;
            if (token_.kind != Token::Kind::number) fail_expected(token_, "a number");
        }
        if (token_.kind == Token::Kind::string)
            literal.kind = Literal::Kind::string;
        else if (token_.is_word("true") || token_.is_word("false"))
            literal.kind = Literal::Kind::boolean;
        else if (token_.kind != Token::Kind::number)
            fail_not_literal(token_);
        literal.text += take().text;
        return literal;
    }

    static void check_pattern(const Literal& literal) {
        std::size_t escapes = 0;
        for (auto i = literal.text.size(); i > 0 && literal.text[i - 1] == '\\'; --i) ++escapes;
        if (escapes % 2 == 1)
            throw PredicateError(
                literal.offset,
                "the pattern ends in \\, which escapes what follows it; a backslash "
                "itself is \\\\");
    }

    std::string_view text_;
    Token token_;
    std::vector<Node> nodes_;
    std::size_t depth_ = 0;
};

}  // namespace

Predicate parse_predicate(std::string_view text) {
    if (text.size() > size_max)
        throw PredicateError(size_max, fmt::format("longer than {} bytes", size_max));
    if (!is_utf8(text)) throw PredicateError(first_not_utf8(text), "not UTF-8");
    if (auto nul = text.find('\0'); nul != std::string_view::npos)
        throw PredicateError(nul, "a NUL, which no text of Postgres holds");
    return {.text = std::string(text), .nodes = Parser(text).parse()};
}

std::vector<std::string> Predicate::columns() const {
    std::vector<std::string> names;
    for (const auto& node : nodes) {
        if (node.kind != Node::Kind::condition) continue;
        const auto& name = node.condition.column;
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    return names;
}

}  // namespace walcast
