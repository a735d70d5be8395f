#include "sinks/stdout_sink.hpp"

#include "tests/support/coroutines.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace walcast {

// A batch of messages on channels; `add` takes the bytes of the actions as they are.
class BatchOf {
public:
    BatchOf() { batch_.before.epoch = "e"; }

    BatchOf& add(std::vector<std::string> channels, SyncId last_sync_id, std::string_view body) {
        Message message{
            .kind = Message::Kind::sync, .last_sync_id = last_sync_id, .transaction = {}};
        message.channels_begin = static_cast<std::uint32_t>(batch_.channels.size());
        for (const auto& channel : channels) batch_.channels.push_back(append(channel));
        message.channels_end = static_cast<std::uint32_t>(batch_.channels.size());
        auto slice = append(body);
        message.body_begin = slice.begin;
        message.body_end = slice.end;
        batch_.messages.push_back(message);
        return *this;
    }
    BatchOf& add_reset(SyncId last_sync_id, std::string_view body) {
        Message message{
            .kind = Message::Kind::reset, .last_sync_id = last_sync_id, .transaction = {}};
        auto slice = append(body);
        message.body_begin = slice.begin;
        message.body_end = slice.end;
        batch_.messages.push_back(message);
        return *this;
    }
    const Batch& batch() const { return batch_; }

private:
    Batch::Slice append(std::string_view text) {
        auto begin = batch_.bytes.size();
        batch_.bytes += text;
        return {begin, batch_.bytes.size()};
    }

    Batch batch_;
};

class StdoutSinkTest : public testing::Test {
protected:
    asio::awaitable<void> show(std::string_view channel, std::string_view message) {
        shown.push_back(std::string(channel) + ' ' + std::string(message));
        co_return;
    }
    void send(const BatchOf& batch) { run(sink.send(batch.batch())); }

    std::vector<std::string> shown;
    StdoutSink sink{[this](std::string_view channel, std::string_view message) {
        return show(channel, message);
    }};
};

static const std::string in_transaction =
    R"("lsn":"0/0","xid":0,"commitTime":"1970-01-01T00:00:00.000000Z",)";

TEST_F(StdoutSinkTest, ShowsAMessageOnEachOfItsChannels) {
    send(BatchOf().add({"a", "b"}, 2, "{}"));

    std::vector<std::string> expected{
        R"(a {"type":"sync","epoch":"e","prevSyncId":0,"lastSyncId":2,)" + in_transaction +
            R"("sync":[{}]})",
        R"(b {"type":"sync","epoch":"e","prevSyncId":0,"lastSyncId":2,)" + in_transaction +
            R"("sync":[{}]})"};
    EXPECT_EQ(shown, expected);
}

TEST_F(StdoutSinkTest, ChainsTheMessagesOfEachChannel) {
    send(BatchOf().add({"a"}, 2, "{}").add({"b"}, 3, "{}"));
    send(BatchOf().add({"a"}, 4, "{}"));

    ASSERT_EQ(shown.size(), 3U);
    EXPECT_NE(shown[1].find(R"("prevSyncId":0,"lastSyncId":3,)"), std::string::npos) << shown[1];
    EXPECT_NE(shown[2].find(R"("prevSyncId":2,"lastSyncId":4,)"), std::string::npos) << shown[2];
}

TEST_F(StdoutSinkTest, ShowsAResetOnTheControlChannel) {
    send(BatchOf().add_reset(5, R"("modelName":"Todo","reason":"truncate")"));

    std::vector<std::string> expected{
        R"(control {"type":"reset","epoch":"e","prevSyncId":0,"lastSyncId":5,)" + in_transaction +
        R"("modelName":"Todo","reason":"truncate"})"};
    EXPECT_EQ(shown, expected);
}

// A slow terminal may hold it up until the batch is used again.
TEST_F(StdoutSinkTest, NeedsNothingOfTheBatchOnceItWaits) {
    auto batch = BatchOf().add({"a", "b"}, 2, "{}").add({"c"}, 3, "{}").batch();
    StdoutSink slow([&](std::string_view channel, std::string_view message) {
        batch = Batch();
        return show(channel, message);
    });

    run(slow.send(batch));

    ASSERT_EQ(shown.size(), 3U);
    EXPECT_TRUE(shown[2].starts_with("c ") && shown[2].ends_with(R"("sync":[{}]})")) << shown[2];
}

TEST_F(StdoutSinkTest, BeginsItsEpochWithIdsFromOne) {
    Position from{.epoch = "e", .sync_id = 42, .lsn = Lsn{7}, .partial = {}};
    Source source;
    std::string reason = "no position is stored";

    auto position = run(sink.begin_epoch(from, source, reason));

    EXPECT_EQ(position.sync_id, 0U);
    EXPECT_EQ(position.lsn, Lsn{7});
    EXPECT_EQ(position.epoch, "e");
}

TEST_F(StdoutSinkTest, RemembersNoPosition) {
    EXPECT_EQ(run(sink.connect()).has_value(), false);
    EXPECT_EQ(run(sink.take_over()).has_value(), false);
}

}  // namespace walcast
