#include "agent/status/status_facts.hpp"

#include "agent/status/status_view.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace walcast {

using Level = Finding::Level;
using Where = Mend::Where;

static std::uint64_t distance(Lsn from, Lsn to) {
    return to > from ? to.value - from.value : 0;
}

std::uint64_t PostgresStatus::confirmed_lag() const {
    return slot ? distance(slot->confirmed_lsn, wal_end) : 0;
}

std::uint64_t PostgresStatus::retained() const {
    // Without one nothing is kept any more.
    return slot && slot->restart_lsn.value != 0 ? distance(slot->restart_lsn, wal_end) : 0;
}

std::optional<double> PostgresStatus::seconds_until_lost() const {
    if (!slot || !slot->safe_bytes || wal_rate <= 0) return std::nullopt;
    return std::max(0.0, static_cast<double>(*slot->safe_bytes) / wal_rate);
}

std::optional<std::uint64_t> Status::position_lag() const {
    if (!is_whole() || !redis.stored) return std::nullopt;
    return distance(redis.stored->position.lsn, postgres.wal_end);
}

// --- what needs care ---

namespace {

constexpr std::uint64_t lag_max = std::uint64_t{1} << 30U;
constexpr std::int64_t xmin_age_max = 100'000'000;  // Half of what makes autovacuum freeze.
constexpr double seconds_until_lost_min = 3600;
constexpr double memory_share_max = 0.9;

class Judgement {
public:
    Judgement(const Status& status, const Config& config) : status_(status), config_(config) {}

    Findings findings() {
        if (status_.postgres.failed.empty())
            judge_slot();
        else
            add(Level::error, "postgres", "postgres", status_.postgres.failed, {});
        if (status_.redis.failed.empty()) {
            judge_redis();
            judge_position();
        } else {
            add(Level::error, "redis", "redis", status_.redis.failed, {});
        }
        return std::move(findings_);
    }

private:
    void add(Level level, std::string_view check, std::string place, std::string_view what,
             std::vector<Mend> mends) {
        // Our messages begin with where they come from, which the place says already.
        if (what.starts_with(place + ": ")) what.remove_prefix(place.size() + 2);
        findings_.push_back({.level = level,
                             .check = check,
                             .place = std::move(place),
                             .what = std::string(what),
                             .mends = std::move(mends)});
    }

    static Mend shell(std::vector<std::string> lines) {
        return {.where = Where::shell, .lines = std::move(lines)};
    }

    void judge_slot();
    void judge_wal(const SlotStatus& slot);
    void judge_redis();
    void judge_position();

