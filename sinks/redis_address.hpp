#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// Where a Redis is:
//   redis://user:password@host:port/db, rediss:// for TLS;
//   redis-sentinel://user:password@host:port,host:port/db?master=name, where the hosts are those of
//     Sentinels and all else is of the Redis; rediss-sentinel:// for TLS to both;
//   unix://user:password@/path/to.sock?db=0 for a socket.
struct RedisAddress {
    struct Server {
        std::string host;
        std::string port;

        bool operator==(const Server&) const = default;
    };

    bool is_tls = false;
    std::string host = "localhost";
    std::string port = "6379";
    std::string path;  // Of a Unix socket; then host and port mean nothing.
    std::string user;
    std::string password;
    std::string database;

    // PEM files, which may be replaced at any time; empty: the system's authorities, no certificate
    // of our own.
    std::string sslrootcert;
    std::string sslcert;
    std::string sslkey;

    std::vector<Server> sentinels;  // Who know host and port, which then mean nothing.
    std::string master;             // The name under which they do.
    std::string sentinel_user;
    std::string sentinel_password;

    bool operator==(const RedisAddress&) const = default;

    // For messages: never with a password.
    std::string shown() const;
};

// Whether a URL is of one of these kinds, and not of another program's.
bool is_redis_url(std::string_view url);

// Throws std::invalid_argument that says what is wrong with `url`, and never repeats its password.
RedisAddress parse_redis_url(std::string_view url);

}  // namespace walcast
