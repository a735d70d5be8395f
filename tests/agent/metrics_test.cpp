#include "agent/metrics.hpp"

#include <gtest/gtest.h>

namespace walcast {

using namespace std::chrono_literals;

static constexpr Clock::time_point now{100s};

static std::string text_of(const Metrics& metrics) {
    return metrics_text(metrics, {.resident_bytes = 20 << 20U}, "1.2.3", now);
}

static bool has_line(const std::string& text, const std::string& line) {
    return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(Metrics, SaysWhatEachMeansAndOfWhichTypeItIs) {
    auto text = text_of({});

    EXPECT_TRUE(has_line(text, "# TYPE walcast_transactions_total counter"));
    EXPECT_TRUE(has_line(text, "# TYPE walcast_confirmed_lag_bytes gauge"));
    EXPECT_TRUE(
        has_line(text, "# HELP walcast_transactions_total Transactions read to their end."));
}

TEST(Metrics, CountsByLabel) {
    Metrics metrics;
    metrics.inserts = 3;
    metrics.deletes = 1;

    auto text = text_of(metrics);

    EXPECT_TRUE(has_line(text, "walcast_changes_total{action=\"insert\"} 3"));
    EXPECT_TRUE(has_line(text, "walcast_changes_total{action=\"update\"} 0"));
    EXPECT_TRUE(has_line(text, "walcast_changes_total{action=\"delete\"} 1"));
}

TEST(Metrics, WritesLargeNumbersWithAllTheirDigits) {
    Metrics metrics;
    metrics.sync_id = (std::uint64_t{1} << 53U) - 1;
    metrics.accepted_lsn = Lsn{0x16'B374'D848};

    auto text = text_of(metrics);

    EXPECT_TRUE(has_line(text, "walcast_sync_id 9007199254740991"));
    EXPECT_TRUE(has_line(text, "walcast_accepted_lsn 97500059720"));
}

TEST(Metrics, LeavesOutWhatIsNotKnown) {
    auto text = text_of({});

    EXPECT_EQ(text.find("walcast_slot_safe_bytes"), std::string::npos);
    EXPECT_EQ(text.find("walcast_heartbeat_age_seconds"), std::string::npos);
    EXPECT_EQ(text.find("walcast_heartbeat_round_trip_seconds"), std::string::npos);
}

TEST(Metrics, TellsAgesAsOfNow) {
    Metrics metrics;
    metrics.heartbeat_returned_at = now - 1500ms;

    EXPECT_TRUE(has_line(text_of(metrics), "walcast_heartbeat_age_seconds 1.5"));
}

TEST(Metrics, HasOneStateAtATime) {
    Metrics metrics;
    metrics.state = Metrics::State::standby;

    auto text = text_of(metrics);

    EXPECT_TRUE(has_line(text, "walcast_state{state=\"standby\"} 1"));
    EXPECT_TRUE(has_line(text, "walcast_state{state=\"active\"} 0"));
    EXPECT_TRUE(has_line(text, "walcast_build_info{version=\"1.2.3\"} 1"));
}

TEST(Metrics, CountsBelowEachBoundAndInAll) {
    Metrics metrics;
    for (auto seconds : {0.0005, 0.0006, 3.0, 1000.0}) metrics.batch_seconds.observe(seconds);

    auto text = text_of(metrics);

    EXPECT_TRUE(has_line(text, "walcast_batch_seconds_bucket{le=\"0.0005\"} 1")) << text;
    EXPECT_TRUE(has_line(text, "walcast_batch_seconds_bucket{le=\"0.001\"} 2"));
    EXPECT_TRUE(has_line(text, "walcast_batch_seconds_bucket{le=\"2.5\"} 2"));
    EXPECT_TRUE(has_line(text, "walcast_batch_seconds_bucket{le=\"5\"} 3"));
    EXPECT_TRUE(has_line(text, "walcast_batch_seconds_bucket{le=\"+Inf\"} 4"));
    EXPECT_TRUE(has_line(text, "walcast_batch_seconds_count 4"));
}

TEST(Metrics, LagsBehindTheFarthestThatIsKnown) {
    Metrics metrics;
    metrics.confirmed_lsn = Lsn{100};
    EXPECT_EQ(confirmed_lag_bytes(metrics), 0U);

    metrics.received_lsn = Lsn{130};
    EXPECT_EQ(confirmed_lag_bytes(metrics), 30U);

    metrics.wal_end = Lsn{150};
    EXPECT_EQ(confirmed_lag_bytes(metrics), 50U);
}

TEST(ProcessFacts, AreThoseOfThisProcess) {
    auto facts = process_facts();

    EXPECT_GT(facts.resident_bytes, 1U << 20U);
    EXPECT_GE(facts.open_descriptors, 3U);
    EXPECT_GT(facts.descriptors_max, facts.open_descriptors);
}

}  // namespace walcast
