#pragma once

#include "agent/concurrency.hpp"
#include "agent/delta/redis_reader.hpp"
#include "sinks/awaitable.hpp"

#include <chrono>
#include <list>
#include <optional>
#include <string>
#include <string_view>

namespace walcast {

// What became of mutations, and waiting for it: however many wait, it takes one subscription for
// all of them. Where that is not to be had, or lost, they are looked for once a second.
class Receipts {
public:
    // `reader` must outlive them.
    Receipts(asio::any_io_executor executor, RedisSettings settings, RedisReader& reader);

    // Whether no more can wait.
    bool are_full() const;

    // The receipt's bytes, as soon as it is there; nothing where it is not within `limit`.
    // Throws SinkError where Redis cannot tell.
    asio::awaitable<std::optional<std::string>> wait_for(std::string mutation_id,
                                                         std::chrono::milliseconds limit);

    // Listens while somebody waits. Until it is cancelled.
    asio::awaitable<void> run();

private:
    struct Waiter {
        Waiter(const asio::any_io_executor& executor, std::string awaited)
            : key(std::move(awaited)), told(executor) {}

        std::string key;  // Also the name of the channel on which it is published.
        Signal told;
        std::optional<std::string> receipt;
        bool is_look_due = false;  // Its channel is listened to from now on.
    };
    class Place;

    asio::awaitable<std::optional<std::string>> find(std::string key);
    asio::awaitable<void> listen_again_and_again();
    asio::awaitable<void> listen();
    asio::awaitable<void> subscribe(RedisConnection& connection);
    asio::awaitable<void> hear(RedisConnection& connection);
    void look_soon(std::string_view key);
    asio::awaitable<void> look_now_and_then();
    void tell(std::string_view key, const std::string& receipt);

    asio::any_io_executor executor_;
    RedisSettings settings_;
    RedisReader& reader_;
    std::size_t asking_ = 0;  // And would wait, or do.
    std::list<Waiter> waiters_;
    Signal changed_;  // Who waits.
    Signal look_;     // A channel is listened to: what came before that was not heard.
};

}  // namespace walcast
