#include "agent/published_event.hpp"

#include "decoders/json_string.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace walcast {

using Names = std::vector<std::string>;

static std::string mistake_in(std::string_view content) {
    try {
        parse_event(content);
    } catch (const ValueError& error) {
        return error.what();
    }
    return "none";
}

TEST(PublishedEvent, IsReadWithAllItsMembers) {
    auto event = parse_event(
        R"({"channel":"w:1","name":"note.added","data":{"id": 7, "n": 0.10},"mutationId":"m-1",)"
        R"("headers":{"a":"b"}})");

    EXPECT_EQ(event.channels, Names{"w:1"});
    EXPECT_EQ(event.mutation_id, "m-1");
    EXPECT_FALSE(event.is_rejected);
    EXPECT_EQ(event.fields, R"("name":"note.added","data":{"id":7,"n":0.10},"headers":{"a":"b"})");
}

TEST(PublishedEvent, MayBeARejection) {
    auto event = parse_event(R"({"mutationId":"m-72","rejected":true,"reason":"no \"title\""})");

    EXPECT_TRUE(event.is_rejected);
    EXPECT_EQ(event.reason_json, R"("no \"title\"")");
    EXPECT_EQ(event.fields, R"("reason":"no \"title\"","rejected":true)");
    EXPECT_TRUE(event.channels.empty());
}

TEST(PublishedEvent, TakesNullForNothingExceptAsData) {
    auto event = parse_event(
        R"({"channel":"a","name":null,"data":null,"mutationId":null,"rejected":null,"headers":null})");

    EXPECT_EQ(event.fields, R"("data":null)");
    EXPECT_EQ(event.mutation_id, "");
}

TEST(PublishedEvent, GoesToSeveralChannels) {
    EXPECT_EQ(parse_event(R"({"channel":["a","b"]})").channels, (Names{"a", "b"}));
}

TEST(PublishedEvent, IsRefusedWithWhatIsWrong) {
    EXPECT_EQ(
        mistake_in(R"({"chanel":"a"})"),
        "\"chanel\" is none of channel, name, data, mutationId, rejected, reason and headers");
    EXPECT_EQ(mistake_in(R"({"channel":7})"), "a channel is not a string");
    EXPECT_EQ(mistake_in(R"({"name":7})"), "name is not a string");
    EXPECT_EQ(mistake_in(R"({"rejected":"yes"})"), "rejected is neither true nor false");
    EXPECT_EQ(mistake_in(R"({"headers":[]})"), "headers is not an object");
    EXPECT_NE(mistake_in("{"), "none");
    EXPECT_NE(mistake_in("\xff"), "none");
}

TEST(EventChannels, HaveThePrefixOfAllChannels) {
    EventChannels channels{.prefix = "t1:", .reserved = "walcast:"};

    EXPECT_EQ(channels.named({"a", "b"}), (Names{"t1:a", "t1:b"}));
}

TEST(EventChannels, AreNotWalcastsOwn) {
    for (const auto* reserved : {"walcast:", ""}) {
        EventChannels channels{.prefix = "", .reserved = reserved};
        for (const auto* own : {"control", "receipt:m-1"})
            EXPECT_THROW(channels.named({std::string(reserved) + own}), ValueError);
        EXPECT_EQ(channels.named({std::string(reserved) + "other"}).size(), 1U);
    }
}

}  // namespace walcast
