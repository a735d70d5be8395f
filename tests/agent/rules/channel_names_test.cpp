#include "agent/rules/channel_names.hpp"

#include "tests/support/changes.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/rules.hpp"

#include <gtest/gtest.h>

namespace walcast {

namespace {

using Names = std::vector<std::string>;
using Outcome = ChannelNames::Outcome;

constexpr std::uint32_t text_array = 1009;
constexpr std::uint32_t int4_array = 1007;

Relation items() {
    return relation_of("items")
        .key("id")
        .column("team")
        .column("meta", type::jsonb)
        .column("tags", text_array)
        .column("numbers", int4_array);
}

// The channels of one row after the other.
class Channels : public testing::Test {
protected:
    Outcome append(const std::vector<std::string>& templates, ChangeBuilder row) {
        auto builder = rule_for("public.items").id({"id"});
        for (const auto& text : templates) builder.channel(text);
        rule = builder;
        auto ready = make_ready(rule, relation, catalog);
        auto change = row.with("id", "1").change();
        return names.append(ready, KnownRow::after(change));
    }
    Names found() const {
        Names texts;
        for (std::size_t i = 0; i < names.size(); ++i) texts.emplace_back(names[i]);
        return texts;
    }
    Names of(const std::vector<std::string>& templates, ChangeBuilder row) {
        names.clear();
        EXPECT_EQ(append(templates, std::move(row)), Outcome::known);
        return found();
    }

