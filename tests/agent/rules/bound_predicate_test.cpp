#include "agent/rules/bound_predicate.hpp"

#include "decoders/json_string.hpp"
#include "tests/support/changes.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <ostream>

namespace walcast {

constexpr std::uint32_t mood_oid = 20000;
constexpr std::uint32_t domain_oid = 20001;
constexpr std::uint32_t extension_oid = 20002;

static JsonTypes all_types() {
    JsonTypes types;
    types.add({{.oid = mood_oid, .kind = TypeDescription::Kind::enumeration},
               {.oid = domain_oid, .kind = TypeDescription::Kind::domain, .of = type::int4},
               {.oid = extension_oid}});
    return types;
}

static Truth truth(std::string_view predicate, const Relation& relation, const Change& change) {
    BoundPredicate bound(parse_predicate(predicate), relation, all_types());
    return bound.evaluate(KnownRow::after(change));
}

// `true`, `false` or `null` of a row of one column `x` of that type.
static std::string answer(std::uint32_t oid, std::optional<std::string> value,
                          std::string_view predicate) {
    Relation relation = relation_of("t").column("x", oid);
    auto row = insert_of(relation);
    if (value) row.with("x", *value);
    auto found = truth(predicate, relation, row.change());
    return found.is_true() ? "true" : found.is_false() ? "false" : "null";
}

static std::string error(std::uint32_t oid, std::string_view predicate) {
    return error_of<PredicateError>([&] { answer(oid, std::nullopt, predicate); });
}

TEST(BoundPredicate, IsNullWhereTheColumnIsNull) {
    for (const auto* predicate : {"x = 1", "x <> 1", "x < 1", "x in (1)", "x not in (1)",
                                  "x between 1 and 2", "not x = 1", "x = 1 or x = 2"})
        EXPECT_EQ(answer(type::int4, std::nullopt, predicate), "null") << predicate;
    EXPECT_EQ(answer(type::text, std::nullopt, "x like '%'"), "null");
    EXPECT_EQ(answer(type::boolean, std::nullopt, "x"), "null");
    EXPECT_EQ(answer(type::boolean, std::nullopt, "x is true"), "false");
    EXPECT_EQ(answer(type::boolean, std::nullopt, "x is not false"), "true");
    EXPECT_EQ(answer(type::int4, std::nullopt, "x is null"), "true");
    EXPECT_EQ(answer(type::int4, std::nullopt, "x is not null"), "false");
}

TEST(BoundPredicate, JoinsItsPartsAsSqlDoes) {
    for (const auto* predicate :
         {"x > 1 and x < 3", "x = 1 or x = 2", "not (x = 1)", "x in (1, 2)", "x between 2 and 2",
          "x not between 3 and 4", "(x = 1 or x = 2) and not (x = 3 or x = 4)", "2 = x"})
        EXPECT_EQ(answer(type::int4, "2", predicate), "true") << predicate;
    for (const auto* predicate : {"x > 1 and x < 2", "x = 1 or x = 3", "not (x = 2)",
                                  "x not in (1, 2)", "x between 3 and 1"})
        EXPECT_EQ(answer(type::int4, "2", predicate), "false") << predicate;
}

// --- columns that are not known ---

TEST(BoundPredicate, MayBeAnythingWhereAColumnIsNotKnown) {
    Relation relation = relation_of("t").key("id").column("done", type::boolean);
    auto change = update_of(relation).with("id", "1").unchanged("done");

    EXPECT_TRUE(truth("done", relation, change.change()).is_unknown());
    EXPECT_TRUE(truth("done is null", relation, change.change()).is_unknown());
    EXPECT_TRUE(truth("id = 1 and done", relation, change.change()).is_unknown());
    EXPECT_TRUE(truth("id = 2 and done", relation, change.change()).is_not_true());
    EXPECT_TRUE(truth("id = 1 or done", relation, change.change()).is_true());
    EXPECT_TRUE(truth("done and id = 2", relation, change.change()).is_not_true());
}

TEST(BoundPredicate, KnowsOnlyTheKeyOfAnOldRow) {
    Relation relation = relation_of("t").key("id").column("done", type::boolean);
    auto change = delete_of(relation).with("id", "1");
    BoundPredicate by_id(parse_predicate("id = 1"), relation, all_types());
    BoundPredicate by_done(parse_predicate("done"), relation, all_types());
    auto before = KnownRow::before(change.change(), false);

    EXPECT_TRUE(by_id.evaluate(before).is_true());
    EXPECT_TRUE(by_done.evaluate(before).is_unknown());
}

TEST(BoundPredicate, CanBeCopiedAndMoved) {
    Relation relation = relation_of("t").column("x", type::text);
    auto change = insert_of(relation).with("x", "a long text that is stored outside of the string");
    std::optional<BoundPredicate> first(
        std::in_place,
        parse_predicate("x = 'a long text that is stored outside of the string' or x = 'b'"),
        relation, all_types());
    auto copy = *first;
    first.reset();
    auto moved = std::move(copy);

    EXPECT_TRUE(moved.evaluate(KnownRow::after(change.change())).is_true());
}

TEST(BoundPredicate, ThrowsOnTextThatItsTypeDoesNotPrint) {
    for (auto [oid, value] :
         {std::pair{type::int4, "x"}, {type::boolean, "true"}, {1082U, "2024-1-1"}, {701U, ""}})
        EXPECT_TRUE(contains(error_of<ValueError>([&, oid = oid, value = value] {
                                 Relation relation = relation_of("t").column("x", oid);
                                 auto literal = oid == type::boolean ? "x"
                                                : oid == 1082U       ? "x = '2024-01-01'"
                                                                     : "x = 1";
                                 truth(literal, relation,
                                       insert_of(relation).with("x", value).change());
                             }),
                             "not "));
}

// --- each type ---

struct Compared {
    std::uint32_t oid;
    const char* value;
    const char* predicate;
    bool is_true;

