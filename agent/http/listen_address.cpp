#include "agent/http/listen_address.hpp"

#include <arpa/inet.h>
#include <sys/un.h>

#include <array>
#include <charconv>
#include <stdexcept>

namespace walcast {

static bool is_address(int family, const std::string& host, bool& is_loopback) {
    std::array<unsigned char, sizeof(in6_addr)> bytes{};
    if (inet_pton(family, host.c_str(), bytes.data()) != 1) return false;
    if (family == AF_INET) {
        is_loopback = bytes[0] == 127;
        return true;
    }
    is_loopback = bytes[15] == 1;
    for (std::size_t i = 0; i < 15; ++i) is_loopback = is_loopback && bytes[i] == 0;
    return true;
}

static ListenAddress unix_address(std::string_view text) {
    ListenAddress address;
    address.text = text;
    address.path = text.substr(std::string_view("unix:").size());
    if (!address.path.starts_with('/'))
        throw std::invalid_argument("expected an absolute path, as \"unix:/run/walcast/http\"");
    if (address.path.size() >= sizeof(sockaddr_un::sun_path) ||
        address.path.find('\0') != std::string::npos)
        throw std::invalid_argument("expected a path of at most 107 bytes");
    return address;
}

ListenAddress parse_listen_address(std::string_view text) {
    if (text.empty()) return {};
    if (text.starts_with("unix:")) return unix_address(text);
    auto colon = text.rfind(':');
    auto host = text.substr(0, colon);
    auto is_v6 = host.starts_with('[') && host.ends_with(']') && host.size() > 2;
    if (is_v6) host = host.substr(1, host.size() - 2);
    auto port = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
    ListenAddress address;
    address.text = text;
    address.host = host;
    auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    auto is_port = error == std::errc{} && end == port.data() + port.size();
    if (!is_port || !is_address(is_v6 ? AF_INET6 : AF_INET, address.host, address.is_local))
        throw std::invalid_argument(
            "expected an IP address and a port, as \"127.0.0.1:7654\" or \"[::1]:7654\", or "
            "\"unix:/path\", or \"\" for none");
    return address;
}

}  // namespace walcast
