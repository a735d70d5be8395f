#pragma once

#include "sinks/outputs.hpp"
#include "sinks/redis_connection.hpp"
#include "sinks/sink.hpp"

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace walcast {

struct RedisSettings {
    RedisAddress address;
    std::string prefix = "walcast:";
    std::uint64_t history_length = 1000;       // Messages a channel, about.
    std::chrono::seconds history_age{86400};   // Since a channel's last message.
    std::chrono::seconds receipt_age{3600};    // How long a receipt is kept.
    std::uint64_t wait_replicas = 0;           // A batch is durable once so many have it.
    std::vector<OutputSettings> outputs = {};  // Empty: native messages on their channels.
    // For what was last sent to each channel. Beyond it all is forgotten, and asked of the server.
    std::size_t channels_bytes_max = std::size_t{8} << 20U;
};

// A field of what INFO says: `info_field(info, "role:")`.
std::string_view info_field(std::string_view info, std::string_view field);

// Throws SinkError where Redis may remove any key when it is full. Histories must not vanish behind
// our back: nothing evicts them otherwise, since they have no TTL.
void expect_no_eviction(std::string_view memory_info);

// Publishes on Redis, with history and position, as docs/protocol.md says.
class RedisSink final : public Sink {
public:
    // `owner` is this process' fencing token, unlike any other's.
    RedisSink(asio::any_io_executor executor, RedisSettings settings, std::string owner);

    asio::awaitable<std::optional<Stored>> connect() override;
    asio::awaitable<std::optional<Stored>> take_over() override;
    asio::awaitable<bool> adopt(Source source) override;
    asio::awaitable<void> leave() override;
    asio::awaitable<Position> begin_epoch(Position position, Source source,
                                          std::string reason) override;
    asio::awaitable<void> send(const Batch& batch) override;
    asio::awaitable<bool> accepted() override;

    // Writes the very first position of a new installation; leaves another one alone.
    // True when it was written.
    asio::awaitable<bool> write_first_position(Position position, Source source);

private:
    struct Known {
        SyncId last_sync_id = 0;
        std::chrono::steady_clock::time_point indexed_at;
        std::uint64_t batch =
            0;  // The last batch it was in, and its number among the channels there.
        std::uint32_t number = 0;
        bool is_new = false;  // Its last id is not known yet: the script fills it in.
    };
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>{}(text);
        }
    };
    struct Target {  // One message for one channel.
        const Message* message = nullptr;
        Known* channel = nullptr;  // Null: the control channel.
    };

    asio::awaitable<Reply> run(const char* script, std::vector<std::string> keys,
                               std::vector<std::string> arguments);
    asio::awaitable<bool> replicated();
    asio::awaitable<void> check_server();
    asio::awaitable<void> load_commit_script();
    asio::awaitable<void> finish_resets(std::string epoch, SyncId id, std::string reason);
    void forget_channels();
    void collect_targets(const Batch& batch);
    void wrap_outputs(const Batch& batch);
    std::string_view quiet() const { return outputs_.has_native() ? "" : "QUIET"; }
    void write_published(std::size_t begin, std::size_t end);
    void write_commit(const Batch& batch);
    void write_message(const Batch& batch, const Target& target);
    void write_wait();
    std::string key(std::string_view name) const { return settings_.prefix + std::string(name); }

    RedisSettings settings_;
    std::string owner_;
    std::uint64_t takeovers_ = 0;
    RedisConnection connection_;
    std::string commit_sha_;
    enum class Awaited : std::uint8_t { batch, replicas, upkeep };
    std::deque<Awaited> awaited_;     // Replies on their way.
    bool are_replicas_there_ = true;  // As many as are waited for, by the last answer.
    std::chrono::steady_clock::time_point aged_removed_at_;

    // What was last sent to each channel; forgotten on every reconnect.
    std::unordered_map<std::string, Known, Hash, std::equal_to<>> channels_;
    std::size_t channels_bytes_ = 0;  // About what they take.
    std::uint64_t batches_ = 0;
    Outputs outputs_;
    std::vector<Target> targets_;
    std::vector<std::size_t> published_ends_;  // Of what the outputs make of each.
    std::vector<const std::pair<const std::string, Known>*> batch_channels_;
    std::vector<bool> batch_indexes_;
    std::string command_;
    std::string head_;
};

}  // namespace walcast
