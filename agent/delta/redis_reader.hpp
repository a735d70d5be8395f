#pragma once

#include "agent/delta/delta.hpp"
#include "agent/turns.hpp"
#include "sinks/awaitable.hpp"
#include "sinks/redis_connection.hpp"
#include "sinks/redis_sink.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace walcast {

// Reads what is kept in Redis, for those who ask, whatever the agent is at. One connection, made
// when it is first needed and again after it was lost; one question at a time. All throw SinkError,
// also when there is no answer in time.
class RedisReader {
public:
    struct Reached {
        std::string epoch;
        SyncId sync_id = 0;
        SyncId floor = 0;
        std::string lsn;
        Timestamp clock;  // Of outputs whose ids hold one: the latest commit time up to there.
    };

    RedisReader(asio::any_io_executor executor, RedisSettings settings,
                std::chrono::milliseconds answer_max = std::chrono::milliseconds{3'000});

    // In one step: so many messages, and no more than about a quarter of a megabyte of them but for
    // the last one.
    asio::awaitable<HistoryPage> read_histories(DeltaRequest request);

    asio::awaitable<Reached> read_position();

    // The id of the last reset that every reader heard of; 0: there was none. Trimming leaves it.
    asio::awaitable<SyncId> read_last_reset();

    // What is under each of these keys, if anything.
    asio::awaitable<std::vector<std::optional<std::string>>> read_keys(
        std::vector<std::string> keys);

    std::string key(std::string_view name) const { return settings_.prefix + std::string(name); }
    std::string control() const { return key("control"); }

private:
    struct Attempt;

    asio::awaitable<Reply> ask(std::string command);
    asio::awaitable<Reply> ask_in_turn(std::string command);
    asio::awaitable<Reply> exchange(const std::string& command);  // Which outlives it.
    [[noreturn]] void throw_no_position() const;

    asio::any_io_executor executor_;
    RedisSettings settings_;
    std::chrono::milliseconds answer_max_;
    Turns turns_;
    std::optional<RedisConnection> connection_;
};

}  // namespace walcast