    const Status& status_;
    const Config& config_;
    Findings findings_;
};

void Judgement::judge_slot() {
    const auto& postgres = status_.postgres;
    const auto& name = config_.source.slot;
    if (!postgres.slot)
        return add(Level::error, "slot-missing", "postgres",
                   fmt::format("slot \"{}\" does not exist", name), {shell({"walcast init"})});
    const auto& slot = *postgres.slot;
    if (slot.wal_status == "lost" || !slot.invalidation_reason.empty())
        return add(Level::error, "slot-lost", "postgres",
                   fmt::format("slot \"{}\" is lost ({}): what it kept is gone. A new one begins a "
                               "new epoch, and all clients fetch afresh",
                               name,
                               slot.invalidation_reason.empty() ? "max_slot_wal_keep_size"
                                                                : slot.invalidation_reason),
                   {shell({"walcast drop", "walcast init"})});
    if (slot.plugin != name_of(config_.source.plugin))
        add(Level::error, "slot-plugin", "postgres",
            fmt::format("slot \"{}\" has plugin {}, not {}", name, slot.plugin,
                        name_of(config_.source.plugin)),
            {});
    auto is_copy = slot.is_synced.value_or(false);
    if (slot.active_pid.empty() && !is_copy) {
        auto since = slot.inactive_seconds
                         ? fmt::format(" for {}", shown_seconds(*slot.inactive_seconds))
                         : std::string{};
        add(Level::error, "slot-unread", "postgres",
            fmt::format("nobody reads slot \"{}\"{}, and it keeps WAL: {} until now", name, since,
                        shown_bytes(postgres.retained())),
            {shell({"walcast run"}), shell({"walcast drop"})});
    }
    judge_wal(slot);
    if (slot.catalog_xmin_age > xmin_age_max)
        add(Level::warning, "catalog-xmin", "postgres",
            fmt::format("the slot keeps the catalog's dead rows of {} transactions: an old "
                        "transaction is open somewhere, or nobody reads the slot",
                        slot.catalog_xmin_age),
            {});
}

void Judgement::judge_wal(const SlotStatus& slot) {
    const auto& postgres = status_.postgres;
    auto left = postgres.seconds_until_lost();
    if (slot.wal_status == "unreserved")
        add(Level::error, "slot-soon-lost", "postgres",
            "the slot keeps more WAL than max_slot_wal_keep_size: the next checkpoint may take it "
            "away",
            {{.where = Where::sql,
              .lines = {"ALTER SYSTEM SET max_slot_wal_keep_size = '50GB';  -- what the disk can "
                        "spare",
                        "SELECT pg_reload_conf();"}}});
    else if (left && *left < seconds_until_lost_min)
        add(Level::warning, "slot-soon-lost", "postgres",
            fmt::format("at this rate the slot is lost in {}, if nothing is confirmed",
                        shown_seconds(*left)),
            {});
    if (postgres.confirmed_lag() > lag_max)
        add(Level::warning, "lag", "postgres",
            fmt::format("{} of WAL are not confirmed", shown_bytes(postgres.confirmed_lag())), {});
}

void Judgement::judge_redis() {
    const auto& redis = status_.redis;
    if (redis.role == "slave")
        add(Level::error, "redis-replica", "redis",
            "this is a replica: point [redis] url at the primary", {});
    if (redis.role == "master" && redis.replicas < config_.redis.wait_replicas)
        add(Level::error, "redis-replicas", "redis",
            fmt::format("{} replicas are connected, fewer than wait_replicas = {}: nothing is "
                        "confirmed to Postgres, which keeps its WAL",
                        redis.replicas, config_.redis.wait_replicas),
            {});
    if (redis.is_loading)
        add(Level::warning, "redis-loading", "redis", "it still loads what it kept", {});
    if (!redis.is_written)
        add(Level::error, "redis-write", "redis",
            "its append-only file could not be written: is its disk full?", {});
    if (!redis.is_saved)
        add(Level::error, "redis-write", "redis",
            "its last snapshot failed, and it may refuse writes: is its disk full?", {});
    if (!redis.eviction_error.empty())
        add(Level::error, "eviction", "redis", redis.eviction_error,
            {shell({"redis-cli CONFIG SET maxmemory-policy noeviction"})});
    auto share = redis.memory_max == 0
                     ? 0
                     : static_cast<double>(redis.memory) / static_cast<double>(redis.memory_max);
    if (share > memory_share_max)
        add(Level::warning, "redis-memory", "redis",
            fmt::format("{:.0f} % of maxmemory are in use; when it is full, nothing is published",
                        share * 100),
            {});
    if (redis.dead_letters > 0)
        add(Level::warning, "dead-letters", "redis",
            fmt::format("{} rows could not be written and were set aside: {}dead-letters",
                        redis.dead_letters, config_.redis.prefix),
            {});
}

void Judgement::judge_position() {
    const auto& redis = status_.redis;
    auto place = config_.redis.prefix + "position";
    if (!redis.position_error.empty())
        return add(Level::error, "position", "redis", redis.position_error, {});
    if (!redis.stored)
        return add(Level::error, "position-missing", "redis",
                   fmt::format("there is no {}: the next `walcast run` begins a new epoch", place),
                   {shell({"walcast run"})});
    const auto& stored = *redis.stored;
    if (stored.source.slot != config_.source.slot)
        add(Level::error, "position-of-another-slot", "redis",
            fmt::format("{} is that of slot \"{}\": two agents need two prefixes", place,
                        stored.source.slot),
            {{.where = Where::config, .lines = {"[redis] prefix = \"another:\""}}});
    if (!redis.resetting.empty())
        add(Level::warning, "reset-unfinished", "redis",
            "an epoch was begun whose resets are not all written; the next `walcast run` finishes "
            "them",
            {shell({"walcast run"})});
    const auto& slot = status_.postgres.slot;
    // The slot was asked first, so a position that keeps up is not below it.
    if (slot && stored.source.slot == config_.source.slot &&
        slot->confirmed_lsn > stored.position.lsn)
        add(Level::error, "gap", "redis",
            fmt::format("the position ends at {}, and Postgres has forgotten up to {}: the next "
                        "`walcast run` begins a new epoch, and all clients fetch afresh",
                        stored.position.lsn, slot->confirmed_lsn),
            {});
}

}  // namespace

Findings judge(const Status& status, const Config& config) {
    return Judgement(status, config).findings();
}

}  // namespace walcast
