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

TEST(NativeEnvelope, WritesTheHeadOfAMessage) {
    TransactionInfo transaction{
        .commit_lsn = Lsn{0x16B3748}, .xid = 738, .commit_time = commit_time};
    std::string out;

    append_message_head(out, sync_type, "k3v9x2m7", 1017, 1043, transaction);

    EXPECT_EQ(out, R"({"type":"sync","epoch":"k3v9x2m7","prevSyncId":1017,"lastSyncId":1043,)"
                   R"("lsn":"0/16B3748","xid":738,"commitTime":"2026-11-21T04:10:24.870123Z")");
}

TEST(NativeEnvelope, LeavesThePlaceOfAnUnknownPreviousIdEmpty) {
    std::string out;

    append_message_head(out, reset_type, "e", std::nullopt, 5, {});

    EXPECT_TRUE(out.starts_with(R"({"type":"reset","epoch":"e","prevSyncId":,"lastSyncId":5,)"))
        << out;
}

TEST(NativeEnvelope, WritesLargeNumbersPlainly) {
    TransactionInfo transaction{
        .commit_lsn = Lsn{0xFFFFFFFF'0ABCDEF0}, .xid = 0xFFFFFFFF, .commit_time = Timestamp{0us}};
    std::string out;

    append_message_head(out, sync_type, "e", sync_id_limit - 2, sync_id_limit - 1, transaction);

    EXPECT_EQ(out, R"({"type":"sync","epoch":"e","prevSyncId":9007199254740990,)"
                   R"("lastSyncId":9007199254740991,"lsn":"FFFFFFFF/ABCDEF0","xid":4294967295,)"
                   R"("commitTime":"1970-01-01T00:00:00.000000Z")");
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
