#pragma once

#include "agent/config.hpp"
#include "agent/doctor/doctor_finding.hpp"
#include "decoders/lsn.hpp"
#include "sinks/sink.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace walcast {

// What pg_replication_slots says of the slot; the server's version decides what it knows.
struct SlotStatus {
    std::string plugin = {};
    std::string active_pid = {};  // Empty: nobody reads it.
    std::string wal_status = {};
    std::string invalidation_reason = {};  // 17 and later; `conflicting` of 16.
    Lsn restart_lsn = {};                  // What lies before it may be removed.
    Lsn confirmed_lsn = {};
    std::optional<std::int64_t> safe_bytes = {};  // Nothing: no limit, or lost.
    std::int64_t catalog_xmin_age = 0;            // In transactions.
    std::optional<bool> is_failover = {};         // 17 and later.
    std::optional<bool> is_synced = {};           // Likewise: a standby's copy.
    std::optional<double> inactive_seconds = {};  // Likewise.
};

struct PostgresStatus {
    std::string failed = {};  // Why it could not be asked; then the rest means nothing.
    std::string version = {};
    std::string database = {};
    bool is_standby = false;
    Lsn wal_end = {};
    double wal_rate = 0;  // Bytes a second, between two looks.
    std::optional<SlotStatus> slot = {};

    std::uint64_t confirmed_lag() const;
    std::uint64_t retained() const;
    std::optional<double> seconds_until_lost() const;  // At that rate.
};

struct RedisStatus {
    std::string failed = {};
    std::string version = {};
    std::string role = {};
    std::uint64_t replicas = 0;
    std::uint64_t memory = 0;
    std::uint64_t memory_max = 0;  // 0: no limit.
    std::string eviction = {};
    bool has_append_only_file = false;
    bool is_loading = false;
    bool is_written = true;           // The append-only file, when it was written last,
    bool is_saved = true;             // and the snapshot.
    std::string eviction_error = {};  // Where histories could vanish.
    std::string position_error = {};  // Where the position cannot be read.
    std::optional<Stored> stored = {};
    std::string owner = {};
    std::string resetting = {};  // The reason of an epoch whose resets are not done.
    std::uint64_t histories = 0;
    std::uint64_t dead_letters = 0;
};

struct Status {
    PostgresStatus postgres;
    RedisStatus redis;

    bool is_whole() const { return postgres.failed.empty() && redis.failed.empty(); }

    // How far the position is behind the server; nothing where one of them is not known.
    std::optional<std::uint64_t> position_lag() const;
};

// What needs somebody's care.
Findings judge(const Status& status, const Config& config);

}  // namespace walcast
