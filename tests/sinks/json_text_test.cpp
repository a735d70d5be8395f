#include "sinks/json_text.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace walcast {

using Members = std::vector<std::pair<std::string, std::string>>;

static Members members_of(std::string_view text) {
    Members found;
    for (JsonMembers members(text); members.next();)
        found.emplace_back(members.name(), members.value());
    return found;
}

static std::string quoted(std::string_view text) {
    std::string out;
    append_quoted(out, text);
    return out;
}

TEST(JsonText, QuotesJsonOnceMore) {
    EXPECT_EQ(quoted(R"({"id":"a\"b","text":"é"})"), R"("{\"id\":\"a\\\"b\",\"text\":\"é\"}")");
    EXPECT_EQ(quoted("a\n\r\t\x01z"), R"("a\n\r\t\u0001z")");
    EXPECT_EQ(quoted(""), R"("")");
}

TEST(JsonText, TakesAnObjectApart) {
    EXPECT_EQ(members_of(R"({"id":7,"done":false,"note":null})"),
              (Members{{"id", "7"}, {"done", "false"}, {"note", "null"}}));
    EXPECT_EQ(members_of("{}"), Members{});
    EXPECT_EQ(members_of(""), Members{});
}

TEST(JsonText, TakesFieldsApartThatEachFollowAComma) {
    EXPECT_EQ(
        members_of(R"(,"name":"x","data":{"a":[1,{"b":"}"}]},"rejected":true)"),
        (Members{{"name", R"("x")"}, {"data", R"({"a":[1,{"b":"}"}]})"}, {"rejected", "true"}}));
}

TEST(JsonText, IsNotMisledByWhatStandsInStrings) {
    EXPECT_EQ(members_of(R"({"a,\"b\":{":"\\","c":"\"}]","d":[",",{"e":"["}],"f":-1.5e3})"),
              (Members{{R"(a,\"b\":{)", R"("\\")"},
                       {"c", R"("\"}]")"},
                       {"d", R"([",",{"e":"["}])"},
                       {"f", "-1.5e3"}}));
}

TEST(JsonText, PassesSpacesOver) {
    EXPECT_EQ(members_of("{ \"a\" : { \"b\" : [ 1 , 2 ] } ,\n\t\"c\": \"x\" , \"d\" : 1 }"),
              (Members{{"a", R"({ "b" : [ 1 , 2 ] })"}, {"c", R"("x")"}, {"d", "1"}}));
}

TEST(JsonText, FindsAMemberOfThisLevelOnly) {
    constexpr auto* text = R"({"a":{"id":1},"b":["id",2],"id":3})";

    EXPECT_EQ(json_member(text, "id"), "3");
    EXPECT_EQ(json_member(text, "none"), "");
}

static std::vector<std::string> elements_of(std::string_view text) {
    std::vector<std::string> found;
    for (JsonElements elements(text); elements.next();) found.emplace_back(elements.value());
    return found;
}

TEST(JsonText, TakesAnArrayApart) {
    using Elements = std::vector<std::string>;
    EXPECT_EQ(elements_of(R"([{"a":[1,{"b":"}]"}]},"x,]",7,[ 8 ] , null])"),
              (Elements{R"({"a":[1,{"b":"}]"}]})", R"("x,]")", "7", "[ 8 ]", "null"}));
    EXPECT_EQ(elements_of("[]"), Elements{});
    EXPECT_EQ(elements_of("[ ]"), Elements{});
    EXPECT_EQ(elements_of(""), Elements{});
}

TEST(JsonText, TakesTheQuotesOffAgain) {
    for (const std::string text : {"", "7", "a\"b\\c", "\n\r\t\x01\x1f\x7f", "\\N", "é\U0001f95b"})
        EXPECT_EQ(unquoted(walcast::quoted(text)), text);
    EXPECT_EQ(unquoted(R"("\b\f\/")"), "\b\f/");
    for (const std::string text : {R"("\)", R"("\u)", R"("\u00)", R"(")"}) unquoted(text);
}

TEST(JsonText, EndsWhereTextIsCutAnywhere) {
    std::string_view text = R"({"a":{"b":["x\"",1]},"c":"d"})";
    for (std::size_t size = 0; size < text.size(); ++size) members_of(text.substr(0, size));
    text = R"([{"a":"b"},[1,"]"],2])";
    for (std::size_t size = 0; size < text.size(); ++size) elements_of(text.substr(0, size));
}

}  // namespace walcast
