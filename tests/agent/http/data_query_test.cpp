#include "agent/http/data_query.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace walcast {

static std::string refused(std::string_view query) {
    try {
        read_delta_query(query, "walcast:control");
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "taken";
}

TEST(Query, IsDecodedAsThatOfAForm) {
    auto found = parse_query("a=1&b=x+y%2Bz%25&&c&%64=%e2%82%ac");

    ASSERT_EQ(found.size(), 4U);
    EXPECT_EQ(found[0], std::pair(std::string("a"), std::string("1")));
    EXPECT_EQ(found[1], std::pair(std::string("b"), std::string("x y+z%")));
    EXPECT_EQ(found[2], std::pair(std::string("c"), std::string()));
    EXPECT_EQ(found[3], std::pair(std::string("d"), std::string("€")));
}

TEST(Query, RefusesBrokenBytes) {
    for (const auto* text : {"a=%", "a=%2", "a=%zz", "a=%-1", "a=% 1", "a=%ff", "%c3=1"})
        EXPECT_THROW(parse_query(text), std::invalid_argument) << text;
}

TEST(DeltaQuery, HasItsParts) {
    auto request = read_delta_query("channel=team:a%253Ab&epoch=k3&after=17&channel=user:7&limit=9",
                                    "walcast:control");

    EXPECT_EQ(request.channels,
              (std::vector<std::string>{"team:a%3Ab", "user:7", "walcast:control"}));
    EXPECT_EQ(request.epoch, "k3");
    EXPECT_EQ(request.after, (std::vector<SyncId>{17, 17, 17}));
    EXPECT_EQ(request.messages_max, 9U);
}

TEST(DeltaQuery, TakesAKnownIdForEachChannelAndControl) {
    auto request = read_delta_query("channel=a&channel=b&epoch=k3&after=0,17,9007199254740991",
                                    "walcast:control");

    EXPECT_EQ(request.after, (std::vector<SyncId>{0, 17, 9007199254740991}));
}

TEST(DeltaQuery, SaysWhatIsWrong) {
    EXPECT_EQ(refused("channel=a&epoch=k&after=1"), "taken");
    EXPECT_NE(refused("epoch=k&after=1").find("there is no channel"), std::string::npos);
    EXPECT_NE(refused("channel=a&after=1").find("there is no epoch"), std::string::npos);
    EXPECT_NE(refused("channel=a&epoch=k").find("there is no after"), std::string::npos);
    EXPECT_NE(refused("chanel=a").find("parameter \"chanel\""), std::string::npos);
    for (const auto* after : {"", "x", "-1", "1.5", "1,2,3", "1,", ",1", "9007199254740992", "0x1",
                              "1 ", "99999999999999999999"})
        EXPECT_NE(refused(fmt::format("channel=a&epoch=k&after={}", after)), "taken") << after;
    for (const auto* limit : {"0", "1001", "", "x"})
        EXPECT_NE(refused(fmt::format("channel=a&epoch=k&after=1&limit={}", limit)), "taken");
    for (const auto* more : {"&channel=a", "&channel=", "&epoch=k", "&after=1", "&limit=1&limit=1",
                             "&channel=walcast:control"})
        EXPECT_NE(refused(fmt::format("channel=a&epoch=k&after=1{}", more)), "taken") << more;
    EXPECT_NE(refused("epoch=k&after=1&channel=" + std::string(1025, 'a')), "taken");
}

TEST(DeltaQuery, BoundsTheChannels) {
    std::string query = "epoch=k&after=1";
    for (auto i = 0; i < 50; ++i) query += fmt::format("&channel=c{}", i);

    EXPECT_EQ(refused(query), "taken");
    EXPECT_NE(refused(query + "&channel=more"), "taken");
}

TEST(ChorusQuery, HasItsParts) {
    constexpr auto id = "01a1fc4c-5ae6-7000-8000-000000041200";
    auto first = read_chorus_query("channel=a&channel=b&initial=true", "walcast:control");
    auto later = read_chorus_query(fmt::format("channel=a&after={0}&until={0}", id), "c");

    EXPECT_EQ(first.channels, (std::vector<std::string>{"a", "b"}));
    EXPECT_TRUE(first.is_initial);
    EXPECT_FALSE(first.after);
    EXPECT_FALSE(later.is_initial);
    EXPECT_EQ(later.after->sync_id, 0x412U);
    EXPECT_EQ(later.until->sync_id, 0x412U);
    // A client that has rows and no id, or one of another server: the route says what to do.
    EXPECT_FALSE(read_chorus_query("channel=a", "c").after);
    EXPECT_FALSE(read_chorus_query("channel=a&after=1041", "c").after);
    for (const auto* wrong :
         {"", "initial=true", "channel=a&initial=1", "channel=a&initial=true&after=1",
          "channel=a&initial=true&initial=true", "channel=a&limit=5", "channel=c",
          "channel=a&initial=true&until=1", "channel=a&channel=a&initial=true"})
        EXPECT_THROW(read_chorus_query(wrong, "c"), std::invalid_argument) << wrong;
}

TEST(Query, OfAPathKnowsNoPlusForASpace) {
    EXPECT_EQ(decode_path("a+b%20%2f%c3%a9"), "a+b /é");
    EXPECT_THROW(decode_path("%zz"), std::invalid_argument);
}

TEST(ReceiptQuery, HasItsParts) {
    auto request = read_receipt_query("mutationId=m%2F71&wait=30");

    EXPECT_EQ(request.mutation_id, "m/71");
    EXPECT_EQ(request.wait.count(), 30);
    EXPECT_EQ(read_receipt_query("mutationId=m").wait.count(), 0);
    for (const auto* wrong : {"", "mutationId=", "wait=1", "mutationId=m&wait=31",
                              "mutationId=m&wait=1.5", "mutationId=m&x=1", "mutationId=m&wait=-1"})
        EXPECT_THROW(read_receipt_query(wrong), std::invalid_argument) << wrong;
}

}  // namespace walcast
