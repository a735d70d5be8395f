#include "agent/rules/predicate.hpp"

#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <ostream>

namespace walcast {

using Literal = Predicate::Literal;
using Condition = Predicate::Condition;
using Node = Predicate::Node;
using Names = std::vector<std::string>;

static std::string show(const Condition& condition) {
    constexpr const char* tests[] = {"in",   "<",    "<=",    "between", "like",
                                     "null", "true", "false", "holds"};
    auto out = condition.column + ' ' + (condition.is_negated ? "not " : "") +
               tests[static_cast<int>(condition.test)];
    for (const auto& literal : condition.literals)
        out +=
            literal.kind == Literal::Kind::string ? " '" + literal.text + "'" : ' ' + literal.text;
    return out;
}

static std::string show(const std::vector<Node>& nodes, std::size_t at) {
    const auto& node = nodes[at];
    if (node.kind == Node::Kind::condition) return '[' + show(node.condition) + ']';
    std::string out = node.kind == Node::Kind::all_of   ? "(and"
                      : node.kind == Node::Kind::any_of ? "(or"
                                                        : "(not";
    for (auto part = at + 1; part < at + node.size; part += nodes[part].size)
        out += ' ' + show(nodes, part);
    return out + ')';
}

static std::string parsed(std::string_view text) {
    return show(parse_predicate(text).nodes, 0);
}

TEST(Predicate, HasTheConditionsOfSql) {
    EXPECT_EQ(parsed("a = 1"), "[a in 1]");
    EXPECT_EQ(parsed("a <> 1"), "[a not in 1]");
    EXPECT_EQ(parsed("a != 1"), "[a not in 1]");
    EXPECT_EQ(parsed("a < 1"), "[a < 1]");
    EXPECT_EQ(parsed("a <= 1"), "[a <= 1]");
    EXPECT_EQ(parsed("a > 1"), "[a not <= 1]");
    EXPECT_EQ(parsed("a >= 1"), "[a not < 1]");
    EXPECT_EQ(parsed("a in (1, 2)"), "[a in 1 2]");
    EXPECT_EQ(parsed("a not in ('x')"), "[a not in 'x']");
    EXPECT_EQ(parsed("a between 1 and 2"), "[a between 1 2]");
    EXPECT_EQ(parsed("a not between 1 and 2"), "[a not between 1 2]");
    EXPECT_EQ(parsed("a like 'x%'"), "[a like 'x%']");
    EXPECT_EQ(parsed("a not like 'x%'"), "[a not like 'x%']");
    EXPECT_EQ(parsed("a is null"), "[a null]");
    EXPECT_EQ(parsed("a is not null"), "[a not null]");
    EXPECT_EQ(parsed("a is not true"), "[a not true]");
    EXPECT_EQ(parsed("a is false"), "[a false]");
    EXPECT_EQ(parsed("a"), "[a holds]");
}

TEST(Predicate, TurnsALiteralBeforeItsColumnRound) {
    EXPECT_EQ(parsed("1 = a"), "[a in 1]");
    EXPECT_EQ(parsed("1 < a"), parsed("a > 1"));
    EXPECT_EQ(parsed("1 <= a"), parsed("a >= 1"));
    EXPECT_EQ(parsed("-1 > a"), parsed("a < -1"));
    EXPECT_EQ(parsed("'x' >= a"), parsed("a <= 'x'"));
}

TEST(Predicate, BindsNotBeforeAndBeforeOr) {
    EXPECT_EQ(parsed("a or b and not c"), "(or [a holds] (and [b holds] (not [c holds])))");
    EXPECT_EQ(parsed("(a or b) and c"), "(and (or [a holds] [b holds]) [c holds])");
    EXPECT_EQ(parsed("not a = 1"), "(not [a in 1])");
    EXPECT_EQ(parsed("not not a"), "(not (not [a holds]))");
    EXPECT_EQ(parsed("a and b and c or d"), "(or (and [a holds] [b holds] [c holds]) [d holds])");
    EXPECT_EQ(parsed("a between 1 and 2 and b"), "(and [a between 1 2] [b holds])");
}

TEST(Predicate, FoldsNamesThatAreNotQuoted) {
    EXPECT_EQ(parsed("WorkspaceID = 1 AND \"workspaceId\" = 2"),
              "(and [workspaceid in 1] [workspaceId in 2])");
    EXPECT_EQ(parsed(R"("a ""b""" IS NOT Null)"), R"([a "b" not null])");
    EXPECT_EQ(parsed("\"order\" = 1"), "[order in 1]");
    EXPECT_EQ(parsed("Größe$2 = 1"), "[größe$2 in 1]");
}

TEST(Predicate, HasLiteralsOfSql) {
    EXPECT_EQ(parsed("a in (1, -2, + 3, 4.5, .5, 5., 1e6, 1.5E-7)"),
              "[a in 1 -2 +3 4.5 .5 5. 1e6 1.5E-7]");
    EXPECT_EQ(parsed("a = 'it''s'"), "[a in 'it's']");
    EXPECT_EQ(parsed("a = ''"), "[a in '']");
    EXPECT_EQ(parsed("a = 'x\\y'"), "[a in 'x\\y']");
    EXPECT_EQ(parsed("a in (TRUE, false)"), "[a in true false]");
    EXPECT_EQ(parsed("a=-1 and b>-2"), "(and [a in -1] [b not <= -2])");
}

TEST(Predicate, NamesEachColumnOnce) {
    EXPECT_EQ(parse_predicate("b = 1 or (a is null and B < 2)").columns(), (Names{"b", "a"}));
}

TEST(Predicate, KeepsItsText) {
    EXPECT_EQ(parse_predicate(" a = 1 ").text, " a = 1 ");
}

TEST(Predicate, MayBeNestedALittle) {
    std::string deep = std::string(100, '(') + 'a' + std::string(100, ')');
    EXPECT_EQ(parsed(deep), "[a holds]");

    EXPECT_TRUE(contains(error_of<PredicateError>([&] { parse_predicate('(' + deep + ')'); }),
                         "more than 100"));
    std::string nots;
    for (auto i = 0; i < 10000; ++i) nots += "not ";
    EXPECT_TRUE(
        contains(error_of<PredicateError>([&] { parse_predicate(nots + "a"); }), "more than 100"));
}

TEST(Predicate, MayBeLong) {
    std::string text = "a = 0";
    for (auto i = 1; i < 5000; ++i) text += " or a = " + std::to_string(i);
    EXPECT_EQ(parse_predicate(text).nodes.size(), 5001U);

    text.resize(70000, ' ');
    EXPECT_TRUE(contains(error_of<PredicateError>([&] { parse_predicate(text); }), "longer than"));
}

struct WrongPredicate {
    const char* text;
    std::size_t offset;
    const char* says;

    friend void PrintTo(const WrongPredicate& shown, std::ostream* out) { *out << shown.text; }
};

class BadPredicate : public testing::TestWithParam<WrongPredicate> {};

TEST_P(BadPredicate, IsRefusedAndSaysWhereAndWhatWouldDo) {
    try {
        parse_predicate(GetParam().text);
        FAIL() << "was taken";
    } catch (const PredicateError& error) {
        EXPECT_EQ(error.offset, GetParam().offset) << error.what();
        EXPECT_TRUE(contains(error.what(), GetParam().says)) << error.what();
    }
}

INSTANTIATE_TEST_SUITE_P(
    Syntax, BadPredicate,
    testing::Values(
        WrongPredicate{"", 0, "at 1: a predicate is needed, as \"deleted_at is null\""},
        WrongPredicate{"a lik 'x'", 2, R"(found "lik", expected one of)"},
        WrongPredicate{"a lik 'x'", 2, R"(did you mean "like"?)"},
        WrongPredicate{"a is nul", 5, R"(did you mean "null"?)"},
        WrongPredicate{"a = 1 adn b = 2", 6, R"(did you mean "and"?)"},
        WrongPredicate{"a not bteween 1 and 2", 6, R"(did you mean "between"?)"},
        WrongPredicate{"a = tru", 4, R"(did you mean "true"?)"},
        WrongPredicate{"a = null", 4, "write \"is null\""},
        WrongPredicate{"a <> null", 5, "write \"is null\" or \"is not null\""},
        WrongPredicate{"a in (1, null)", 9, "nothing is equal to null"},
        WrongPredicate{"a = b", 4, "columns cannot be compared with each other"},
        WrongPredicate{"a = open", 4, "single quotes: 'open'"},
        WrongPredicate{"a = \"open\"", 4, "single quotes: 'open'"},
        WrongPredicate{"a = 'open", 4, "the ' is not closed"},
        WrongPredicate{"a = 1 and \"b", 10, "the \" is not closed"},
        WrongPredicate{"a =", 3, "found the end, expected a number, a text in single quotes"},
        WrongPredicate{"a = -'x'", 5, "expected a number"},
        WrongPredicate{"a = 1x", 4, "not a number"}, WrongPredicate{"a = 1.2.3", 4, "not a number"},
        WrongPredicate{"a = 1é and b", 4, "\"1é\" is not a number"},
        WrongPredicate{"a in 1", 5, "expected a list as (1, 2)"},
        WrongPredicate{"a in ()", 6, "expected a number"},
        WrongPredicate{"a in (1 2)", 8, "expected a comma or )"},
        WrongPredicate{"a between 1 or 2", 12, "expected and, as in"},
        WrongPredicate{"a like b", 7, "expected a pattern as 'x%'"},
        WrongPredicate{"a like 'x\\'", 7, "the pattern ends in \\"},
        WrongPredicate{"a like 'x\\\\\\'", 7, "the pattern ends in \\"},
        WrongPredicate{"a is 1", 5, "expected null, true, false or not"},
        WrongPredicate{"(a = 1", 0, "the ( is not closed"},
        WrongPredicate{"a = 1)", 5, "the ) was not opened"},
        WrongPredicate{"(a) = 1", 4, "needs a column before it"},
        WrongPredicate{"(a = 1) is true", 8, "needs a column before it"},
        WrongPredicate{"a and", 5, "found the end, expected a column"},
        WrongPredicate{"null is null", 0, "expected a column; one of that name"},
        WrongPredicate{"and = 1", 0, "double quotes"}, WrongPredicate{"\"\" = 1", 0, "not empty"},
        WrongPredicate{"true", 0, "\"true\" is not a predicate"},
        WrongPredicate{"1", 0, "expected a column, as in \"amount > 10\""},
        WrongPredicate{"1 = 2", 4, "expected a column"},
        WrongPredicate{"a == 1", 2, "equality is \"=\""},
        WrongPredicate{"a + 1 = 2", 2, "\"+\" is not supported"},
        WrongPredicate{"a ->> 'x' = 'y'", 2, "\"->>\" is not supported"},
        WrongPredicate{"a::text = 'y'", 1, "casts are not supported"},
        WrongPredicate{"a = 1::int8", 5, "expected and, or, or the end"},
        WrongPredicate{"lower(a) = 'y'", 5, "functions are not supported"},
        WrongPredicate{"t.a = 1", 1, "without their table"},
        WrongPredicate{"a ilike 'x'", 2, "ilike is not supported"},
        WrongPredicate{"a = date '2024-01-01'", 4, "\"date\" is not a literal"},
        WrongPredicate{"a = 1 -- why", 6, "comments are not supported"},
        WrongPredicate{"a /* why */ = 1", 2, "comments are not supported"},
        WrongPredicate{"a = 1; b", 5, "found \";\""}, WrongPredicate{"a = \xff", 4, "not UTF-8"}));

}  // namespace walcast
