#include "agent/rules/table_rule.hpp"

#include "agent/errors.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/rules.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

namespace walcast {

namespace {

constexpr std::uint32_t int2 = 21;
constexpr std::uint32_t uuid = 2950;
constexpr std::uint32_t text_array = 1009;

Relation items() {
    return relation_of("items")
        .key("id")
        .column("a")
        .column("b")
        .column("n", int2)
        .column("m", type::int8)
        .column("u", uuid)
        .column("v", uuid)
        .column("j", type::jsonb)
        .column("t", text_array);
}

TableRule ready(const Rule& rule) {
    static const Catalog catalog;
    static const auto relation = items();
    return make_ready(rule, relation, catalog);
}

}  // namespace

// Two rows share a channel only if they agree in every column of its name.

namespace {

class ChannelOfSeveralColumns : public testing::TestWithParam<const char*> {};
class AmbiguousChannel : public testing::TestWithParam<const char*> {};

}  // namespace

TEST_P(ChannelOfSeveralColumns, IsTakenWhereItsValuesStayApart) {
    Rule rule = rule_for("public.items").channel(GetParam());

    EXPECT_EQ(ready(rule).channels.size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Template, ChannelOfSeveralColumns,
                         testing::Values("{a}:{b}", "{a}/{b}", "{a} {b}", "{a}-:-{b}",
                                         "{a},{n}:{t}", "{n}x{m}", "{n}x{a}", "{a}x{n}", "{n}:{m}",
                                         "{u}-{a}", "{a}-{u}", "{u}-{v}", "{n}x-{m}", "x{a}x",
                                         "{a}{{{b}", "{a}:{b}-{u}", "{u}x{v}x{a}", "{a}x{u}x{v}",
                                         "{j}:{j.k}"));

TEST_P(AmbiguousChannel, IsRefusedWithWhatWouldDo) {
    Rule rule = rule_for("public.items").channel(GetParam());

    auto error = error_of<SetupError>([&] { ready(rule); });

    EXPECT_TRUE(contains(error, "public.items")) << error;
    EXPECT_TRUE(contains(error, "put a character between that values cannot hold, such as \":\""))
        << error;
}

INSTANTIATE_TEST_SUITE_P(Template, AmbiguousChannel,
                         testing::Values("{a}-{b}", "{a}.{b}", "{a}x{b}", "{a}é{b}", "{a}%{b}",
                                         "{a}%3A{b}", "{n}-{m}", "{n}7{m}", "{n}-{a}", "{t}-{t}",
                                         "{j.k}-{b}", "{t}-{n}x{a}", "{a}:{b}-{a}", "{u}-{a}-{b}",
                                         "{a}-{b}:{u}", "{n}x{a}x{m}", "{a}x{n}y{b}"));

TEST(TableRule, RefusesKeysOfWhatIsNoDocument) {
    Rule rule = rule_for("public.items").channel("{a.k}");

    auto error = error_of<SetupError>([&] { ready(rule); });

    EXPECT_TRUE(contains(error, "column \"a\" is not json or jsonb")) << error;
    EXPECT_TRUE(contains(error, "double quotes")) << error;
}

TEST(TableRule, NamesTheNearestColumn) {
    Rule rule = rule_for("public.items").channel("{nn}");

    auto error = error_of<SetupError>([&] { ready(rule); });

    EXPECT_TRUE(contains(error, "no column \"nn\"")) << error;
    EXPECT_TRUE(contains(error, "did you mean \"n\"?")) << error;
}

// --- data ---

TEST(TableRule, HidesNothingByANameThatIsWrong) {
    Rule rule = rule_for("public.items").channel("all").exclude({"secrt"});
    Rule of_many = rule_for("public.*").channel("all").exclude({"secrt"});

    EXPECT_TRUE(contains(error_of<SetupError>([&] { ready(rule); }), "no column \"secrt\""));
    EXPECT_EQ(ready(of_many).row.columns.size(), items().columns.size());
}

TEST(TableRule, KnowsWhetherItHidesSomething) {
    EXPECT_FALSE(ready(rule_for("public.items").channel("all")).leaves_columns_out);
    EXPECT_TRUE(ready(rule_for("public.items").channel("all").exclude({"a"})).leaves_columns_out);
    EXPECT_TRUE(ready(rule_for("public.items").channel("all").columns({"id"})).leaves_columns_out);
}

TEST(TableRule, NeverHidesPartOfTheId) {
    Rule rule = rule_for("public.items").channel("all").exclude({"id"});

    EXPECT_TRUE(contains(error_of<SetupError>([&] { ready(rule); }), "part of the id"));
    EXPECT_EQ(ready(rule_for("public.items").channel("all").columns({"a"})).row.columns.size(), 1U);
}

TEST(TableRule, RefusesTwoColumnsOfOneName) {
    Rule rule = rule_for("public.items").channel("all").rename("a", "b");
    Rule swapped = rule_for("public.items").channel("all").rename("a", "b").rename("b", "a");

    EXPECT_TRUE(contains(error_of<SetupError>([&] { ready(rule); }), "two columns would be \"b\""));
    EXPECT_EQ(ready(swapped).row.columns[1].key, "\"b\":");
    EXPECT_EQ(ready(swapped).row.columns[2].key, "\"a\":");
}

TEST(TableRule, SaysWhereAPredicateDoesNotFit) {
    Rule rule = rule_for("public.items").channel("all").where("n = 'x'");
    rule.file = "walcast.toml";
    rule.places["where"] = {7, 10};

    auto error = error_of<SetupError>([&] { ready(rule); });

    EXPECT_TRUE(contains(error, "walcast.toml:7:14: public.items: where: ")) << error;
}

// --- ids ---

static std::string key_of_id(const Rule& rule, const std::string& id) {
    ValueWriter writer;
    std::string out;
    append_key_of_id(out, writer, ready(rule), id);
    return out;
}

TEST(ModelId, IsReadAgainAsTheDataHasIt) {
    auto rule = [](std::vector<std::string> id) {
        return Rule(rule_for("public.items").channel("c").id(std::move(id)));
    };

    EXPECT_EQ(key_of_id(rule({"id"}), "7"), R"({"id":7})");
    EXPECT_EQ(key_of_id(rule({"a"}), R"(x,"y\z)"), R"({"a":"x,\"y\\z"})");
    EXPECT_EQ(key_of_id(rule({"a"}), "\\N"), R"({"a":null})");
    EXPECT_EQ(key_of_id(rule({"a", "n", "b"}), R"(x\,y\\,7,\N)"),
              R"({"a":"x,y\\","n":7,"b":null})");
    EXPECT_THROW(key_of_id(rule({"id"}), "seven"), ValueError);
    EXPECT_THROW(key_of_id(rule({"a", "b"}), "x"), ValueError);
    EXPECT_THROW(key_of_id(rule({"a", "b"}), "x,y,z"), ValueError);
}

TEST(ModelId, ReadAgainIsWrittenAsBefore) {
    Rule rule = rule_for("public.items").channel("c").id({"a", "b"});
    for (const auto* text : {"", ",", "\\", "\\,", "\\\\,N", "a\"b", "\\N"}) {
        Tuple row(items().columns.size());
        row[1] = {Value::Kind::text, text};
        row[2] = {Value::Kind::text, "end"};
        auto ready_rule = ready(rule);
        std::string id;
        std::string scratch;
        append_model_id(id, scratch, ready_rule, row);
        std::string expected;
        ValueWriter writer;
        append_row(expected, ready_rule.key, row, 1000, writer);

        EXPECT_EQ(key_of_id(rule, scratch), expected) << text;
    }
}

}  // namespace walcast
