#include "agent/status/status_view.hpp"

#include "agent/harmless.hpp"
#include "decoders/json_string.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace walcast {

std::string shown_bytes(std::uint64_t bytes) {
    constexpr std::array units{"B", "kB", "MB", "GB", "TB", "PB"};
    auto size = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; size >= 1023.95 && unit + 1 < units.size(); ++unit) size /= 1024;
    return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", size, units[unit]);
}

std::string shown_seconds(double seconds) {
    if (seconds < 120) return fmt::format("{:.0f} s", seconds);
    if (seconds < 120 * 60) return fmt::format("{:.0f} min", seconds / 60);
    if (seconds < 48 * 3600) return fmt::format("{:.0f} h", seconds / 3600);
    return fmt::format("{:.0f} days", seconds / 86400);
}

// --- text ---

namespace {

void add_line(std::string& out, std::string_view name, std::string_view value) {
    append_harmless(out, fmt::format("  {:<13} {}", name, value));
    out += '\n';
}

std::string shown_loss(const PostgresStatus& postgres) {
    const auto& slot = *postgres.slot;
    if (!slot.safe_bytes)
        return slot.wal_status == "lost" ? "lost" : "no limit (max_slot_wal_keep_size)";
    if (*slot.safe_bytes <= 0) return "beyond the limit: lost at a coming checkpoint";
    auto left = postgres.seconds_until_lost();
    auto until = left ? fmt::format("in {} at this rate", shown_seconds(*left))
                      : std::string("not while nothing is written");
    return fmt::format("lost after another {}: {}",
                       shown_bytes(static_cast<std::uint64_t>(*slot.safe_bytes)), until);
}

void add_slot(std::string& out, const PostgresStatus& postgres, const std::string& name) {
    if (!postgres.slot) return add_line(out, "slot", name + ": none of this name");
    const auto& slot = *postgres.slot;
    auto reader = slot.active_pid.empty() ? "read by nobody" : "read by PID " + slot.active_pid;
    std::string kind;
    if (slot.is_failover.value_or(false)) kind += ", failover";
    if (slot.is_synced.value_or(false)) kind += ", synced from the primary";
    add_line(out, "slot",
             fmt::format("{}, {}, {}, {}{}", name, slot.plugin, reader, slot.wal_status, kind));
    if (!slot.invalidation_reason.empty()) add_line(out, "invalidated", slot.invalidation_reason);
    if (slot.inactive_seconds) add_line(out, "inactive for", shown_seconds(*slot.inactive_seconds));
    add_line(out, "confirmed",
             fmt::format("{}, {} behind {}", slot.confirmed_lsn,
                         shown_bytes(postgres.confirmed_lag()), postgres.wal_end));
    add_line(out, "WAL",
             fmt::format("{} kept since {}, {}/s written", shown_bytes(postgres.retained()),
                         slot.restart_lsn,
                         shown_bytes(static_cast<std::uint64_t>(std::llround(postgres.wal_rate)))));
    add_line(out, "", shown_loss(postgres));
    add_line(out, "catalog_xmin", fmt::format("{} transactions old", slot.catalog_xmin_age));
}

void add_postgres(std::string& out, const PostgresStatus& postgres, const std::string& name) {
    if (!postgres.failed.empty()) {
        out += "postgres: not reached\n";
        return;
    }
    append_harmless(out, fmt::format("postgres {}, database {}{}", postgres.version,
                                     postgres.database, postgres.is_standby ? ", a standby" : ""));
    out += '\n';
    add_slot(out, postgres, name);
}

void add_position(std::string& out, const Status& status) {
    const auto& redis = status.redis;
    if (!redis.stored) return add_line(out, "position", "none");
    const auto& position = redis.stored->position;
    auto lag = status.position_lag();
    auto behind = lag ? fmt::format(", {} behind the server", shown_bytes(*lag)) : std::string{};
    add_line(out, "position",
             fmt::format("epoch {}, sync id {}, LSN {}{}", position.epoch, position.sync_id,
                         position.lsn, behind));
    if (position.partial)
        add_line(out, "in part",
                 fmt::format("transaction {} at {}, {} changes", position.partial->xid,
                             position.partial->commit_lsn, position.partial->changes));
    add_line(out, "owner", redis.owner.empty() ? "none" : redis.owner);
}

void add_redis(std::string& out, const Status& status, const Config& config) {
    const auto& redis = status.redis;
    if (!redis.failed.empty()) {
        out += "redis: not reached\n";
        return;
    }
    append_harmless(out, fmt::format("redis {}, {}", redis.version, config.redis.address.shown()));
    out += '\n';
    add_line(out, "role",
             fmt::format("{}, {} replicas", redis.role == "master" ? "primary" : redis.role,
                         redis.replicas));
    add_line(
        out, "memory",
        fmt::format("{} {}, {}", shown_bytes(redis.memory),
                    redis.memory_max == 0 ? "without limit" : "of " + shown_bytes(redis.memory_max),
                    redis.eviction));
    add_line(out, "persistence",
             fmt::format("append-only file {}, snapshot {}",
                         !redis.has_append_only_file ? "off"
                         : redis.is_written          ? "written"
                                                     : "NOT WRITTEN",
                         redis.is_saved ? "ok" : "FAILED"));
    add_position(out, status);
    add_line(out, "histories",
             fmt::format("{} channels, {} dead letters", redis.histories, redis.dead_letters));
}

}  // namespace