    Relation relation = items();
    Catalog catalog;
    Rule rule;
    ChannelNames names;
};

std::string array_of(std::size_t count, const std::string& before = "") {
    std::string text = "{";
    for (std::size_t i = 0; i < count; ++i) text += (i > 0 ? "," : "") + before + std::to_string(i);
    return text + '}';
}

}  // namespace

TEST_F(Channels, FanOutToOneForEachElement) {
    auto row = insert_of(relation).with("tags", R"({b,"a:c",NULL,b})").with("team", "x");

    EXPECT_EQ(of({"t:{tags}", "all"}, row), (Names{"t:a%3Ac", "t:b", "all"}));
    EXPECT_EQ(of({"{team}:{tags}:end"}, row), (Names{"x:a%3Ac:end", "x:b:end"}));
}

TEST_F(Channels, FanOutToEachPairOfElements) {
    auto row = insert_of(relation).with("tags", "{a,b}").with("numbers", "{1,2}");

    EXPECT_EQ(of({"{tags}:{numbers}"}, row), (Names{"a:1", "a:2", "b:1", "b:2"}));
}

TEST_F(Channels, AreNoneWhereAnythingIsMissing) {
    EXPECT_EQ(of({"t:{tags}"}, insert_of(relation)), Names{});
    EXPECT_EQ(of({"t:{tags}"}, insert_of(relation).with("tags", "{}")), Names{});
    EXPECT_EQ(of({"t:{tags}"}, insert_of(relation).with("tags", "{NULL}")), Names{});
    EXPECT_EQ(of({"t:{meta.team}"}, insert_of(relation).with("meta", R"({"team":null})")), Names{});
    EXPECT_EQ(of({"t:{tags}:{team}"}, insert_of(relation).with("tags", "{a}")), Names{});
    EXPECT_EQ(
        of({"t:{tags}:{numbers}"}, insert_of(relation).with("tags", "{a}").with("numbers", "{}")),
        Names{});
}

TEST_F(Channels, ReadKeysOfADocument) {
    auto row = insert_of(relation).with("meta", R"({"team":{"id":7},"a.b":["x","y"]})");

    EXPECT_EQ(of({"t:{meta.team.id}", R"(m:{meta."a.b"})"}, row), (Names{"t:7", "m:x", "m:y"}));
}

TEST_F(Channels, AreNamedOnceEach) {
    auto row = insert_of(relation).with("tags", "{a,b}").with("team", "a");

    EXPECT_EQ(of({"t:{tags}", "t:{team}"}, row), (Names{"t:a", "t:b"}));
}

TEST_F(Channels, AreNamedOnceEachHoweverMany) {
    auto row = insert_of(relation).with("numbers", array_of(500)).with("team", "7");

    auto once = of({"{numbers}"}, row);

    EXPECT_EQ(once.size(), 500U);
    EXPECT_EQ(of({"{numbers}", "{team}", "{numbers}"}, row), once);
}

TEST_F(Channels, ThatOthersHaveTooComeFirst) {
    for (std::size_t count : {4U, 400U}) {
        names.clear();
        append({"{numbers}"}, insert_of(relation).with("numbers", array_of(count)));
        append({"{numbers}"}, insert_of(relation).with("numbers", "{1,1x,3,3x,4x}"));

        EXPECT_EQ(names.put_shared_first(count, count + 5, 0, count), count + 2);
        auto texts = found();
        EXPECT_EQ(Names(texts.end() - 5, texts.end()), (Names{"1", "3", "1x", "3x", "4x"}));

        EXPECT_EQ(names.put_shared_first(0, count, count, count + 5), 2U);
        texts = found();
        EXPECT_EQ(Names(texts.begin(), texts.begin() + 3), (Names{"1", "3", "0"}));
        EXPECT_EQ(names.put_shared_first(0, count, 0, count), count);
    }
}

TEST_F(Channels, AreTooManyAbove1024) {
    EXPECT_EQ(append({"{numbers}"}, insert_of(relation).with("numbers", array_of(1024))),
              Outcome::known);
    EXPECT_EQ(names.size(), 1024U);

    names.clear();
    EXPECT_EQ(append({"{numbers}"}, insert_of(relation).with("numbers", array_of(1025))),
              Outcome::too_many);
    EXPECT_EQ(append({"{numbers}", "all"}, insert_of(relation).with("numbers", array_of(1024))),
              Outcome::too_many);
    EXPECT_EQ(names.size(), 0U);
}

TEST_F(Channels, AreNotTriedForEverWhereAllAreTooLong) {
    auto tags = array_of(1000, std::string(600, 'x'));
    auto row = insert_of(relation).with("tags", tags).with("meta", R"({"k":[1,2]})");

    EXPECT_EQ(append({"{tags}:{tags}"}, row), Outcome::too_many);
}

TEST_F(Channels, DoNotExistAbove1024Bytes) {
    EXPECT_EQ(of({"t:{team}"}, insert_of(relation).with("team", std::string(1022, 'x'))).size(),
              1U);
    EXPECT_FALSE(names.has_too_long());

    EXPECT_EQ(of({"t:{team}"}, insert_of(relation).with("team", std::string(1023, 'x'))), Names{});
    EXPECT_TRUE(names.has_too_long());
    // Each byte that is encoded takes three.
    EXPECT_EQ(of({"t:{team}"}, insert_of(relation).with("team", std::string(341, ':'))), Names{});
    EXPECT_EQ(of({"t:{team}"}, insert_of(relation).with("team", std::string(340, ':'))).size(), 1U);
}

TEST_F(Channels, AreUnknownWhereAColumnIsNotTold) {
    EXPECT_EQ(append({"all", "t:{team}"}, update_of(relation).unchanged("team")), Outcome::unknown);
    EXPECT_EQ(names.size(), 0U);
}

TEST_F(Channels, StandBehindThoseOfTheRowBefore) {
    append({"{team}"}, insert_of(relation).with("team", "a"));
    append({"{team}"}, insert_of(relation).with("team", "a"));

    EXPECT_EQ(found(), (Names{"a", "a"}));
}

TEST(ChannelNames, OfARowWithoutAnyAreSharedWithNone) {
    ChannelNames names;

    EXPECT_EQ(names.put_shared_first(0, 0, 0, 0), 0U);
}

}  // namespace walcast
