#include "agent/snapshot/pg_snapshot.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace walcast {

TEST(PgSnapshot, ShowsWhatHasEndedWhenItWasTaken) {
    auto snapshot = parse_snapshot("10:20:10,14,15");

    for (auto xid : {3U, 9U, 11U, 13U, 16U, 19U}) EXPECT_TRUE(snapshot.shows(xid)) << xid;
    for (auto xid : {10U, 14U, 15U, 20U, 21U}) EXPECT_FALSE(snapshot.shows(xid)) << xid;
}

TEST(PgSnapshot, HasSixtyFourBits) {
    auto snapshot = parse_snapshot("4294967297:4294967299:4294967298");

    EXPECT_TRUE(snapshot.shows(4294967297));
    EXPECT_FALSE(snapshot.shows(4294967298));
}

TEST(PgSnapshot, MayHaveNothingRunning) {
    auto snapshot = parse_snapshot("10:10:");

    EXPECT_EQ(snapshot.xmin, 10U);
    EXPECT_TRUE(snapshot.running.empty());
}

TEST(PgSnapshot, RefusesWhatIsNone) {
    for (const auto* text : {"",
                             "10",
                             "10:20",
                             ":20:",
                             "10::",
                             "a:20:",
                             "10:20:x",
                             "10:20:10,",
                             "10:20:,10",
                             " 10:20:",
                             "10:20: 10",
                             "10:20:10 ",
                             "-1:20:",
                             "20:10:",
                             "0:10:",
                             "10:20:9",
                             "10:20:20",
                             "10:20:12,11",
                             "10:20:12,12",
                             "10:20:10:11",
                             "10:20:10;11",
                             "99999999999999999999:99999999999999999999:"})
        EXPECT_THROW(parse_snapshot(text), std::invalid_argument) << text;
}

}  // namespace walcast
