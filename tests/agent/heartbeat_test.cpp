#include "agent/heartbeat.hpp"

#include <gtest/gtest.h>

namespace walcast {

using std::chrono::milliseconds;

static Clock::time_point at(int ms) {
    return Clock::time_point(milliseconds{ms});
}

TEST(Heartbeat, IsThroughWhenTheSinkCoversItsTransaction) {
    Heartbeat heartbeat("t");
    auto content = heartbeat.send(at(10));
    heartbeat.heard(content);
    heartbeat.committed(Lsn{200});

    EXPECT_FALSE(heartbeat.accepted(Lsn{199}, at(20)));
    EXPECT_TRUE(heartbeat.accepted(Lsn{200}, at(30)));

    EXPECT_EQ(heartbeat.returned_at(), at(30));
    EXPECT_EQ(heartbeat.round_trip(), milliseconds{20});
    EXPECT_FALSE(heartbeat.is_out());
}

TEST(Heartbeat, IsNotThroughBeforeItWasHeard) {
    Heartbeat heartbeat("t");
    heartbeat.send(at(10));
    heartbeat.committed(Lsn{200});

    EXPECT_FALSE(heartbeat.accepted(Lsn{300}, at(20)));
    EXPECT_TRUE(heartbeat.is_out());
}

TEST(Heartbeat, DoesNotTakeAnotherOnesForItsOwn) {
    Heartbeat heartbeat("t");
    Heartbeat other("u");
    heartbeat.send(at(10));
    heartbeat.heard(other.send(at(10)));
    heartbeat.committed(Lsn{200});

    EXPECT_FALSE(heartbeat.accepted(Lsn{300}, at(20)));
}

TEST(Heartbeat, DoesNotTakeAnEarlierOneForTheLast) {
    Heartbeat heartbeat("t");
    auto first = heartbeat.send(at(10));
    heartbeat.failed();  // As far as we know.
    heartbeat.send(at(20));
    heartbeat.heard(first);
    heartbeat.committed(Lsn{200});

    EXPECT_FALSE(heartbeat.accepted(Lsn{300}, at(30)));
}

TEST(Heartbeat, ThatFailedIsNotBackForEver) {
    Heartbeat heartbeat("t");
    heartbeat.heard(heartbeat.send(at(10)));
    heartbeat.committed(Lsn{200});
    ASSERT_TRUE(heartbeat.is_back());

    heartbeat.failed();  // Its answer came too late.

    EXPECT_FALSE(heartbeat.is_back());
    EXPECT_FALSE(heartbeat.accepted(Lsn{300}, at(20)));
}

}  // namespace walcast
