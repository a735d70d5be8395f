#include "agent/annotation.hpp"

#include "decoders/json_string.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace walcast {

using Names = std::vector<std::string>;

static std::string mistake_in(std::string_view content) {
    try {
        parse_annotation(content);
    } catch (const ValueError& error) {
        return error.what();
    }
    return "none";
}

TEST(Annotation, KnowsTheMutationAndKeepsTheRestAsItStands) {
    auto annotation = parse_annotation(
        R"({ "mutationId" : "m-71", "userId": "u1", "n": 1.10, "o": {"a" : [1, 2]} })");

    EXPECT_EQ(annotation.mutation_id, "m-71");
    EXPECT_EQ(annotation.members, R"(,"userId":"u1","n":1.10,"o":{"a":[1,2]})");
}

TEST(Annotation, MayNameNoMutation) {
    auto annotation = parse_annotation(R"({"userId":"u1"})");

    EXPECT_EQ(annotation.mutation_id, "");
    EXPECT_FALSE(annotation.is_empty());
    EXPECT_TRUE(parse_annotation("{}").is_empty());
}

TEST(Annotation, NamesChannelsThatWait) {
    EXPECT_EQ(parse_annotation(R"({"channels":["a","b","a"]})").channels, (Names{"a", "b"}));
    EXPECT_EQ(parse_annotation(R"({"channels":"a"})").channels, Names{"a"});
    EXPECT_EQ(mistake_in(R"({"channels":[1]})"), "a channel is not a string");
    EXPECT_EQ(mistake_in(R"({"channels":[""]})"), "a channel's name is empty");
    EXPECT_EQ(mistake_in("{\"channels\":[\"a\\u0001\"]}"),
              "a channel's name holds a control character");
}

TEST(Annotation, IsRefusedWhereMessagesWouldNotBeThemselves) {
    for (const auto* name : {"type", "epoch", "prevSyncId", "lastSyncId", "lsn", "xid",
                             "commitTime", "sync", "data", "rejected"})
        EXPECT_NE(mistake_in("{\"" + std::string(name) + "\":1}").find(name), std::string::npos);
    // However it is written.
    EXPECT_NE(mistake_in(R"({"\u0073ync":1})").find("sync"), std::string::npos);
    EXPECT_EQ(mistake_in(R"({"a":1,"a":2})"), "\"a\" stands there twice");
}

TEST(Annotation, HoldsNumbersOfAnySize) {
    constexpr auto* numbers = R"("a":[18446744073709551616,-1e400,{"1\"23e5":0.5E+3}],"b":12)";

    EXPECT_EQ(parse_annotation(std::string("{") + numbers + "}").members,
              std::string(",") + numbers);
    // What is wrong besides is wrong still.
    for (const auto* wrong : {"01", "1.", "--1", "1e", "1e400 1", "+1", "1-1", ".5"})
        EXPECT_NE(mistake_in(std::string(R"({"a":1e400,"b":)") + wrong + "}"), "none") << wrong;
}

TEST(Annotation, IsRefusedWhenItIsNotJson) {
    for (const auto* content :
         {"", "nonsense", "[1]", "7", "{\"a\":}", "{\"a\":tru}", "{\"a\":{\"b\":01}}", "{\"a\":1",
          "{\"a\":1} x", "{\"a\":\"\xff\"}", "{\"a\":\"\\ud800\"}"})
        EXPECT_NE(mistake_in(content), "none") << content;
    EXPECT_NE(mistake_in("{\"a\":\"" + std::string(5000, 'x') + "\"}").find("above 4096"),
              std::string::npos);
}

TEST(Annotation, RefusesIdsThatCouldNotNameAReceipt) {
    EXPECT_EQ(mistake_in(R"({"mutationId":7})"), "mutationId is not a string");
    EXPECT_EQ(mistake_in(R"({"mutationId":""})"), "mutationId is empty");
    EXPECT_EQ(mistake_in(R"({"mutationId":"a\nb"})"), "mutationId holds a control character");
    EXPECT_NE(mistake_in("{\"mutationId\":\"" + std::string(257, 'x') + "\"}"), "none");
}

TEST(Annotation, IsAddedTo) {
    auto annotation = parse_annotation(R"({"userId":"u1"})");

    add(annotation, parse_annotation(R"({"mutationId":"m","channels":["a"]})"));

    EXPECT_EQ(annotation.mutation_id, "m");
    EXPECT_EQ(annotation.members, R"(,"userId":"u1")");
    EXPECT_EQ(annotation.channels, Names{"a"});
}

// However often it is said: who waits is kept to the end of the transaction.
TEST(Annotation, NamesNoMoreChannelsTogetherThanAtOnce) {
    Annotation annotation;
    auto channels = [](int from, int count) {
        std::string list;
        for (auto i = from; i < from + count; ++i)
            list += (list.empty() ? "\"" : ",\"") + std::to_string(i) + '"';
        return parse_annotation("{\"channels\":[" + list + "]}");
    };

    for (auto i = 0; i < 1000; i += 500) add(annotation, channels(i, 500));

    EXPECT_EQ(annotation.channels.size(), 1000U);
    add(annotation, channels(0, 500));  // They are known.
    EXPECT_EQ(annotation.channels.size(), 1000U);
    EXPECT_THROW(add(annotation, channels(1000, 1)), ValueError);
    EXPECT_EQ(annotation.channels.size(), 1000U);
}

TEST(Annotation, SaysNothingElseTheSecondTime) {
    auto annotation = parse_annotation(R"({"mutationId":"m","userId":"u1"})");

    EXPECT_THROW(add(annotation, parse_annotation(R"({"mutationId":"n"})")), ValueError);
    EXPECT_THROW(add(annotation, parse_annotation(R"({"userId":"u2"})")), ValueError);
    EXPECT_EQ(annotation.mutation_id, "m");
    EXPECT_EQ(annotation.members, R"(,"userId":"u1")");
}

}  // namespace walcast
