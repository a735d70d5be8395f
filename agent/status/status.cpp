#include "agent/status/status.hpp"

#include "agent/concurrency.hpp"
#include "agent/errors.hpp"
#include "agent/pg_connection.hpp"
#include "sinks/redis_connection.hpp"
#include "sinks/redis_position.hpp"

#include <fmt/format.h>

namespace walcast {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds answer_max{10'000};
constexpr milliseconds between_samples{1'500};

// --- Postgres ---

class PostgresQuestions {
public:
    PostgresQuestions(asio::any_io_executor executor, const Config& config, PostgresStatus& found)
        : slot_(config.source.slot),
          connection_(std::move(executor), config.source.url, PgConnection::Mode::sql),
          found_(found) {}

    asio::awaitable<void> ask() {
        co_await connection_.open();
        co_await ask_server();
        co_await ask_slot();
    }
    asio::awaitable<void> ask_rate();

private:
    asio::awaitable<void> ask_server();
    asio::awaitable<void> ask_slot();

    std::string slot_;
    PgConnection connection_;
    PostgresStatus& found_;
    Clock::time_point asked_at_;
};

constexpr const char* wal_end =
    "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END";

asio::awaitable<void> PostgresQuestions::ask_server() {
    auto sql = fmt::format(
        "SELECT current_setting('server_version'), current_database(), pg_is_in_recovery(), {}",
        wal_end);
    auto rows = co_await connection_.query(std::move(sql), "ask the server");
    asked_at_ = Clock::now();
    const auto& row = rows.at(0);
    found_.version = row[0];
    found_.database = row[1];
    found_.is_standby = row[2] == "t";
    found_.wal_end = parse_lsn(row[3]).value_or(Lsn{});
}

std::optional<bool> boolean(std::string_view text) {
    if (text.empty()) return std::nullopt;
    return text == "t";
}

asio::awaitable<void> PostgresQuestions::ask_slot() {
    auto is_from = [&](int major) { return connection_.server_version() >= major * 10000; };
    auto sql = fmt::format(
        "SELECT plugin, active_pid, wal_status, safe_wal_size, restart_lsn, confirmed_flush_lsn, "
        "age(catalog_xmin), {}, {}, {}, {} FROM pg_replication_slots "
        "WHERE slot_name = {}",
        is_from(17)   ? "invalidation_reason"
        : is_from(16) ? "CASE WHEN conflicting THEN 'rows_removed' END"
                      : "NULL",
        is_from(17) ? "failover" : "NULL", is_from(17) ? "synced" : "NULL",
        is_from(17) ? "extract(epoch FROM clock_timestamp() - inactive_since)" : "NULL",
        quote_literal(slot_));
    auto rows = co_await connection_.query(std::move(sql), "look the slot up");
    if (rows.empty()) co_return;
    const auto& row = rows[0];
    auto& slot = found_.slot.emplace();
    slot.plugin = row[0];
    slot.active_pid = row[1];
    slot.wal_status = row[2];
    if (!row[3].empty()) slot.safe_bytes = to_number<std::int64_t>(row[3]);
    slot.restart_lsn = parse_lsn(row[4]).value_or(Lsn{});
    slot.confirmed_lsn = parse_lsn(row[5]).value_or(Lsn{});
    slot.catalog_xmin_age = to_number<std::int64_t>(row[6]);
    slot.invalidation_reason = row[7];
    slot.is_failover = boolean(row[8]);
    slot.is_synced = boolean(row[9]);
    if (!row[10].empty()) slot.inactive_seconds = to_number<double>(row[10]);
}

asio::awaitable<void> PostgresQuestions::ask_rate() {
    auto passed = std::chrono::duration_cast<milliseconds>(Clock::now() - asked_at_);
    if (passed < between_samples) co_await sleep_for(between_samples - passed);
    auto before = found_.wal_end;
    auto sql = fmt::format("SELECT {}", wal_end);
    auto rows = co_await connection_.query(std::move(sql), "ask the server");
    std::chrono::duration<double> seconds = Clock::now() - asked_at_;
    found_.wal_end = parse_lsn(rows.at(0)[0]).value_or(before);
    auto written = found_.wal_end > before ? found_.wal_end.value - before.value : 0;
    found_.wal_rate = static_cast<double>(written) / seconds.count();
}

// --- Redis ---

std::uint64_t info_number(std::string_view info, std::string_view field) {
    return to_number<std::uint64_t>(info_field(info, field));
}

void read_info(std::string_view info, RedisStatus& found) {
    found.version = info_field(info, "redis_version:");
    found.role = info_field(info, "\nrole:");
    found.replicas = info_number(info, "connected_slaves:");
    found.memory = info_number(info, "\nused_memory:");
    found.memory_max = info_number(info, "\nmaxmemory:");
    found.eviction = info_field(info, "maxmemory_policy:");
    found.has_append_only_file = info_field(info, "aof_enabled:") == "1";
    found.is_loading = info_field(info, "\nloading:") == "1";
    found.is_written = info_field(info, "aof_last_write_status:") == "ok";
    found.is_saved = info_field(info, "rdb_last_bgsave_status:") == "ok";
    try {
        expect_no_eviction(info);
    } catch (const SinkError& error) {
        found.eviction_error = error.what();
    }
}

void read_position(const Reply& reply, RedisStatus& found) {
    try {
        found.stored = read_stored(reply, &found.resetting);
    } catch (const SinkError& error) {
        found.position_error = error.what();
    }
    for (std::size_t i = 0; i + 1 < reply.items.size(); i += 2)
        if (reply.items[i].text == "owner") found.owner = reply.items[i + 1].text;
}

// What this user may not ask is not known.
asio::awaitable<void> ask_redis(const Config& config, RedisStatus& found) {
    auto executor = co_await asio::this_coro::executor;
    RedisConnection connection(executor, config.redis.address);
    co_await connection.open();
    const auto& prefix = config.redis.prefix;
    std::string commands;
    append_command(commands, {"INFO"});
    append_command(commands, {"ZCARD", prefix + "channels"});
    append_command(commands, {"XLEN", prefix + "dead-letters"});
    append_command(commands, {"HGETALL", prefix + "position"});
    co_await connection.write(commands);
    auto info = co_await connection.read();
    if (!info.is_error()) read_info(info.text, found);
    auto histories = co_await connection.read();
    found.histories = static_cast<std::uint64_t>(histories.integer);
    auto dead_letters = co_await connection.read();
    found.dead_letters = static_cast<std::uint64_t>(dead_letters.integer);
    auto position = co_await connection.read();
    if (position.is_error()) throw_redis_error("read the position", position.text);
    read_position(position, found);
}

// --- both ---

// Nothing, or why it failed.
asio::awaitable<std::string> in_time(asio::awaitable<void> asking) {
    try {
        if (co_await within(answer_max, std::move(asking))) co_return "";
    } catch (const PgError& error) {
        co_return error.what();
    } catch (const SetupError& error) {
        co_return error.what();
    } catch (const SinkError& error) {
        co_return error.what();
    } catch (const boost::system::system_error& error) {
        co_return error.what();
    }
    co_return "no answer in time";
}

}  // namespace

asio::awaitable<Status> status(const Config& config) {
    auto executor = co_await asio::this_coro::executor;
    Status found;
    PostgresQuestions postgres(executor, config, found.postgres);
    auto asking = in_time(postgres.ask());
    found.postgres.failed = co_await std::move(asking);
    // After the slot: meanwhile a position moves on, never back.
    auto asking_redis = in_time(ask_redis(config, found.redis));
    found.redis.failed = co_await std::move(asking_redis);
    if (!found.postgres.failed.empty()) co_return found;
    auto asking_again = in_time(postgres.ask_rate());
    found.postgres.failed = co_await std::move(asking_again);
    co_return found;
}

}  // namespace walcast
