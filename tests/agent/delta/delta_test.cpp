#include "agent/delta/delta.hpp"

#include "agent/delta/delta_view.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace walcast {

using Status = Delta::Status;

static std::string message(SyncId previous, SyncId last, std::string_view epoch = "k3") {
    return fmt::format(
        R"({{"type":"sync","epoch":"{}","prevSyncId":{},"lastSyncId":{},"lsn":"0/1","sync":[]}})",
        epoch, previous, last);
}

// Of a reader that knows `after` of one channel, and a Redis that is at 1000 and has nothing.
struct Case {
    explicit Case(std::vector<SyncId> after) {
        request.channels = {"a", "walcast:control"};
        request.epoch = "k3";
        request.after = std::move(after);
        page.epoch = "k3";
        page.sync_id = 1000;
        page.following = {"", ""};
    }
    Case& entry(std::size_t channel, std::string text) {
        page.entries.push_back({channel, std::move(text)});
        return *this;
    }
    Case& following(std::size_t channel, const std::string& text) {
        page.following[channel] = text;
        return *this;
    }
    Case& floor(SyncId id) {
        page.floor = id;
        return *this;
    }
    Delta prove() const { return walcast::prove(request, page); }

    DeltaRequest request;
    HistoryPage page;
};

TEST(Delta, IsNotProvableWhereSomebodyDeletedTheHistory) {
    DeltaRequest request{.channels = {"a", "control"}, .epoch = "k3", .after = {10, 10}};
    HistoryPage page{.epoch = "k3",
                     .sync_id = 20,
                     .floor = 5,
                     .entries = {},
                     .following = {"", ""},
                     .is_gone = {}};
    EXPECT_EQ(prove(request, page).status, Delta::Status::complete);

    page.is_gone = {true, false};
    EXPECT_EQ(prove(request, page).status, Delta::Status::trimmed);

    request.after = {20, 20};
    EXPECT_EQ(prove(request, page).status, Delta::Status::complete);
}

TEST(Delta, IsCompleteWhenTheFirstEntryFollowsOnTheKnownId) {
    for (SyncId previous : {10, 9, 0}) {
        auto delta = Case({10, 10}).entry(0, message(previous, 20)).prove();

        EXPECT_EQ(delta.status, Status::complete) << previous;
        EXPECT_EQ(delta.last_sync_id, 1000U);
        EXPECT_FALSE(delta.has_more);
    }
}

TEST(Delta, IsNotProvableWhenTheFirstEntryFollowsOnAnotherOne) {
    auto delta = Case({10, 10}).entry(0, message(11, 20)).prove();

    EXPECT_EQ(delta.status, Status::trimmed);
    EXPECT_EQ(delta.detail, "the history of a does not reach back to 10: it begins after 11");
}

TEST(Delta, WithoutEntriesGoesByTheFloor) {
    EXPECT_EQ(Case({10, 10}).floor(10).prove().status, Status::complete);
    EXPECT_EQ(Case({10, 10}).floor(11).prove().status, Status::trimmed);
    EXPECT_EQ(Case({11, 10}).floor(11).prove().status, Status::trimmed);  // Control, too.
    EXPECT_EQ(Case({10, 11}).floor(11).prove().status, Status::trimmed);
}

TEST(Delta, WithEntriesNeedsNoFloor) {
    auto one = Case({10, 500}).entry(0, message(10, 20)).floor(500);

    EXPECT_EQ(one.prove().status, Status::complete);
}

TEST(Delta, IsNotProvableInAnotherEpoch) {
    Case one({10, 10});
    one.page.epoch = "k4";
    one.page.following.clear();

    EXPECT_EQ(one.prove().status, Status::epoch_changed);
}

TEST(Delta, IsNotProvableWhenThePositionIsBelowAnyKnownId) {
    EXPECT_EQ(Case({1000, 1000}).prove().status, Status::complete);
    EXPECT_EQ(Case({1001, 1000}).prove().status, Status::went_back);
    EXPECT_EQ(Case({1000, 1001}).prove().status, Status::went_back);
}

TEST(Delta, SeesAHoleInTheMiddle) {
    auto whole = Case({10, 10}).entry(0, message(10, 20)).entry(0, message(20, 30)).prove();
    auto broken = Case({10, 10}).entry(0, message(10, 20)).entry(0, message(21, 30)).prove();

    EXPECT_EQ(whole.status, Status::complete);
    EXPECT_EQ(broken.status, Status::trimmed);
}

