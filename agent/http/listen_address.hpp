#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace walcast {

// Where the HTTP server listens: `127.0.0.1:7654`, `[::1]:7654`, `unix:/path`; empty: nowhere.
struct ListenAddress {
    std::string text;
    std::string host = {};  // Of TCP: an IP address.
    std::uint16_t port = 0;
    std::string path;      // Of a Unix socket; then host and port mean nothing.
    bool is_local = true;  // Only this machine can reach it.

    bool is_off() const { return text.empty(); }
    bool operator==(const ListenAddress&) const = default;
};

// Throws std::invalid_argument that says what would do.
ListenAddress parse_listen_address(std::string_view text);

}  // namespace walcast
