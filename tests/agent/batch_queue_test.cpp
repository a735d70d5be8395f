#include "agent/batch_queue.hpp"

#include "tests/support/coroutines.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace walcast {

static Position at(SyncId sync_id) {
    return {.epoch = "e", .sync_id = sync_id, .lsn = Lsn{100 + sync_id}, .partial = std::nullopt};
}

// The batch that leads to `sync_id`.
static Batch batch_to(SyncId sync_id) {
    Batch batch;
    batch.before = at(sync_id - 1);
    batch.after = at(sync_id);
    return batch;
}

// Ids stand for batches: 1 is the one that leads to position 1.
class BatchQueueTest : public testing::Test {
protected:
    BatchQueueTest() { queue.begin_at(at(0)); }

    Task<void> push(SyncId id) {
        auto batch = batch_to(id);
        return start(context, queue.push(std::move(batch)));
    }
    void push_all(SyncId first, SyncId last) {
        for (auto id = first; id <= last; ++id) push(id).get();
    }
    // The next one to send, or nothing while that waits.
    std::optional<SyncId> send() {
        sending.emplace(start(context, queue.next_to_send()));
        return sent();
    }
    std::optional<SyncId> sent() {
        settle(context);
        if (!sending->has_ended()) return std::nullopt;
        return sending->get()->after.sync_id;
    }
    // Four batches sent, two waiting: all that fits.
    void fill() {
        for (SyncId id = 1; id <= BatchQueue::sent_max; ++id) {
            push(id).get();
            send();
        }
        push_all(5, 6);
    }

    asio::io_context context;
    BatchQueue queue{context.get_executor()};
    std::optional<Task<const Batch*>> sending;
};

// --- in order ---

TEST_F(BatchQueueTest, GivesBatchesInTheOrderTheyCame) {
    push_all(1, 2);

    EXPECT_EQ(send(), 1U);
    EXPECT_EQ(send(), 2U);
    EXPECT_EQ(queue.accepted(), at(1));
    EXPECT_EQ(queue.accepted(), at(2));
}

TEST_F(BatchQueueTest, WaitsForABatchToSend) {
    EXPECT_EQ(send(), std::nullopt);

    push(1).get();

    EXPECT_EQ(sent(), 1U);
}

TEST_F(BatchQueueTest, WaitsForABatchThatAwaitsItsAnswer) {
    auto waiting = start(context, queue.wait_for_sent());
    push(1).get();
    settle(context);
    EXPECT_FALSE(waiting.has_ended());

    send();

    settle(context);
    EXPECT_TRUE(waiting.has_ended());
}

TEST_F(BatchQueueTest, KeepsABatchInItsPlaceUntilItIsAccepted) {
    push(1).get();
    auto task = start(context, queue.next_to_send());
    const auto* first = task.get();

    push_all(2, 3);
    send();

    EXPECT_EQ(first->after, at(1));
}

// --- backpressure ---

TEST_F(BatchQueueTest, HoldsThePusherBackWhenNoneIsSent) {
    push_all(1, BatchQueue::waiting_max);
    EXPECT_FALSE(queue.has_room());

    auto pushing = push(3);
    EXPECT_FALSE(pushing.has_ended());
    send();

    settle(context);
    EXPECT_TRUE(pushing.has_ended());
    EXPECT_FALSE(queue.has_room());
}

TEST_F(BatchQueueTest, SendsNoMoreThanMayAwaitTheirAnswers) {
    fill();
    EXPECT_EQ(send(), std::nullopt);

    queue.accepted();

    EXPECT_EQ(sent(), 5U);
}

TEST_F(BatchQueueTest, HasRoomAgainOnlyWhenABatchIsSent) {
    fill();
    auto pushing = push(7);
    send();
    EXPECT_FALSE(pushing.has_ended());

    queue.accepted();
    settle(context);

    EXPECT_EQ(sent(), 5U);
    EXPECT_TRUE(pushing.has_ended());
}

// --- the end ---

TEST_F(BatchQueueTest, IsDoneOnceItIsClosedAndAllIsAccepted) {
    push(1).get();
    queue.close();
    EXPECT_FALSE(queue.is_done());

    send();
    EXPECT_FALSE(queue.is_done());
    queue.accepted();

    EXPECT_TRUE(queue.is_done());
}

TEST_F(BatchQueueTest, IsDoneAtOnceWhenItIsClosedEmpty) {
    EXPECT_FALSE(queue.is_done());
    auto waiting = start(context, queue.wait_for_sent());

    queue.close();

    settle(context);
    EXPECT_TRUE(queue.is_done());
    EXPECT_TRUE(waiting.has_ended());
}

