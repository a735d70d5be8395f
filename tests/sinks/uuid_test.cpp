#include "sinks/uuid.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace walcast {

using std::chrono::microseconds;

static std::string uuid(std::int64_t milliseconds, SyncId sync_id, unsigned ordinal = 0) {
    std::string out;
    append_uuid(out, Timestamp{microseconds{milliseconds * 1000 + 999}}, sync_id, ordinal);
    return out;
}

TEST(Uuid, HoldsTimeThenSyncIdThenOrdinal) {
    EXPECT_EQ(uuid(0x0123'4567'89AB, 0x412), "01234567-89ab-7000-8000-000000041200");
    EXPECT_EQ(uuid(0x0123'4567'89AB, 0x412, 3), "01234567-89ab-7000-8000-000000041203");
    EXPECT_EQ(uuid(0, 1), "00000000-0000-7000-8000-000000000100");
    EXPECT_EQ(uuid(0, 1, 0xABCDE), "00000000-0000-7abc-8000-0000000001de");
}

TEST(Uuid, KeepsEveryBitOfTheLargestSyncId) {
    EXPECT_EQ(uuid(1, sync_id_limit - 1, 255), "00000000-0001-7000-9fff-ffffffffffff");
}

TEST(Uuid, SortsAsTextByTimeThenSyncIdThenOrdinal) {
    std::vector<std::string> rising;
    for (auto time : {std::int64_t{0}, std::int64_t{1}, std::int64_t{0xFFFF}, std::int64_t{0x10000},
                      std::int64_t{1'795'234'224'870}})
        for (auto sync_id : {SyncId{1}, SyncId{255}, SyncId{256}, SyncId{1} << 40U,
                             (SyncId{1} << 40U) + 1, sync_id_limit - 1})
            for (auto ordinal : {0U, 1U, 255U}) rising.push_back(uuid(time, sync_id, ordinal));

    for (std::size_t i = 1; i < rising.size(); ++i) EXPECT_LT(rising[i - 1], rising[i]);
}

TEST(Uuid, TakesTimesOutsideForTheNearestInside) {
    EXPECT_EQ(uuid(-5, 1), uuid(0, 1));
    EXPECT_EQ(uuid(std::int64_t{1} << 50U, 1), "ffffffff-ffff-7000-8000-000000000100");
}

TEST(Uuid, IsReadAgain) {
    for (auto sync_id : {SyncId{0}, SyncId{1}, SyncId{0x412}, sync_id_limit - 1})
        for (auto ordinal : {0U, 7U, 255U}) {
            auto parts = read_uuid(uuid(0x0123'4567'89AB, sync_id, ordinal));
            ASSERT_TRUE(parts);
            EXPECT_EQ(parts->clock, Timestamp{microseconds{0x0123'4567'89ABLL * 1000}});
            EXPECT_EQ(parts->sync_id, sync_id);
            EXPECT_EQ(parts->ordinal, ordinal);
        }
}

// As Chorus' own server makes, for example.
TEST(Uuid, OfOthersIsNone) {
    auto own = uuid(0x0123'4567'89AB, 0x412);
    for (const auto* other :
         {"", "1041", "01234567-89ab-7000-8000-00000004120",
          "01234567-89ab-7000-8000-0000000412000", "01234567-89ab-7001-8000-000000041200",
          "01234567-89ab-4000-8000-000000041200", "01234567-89ab-7000-0000-000000041200",
          "01234567-89ab-7000-c000-000000041200", "01234567-89ab-7000-a000-000000041200",
          "01234567 89ab-7000-8000-000000041200", "0123456x-89ab-7000-8000-000000041200",
          "01234567-89ab-7000-8000-00000004120-"})
        EXPECT_FALSE(read_uuid(other)) << other;
    EXPECT_TRUE(read_uuid(own));
}

}  // namespace walcast
