#include "agent/readiness.hpp"

#include <fmt/format.h>

namespace walcast {

// How many intervals a heartbeat may be away.
static constexpr int intervals_max = 3;

static std::string reason_against(const Metrics& metrics, std::chrono::milliseconds heartbeat,
                                  Clock::time_point now) {
    if (metrics.state == Metrics::State::standby) return "another agent has the slot";
    if (!metrics.is_postgres_connected) return "postgres: no stream";
    if (!metrics.is_redis_connected) return "redis: not connected";
    if (metrics.state != Metrics::State::active) return "starting";
    if (heartbeat.count() == 0) return "";
    auto age = seconds_since(metrics.heartbeat_returned_at, now);
    if (!age) return "no heartbeat has come through Postgres, walcast and Redis yet";
    auto interval = std::chrono::duration<double>(heartbeat).count();
    if (*age <= intervals_max * interval) return "";
    return fmt::format(
        "the last heartbeat came through Postgres, walcast and Redis {:.1f} s ago, of an interval "
        "of {:g} s",
        *age, interval);
}

Readiness readiness(const Metrics& metrics, std::chrono::milliseconds heartbeat,
                    Clock::time_point now) {
    auto reason = reason_against(metrics, heartbeat, now);
    return {.is_ready = reason.empty(), .reason = reason};
}

static std::string json_of(std::optional<double> seconds) {
    return seconds ? fmt::format("{:.3f}", *seconds) : "null";
}

std::string readiness_json(const Readiness& readiness, const Metrics& metrics,
                           Clock::time_point now) {
    // Nothing in it needs escaping.
    auto is_or_not = [](bool is_connected) { return is_connected ? "connected" : "not connected"; };
    auto reason =
        readiness.is_ready ? std::string{} : fmt::format(R"("reason":"{}",)", readiness.reason);
    return fmt::format(
        R"({{"ready":{},{}"state":"{}","postgres":"{}","redis":"{}",)"
        R"("heartbeatAge":{},"acceptedAge":{},"confirmedLagBytes":{}}})"
        "\n",
        readiness.is_ready, reason, name_of(metrics.state),
        is_or_not(metrics.is_postgres_connected), is_or_not(metrics.is_redis_connected),
        json_of(seconds_since(metrics.heartbeat_returned_at, now)),
        json_of(seconds_since(metrics.accepted_at, now)), confirmed_lag_bytes(metrics));
}

}  // namespace walcast