TEST(Delta, KeepsChannelsApart) {
    auto one = Case({10, 15}).entry(0, message(10, 20)).entry(1, message(15, 25));
    EXPECT_EQ(one.prove().status, Status::complete);

    one.entry(0, message(25, 30));  // Its last one was 20.
    EXPECT_EQ(one.prove().status, Status::trimmed);
}

TEST(Delta, SeesAHoleBeyondThePage) {
    // The next page would begin above 20, where this one's hole is not seen any more.
    auto one = Case({10, 10}).entry(0, message(10, 20)).following(1, message(11, 30));

    EXPECT_EQ(one.prove().status, Status::trimmed);
}

TEST(Delta, GoesOnWhereThePageEnds) {
    auto delta = Case({10, 10})
                     .entry(0, message(10, 20))
                     .following(0, message(20, 30))
                     .following(1, message(5, 40))
                     .prove();

    EXPECT_EQ(delta.status, Status::complete);
    EXPECT_TRUE(delta.has_more);
    EXPECT_EQ(delta.after, (std::vector<SyncId>{29, 39}));
    EXPECT_EQ(delta.last_sync_id, 29U);
}

TEST(Delta, OfAChannelThatIsReadToItsEndGoesOnAtThePosition) {
    auto delta = Case({10, 10}).entry(0, message(10, 20)).following(1, message(10, 30)).prove();

    EXPECT_EQ(delta.after, (std::vector<SyncId>{1000, 29}));
}

TEST(Delta, SeesWhatWasTrimmedBetweenTwoPages) {
    Case first({10, 10});
    first.entry(0, message(10, 20)).following(0, message(20, 30));
    Case second(first.prove().after);

    second.entry(0, message(30, 40));  // And 30 is gone.

    EXPECT_EQ(second.prove().status, Status::trimmed);
}

TEST(Delta, IsNotProvableWhereSomethingElseIsInHistory) {
    for (const std::string& text :
         {std::string("hello"), std::string(), message(10, 20, "k4"), message(10, 10),
          std::string(R"({"type":"sync","epoch":"k3","prevSyncId":10})")}) {
        EXPECT_EQ(Case({10, 10}).entry(0, text).prove().status, Status::damaged) << text;
        if (text.empty()) continue;
        EXPECT_EQ(Case({10, 10}).following(0, text).prove().status, Status::damaged) << text;
    }
}

TEST(MessageHead, IsReadWhereverTheMessageIsCutAfterIt) {
    auto text = message(1017, 9007199254740991);

    for (auto size = text.find(",\"lsn\""); size <= text.size(); ++size) {
        auto head = read_message_head(std::string_view(text).substr(0, size));
        ASSERT_TRUE(head) << size;
        EXPECT_EQ(head->epoch, "k3");
        EXPECT_EQ(head->prev_sync_id, 1017U);
        EXPECT_EQ(head->last_sync_id, 9007199254740991U);
    }
}

TEST(MessageHead, IsNoneWhereItIsCut) {
    auto text = message(1017, 2);

    for (std::size_t size = 0; size < text.find(",\"lsn\""); ++size)
        EXPECT_FALSE(read_message_head(std::string_view(text).substr(0, size))) << size;
}

TEST(DeltaJson, HasTheMessagesAsTheyAre) {
    auto one = Case({10, 10}).entry(0, R"({"type":"sync","epoch":"k3","prevSyncId":10,)"
                                       R"("lastSyncId":20, "sync":[ ]})");
    one.following(0, message(20, 30));

    EXPECT_EQ(delta_json(one.request, one.page, one.prove()),
              R"({"status":"complete","epoch":"k3","lastSyncId":29,"more":true,"next":"29,1000",)"
              R"("messages":[{"channel":"a","message":{"type":"sync","epoch":"k3","prevSyncId":10,)"
              R"("lastSyncId":20, "sync":[ ]}}]})"
              "\n");
}

TEST(DeltaJson, SaysWhyAndWhereThePositionIs) {
    auto one = Case({10, 10}).floor(11);

    EXPECT_EQ(
        delta_json(one.request, one.page, one.prove()),
        R"({"status":"not provable","reason":"trimmed","detail":"the history of a has nothing )"
        R"(above 10, and what it had up to 11 may have been removed","epoch":"k3",)"
        R"("lastSyncId":1000})"
        "\n");
}

}  // namespace walcast
