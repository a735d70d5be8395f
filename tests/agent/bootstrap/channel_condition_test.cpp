#include "agent/bootstrap/channel_condition.hpp"

#include "tests/support/relations.hpp"
#include "tests/support/rules.hpp"

#include <gtest/gtest.h>

namespace walcast {

namespace {

constexpr std::uint32_t int2 = 21, uuid = 2950, varchar = 1043, date = 1082, text_array = 1009;

Relation relation() {
    return relation_of("todos")
        .key("id")
        .column("w", type::int4)
        .column("big", type::int8)
        .column("small", int2)
        .column("name")
        .column("kind", varchar)
        .column("done", type::boolean)
        .column("owner", uuid)
        .column("day", date)
        .column("tags", text_array)
        .column("meta", type::jsonb)
        .column("odd \"name\"");
}

enum class Encoding { utf8, other };

// `none`, `any`, or the SQL.
std::string condition(const std::vector<std::string>& templates,
                      const std::vector<std::string>& channels,
                      Encoding encoding = Encoding::utf8) {
    auto rule = rule_for("public.todos");
    for (const auto& text : templates) rule.channel(text);
    RouterFixture fixture({rule});
    auto table = relation();
    auto ready = fixture.router.rules_of(table);
    auto found = condition_of(ready[0], table, channels, encoding == Encoding::utf8);
    EXPECT_EQ(found.sql.empty(), found.rows != ChannelCondition::Rows::some);
    if (found.rows == ChannelCondition::Rows::none) return "none";
    return found.rows == ChannelCondition::Rows::any ? "any" : found.sql;
}

}  // namespace

TEST(ChannelCondition, IsOfTheColumnsInTheName) {
    EXPECT_EQ(condition({"w:{w}"}, {"w:7"}), "(r.\"w\" = '7')");
    EXPECT_EQ(condition({"{w}:{name}:x"}, {"7:ann:x"}), "(r.\"w\" = '7' AND r.\"name\" = 'ann')");
    EXPECT_EQ(condition({"{\"odd \"\"name\"\"\"}"}, {"a'b"}), "none");
    EXPECT_EQ(condition({"{\"odd \"\"name\"\"\"}"}, {"a%27b"}),
              "(r.\"odd \"\"name\"\"\" = 'a''b')");
}

TEST(ChannelCondition, IsOfAnyOfTheNames) {
    EXPECT_EQ(condition({"w:{w}", "n:{name}"}, {"w:7", "w:8", "n:ann", "x:1"}),
              "(r.\"w\" = '7') OR (r.\"w\" = '8') OR (r.\"name\" = 'ann')");
    EXPECT_EQ(condition({"w:{w}"}, {"x:1", "w", "w:", "w:7:8", "W:7", ""}), "none");
}

TEST(ChannelCondition, OfAFixedNameIsNone) {
    EXPECT_EQ(condition({"all"}, {"all"}), "any");
    EXPECT_EQ(condition({"all"}, {"al"}), "none");
    EXPECT_EQ(condition({"all", "w:{w}"}, {"w:7", "all"}), "any");
}

// A value that the type does not print would be an error of the server.
TEST(ChannelCondition, KnowsWhatATypePrints) {
    for (const auto* value : {"a", "07", "+7", "7.0", "", "2147483648", "-2147483649", "%37", "-0"})
        EXPECT_EQ(condition({"w:{w}"}, {std::string("w:") + value}), "none") << value;
    EXPECT_EQ(condition({"w:{w}"}, {"w:-2147483648"}), "(r.\"w\" = '-2147483648')");
    EXPECT_EQ(condition({"{small}"}, {"32768"}), "none");
    EXPECT_EQ(condition({"{big}"}, {"9223372036854775807"}), "(r.\"big\" = '9223372036854775807')");
    EXPECT_EQ(condition({"{done}"}, {"t"}), "(r.\"done\" = 't')");
    EXPECT_EQ(condition({"{done}"}, {"true"}), "none");
    EXPECT_EQ(condition({"{owner}"}, {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}),
              "(r.\"owner\" = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')");
    EXPECT_EQ(condition({"{owner}"}, {"A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11"}), "none");
    EXPECT_EQ(condition({"{kind}"}, {"a%3Ab"}), "(r.\"kind\" = 'a:b')");
}

TEST(ChannelCondition, LeavesOtherTypesToTheRouter) {
    for (const auto* name : {"{day}", "{tags}", "{meta.team}"})
        EXPECT_EQ(condition({name}, {"2024-01-01"}), "any") << name;
    EXPECT_EQ(condition({"{w}:{tags}"}, {"7:red"}), "(r.\"w\" = '7')");
}

TEST(ChannelCondition, OfBytesThatNoTextHas) {
    for (const auto* value : {"%00", "\xff", "%FF", "%3a", "%41", "%", "%4"})
        EXPECT_EQ(condition({"{name}"}, {value}), "none") << value;
    EXPECT_EQ(condition({"{name}"}, {"é"}), "(r.\"name\" = 'é')");
    EXPECT_EQ(condition({"{name}"}, {"é"}, Encoding::other), "any");
    EXPECT_EQ(condition({"{name}"}, {"e"}, Encoding::other), "(r.\"name\" = 'e')");
}

TEST(ChannelCondition, FindsWhereAValueEnds) {
    EXPECT_EQ(condition({"{name}-x:{w}"}, {"a-x-x:7"}), "(r.\"name\" = 'a-x' AND r.\"w\" = '7')");
    EXPECT_EQ(condition({"{name}-x:{w}"}, {"a:7"}), "none");
    EXPECT_EQ(condition({"{name}-x:{w}"}, {"-x:7"}), "(r.\"name\" = '' AND r.\"w\" = '7')");
    // Here nobody looks for it.
    EXPECT_EQ(condition({"{w}x{name}"}, {"7xx"}), "any");
    EXPECT_EQ(condition({"{name}:{w}x{kind}"}, {"a:7xx"}), "(r.\"name\" = 'a')");
}

}  // namespace walcast
