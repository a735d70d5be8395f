#include "sinks/native_envelope.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace walcast {

using namespace std::chrono;
using namespace std::chrono_literals;

static std::string show(Timestamp time) {
    std::string out;
    append_timestamp(out, time);
    return out;
}

// 2026-11-21T04:10:24.870123Z
static const Timestamp commit_time = sys_days{2026y / 11 / 21} + 4h + 10min + 24s + 870123us;

// --- timestamps ---

TEST(Timestamp, IsWrittenInUtcWithMicroseconds) {
    EXPECT_EQ(show(commit_time), "2026-11-21T04:10:24.870123Z");
    EXPECT_EQ(show(Timestamp{0us}), "1970-01-01T00:00:00.000000Z");
    EXPECT_EQ(show(Timestamp{1us}), "1970-01-01T00:00:00.000001Z");
}

TEST(Timestamp, IsWrittenRightBefore1970) {
    EXPECT_EQ(show(Timestamp{-1us}), "1969-12-31T23:59:59.999999Z");
    EXPECT_EQ(show(Timestamp{-24h}), "1969-12-31T00:00:00.000000Z");
    EXPECT_EQ(show(sys_days{1900y / 3 / 1} - 1us), "1900-02-28T23:59:59.999999Z");
}

TEST(Timestamp, KnowsLeapDays) {
    EXPECT_EQ(show(sys_days{2024y / 2 / 29} + 23h + 59min + 59s), "2024-02-29T23:59:59.000000Z");
    EXPECT_EQ(show(sys_days{2000y / 2 / 29}), "2000-02-29T00:00:00.000000Z");
}

TEST(Timestamp, IsWrittenAtTheEdgesOfFourDigitYears) {
    EXPECT_EQ(show(sys_days{0y / 1 / 1}), "0000-01-01T00:00:00.000000Z");
    EXPECT_EQ(show(sys_days{10000y / 1 / 1} - 1us), "9999-12-31T23:59:59.999999Z");
}

TEST(Timestamp, BecomesTheNearestInsideWhenOutside) {
    constexpr auto least = std::numeric_limits<std::int64_t>::min();
    constexpr auto most = std::numeric_limits<std::int64_t>::max();

    EXPECT_EQ(show(sys_days{0y / 1 / 1} - 1us), "0000-01-01T00:00:00.000000Z");
    EXPECT_EQ(show(Timestamp{microseconds{least}}), "0000-01-01T00:00:00.000000Z");
    EXPECT_EQ(show(sys_days{10000y / 1 / 1}), "9999-12-31T23:59:59.999999Z");
    EXPECT_EQ(show(Timestamp{microseconds{most}}), "9999-12-31T23:59:59.999999Z");
}

// --- messages ---

static std::string head_of(const Message& message, std::string_view epoch,
                           std::optional<SyncId> prev_sync_id) {
    std::string out;
    append_message_head(out, {}, message, epoch, prev_sync_id);
    return out;
}

TEST(NativeEnvelope, WritesTheHeadOfAMessage) {
    TransactionInfo transaction{
        .commit_lsn = Lsn{0x16B3748}, .xid = 738, .commit_time = commit_time};

    auto out = head_of({.last_sync_id = 1043, .transaction = transaction}, "k3v9x2m7", 1017);

    EXPECT_EQ(out,
              R"({"type":"sync","epoch":"k3v9x2m7","prevSyncId":1017,"lastSyncId":1043,)"
              R"("lsn":"0/16B3748","xid":738,"commitTime":"2026-11-21T04:10:24.870123Z","sync":[)");
}

TEST(NativeEnvelope, LeavesOutWhatAnEventOutsideATransactionHasNot) {
    Message message{.kind = Message::Kind::event,
                    .last_sync_id = 7,
                    .transaction = {.commit_lsn = Lsn{0x16B3748}, .xid = 0, .commit_time = {}}};

    EXPECT_EQ(head_of(message, "e", 5),
              R"({"type":"event","epoch":"e","prevSyncId":5,"lastSyncId":7,"lsn":"0/16B3748")");
}

TEST(NativeEnvelope, WritesProgressAsNoActions) {
    Message message{.kind = Message::Kind::progress,
                    .last_sync_id = 7,
                    .transaction = {.commit_lsn = {}, .xid = 8, .commit_time = commit_time}};
    std::string out;

    append_message(out, {}, message, "e", 5);

    EXPECT_EQ(out,
              R"({"type":"sync","epoch":"e","prevSyncId":5,"lastSyncId":7,"lsn":"0/0","xid":8,)"
              R"("commitTime":"2026-11-21T04:10:24.870123Z","sync":[]})");
}

TEST(NativeEnvelope, WritesReceipts) {
    Batch batch;
    batch.bytes = R"(m"1"m\"1""no title")";
    auto receipt = [&](bool is_rejected) {
        std::string out;
        append_receipt(out, batch,
                       {.mutation_id = {0, 3},
                        .mutation_id_json = {3, 9},
                        .is_rejected = is_rejected,
                        .last_sync_id = 9,
                        .reason = {is_rejected ? std::size_t{9} : std::size_t{0},
                                   is_rejected ? batch.bytes.size() : 0}},
                       "e");
        return out;
    };

    EXPECT_EQ(receipt(false),
              R"({"mutationId":"m\"1","status":"committed","epoch":"e","lastSyncId":9})");
    EXPECT_EQ(receipt(true),
              R"({"mutationId":"m\"1","status":"rejected","epoch":"e","lastSyncId":9,)"
              R"("reason":"no title"})");
}

TEST(NativeEnvelope, LeavesThePlaceOfAnUnknownPreviousIdEmpty) {
    auto out = head_of({.kind = Message::Kind::reset, .last_sync_id = 5, .transaction = {}}, "e",
                       std::nullopt);

    EXPECT_TRUE(out.starts_with(R"({"type":"reset","epoch":"e","prevSyncId":,"lastSyncId":5,)"))
        << out;
}

TEST(NativeEnvelope, WritesLargeNumbersPlainly) {
    TransactionInfo transaction{
        .commit_lsn = Lsn{0xFFFFFFFF'0ABCDEF0}, .xid = 0xFFFFFFFF, .commit_time = Timestamp{0us}};

    auto out = head_of({.last_sync_id = sync_id_limit - 1, .transaction = transaction}, "e",
                       sync_id_limit - 2);

    EXPECT_EQ(out, R"({"type":"sync","epoch":"e","prevSyncId":9007199254740990,)"
                   R"("lastSyncId":9007199254740991,"lsn":"FFFFFFFF/ABCDEF0","xid":4294967295,)"
                   R"("commitTime":"1970-01-01T00:00:00.000000Z","sync":[)");
}

TEST(NativeEnvelope, WritesTheHeadOfEachAction) {
    auto head = [](Action action) {
        std::string out;
        append_action_head(out, 7, action, R"("Todo")");
        return out;
    };

    EXPECT_EQ(head(Action::insert),
              R"({"syncId":7,"action":"insert","modelName":"Todo","modelId":)");
    EXPECT_EQ(head(Action::update),
              R"({"syncId":7,"action":"update","modelName":"Todo","modelId":)");
    EXPECT_EQ(head(Action::remove),
              R"({"syncId":7,"action":"delete","modelName":"Todo","modelId":)");
}

TEST(NativeEnvelope, AppendsToWhatIsThere) {
    std::string out = "x";

    append_action_head(out, 7, Action::insert, R"("T")");

    EXPECT_TRUE(out.starts_with("x{")) << out;
}

}  // namespace walcast
