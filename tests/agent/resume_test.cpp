#include "agent/resume.hpp"

#include "agent/errors.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

namespace walcast {

// A sink's position at 100 and a slot that goes on from there.
static Stored stored_position() {
    return {.position = {.epoch = "e", .sync_id = 7, .lsn = Lsn{100}, .partial = std::nullopt},
            .source = {.system_id = "1", .timeline = 2, .slot = "walcast", .fingerprint = "f"}};
}

static StreamFacts slot_facts() {
    StreamFacts facts;
    facts.source = stored_position().source;
    facts.confirmed_lsn = Lsn{100};
    facts.wal_end = Lsn{200};
    return facts;
}

static std::string gap_of(const Stored& stored, const StreamFacts& facts) {
    return find_gap(stored, facts).value_or("none");
}

TEST(FindGap, FindsNoneWhenTheSlotGoesOnFromThePosition) {
    EXPECT_EQ(find_gap(stored_position(), slot_facts()), std::nullopt);
}

TEST(FindGap, FindsNoneWhenTheSlotIsBehindThePosition) {
    auto facts = slot_facts();
    facts.confirmed_lsn = Lsn{50};

    EXPECT_EQ(find_gap(stored_position(), facts), std::nullopt);
}

TEST(FindGap, FindsNoneWhenTheLogEndsAtThePosition) {
    auto facts = slot_facts();
    facts.wal_end = Lsn{100};

    EXPECT_EQ(find_gap(stored_position(), facts), std::nullopt);
}

TEST(FindGap, WantsAPosition) {
    EXPECT_EQ(find_gap(std::nullopt, slot_facts()), "no position is stored");
}

TEST(FindGap, WantsTheSameDatabase) {
    auto facts = slot_facts();
    facts.source.system_id = "2";

    EXPECT_EQ(gap_of(stored_position(), facts),
              "the database is another one: system 2 instead of 1");
}

TEST(FindGap, WantsASlotThatHasNotMovedAhead) {
    auto facts = slot_facts();
    facts.confirmed_lsn = Lsn{0x101};

    EXPECT_TRUE(contains(gap_of(stored_position(), facts), "slot walcast begins at 0/101"));
}

TEST(FindGap, WantsALogThatReachesThePosition) {
    auto facts = slot_facts();
    facts.confirmed_lsn = Lsn{50};
    facts.wal_end = Lsn{99};

    EXPECT_TRUE(contains(gap_of(stored_position(), facts), "the database was restored"));
}

TEST(FindGap, FollowsATimelineThatWasLeftAtOrAfterThePosition) {
    for (auto end : {Lsn{100}, Lsn{150}}) {
        auto facts = slot_facts();
        facts.source.timeline = 3;
        facts.timeline_ends[2] = end;

        EXPECT_EQ(find_gap(stored_position(), facts), std::nullopt) << end.value;
    }
}

TEST(FindGap, WantsATimelineThatWasNotLeftBeforeThePosition) {
    auto facts = slot_facts();
    facts.source.timeline = 3;
    facts.timeline_ends[2] = Lsn{99};

    EXPECT_EQ(gap_of(stored_position(), facts), "timeline 2 was left before 0/64");
}

TEST(FindGap, WantsATimelineThatHoldsTheCommitOfAnUnfinishedTransaction) {
    for (auto [end, is_gap] : {std::pair{Lsn{180}, true}, std::pair{Lsn{181}, false}}) {
        auto stored = stored_position();
        stored.position.partial = {.commit_lsn = Lsn{180}, .xid = 7, .changes = 1, .hash = 1};
        auto facts = slot_facts();
        facts.source.timeline = 3;
        facts.timeline_ends[2] = end;

        EXPECT_EQ(find_gap(stored, facts).has_value(), is_gap) << end.value;
    }
}

TEST(FindGap, WantsATimelineThatComesFromThePositions) {
    auto facts = slot_facts();
    facts.source.timeline = 3;
    facts.timeline_ends[1] = Lsn{150};

    EXPECT_EQ(gap_of(stored_position(), facts), "timeline 2 was left before 0/64");
}

TEST(FindGap, TakesAnotherFingerprintBetweenTransactions) {
    auto facts = slot_facts();
    facts.source.fingerprint = "other";

    EXPECT_EQ(find_gap(stored_position(), facts), std::nullopt);
}

TEST(FindGap, WantsTheSameFingerprintInsideATransaction) {
    auto stored = stored_position();
    stored.position.partial =
        PartialTransaction{.commit_lsn = Lsn{150}, .xid = 1, .changes = 1, .hash = 1};
    auto facts = slot_facts();
    EXPECT_EQ(find_gap(stored, facts), std::nullopt);

    facts.source.fingerprint = "other";

    EXPECT_TRUE(contains(gap_of(stored, facts), "in the middle of a transaction"));
}

// The slot is the configuration's business; what counts is where it begins.
TEST(FindGap, TakesAnotherSlotThatGoesOnFromThePosition) {
    auto facts = slot_facts();
    facts.source.slot = "other";

    EXPECT_EQ(find_gap(stored_position(), facts), std::nullopt);
}

TEST(RefuseOlderTimeline, StopsAtAnOldPrimary) {
    auto facts = slot_facts();
    facts.source.timeline = 1;

    auto error = error_of<SetupError>([&] { refuse_older_timeline(stored_position(), facts); });

    EXPECT_TRUE(contains(error, "timeline 1")) << error;
    EXPECT_TRUE(contains(error, "timeline 2")) << error;
}

TEST(RefuseOlderTimeline, TakesTheSameAndLaterTimelines) {
    for (auto timeline : {2U, 3U}) {
        auto facts = slot_facts();
        facts.source.timeline = timeline;

        EXPECT_NO_THROW(refuse_older_timeline(stored_position(), facts)) << timeline;
    }
}

TEST(RefuseOlderTimeline, DoesNotCompareTimelinesOfOtherDatabases) {
    auto facts = slot_facts();
    facts.source.timeline = 1;
    facts.source.system_id = "2";

    EXPECT_NO_THROW(refuse_older_timeline(stored_position(), facts));
}

TEST(RefuseOlderTimeline, TakesAnyTimelineWithoutAPosition) {
    EXPECT_NO_THROW(refuse_older_timeline(std::nullopt, slot_facts()));
}

}  // namespace walcast