TEST_F(BatchQueueTest, StillSendsWhatWaitsWhenItIsClosed) {
    push(1).get();
    queue.close();

    EXPECT_EQ(send(), 1U);
}

// --- a sink that was connected anew ---

class ResumedAt : public BatchQueueTest, public testing::WithParamInterface<SyncId> {};

TEST_P(ResumedAt, SendsWhatTheSinkDoesNotHave) {
    fill();

    EXPECT_TRUE(queue.resume_at(at(GetParam())));

    for (auto id = GetParam() + 1; id <= 6; ++id) {
        EXPECT_EQ(send(), id);
        EXPECT_EQ(queue.accepted(), at(id));
    }
}

// The position before them all, and those that the four sent lead to.
INSTANTIATE_TEST_SUITE_P(BatchQueue, ResumedAt, testing::Range(SyncId{0}, SyncId{5}));

TEST_F(BatchQueueTest, RefusesPositionsThatNoSentBatchLeadsTo) {
    fill();
    auto elsewhere = at(2);
    elsewhere.epoch = "other";
    auto moved = at(2);
    moved.lsn = Lsn{7};
    auto inside = at(2);
    inside.partial = PartialTransaction{.commit_lsn = Lsn{200}, .xid = 1, .changes = 1, .hash = 1};

    // The two last ones have never been sent.
    for (const auto& position : {at(5), at(6), at(7), elsewhere, moved, inside})
        EXPECT_FALSE(queue.resume_at(position)) << position.sync_id;
}

TEST_F(BatchQueueTest, IsAsItWasAfterARefusal) {
    fill();

    EXPECT_FALSE(queue.resume_at(at(7)));

    EXPECT_EQ(queue.accepted(), at(1));
    EXPECT_EQ(send(), 5U);
}

TEST_F(BatchQueueTest, RefusesPositionsThatItHasLeftBehind) {
    fill();
    queue.accepted();
    queue.accepted();

    EXPECT_FALSE(queue.resume_at(at(1)));
    EXPECT_TRUE(queue.resume_at(at(2)));
}

TEST_F(BatchQueueTest, GoesOnWhereItStoodWhenNothingIsOnItsWay) {
    EXPECT_TRUE(queue.resume_at(at(0)));
    push(1).get();
    send();
    queue.accepted();

    EXPECT_TRUE(queue.resume_at(at(1)));
    EXPECT_FALSE(queue.resume_at(at(0)));
}

TEST_F(BatchQueueTest, WakesAPusherForWhatTheSinkTurnedOutToHave) {
    fill();
    auto pushing = push(7);
    send();
    EXPECT_FALSE(pushing.has_ended());

    EXPECT_TRUE(queue.resume_at(at(4)));

    EXPECT_EQ(sent(), 5U);
    settle(context);
    EXPECT_TRUE(pushing.has_ended());
}

TEST_F(BatchQueueTest, IsDoneWhenTheSinkTurnsOutToHaveAll) {
    push(1).get();
    send();
    queue.close();

    EXPECT_TRUE(queue.resume_at(at(1)));

    EXPECT_TRUE(queue.is_done());
}

TEST_F(BatchQueueTest, EndsTheWaitForAnswersWhenTheSinkTurnsOutToHaveAll) {
    push(1).get();
    send();
    queue.close();
    EXPECT_TRUE(queue.resume_at(at(1)));

    auto waiting = start(context, queue.wait_for_sent());

    EXPECT_TRUE(waiting.has_ended());
}

// --- spares ---

TEST_F(BatchQueueTest, GivesBuffersOfAcceptedBatchesBack) {
    auto batch = batch_to(1);
    batch.bytes.reserve(100'000);
    start(context, queue.push(std::move(batch))).get();
    send();
    EXPECT_EQ(queue.spare().bytes.capacity(), Batch().bytes.capacity());

    queue.accepted();

    EXPECT_GE(queue.spare().bytes.capacity(), 100'000U);
    EXPECT_EQ(queue.spare().bytes.capacity(), Batch().bytes.capacity());
}

TEST_F(BatchQueueTest, DoesNotKeepTheBufferOfAGiantRow) {
    auto batch = batch_to(1);
    batch.bytes.reserve(10'000'000);
    start(context, queue.push(std::move(batch))).get();
    send();

    queue.accepted();

    EXPECT_LT(queue.spare().bytes.capacity(), 10'000'000U);
}

}  // namespace walcast
