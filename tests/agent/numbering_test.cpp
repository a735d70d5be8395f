#include "agent/numbering.hpp"

#include <gtest/gtest.h>

namespace walcast {

static Position position_at(SyncId sync_id, Lsn lsn) {
    return {.epoch = "e", .sync_id = sync_id, .lsn = lsn, .partial = std::nullopt};
}

static TransactionInfo transaction_at(Lsn commit_lsn, std::uint32_t xid = 738) {
    return {.commit_lsn = commit_lsn, .xid = xid, .commit_time = {}};
}

// --- ids ---

TEST(Numbering, GivesEachChangeTheNextIds) {
    Numbering numbering(position_at(41, Lsn{100}));
    numbering.begin(transaction_at(Lsn{200}));

    EXPECT_EQ(numbering.take("insert", 1), 42U);
    EXPECT_EQ(numbering.take("update", 2), 43U);
    EXPECT_EQ(numbering.take("delete", 1), 45U);
    EXPECT_EQ(numbering.take("truncate of three", 3), 46U);
    EXPECT_EQ(numbering.take("insert", 1), 49U);
    EXPECT_EQ(numbering.position().sync_id, 49U);
}

TEST(Numbering, BeginsWithOneAfterTheFirstPosition) {
    Numbering numbering(position_at(0, Lsn{100}));
    numbering.begin(transaction_at(Lsn{200}));

    EXPECT_EQ(numbering.take("insert", 1), 1U);
}

TEST(Numbering, GoesOnFromTransactionToTransaction) {
    Numbering numbering(position_at(0, Lsn{100}));
    numbering.begin(transaction_at(Lsn{200}));
    numbering.take("insert", 1);
    numbering.commit(Lsn{230});
    numbering.begin(transaction_at(Lsn{230}, 739));

    EXPECT_EQ(numbering.take("insert", 1), 2U);
}

TEST(Numbering, TakesTheLastChangeBackAsIfItHadNotCome) {
    Numbering numbering(position_at(0, Lsn{50}));
    numbering.begin(transaction_at(Lsn{100}));
    auto before_the_first = numbering.position();
    numbering.take("first", 1);
    numbering.take_back();
    EXPECT_EQ(numbering.position(), before_the_first);

    numbering.take("first", 1);
    auto before_the_second = numbering.position();
    numbering.take("second", 2);
    numbering.take_back();

    EXPECT_EQ(numbering.position(), before_the_second);
    EXPECT_EQ(numbering.take("second", 2), 2U);
}

TEST(Numbering, StopsBeforeIdsThatJavaScriptCannotHold) {
    Numbering numbering(position_at(sync_id_limit - 3, Lsn{100}));
    numbering.begin(transaction_at(Lsn{200}));

    EXPECT_EQ(numbering.take("update", 2), sync_id_limit - 2);
    EXPECT_THROW(numbering.take("insert", 1), SetupError);
}

TEST(Numbering, NeverGivesTheSecondIdOfAnUpdateAboveTheLimit) {
    Numbering numbering(position_at(sync_id_limit - 2, Lsn{100}));
    numbering.begin(transaction_at(Lsn{200}));

    EXPECT_THROW(numbering.take("update", 2), SetupError);
}

// --- positions ---

TEST(Numbering, StandsInsideATransactionWhileItIsOnItsWay) {
    Numbering numbering(position_at(0, Lsn{100}));
    EXPECT_FALSE(numbering.is_in_transaction());

    numbering.begin(transaction_at(Lsn{200}, 738));
    numbering.take("a", 1);
    numbering.take("b", 1);

    EXPECT_TRUE(numbering.is_in_transaction());
    EXPECT_EQ(numbering.position().lsn, Lsn{100});
    ASSERT_TRUE(numbering.position().partial);
    EXPECT_EQ(numbering.position().partial->commit_lsn, Lsn{200});
    EXPECT_EQ(numbering.position().partial->xid, 738U);
    EXPECT_EQ(numbering.position().partial->changes, 2U);
}

TEST(Numbering, StandsAtTheEndOfACommittedTransaction) {
    Numbering numbering(position_at(0, Lsn{100}));
    numbering.begin(transaction_at(Lsn{200}));
    numbering.take("a", 1);

    numbering.commit(Lsn{230});

    EXPECT_FALSE(numbering.is_in_transaction());
    auto expected = position_at(1, Lsn{230});
    expected.last = transaction_at(Lsn{200});
    EXPECT_EQ(numbering.position(), expected);
}

TEST(Numbering, MovesOverATransactionWithoutChanges) {
    Numbering numbering(position_at(7, Lsn{100}));
    numbering.begin(transaction_at(Lsn{200}));

    numbering.commit(Lsn{230});

    EXPECT_EQ(numbering.position(), position_at(7, Lsn{230}));
}

TEST(Numbering, HashesWhatTheChangesAreAndInWhichOrder) {
    auto hash_of = [](std::initializer_list<std::string_view> changes) {
        Numbering numbering(position_at(0, Lsn{100}));
        numbering.begin(transaction_at(Lsn{200}));
        for (auto change : changes) numbering.take(change, 1);
        return numbering.position().partial->hash;
    };

    EXPECT_EQ(hash_of({"a", "b"}), hash_of({"a", "b"}));
    EXPECT_NE(hash_of({"a", "b"}), hash_of({"b", "a"}));
    EXPECT_NE(hash_of({"a", "b"}), hash_of({"a", "c"}));
    EXPECT_NE(hash_of({"a", "b"}), hash_of({"a"}));
    EXPECT_NE(hash_of({"ab", "c"}), hash_of({"a", "bc"}));
}

// --- what the position covers ---

TEST(Numbering, PassesTransactionsOverThatThePositionCovers) {
    Numbering numbering(position_at(7, Lsn{230}));

    numbering.begin(transaction_at(Lsn{200}));
    EXPECT_EQ(numbering.take("a", 1), std::nullopt);
    EXPECT_EQ(numbering.take("b", 2), std::nullopt);
    numbering.commit(Lsn{230});

    EXPECT_EQ(numbering.position(), position_at(7, Lsn{230}));
}

// A commit record may begin exactly where the last one ended.
TEST(Numbering, TakesATransactionThatBeginsWhereTheLastOneEnded) {
    Numbering numbering(position_at(7, Lsn{230}));

    numbering.begin(transaction_at(Lsn{230}));

    EXPECT_EQ(numbering.take("a", 1), 8U);
}

TEST(Numbering, PassesAllCoveredTransactionsOverAndThenGoesOn) {
    Numbering numbering(position_at(7, Lsn{330}));

    for (auto commit_lsn : {Lsn{100}, Lsn{200}, Lsn{300}}) {
        numbering.begin(transaction_at(commit_lsn));
        EXPECT_EQ(numbering.take("a", 1), std::nullopt);
        numbering.commit(Lsn{commit_lsn.value + 30});
    }
    numbering.begin(transaction_at(Lsn{400}));

    EXPECT_EQ(numbering.take("a", 1), 8U);
}

// --- resuming inside a transaction ---

// The position after the first `changes` of the transaction at 200, which has "a", "b" and "c".
static Position position_after(std::size_t changes) {
    Numbering numbering(position_at(0, Lsn{100}));
    numbering.begin(transaction_at(Lsn{200}));
    for (std::size_t i = 0; i < changes; ++i)
        numbering.take(std::string_view("abc").substr(i, 1), 1);
    return numbering.position();
}

TEST(Numbering, GoesOnInsideATransactionAfterEachOfItsChanges) {
    for (std::size_t done = 1; done <= 3; ++done) {
        Numbering numbering(position_after(done));
        numbering.begin(transaction_at(Lsn{200}));

        for (std::size_t i = 0; i < 3; ++i) {
            auto id = numbering.take(std::string_view("abc").substr(i, 1), 1);
            auto expected = i < done ? std::nullopt : std::optional<SyncId>(i + 1);
            EXPECT_EQ(id, expected) << done << ' ' << i;
        }
        numbering.commit(Lsn{230});

        auto expected = position_at(3, Lsn{230});
        expected.last = transaction_at(Lsn{200});
        EXPECT_EQ(numbering.position(), expected) << done;
    }
}

TEST(Numbering, ComesToTheSamePositionsWhetherResumedOrNot) {
    Numbering straight(position_after(0));
    straight.begin(transaction_at(Lsn{200}));
    for (const auto* change : {"a", "b", "c"}) straight.take(change, 1);

    Numbering resumed(position_after(1));
    resumed.begin(transaction_at(Lsn{200}));
    for (const auto* change : {"a", "b", "c"}) resumed.take(change, 1);

    EXPECT_EQ(resumed.position(), straight.position());
}

TEST(Numbering, KeepsThePositionWhileItPassesOverWhatWasSent) {
    auto before = position_after(2);
    Numbering numbering(before);
    numbering.begin(transaction_at(Lsn{200}));
    EXPECT_EQ(numbering.position(), before);

    numbering.take("a", 1);
    EXPECT_EQ(numbering.position(), before);
    numbering.take("b", 1);
    EXPECT_EQ(numbering.position(), before);
}

TEST(Numbering, PassesCoveredTransactionsOverBeforeTheUnfinishedOne) {
    Numbering numbering(position_after(2));
    numbering.begin(transaction_at(Lsn{90}, 700));
    EXPECT_EQ(numbering.take("x", 1), std::nullopt);
    numbering.commit(Lsn{100});

    numbering.begin(transaction_at(Lsn{200}));
    numbering.take("a", 1);
    numbering.take("b", 1);

    EXPECT_EQ(numbering.take("c", 1), 3U);
}

// --- gaps ---

TEST(Numbering, FindsAGapWhenTheChangesAreNotWhatWasSent) {
    Numbering numbering(position_after(2));
    numbering.begin(transaction_at(Lsn{200}));
    numbering.take("a", 1);

    EXPECT_THROW(numbering.take("other", 1), Gap);
}

TEST(Numbering, FindsAGapWhenTheChangesComeInAnotherOrder) {
    Numbering numbering(position_after(2));
    numbering.begin(transaction_at(Lsn{200}));
    numbering.take("b", 1);

    EXPECT_THROW(numbering.take("a", 1), Gap);
}

TEST(Numbering, FindsAGapWhenTheTransactionEndsTooSoon) {
    Numbering numbering(position_after(2));
    numbering.begin(transaction_at(Lsn{200}));
    numbering.take("a", 1);

    EXPECT_THROW(numbering.commit(Lsn{230}), Gap);
}

TEST(Numbering, FindsAGapWhenALaterTransactionComesInstead) {
    Numbering numbering(position_after(2));

    EXPECT_THROW(numbering.begin(transaction_at(Lsn{300}, 740)), Gap);
}

TEST(Numbering, FindsAGapWhenAnotherTransactionIsAtTheSamePlace) {
    Numbering numbering(position_after(2));

    EXPECT_THROW(numbering.begin(transaction_at(Lsn{200}, 740)), Gap);
}

TEST(Numbering, FindsAGapWhenAnotherTransactionStandsBeforeTheUnfinishedOne) {
    Numbering numbering(position_after(2));

    EXPECT_THROW(numbering.begin(transaction_at(Lsn{150}, 700)), Gap);
}

TEST(Numbering, FindsAGapWhenTheLogGoesOnWithoutTheUnfinishedTransaction) {
    Numbering numbering(position_after(2));

    EXPECT_THROW(numbering.reached(Lsn{201}), Gap);
}

TEST(Numbering, FindsAGapWhenAMessageComesInsteadOfTheUnfinishedTransaction) {
    Numbering after_it(position_after(2));
    Numbering before_it(position_after(2));

    EXPECT_THROW(after_it.take_alone(Lsn{300}, 1), Gap);
    EXPECT_THROW(before_it.take_alone(Lsn{150}, 1), Gap);
}

// --- messages of their own ---

TEST(Numbering, GivesAMessageOfItsOwnAnIdAndMovesToItsEnd) {
    Numbering numbering(position_at(7, Lsn{100}));

    EXPECT_EQ(numbering.take_alone(Lsn{150}, 1), 8U);

    EXPECT_EQ(numbering.position(), position_at(8, Lsn{150}));
}

TEST(Numbering, GivesOtherMessagesNoIdButMovesToTheirEnd) {
    Numbering numbering(position_at(7, Lsn{100}));

    EXPECT_EQ(numbering.take_alone(Lsn{150}, 0), std::nullopt);

    EXPECT_EQ(numbering.position(), position_at(7, Lsn{150}));
}

TEST(Numbering, PassesAMessageOverThatThePositionCovers) {
    for (auto lsn : {Lsn{99}, Lsn{100}}) {
        Numbering numbering(position_at(7, Lsn{100}));

        EXPECT_EQ(numbering.take_alone(lsn, 1), std::nullopt);

        EXPECT_EQ(numbering.position(), position_at(7, Lsn{100}));
    }
}

TEST(Numbering, PassesACoveredMessageOverBeforeTheUnfinishedTransaction) {
    Numbering numbering(position_after(2));

    EXPECT_EQ(numbering.take_alone(Lsn{100}, 1), std::nullopt);
    EXPECT_EQ(numbering.position(), position_after(2));
}

// --- the end of the log ---

TEST(Numbering, FollowsTheLogWhileNothingIsOnItsWay) {
    Numbering numbering(position_at(7, Lsn{100}));

    numbering.reached(Lsn{150});

    EXPECT_EQ(numbering.position(), position_at(7, Lsn{150}));
}

TEST(Numbering, NeverGoesBackWithTheLog) {
    Numbering numbering(position_at(7, Lsn{100}));

    numbering.reached(Lsn{50});

    EXPECT_EQ(numbering.position(), position_at(7, Lsn{100}));
}

// --- a server restored from a backup ---

static Position position_with_last(TransactionInfo last) {
    auto position = position_at(7, Lsn{500});
    position.last = last;
    return position;
}

static void send(Numbering& numbering, TransactionInfo transaction, Lsn end_lsn) {
    numbering.begin(transaction);
    numbering.take("a change", 1);
    numbering.commit(end_lsn);
}

TEST(Numbering, RemembersTheLastTransactionThatHadChanges) {
    Numbering numbering(position_at(0, Lsn{100}));
    send(numbering, transaction_at(Lsn{200}, 7), Lsn{230});
    numbering.begin(transaction_at(Lsn{300}, 8));
    numbering.commit(Lsn{330});

    EXPECT_EQ(numbering.position().last, transaction_at(Lsn{200}, 7));
}

TEST(Numbering, GoesOnAfterTheLastTransactionHasComeAgain) {
    Numbering numbering(position_with_last(transaction_at(Lsn{400}, 7)), Lsn{300});
    send(numbering, transaction_at(Lsn{300}, 6), Lsn{330});
    send(numbering, transaction_at(Lsn{400}, 7), Lsn{430});
    numbering.reached(Lsn{600});
    send(numbering, transaction_at(Lsn{600}, 8), Lsn{630});

    EXPECT_EQ(numbering.position().sync_id, 8U);
}

TEST(Numbering, GoesOnWhereTheLastTransactionIsConfirmedAndWillNotCome) {
    Numbering numbering(position_with_last(transaction_at(Lsn{400}, 7)), Lsn{430});
    numbering.reached(Lsn{600});
    send(numbering, transaction_at(Lsn{600}, 8), Lsn{630});

    EXPECT_EQ(numbering.position().sync_id, 8U);
}

TEST(Numbering, SeesThatAnotherTransactionIsInThePlaceOfTheLastOne) {
    auto other_time = transaction_at(Lsn{400}, 7);
    other_time.commit_time += std::chrono::microseconds{1};
    for (auto other : {transaction_at(Lsn{400}, 8), transaction_at(Lsn{410}, 7), other_time}) {
        Numbering numbering(position_with_last(transaction_at(Lsn{400}, 7)), Lsn{300});
        numbering.begin(other);

        EXPECT_THROW(numbering.take("a change", 1), Gap);
    }
}

TEST(Numbering, SeesThatSomethingWasCommittedSinceThatTheLogDidNotHave) {
    Numbering numbering(position_with_last(none_before(Lsn{350})), Lsn{300});
    numbering.begin(transaction_at(Lsn{350}, 7));

    EXPECT_THROW(numbering.take("a change", 1), Gap);
}

TEST(Numbering, PassesOverWhatCommittedBeforeItsEpoch) {
    Numbering numbering(position_with_last(none_before(Lsn{350})), Lsn{300});
    send(numbering, transaction_at(Lsn{300}, 6), Lsn{350});
    send(numbering, transaction_at(Lsn{600}, 8), Lsn{630});

    EXPECT_EQ(numbering.position().sync_id, 8U);
}

TEST(Numbering, SeesThatTheLastTransactionDoesNotComeAgain) {
    Numbering by_the_next(position_with_last(transaction_at(Lsn{400}, 7)), Lsn{300});
    by_the_next.begin(transaction_at(Lsn{600}, 8));
    EXPECT_THROW(by_the_next.take("a change", 1), Gap);

    Numbering by_the_log(position_with_last(transaction_at(Lsn{400}, 7)), Lsn{300});
    by_the_log.reached(Lsn{400});
    EXPECT_THROW(by_the_log.reached(Lsn{401}), Gap);

    Numbering by_a_message(position_with_last(transaction_at(Lsn{400}, 7)), Lsn{300});
    EXPECT_THROW(by_a_message.take_alone(Lsn{600}, 0), Gap);
}

// Whether those come depends on the server's version, and on how much memory others use.
TEST(Numbering, TakesNoNoteOfTransactionsWithoutChanges) {
    Numbering numbering(position_with_last(transaction_at(Lsn{400}, 7)), Lsn{300});
    numbering.begin(transaction_at(Lsn{350}, 6));
    numbering.commit(Lsn{360});
    send(numbering, transaction_at(Lsn{400}, 7), Lsn{430});
    numbering.begin(transaction_at(Lsn{450}, 8));
    numbering.commit(Lsn{460});

    EXPECT_NO_THROW(numbering.reached(Lsn{600}));
}

// Until the unfinished transaction has come, what lies behind it must not be confirmed.
TEST(Numbering, DoesNotFollowTheLogTowardsAnUnfinishedTransaction) {
    for (auto lsn : {Lsn{150}, Lsn{200}}) {
        Numbering numbering(position_after(2));

        numbering.reached(lsn);

        EXPECT_EQ(numbering.position(), position_after(2));
    }
}

}  // namespace walcast
