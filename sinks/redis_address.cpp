#include "sinks/redis_address.hpp"

#include <boost/url.hpp>
#include <fmt/format.h>

#include <stdexcept>

namespace walcast {

std::string RedisAddress::shown() const {
    if (!path.empty()) return fmt::format("unix://{}", path);
    return fmt::format("{}://{}:{}", is_tls ? "rediss" : "redis", host, port);
}

RedisAddress parse_redis_url(std::string_view url) {
    auto parsed = boost::urls::parse_uri(url);
    if (!parsed) throw std::invalid_argument("not a URL; expected redis://host:6379/0");
    RedisAddress address;
    address.user = parsed->user();
    address.password = parsed->password();
    auto scheme = parsed->scheme();
    for (const auto& parameter : parsed->params()) {
        if (scheme != "unix" || parameter.key != "db")
            throw std::invalid_argument(
                "only unix:// takes a parameter, which is db; the database of "
                "redis:// is its path: redis://host:6379/0");
        address.database = parameter.value;
    }
    if (scheme == "unix") {
        address.path = parsed->path();
        if (address.path.empty())
            throw std::invalid_argument("no path; expected unix:///run/redis.sock");
    } else if (scheme == "redis" || scheme == "rediss") {
        address.is_tls = scheme == "rediss";
        if (!parsed->host().empty()) address.host = parsed->host_address();
        if (!parsed->port().empty()) address.port = std::string(parsed->port());
        auto path = parsed->path();
        if (path.size() > 1) address.database = path.substr(1);
    } else {
        throw std::invalid_argument(fmt::format(
            "unknown scheme \"{}\"; expected redis, rediss or unix", std::string_view(scheme)));
    }
    if (address.database.find_first_not_of("0123456789") != std::string::npos)
        throw std::invalid_argument(  // Which is not repeated: a password with a slash ends up
                                      // there.
            "the database after the host is not a number; expected redis://host:6379/0, with any "
            "of :/@% in a "
            "password as %XX");
    return address;
}

}  // namespace walcast