    friend void PrintTo(const Compared& shown, std::ostream* out) {
        *out << shown.oid << " \"" << shown.value << "\" " << shown.predicate;
    }
};

class Comparison : public testing::TestWithParam<Compared> {};

TEST_P(Comparison, IsThatOfTheColumnsType) {
    const auto& [oid, value, predicate, is_true] = GetParam();

    EXPECT_EQ(answer(oid, value, predicate), is_true ? "true" : "false");
}

INSTANTIATE_TEST_SUITE_P(
    Boolean, Comparison,
    testing::Values(Compared{16, "t", "x", true}, Compared{16, "f", "x", false},
                    Compared{16, "f", "not x", true}, Compared{16, "t", "x = true", true},
                    Compared{16, "t", "x <> FALSE", true}, Compared{16, "f", "x is false", true},
                    Compared{16, "f", "x < true", true}, Compared{16, "t", "x = 'yes'", true},
                    Compared{16, "f", "x = ' OFF '", true}, Compared{16, "f", "x in ('0')", true}));

INSTANTIATE_TEST_SUITE_P(
    Integer, Comparison,
    testing::Values(Compared{21, "-5", "x = -5", true}, Compared{23, "10", "x > 9", true},
                    Compared{23, "1", "x < 1.5", true}, Compared{23, "1", "x = 1.0", true},
                    Compared{23, "1", "x = ' 1 '", true},
                    Compared{23, "1", "x < 99999999999999999999", true},
                    Compared{20, "9223372036854775807", "x > 9223372036854775806", true},
                    Compared{20, "100", "x = 1e2", true}, Compared{20, "0", "x = -0", true},
                    Compared{26, "4294967295", "x > 2147483648", true},
                    Compared{domain_oid, "7", "x = 7", true}));

INSTANTIATE_TEST_SUITE_P(
    Numeric, Comparison,
    testing::Values(
        Compared{1700, "12.50", "x = 12.5", true}, Compared{1700, "12.50", "x = '12.500'", true},
        Compared{1700, "-0.001", "x < 0", true}, Compared{1700, "0.000", "x = 0", true},
        Compared{1700, "-2", "x < -1.99999999999999999999999999", true},
        Compared{1700, "0.1", "x > 0.09", true}, Compared{1700, "10", "x > 9", true},
        Compared{1700, "1000000", "x = 1E6", true}, Compared{1700, "0.0000015", "x = 1.5e-6", true},
        Compared{1700, "123456789012345678901234567890.1", "x < 123456789012345678901234567890.2",
                 true},
        Compared{1700, "NaN", "x > 1e100000", true}, Compared{1700, "NaN", "x = 'nan'", true},
        Compared{1700, "NaN", "x > 'Infinity'", true},
        Compared{1700, "Infinity", "x = '+inf'", true},
        Compared{1700, "-Infinity", "x < -1e1000", true}));

INSTANTIATE_TEST_SUITE_P(
    Floating, Comparison,
    testing::Values(
        Compared{701, "0.1", "x = 0.1", true}, Compared{701, "0.1", "x = '0.1'", true},
        Compared{700, "0.1", "x = 0.1", false}, Compared{700, "0.1", "x = '0.1'", true},
        Compared{700, "0.1", "x > 0.1", true}, Compared{700, "0.1", "x in (0.1)", false},
        Compared{700, "0.1", "x in (0.1, 7)", true}, Compared{700, "0.5", "x = 0.5", true},
        Compared{701, "-0", "x = 0", true}, Compared{701, "1e+20", "x = 1e20", true},
        Compared{701, "NaN", "x = 'NaN'", true}, Compared{701, "NaN", "x > 'Infinity'", true},
        Compared{701, "9.007199254740992e+15", "x = 9007199254740993", true},
        Compared{701, "-Infinity", "x < -1e308", true}));

INSTANTIATE_TEST_SUITE_P(
    Text, Comparison,
    testing::Values(
        Compared{25, "open", "x = 'open'", true}, Compared{25, "open", "x = 'OPEN'", false},
        Compared{25, "open ", "x = 'open'", false}, Compared{1043, "é", "x in ('e', 'é')", true},
        Compared{25, "abc", "x like 'a%'", true}, Compared{25, "abc", "x not like '_'", true},
        Compared{25, "", "x = ''", true}, Compared{19, "abc", "x <> 'abd'", true},
        Compared{18, "r", "x = 'r'", true}, Compared{1042, "ab   ", "x = 'ab'", true},
        Compared{1042, "ab   ", "x = 'ab  '", true}, Compared{1042, "ab   ", "x like 'ab'", false},
        Compared{1042, "ab   ", "x like 'ab%'", true},
        Compared{mood_oid, "sad", "x in ('ok', 'sad')", true},
        Compared{mood_oid, "sad", "x <> 'ok'", true}));

INSTANTIATE_TEST_SUITE_P(
    Bytes, Comparison,
    testing::Values(Compared{17, "\\x00ff", R"(x = '\x00FF')", true},
                    Compared{17, "\\x", R"(x = '\x')", true},
                    Compared{2950, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                             "x = '{A0EEBC99-9C0B4EF8BB6D6BB9BD380A11}'", true},
                    Compared{2950, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                             "x > 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a10'", true}));

INSTANTIATE_TEST_SUITE_P(
    Time, Comparison,
    testing::Values(Compared{1082, "2024-02-29", "x = '2024-02-29'", true},
                    Compared{1082, "10000-01-01", "x > '9999-12-31'", true},
                    Compared{1082, "0044-03-15 BC", "x < '0043-03-15 BC'", true},
                    Compared{1082, "0001-12-31 BC", "x < '0001-01-01'", true},
                    Compared{1082, "infinity", "x > '5874897-12-31'", true},
                    Compared{1082, "-infinity", "x < '4714-11-24 BC'", true},
                    Compared{1114, "infinity", "x = ' Infinity'", true},
                    Compared{1083, "04:05:06.5", "x > '04:05:06.49'", true},
                    Compared{1083, "24:00:00", "x > '23:59:59.999999'", true},
                    Compared{1083, "04:05:00", "x = '04:05'", true},
                    Compared{1114, "2024-01-02 03:04:05.12", "x = '2024-01-02T03:04:05.120'", true},
                    Compared{1114, "2024-01-02 00:00:00", "x = '2024-01-02'", true},
                    Compared{1114, "294276-12-31 23:59:59.999999", "x < 'infinity'", true},
                    Compared{1114, "0044-03-15 10:00:00 BC", "x < '0044-03-15 10:00:01 BC'", true},
                    Compared{1184, "2024-01-01 21:34:05+00", "x = '2024-01-02 03:04:05+05:30'",
                             true},
                    Compared{1184, "2024-01-01 21:34:05+00", "x = '2024-01-01T21:34:05Z'", true},
                    Compared{1184, "2024-01-01 21:34:05+00", "x < '2024-01-01 21:34:05-08'", true},
                    Compared{1184, "2024-01-01 21:34:05+00", "x = '2024-01-01 21:34:05'", true}));

// --- refused ---

TEST(BoundPredicate, RefusesAMissingColumnAndNamesTheNearest) {
    Relation relation = relation_of("todos").column("deleted_at").column("workspaceId");
    auto says = [&](std::string_view predicate) {
        return error_of<PredicateError>(
            [&] { BoundPredicate(parse_predicate(predicate), relation, all_types()); });
    };

    EXPECT_EQ(says("deleted is null"),
              "at 1: public.todos has no column deleted; did you mean deleted_at?");
    EXPECT_EQ(
        says("deleted_at is null and workspaceId is null"),
        "at 24: public.todos has no column workspaceid; did you mean \"workspaceId\"? Without "
        "double quotes a name is in lower case.");
}

TEST(BoundPredicate, QuotesTheNearestColumnWhereItMustBeQuoted) {
    auto says = [&](std::string_view predicate, const char* column) {
        Relation relation = relation_of("todos").column(column);
        return error_of<PredicateError>(
            [&] { BoundPredicate(parse_predicate(predicate), relation, all_types()); });
    };

    EXPECT_TRUE(contains(says("ordr is null", "order_"), "did you mean order_?"));
    EXPECT_TRUE(contains(says("lik is null", "like"), R"(did you mean "like"?)"));
    EXPECT_TRUE(contains(says("a is null", "a b"), R"(did you mean "a b"?)"));
    EXPECT_TRUE(contains(says("a1 is null", "1a"), R"(did you mean "1a"?)"));
}

struct Refused {
    std::uint32_t oid;
    const char* predicate;
    const char* says;

