#include "sinks/redis_address.hpp"

#include <boost/url.hpp>
#include <fmt/format.h>

#include <stdexcept>

namespace walcast {

namespace {

// What is wrong is said without repeating any of it: a password whose :/?#@ are not escaped ends up
// anywhere.
[[noreturn]] void refuse(std::string_view why) {
    throw std::invalid_argument(fmt::format("{}, with any of :/?#@% in a password as %XX", why));
}

bool is_sentinel(std::string_view scheme) {
    return scheme == "redis-sentinel" || scheme == "rediss-sentinel";
}

bool is_tls(std::string_view scheme) {
    return scheme == "rediss" || scheme == "rediss-sentinel";
}

bool is_socket(std::string_view scheme) {
    return scheme == "unix";
}

bool is_tcp(std::string_view scheme) {
    return scheme == "redis" || scheme == "rediss";
}

std::string_view scheme_of(std::string_view url) {
    auto end = url.find("://");
    return end == std::string_view::npos ? std::string_view{} : url.substr(0, end);
}

struct Parameter {
    std::string_view name;
    bool (*is_of)(std::string_view scheme);
    std::string RedisAddress::*member;
};

constexpr Parameter parameters[] = {
    {"db", is_socket, &RedisAddress::database},
    {"sslrootcert", is_tls, &RedisAddress::sslrootcert},
    {"sslcert", is_tls, &RedisAddress::sslcert},
    {"sslkey", is_tls, &RedisAddress::sslkey},
    {"master", is_sentinel, &RedisAddress::master},
    {"sentinel_user", is_sentinel, &RedisAddress::sentinel_user},
    {"sentinel_password", is_sentinel, &RedisAddress::sentinel_password},
};

void set_parameter(RedisAddress& address, std::string_view scheme, std::string_view name,
                   std::string value) {
    std::string known;
    for (const auto& parameter : parameters) {
        if (!parameter.is_of(scheme)) continue;
        if (parameter.name == name) {
            address.*parameter.member = std::move(value);
            return;
        }
        known += fmt::format("{}{}", known.empty() ? "" : ", ", parameter.name);
    }
    if (known.empty())
        refuse("redis:// takes no parameters; its database is the path: redis://host:6379/0");
    refuse(fmt::format("an unknown parameter; {}:// takes {}", scheme, known));
}

boost::urls::url_view parse_one(std::string_view url) {
    auto parsed = boost::urls::parse_uri(url);
    if (!parsed) refuse("not a URL; expected redis://host:6379/0");
    // boost::urls 1.81 takes what follows a port that is no number for a path.
    if (!parsed->path().empty() && parsed->path().front() != '/')
        refuse("the port is not a number; expected redis://host:6379/0");
    if (parsed->has_fragment()) refuse("a # has no meaning; expected redis://host:6379/0");
    return *parsed;
}

// A URL of several hosts as one URL for each, which is what boost::urls takes.
std::vector<std::string> split_hosts(std::string_view url) {
    auto begin = url.find("://") + 3;
    auto end = std::min(url.find_first_of("/?#", begin), url.size());
    auto at = url.substr(begin, end - begin).rfind('@');
    if (at != std::string_view::npos) begin += at + 1;
    std::vector<std::string> urls;
    for (auto host = begin; host <= end;) {
        auto host_end = std::min(url.find(',', host), end);
        if (host_end == host || url[host] == ':')
            refuse("a host is missing; expected redis-sentinel://host:26379,host:26379/0?master=…");
        urls.push_back(fmt::format("{}{}{}", url.substr(0, begin),
                                   url.substr(host, host_end - host), url.substr(end)));
        host = host_end + 1;
    }
    return urls;
}

void check_combinations(const RedisAddress& address) {
    if (address.sslcert.empty() != address.sslkey.empty()) refuse("sslcert and sslkey go together");
    if (!address.sentinel_user.empty() && address.sentinel_password.empty())
        refuse("sentinel_user needs sentinel_password");
    if (!address.sentinels.empty() && address.master.empty())
        refuse(
            "which master? Expected redis-sentinel://host:26379,host:26379/0?master=mymaster, as "
            "in `sentinel monitor mymaster`");
    if (address.database.find_first_not_of("0123456789") != std::string::npos)
        refuse("the database after the host is not a number; expected redis://host:6379/0");
}

std::string shown_server(const RedisAddress::Server& server) {
    if (server.host.find(':') == std::string::npos)
        return fmt::format("{}:{}", server.host, server.port);
    return fmt::format("[{}]:{}", server.host, server.port);
}

}  // namespace

std::string RedisAddress::shown() const {
    if (!path.empty()) return fmt::format("unix://{}", path);
    if (sentinels.empty())
        return fmt::format("{}://{}", is_tls ? "rediss" : "redis", shown_server({host, port}));
    std::string hosts;
    for (const auto& sentinel : sentinels)
        hosts += fmt::format("{}{}", hosts.empty() ? "" : ",", shown_server(sentinel));
    return fmt::format("{}://{}?master={}", is_tls ? "rediss-sentinel" : "redis-sentinel", hosts,
                       master);
}

bool is_redis_url(std::string_view url) {
    auto scheme = scheme_of(url);
    return is_tcp(scheme) || is_sentinel(scheme) || is_socket(scheme);
}

RedisAddress parse_redis_url(std::string_view url) {
    std::vector<std::string> urls{std::string(url)};
    if (is_sentinel(scheme_of(url))) urls = split_hosts(url);
    auto parsed = parse_one(urls[0]);
    RedisAddress address;
    address.user = parsed.user();
    address.password = parsed.password();
    auto scheme = std::string(parsed.scheme());
    address.is_tls = is_tls(scheme);
    if (is_socket(scheme)) {
        address.path = parsed.path();
        if (address.path.empty())
            throw std::invalid_argument("no path; expected unix:///run/redis.sock");
    } else if (is_tcp(scheme) || is_sentinel(scheme)) {
        auto path = parsed.path();
        if (path.size() > 1) address.database = path.substr(1);
    } else {
        throw std::invalid_argument(
            fmt::format("unknown scheme \"{}\"; expected redis, rediss or unix, redis-sentinel or "
                        "rediss-sentinel",
                        scheme));
    }
    if (is_sentinel(scheme)) {
        for (const auto& one : urls) {
            auto sentinel = parse_one(one);
            auto port =
                sentinel.port().empty() ? std::string("26379") : std::string(sentinel.port());
            address.sentinels.push_back({sentinel.host_address(), port});
        }
    } else if (!is_socket(scheme)) {
        if (!parsed.host().empty()) address.host = parsed.host_address();
        if (!parsed.port().empty()) address.port = std::string(parsed.port());
        if (address.host.find(',') != std::string::npos)
            refuse("several hosts are for redis-sentinel://; expected redis://host:6379/0");
    }
    // As libpq takes it, a plus sign is itself.
    for (const auto& parameter : parsed.params(boost::urls::encoding_opts{}))
        set_parameter(address, scheme, parameter.key, parameter.value);
    check_combinations(address);
    return address;
}

}  // namespace walcast
