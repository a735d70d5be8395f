#pragma once

#include <string>
#include <string_view>

namespace walcast {

// Where a Redis is: redis://user:password@host:port/db, rediss:// for TLS,
// unix://user:password@/path/to.sock?db=0 for a socket.
struct RedisAddress {
    bool is_tls = false;
    std::string host = "localhost";
    std::string port = "6379";
    std::string path;  // Of a Unix socket; then host and port mean nothing.
    std::string user;
    std::string password;
    std::string database;

    bool operator==(const RedisAddress&) const = default;

    // For messages: never with the password.
    std::string shown() const;
};

// Throws std::invalid_argument that says what is wrong with `url`, and never repeats its password.
RedisAddress parse_redis_url(std::string_view url);

}  // namespace walcast