    friend void PrintTo(const Refused& shown, std::ostream* out) {
        *out << shown.oid << ' ' << shown.predicate;
    }
};

class RefusedPredicate : public testing::TestWithParam<Refused> {};

TEST_P(RefusedPredicate, SaysWhatWouldDo) {
    auto said = error(GetParam().oid, GetParam().predicate);

    EXPECT_TRUE(contains(said, GetParam().says)) << said;
}

INSTANTIATE_TEST_SUITE_P(
    Types, RefusedPredicate,
    testing::Values(
        Refused{25, "x < 'a'", "column x is text, of which the order is that of a collation"},
        Refused{1042, "x between 'a' and 'b'", "order is that of a collation"},
        Refused{mood_oid, "x > 'ok'", "does not tell the order"},
        Refused{18, "x > 'r'", "does not tell the order; expected =, <> or in"},
        Refused{mood_oid, "x like 'ok'", "only text is like a pattern"},
        Refused{23, "x like '1%'", "only text is like a pattern"},
        Refused{25, "x", "column x is text, and only a boolean stands by itself"},
        Refused{23, "x is true", "only a boolean is true or false"},
        Refused{3802, "x = '{}'", "column x is jsonb, of which only is null"},
        Refused{1186, "x > '1 day'", "column x is interval"},
        Refused{1007, "x = '{1}'", "column x is an array"},
        Refused{650, "x = '10.0.0.0/8'", "column x is of the type with OID 650"},
        Refused{extension_oid, "x = 'a'", "a row filter of the publication can do more"},
        Refused{30000, "x = 'a'", "of an unknown type"}));

INSTANTIATE_TEST_SUITE_P(
    Literals, RefusedPredicate,
    testing::Values(
        Refused{23, "x = 'abc'", "at 5: column x is integer, and abc is none; expected a number"},
        Refused{23, "x = '3000000000'", "is none"}, Refused{21, "x = '1.5'", "is none"},
        Refused{23, "x = true", "and true is none"}, Refused{26, "x = -1", "from 0 to 4294967295"},
        Refused{16, "x = 1", "expected true or false"}, Refused{16, "x = 'o'", "is none"},
        Refused{25, "x = 5", "expected a text in single quotes"},
        Refused{25, "x in ('a', true)", "at 12: column x is text"},
        Refused{701, "x = 1e400", "is none"}, Refused{701, "x = 1e-400", "is none"},
        Refused{700, "x = '1e39'", "is none"}, Refused{1700, "x = 1e200000", "is none"},
        Refused{1082, "x = '2024-13-01'", "expected a date as '2024-01-31'"},
        Refused{1082, "x = '2023-02-29'", "is none"}, Refused{1082, "x = 'today'", "is none"},
        Refused{1082, "x = 20240101", "is none"},
        Refused{1083, "x = '24:00:01'", "expected a time as '14:30:00'"},
        Refused{1114, "x = '2024-01-01 00:00:00Z'", "a time without zone"},
        Refused{1114, "x = '294277-01-01'", "is none"},
        Refused{1184, "x = '2024-01-01 25:00'", "is none"},
        Refused{2950, "x = 'a0eebc99'", "expected a UUID as"},
        Refused{17, "x = 'abc'", R"(expected bytes as '\x00ff')"},
        Refused{17, R"(x = '\x0')", "is none"}, Refused{18, "x = 'ab'", "one character"}));

TEST(BoundPredicate, AsksAnyTypeWhetherItIsNull) {
    for (auto oid : {3802U, 1186U, 1007U, extension_oid, 30000U}) {
        EXPECT_EQ(answer(oid, std::nullopt, "x is null"), "true");
        EXPECT_EQ(answer(oid, "whatever", "x is not null"), "true");
    }
}

}  // namespace walcast