std::string show_text(const Status& status, const Config& config, const Findings& findings) {
    std::string out;
    add_postgres(out, status.postgres, config.source.slot);
    add_redis(out, status, config);
    return out + show_text(findings);
}

// --- JSON ---

namespace {

// The members of one object.
class Members {
public:
    explicit Members(std::string& out) : out_(out) { out_ += '{'; }
    ~Members() { out_ += '}'; }
    Members(const Members&) = delete;
    Members& operator=(const Members&) = delete;

    std::string& name(std::string_view name) {
        if (out_.back() != '{') out_ += ',';
        out_ += fmt::format("\"{}\":", name);
        return out_;
    }
    void text(std::string_view key, std::string_view text) { append_json_string(name(key), text); }
    template <typename Number>
    void plain(std::string_view key, Number value) {
        name(key) += fmt::to_string(value);
    }
    template <typename Number>
    void plain(std::string_view key, std::optional<Number> value) {
        if (value) plain(key, *value);
    }
    void seconds(std::string_view key, std::optional<double> value) {
        if (value) name(key) += fmt::format("{:.1f}", *value);
    }

private:
    std::string& out_;
};

void write_slot(std::string& out, const PostgresStatus& postgres, const std::string& name) {
    const auto& slot = *postgres.slot;
    Members members(out);
    members.text("name", name);
    members.text("plugin", slot.plugin);
    if (!slot.active_pid.empty()) members.name("activePid") += slot.active_pid;
    members.text("walStatus", slot.wal_status);
    if (!slot.invalidation_reason.empty())
        members.text("invalidationReason", slot.invalidation_reason);
    members.text("confirmedLsn", fmt::to_string(slot.confirmed_lsn));
    members.plain("confirmedLagBytes", postgres.confirmed_lag());
    if (slot.restart_lsn.value != 0) members.text("restartLsn", fmt::to_string(slot.restart_lsn));
    members.plain("retainedBytes", postgres.retained());
    members.plain("safeBytes", slot.safe_bytes);
    members.seconds("secondsUntilLost", postgres.seconds_until_lost());
    members.plain("catalogXminAge", slot.catalog_xmin_age);
    members.plain("failover", slot.is_failover);
    members.plain("synced", slot.is_synced);
    members.seconds("inactiveSeconds", slot.inactive_seconds);
}

void write_postgres(std::string& out, const PostgresStatus& postgres, const std::string& slot) {
    Members members(out);
    members.plain("reached", postgres.failed.empty());
    if (!postgres.failed.empty()) return;
    members.text("version", postgres.version);
    members.text("database", postgres.database);
    members.plain("standby", postgres.is_standby);
    members.text("walEnd", fmt::to_string(postgres.wal_end));
    members.seconds("walBytesPerSecond", postgres.wal_rate);
    if (postgres.slot) write_slot(members.name("slot"), postgres, slot);
}

void write_position(std::string& out, const Status& status) {
    const auto& stored = *status.redis.stored;
    Members members(out);
    members.text("epoch", stored.position.epoch);
    members.plain("syncId", stored.position.sync_id);
    members.text("lsn", fmt::to_string(stored.position.lsn));
    members.plain("partial", stored.position.partial.has_value());
    members.plain("lagBytes", status.position_lag());
    members.text("slot", stored.source.slot);
    if (!status.redis.owner.empty()) members.text("owner", status.redis.owner);
}

void write_redis(std::string& out, const Status& status, const Config& config) {
    const auto& redis = status.redis;
    Members members(out);
    members.plain("reached", redis.failed.empty());
    if (!redis.failed.empty()) return;
    members.text("version", redis.version);
    members.text("url", config.redis.address.shown());
    members.text("role", redis.role == "master" ? "primary" : redis.role);
    members.plain("replicas", redis.replicas);
    members.plain("memoryBytes", redis.memory);
    members.plain("memoryMaxBytes", redis.memory_max);
    members.text("eviction", redis.eviction);
    members.plain("appendOnlyFile", redis.has_append_only_file);
    members.plain("written", redis.is_written);
    members.plain("saved", redis.is_saved);
    if (redis.stored) write_position(members.name("position"), status);
    members.plain("histories", redis.histories);
    members.plain("deadLetters", redis.dead_letters);
}

}  // namespace

std::string show_json(const Status& status, const Config& config, const Findings& findings) {
    std::string out;
    {
        Members members(out);
        write_postgres(members.name("postgres"), status.postgres, config.source.slot);
        write_redis(members.name("redis"), status, config);
        members.name("findings") += findings_json(findings);
    }
    return out + '\n';
}

}  // namespace walcast
