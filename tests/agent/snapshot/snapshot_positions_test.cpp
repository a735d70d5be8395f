#include "agent/snapshot/snapshot_positions.hpp"

#include "agent/snapshot/snapshot_json.hpp"
#include "tests/support/coroutines.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace walcast {

namespace {

Position position_at(SyncId sync_id, Lsn lsn) {
    Position position;
    position.epoch = "k3";
    position.sync_id = sync_id;
    position.lsn = lsn;
    return position;
}

class SnapshotPositionsTest : public testing::Test {
protected:
    void begin() { positions.begin("host=here", parse_snapshot("100:100:")); }

    auto ask(const char* snapshot) {
        return start(context, positions.position_of(parse_snapshot(snapshot)));
    }

    void pass(const std::string& marker, SyncId last_sync_id) {
        positions.heard(marker);
        if (positions.is_marker_heard())
            positions.passed(position_at(last_sync_id, Lsn{last_sync_id}));
        positions.accepted(Lsn{last_sync_id});
        settle(context);
    }

    bool is_asked() {
        auto waiting =
            start(context, within(std::chrono::milliseconds{0}, positions.wait_until_asked()));
        while (!waiting.has_ended()) context.run_one();
        return waiting.get();
    }

    asio::io_context context;
    SnapshotPositions positions{context.get_executor(), "token"};
};

}  // namespace

TEST_F(SnapshotPositionsTest, AnswerWhenTheMarkerHasPassed) {
    begin();
    auto asked = ask("102:102:");
    positions.committed(100, 1, 4);
    settle(context);
    EXPECT_FALSE(asked.has_ended());
    auto marker = positions.next_marker();
    positions.committed(103, 5, 5);

    pass(marker, 5);

    auto answer = asked.get();
    EXPECT_EQ(answer.epoch, "k3");
    EXPECT_EQ(answer.position.last_sync_id, 4U);
}

TEST_F(SnapshotPositionsTest, OneMarkerDoesForAllWhoAskedBefore) {
    begin();
    auto first = ask("100:100:");
    auto second = ask("100:100:");
    EXPECT_TRUE(is_asked());
    auto marker = positions.next_marker();
    EXPECT_FALSE(is_asked());
    auto late = ask("100:100:");
    EXPECT_TRUE(is_asked());

    pass(marker, 7);

    EXPECT_EQ(first.get().position.last_sync_id, 7U);
    EXPECT_EQ(second.get().position.last_sync_id, 7U);
    EXPECT_FALSE(late.has_ended());
    pass(positions.next_marker(), 8);
    EXPECT_EQ(late.get().position.last_sync_id, 8U);
}

// Ids that the sink does not have could become other transactions' after a failover of the server.
TEST_F(SnapshotPositionsTest, AnswerWhenTheSinkHasTheMarker) {
    begin();
    auto asked = ask("100:100:");
    positions.heard(positions.next_marker());
    EXPECT_FALSE(positions.is_sink_awaited());

    positions.passed(position_at(7, Lsn{200}));
    positions.accepted(Lsn{199});
    settle(context);
    EXPECT_FALSE(asked.has_ended());
    EXPECT_TRUE(positions.is_sink_awaited());

    positions.accepted(Lsn{200});
    settle(context);
    EXPECT_EQ(asked.get().position.last_sync_id, 7U);
    EXPECT_FALSE(positions.is_sink_awaited());
}

TEST_F(SnapshotPositionsTest, TakeNoOthersMarkerForTheirs) {
    begin();
    auto asked = ask("100:100:");
    auto marker = positions.next_marker();

    for (const auto* other : {"", "token", "other-1", "tokenx-9"}) pass(other, 7);

    EXPECT_FALSE(asked.has_ended());
    pass(marker, 8);
    EXPECT_EQ(asked.get().position.last_sync_id, 8U);
}

TEST_F(SnapshotPositionsTest, RefuseWhatNobodyCanTell) {
    begin();
    auto asked = ask("99:99:");

    pass(positions.next_marker(), 7);

    EXPECT_THROW(asked.get(), SnapshotRefused);
}

TEST_F(SnapshotPositionsTest, SayThatNothingIsStreamed) {
    EXPECT_THROW(ask("100:100:").get(), NotStreaming);
    EXPECT_THROW(positions.server(), NotStreaming);

    begin();
    EXPECT_EQ(positions.server(), "host=here");
    auto asked = ask("100:100:");
    positions.end();
    settle(context);
    EXPECT_THROW(asked.get(), NotStreaming);

    positions.begin("", std::nullopt);  // A standby.
    EXPECT_THROW(ask("100:100:").get(), NotStreaming);
}

TEST_F(SnapshotPositionsTest, GiveUpThoseWhoseMarkerCouldNotBeWritten) {
    begin();
    auto first = ask("100:100:");
    positions.next_marker();
    auto second = ask("100:100:");

    positions.failed("refused");
    settle(context);

    EXPECT_THROW(first.get(), NotStreaming);
    EXPECT_FALSE(second.has_ended());
    pass(positions.next_marker(), 3);
    EXPECT_EQ(second.get().position.last_sync_id, 3U);
}

TEST_F(SnapshotPositionsTest, LetThoseGoWhoAskNoMore) {
    begin();
    auto asked = start(context, within(std::chrono::milliseconds{1},
                                       positions.position_of(parse_snapshot("100:100:"))));
    while (!asked.has_ended()) context.run_one();

    EXPECT_FALSE(asked.get().has_value());
    EXPECT_FALSE(is_asked());
    pass(positions.next_marker(), 7);
}

// --- JSON ---

TEST(SnapshotJson, IsReadAgain) {
    SnapshotAnswer answer{.epoch = "k3",
                          .position = {.last_sync_id = 7, .visible = {{9, 9}, {11, 14}}}};
    std::string json = "{";
    append_snapshot_answer(json, answer);
    json += '}';

    EXPECT_EQ(json, R"({"epoch":"k3","lastSyncId":7,"visible":[[9,9],[11,14]]})");
    auto read = read_snapshot_answer(json);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->epoch, answer.epoch);
    EXPECT_EQ(read->position, answer.position);
}

TEST(SnapshotJson, RefusesWhatIsNone) {
    for (const auto* json : {"", "{}", "[]", "404 not found", R"({"epoch":"k3","lastSyncId":7})",
                             R"({"epoch":7,"lastSyncId":7,"visible":[]})",
                             R"({"epoch":"k","lastSyncId":-7,"visible":[]})",
                             R"({"epoch":"k","lastSyncId":7,"visible":[[1]]})",
                             R"({"epoch":"k","lastSyncId":7,"visible":[1]})"})
        EXPECT_FALSE(read_snapshot_answer(json)) << json;
}

TEST(SnapshotJson, HasErrors) {
    EXPECT_EQ(error_json("a \"b\""), "{\"error\":\"a \\\"b\\\"\"}\n");
    EXPECT_EQ(read_error(error_json("a \"b\"")), "a \"b\"");
    EXPECT_EQ(read_error("no JSON"), "");
}

}  // namespace walcast
