#include "agent/readiness.hpp"

#include <gtest/gtest.h>

namespace walcast {

using namespace std::chrono_literals;

static constexpr Clock::time_point now{1000s};
static constexpr auto interval = 10s;

static Metrics healthy() {
    Metrics metrics;
    metrics.state = Metrics::State::active;
    metrics.is_postgres_connected = true;
    metrics.is_redis_connected = true;
    metrics.heartbeat_returned_at = now - 5s;
    metrics.accepted_at = now - 1s;
    return metrics;
}

static std::string reason_of(const Metrics& metrics) {
    auto found = readiness(metrics, interval, now);
    EXPECT_EQ(found.is_ready, found.reason.empty());
    return found.reason;
}

TEST(Readiness, IsGivenWhileHeartbeatsComeThrough) {
    EXPECT_EQ(reason_of(healthy()), "");
}

TEST(Readiness, EndsAfterThreeIntervalsWithoutAHeartbeat) {
    auto metrics = healthy();
    metrics.heartbeat_returned_at = now - 30s;
    EXPECT_EQ(reason_of(metrics), "");

    metrics.heartbeat_returned_at = now - 30001ms;
    EXPECT_EQ(reason_of(metrics),
              "the last heartbeat came through Postgres, walcast and Redis 30.0 s ago, of an "
              "interval of 10 s");
}

TEST(Readiness, NeedsAHeartbeatFirst) {
    auto metrics = healthy();
    metrics.heartbeat_returned_at.reset();

    EXPECT_EQ(reason_of(metrics), "no heartbeat has come through Postgres, walcast and Redis yet");
}

TEST(Readiness, NeedsBothSides) {
    auto metrics = healthy();
    metrics.is_redis_connected = false;
    EXPECT_EQ(reason_of(metrics), "redis: not connected");

    metrics.is_postgres_connected = false;
    EXPECT_EQ(reason_of(metrics), "postgres: no stream");
}

TEST(Readiness, IsNotForAStandby) {
    auto metrics = healthy();
    metrics.state = Metrics::State::standby;

    EXPECT_EQ(reason_of(metrics), "another agent has the slot");
}

TEST(Readiness, GoesByConnectionsAloneWhereThereAreNoHeartbeats) {
    auto metrics = healthy();
    metrics.heartbeat_returned_at.reset();

    EXPECT_TRUE(readiness(metrics, 0s, now).is_ready);
}

TEST(Readiness, IsToldAsJson) {
    auto metrics = healthy();
    metrics.received_lsn = Lsn{7};
    EXPECT_EQ(readiness_json(readiness(metrics, interval, now), metrics, now),
              R"({"ready":true,"state":"active","postgres":"connected","redis":"connected",)"
              R"("heartbeatAge":5.000,"acceptedAge":1.000,"confirmedLagBytes":7})"
              "\n");

    Metrics fresh;
    EXPECT_EQ(readiness_json(readiness(fresh, interval, now), fresh, now),
              R"({"ready":false,"reason":"postgres: no stream","state":"starting",)"
              R"("postgres":"not connected","redis":"not connected",)"
              R"("heartbeatAge":null,"acceptedAge":null,"confirmedLagBytes":0})"
              "\n");
}

}  // namespace walcast
