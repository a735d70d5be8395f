#pragma once

#include "agent/clock.hpp"
#include "agent/process.hpp"
#include "decoders/lsn.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// How often something was how large: counted below each of some bounds.
class Histogram {
public:
    // `bounds` rise, and must outlive it.
    explicit Histogram(std::span<const double> bounds)
        : bounds_(bounds), counts_(bounds.size() + 1) {}

    void observe(double value);

    std::span<const double> bounds() const { return bounds_; }
    std::span<const std::uint64_t> counts() const { return counts_; }  // The last: above all.
    double sum() const { return sum_; }

private:
    std::span<const double> bounds_;
    std::vector<std::uint64_t> counts_;
    double sum_ = 0;
};

extern const std::span<const double> seconds_bounds;
extern const std::span<const double> bytes_bounds;

// What has happened since the start, and how things stand. Whoever knows writes it; it is read when
// somebody asks. One thread.
struct Metrics {
    using Time = std::optional<Clock::time_point>;

    enum class State : std::uint8_t {
        starting,  // Connecting, or between two sessions.
        standby,   // Another agent has the slot.
        active,    // The slot and the position are ours.
    };
    State state = State::starting;
    bool is_postgres_connected = false;  // The stream has started.
    bool is_redis_connected = false;     // The position is ours.

    // From Postgres.
    std::uint64_t transactions = 0;
    std::uint64_t inserts = 0;
    std::uint64_t updates = 0;
    std::uint64_t deletes = 0;
    std::uint64_t truncates = 0;
    std::uint64_t spool_bytes = 0;  // Of transactions in progress, as of the last batch.

    // What became of it.
    std::uint64_t sync_actions = 0;
    std::uint64_t omitted = 0;     // Actions sent without their large columns.
    std::uint64_t unroutable = 0;  // Changes that a rule could not route.
    std::uint64_t bad_rows = 0;    // And bad events: among the dead letters.
    std::uint64_t events = 0;
    std::uint64_t receipts = 0;
    std::uint64_t messages_wrong = 0;  // Logical messages that cannot be taken as they are.

    // To Redis.
    std::uint64_t messages = 0;               // Once for each channel.
    std::uint64_t batches = 0;                // Accepted ones, with messages or without.
    Histogram batch_bytes{bytes_bounds};      // Of those with messages.
    Histogram batch_seconds{seconds_bounds};  // From sent to accepted.
    // From the commit of a batch's last transaction, by Postgres' clock, until Redis had it, by
    // ours.
    Histogram commit_seconds{seconds_bounds};
    std::uint64_t queue_batches = 0;
    std::uint64_t queue_bytes = 0;
    bool is_durable = true;  // As many replicas as wait_replicas have what was published.
    Time accepted_at;

    // How far.
    Lsn wal_end;        // Of the server, at the last heartbeat.
    Lsn received_lsn;   // All up to it is here,
    Lsn accepted_lsn;   // in Redis,
    Lsn confirmed_lsn;  // and need not be kept by Postgres.
    std::uint64_t sync_id = 0;

    // Of the slot, as last asked.
    std::optional<std::int64_t> slot_retained_bytes;
    std::optional<std::int64_t> slot_safe_bytes;  // Nothing where there is no limit.

    // What went wrong.
    std::uint64_t sessions = 0;
    std::uint64_t sessions_ended_by_postgres = 0;
    std::uint64_t sessions_ended_by_redis = 0;
    std::uint64_t redis_losses = 0;  // That a session outlived, or will.
    std::uint64_t epochs = 0;

    // Rules.
    std::uint64_t rules = 0;
    std::uint64_t reloads = 0;
    std::uint64_t reloads_failed = 0;

    // Through Postgres, walcast and Redis.
    std::uint64_t heartbeats_sent = 0;
    std::uint64_t heartbeats_returned = 0;
    Time heartbeat_returned_at;
    double heartbeat_seconds = 0;  // The last one's round trip.
};

std::string_view name_of(Metrics::State state);

// Seconds from `then` to `now`; nothing where it has not been.
std::optional<double> seconds_since(Metrics::Time then, Clock::time_point now);

// What Postgres has written and was not yet told that it may forget.
std::uint64_t confirmed_lag_bytes(const Metrics& metrics);

// As Prometheus reads it.
std::string metrics_text(const Metrics& metrics, const ProcessFacts& process,
                         std::string_view version, Clock::time_point now);

}  // namespace walcast
