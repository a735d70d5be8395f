#pragma once

#include "sinks/awaitable.hpp"
#include "sinks/redis_address.hpp"
#include "sinks/resp.hpp"

#include <boost/system/system_error.hpp>

#include <array>
#include <memory>
#include <string>
#include <string_view>

namespace walcast {

// One connection to a Redis, over TCP, TLS or a Unix socket, named or found by Sentinels. Commands
// go out as bytes, so that many can be written at once; replies come back in the same order. Errors
// are SinkErrors.
class RedisConnection {
public:
    RedisConnection(asio::any_io_executor executor, RedisAddress address);
    ~RedisConnection();

    // Connects, authenticates, chooses the database. A fresh connection each time, with Sentinels
    // to what is the master by now.
    asio::awaitable<void> open();

    // Writes whole commands; `bytes` must live until it returns.
    asio::awaitable<void> write(std::string_view bytes);

    // The next reply, which may be an error reply.
    asio::awaitable<Reply> read();

    // Writes one command and reads its reply. Throws SinkError for an error reply.
    asio::awaitable<Reply> ask(std::string command);

private:
    struct Streams;

    asio::awaitable<void> find_master();
    asio::awaitable<void> connect();
    asio::awaitable<void> connect_tcp();
    asio::awaitable<void> authenticate();
    asio::awaitable<void> expect_master();
    std::string explain(const boost::system::error_code& error) const;
    [[noreturn]] void lost(const boost::system::system_error& error) const;

    asio::any_io_executor executor_;
    RedisAddress address_;
    RedisAddress server_;  // Whom this is a connection to: with Sentinels the master they named.
    std::unique_ptr<Streams> streams_;
    ReplyParser parser_;
    std::array<char, 16 * 1024> input_{};
};

// Makes an error of an error reply: what was attempted, what came back, what to do about it.
[[noreturn]] void throw_redis_error(std::string_view attempted, std::string_view reply);

}  // namespace walcast
