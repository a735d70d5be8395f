#include "agent/progress.hpp"

#include <gtest/gtest.h>

namespace walcast {

using std::chrono::milliseconds;

static Clock::time_point at(int ms) {
    return Clock::time_point(milliseconds{ms});
}

TEST(Progress, ConfirmsAtOnceWithoutADelay) {
    Progress progress(milliseconds{0});

    progress.accepted(Lsn{100}, true, at(0));

    EXPECT_EQ(progress.confirmed(), Lsn{100});
}

TEST(Progress, NeverGoesBack) {
    Progress progress(milliseconds{0});
    progress.accepted(Lsn{100}, true, at(0));

    progress.accepted(Lsn{50}, true, at(1));

    EXPECT_EQ(progress.confirmed(), Lsn{100});
}

TEST(Progress, WaitsForTheDelayOfEachStep) {
    Progress progress(milliseconds{1000});
    progress.accepted(Lsn{100}, true, at(0));
    progress.accepted(Lsn{200}, true, at(600));

    progress.answered(at(999));
    EXPECT_EQ(progress.confirmed(), Lsn{});
    progress.answered(at(1000));
    EXPECT_EQ(progress.confirmed(), Lsn{100});
    progress.answered(at(1599));
    EXPECT_EQ(progress.confirmed(), Lsn{100});
    progress.answered(at(1600));
    EXPECT_EQ(progress.confirmed(), Lsn{200});
    EXPECT_FALSE(progress.is_delayed());
}

TEST(Progress, ConfirmsNothingByTimeAloneSinceTheSinkMayHaveComeBackOlder) {
    Progress progress(milliseconds{1000});

    progress.accepted(Lsn{100}, true, at(0));

    EXPECT_EQ(progress.all_due_at(), at(1000));
    EXPECT_FALSE(progress.is_answer_due(at(999)));
    EXPECT_TRUE(progress.is_answer_due(at(1000)));
    EXPECT_EQ(progress.confirmed(), Lsn{});
}

TEST(Progress, ComesToRestWhenNothingNewIsAccepted) {
    Progress progress(milliseconds{1000});
    progress.accepted(Lsn{100}, true, at(0));

    progress.accepted(Lsn{100}, true, at(1500));

    EXPECT_EQ(progress.confirmed(), Lsn{100});
    EXPECT_FALSE(progress.is_delayed());
}

TEST(Progress, NeverConfirmsWhatIsYoungerThanTheDelayHoweverMuchComes) {
    Progress progress(milliseconds{1000});

    for (auto now = 0; now < 10'000; now += 7) {
        progress.accepted(Lsn{static_cast<std::uint64_t>(now) + 1}, true, at(now));
        auto confirmed = static_cast<int>(progress.confirmed().value);
        EXPECT_LE(confirmed == 0 ? 0 : confirmed + 999, now);
        EXPECT_GE(confirmed + 2100, now);  // At most twice the delay behind.
    }
}

TEST(Progress, ForgetsWhatWaitedWhenTheSinkIsLost) {
    Progress progress(milliseconds{1000});
    progress.accepted(Lsn{100}, true, at(0));

    progress.sink_lost();
    progress.answered(at(5000));

    EXPECT_EQ(progress.confirmed(), Lsn{});
}

TEST(Progress, ConfirmsNothingThatIsNotDurableUntilSomethingLaterIs) {
    Progress progress(milliseconds{0});
    progress.accepted(Lsn{100}, true, at(0));

    progress.accepted(Lsn{200}, false, at(1));
    EXPECT_EQ(progress.confirmed(), Lsn{100});
    EXPECT_TRUE(progress.is_waiting_for_durability());

    progress.accepted(Lsn{300}, true, at(2));
    EXPECT_EQ(progress.confirmed(), Lsn{300});
    EXPECT_FALSE(progress.is_waiting_for_durability());
}

}  // namespace walcast
