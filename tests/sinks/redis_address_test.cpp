#include "sinks/redis_address.hpp"

#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace walcast {

TEST(RedisUrl, NamesHostPortAndDatabase) {
    auto address = parse_redis_url("redis://cache.example:6380/2");

    EXPECT_FALSE(address.is_tls);
    EXPECT_EQ(address.host, "cache.example");
    EXPECT_EQ(address.port, "6380");
    EXPECT_EQ(address.database, "2");
    EXPECT_EQ(address.path, "");
    EXPECT_EQ(address.user, "");
    EXPECT_EQ(address.password, "");
}

TEST(RedisUrl, HasDefaults) {
    for (const auto* url : {"redis://", "redis://localhost", "redis://localhost/"}) {
        auto address = parse_redis_url(url);

        EXPECT_EQ(address.host, "localhost") << url;
        EXPECT_EQ(address.port, "6379") << url;
        EXPECT_EQ(address.database, "") << url;
    }
}

TEST(RedisUrl, MayCarryUserAndPassword) {
    auto address = parse_redis_url("redis://walcast:secret@localhost");

    EXPECT_EQ(address.user, "walcast");
    EXPECT_EQ(address.password, "secret");
}

TEST(RedisUrl, MayCarryAPasswordOnly) {
    auto address = parse_redis_url("redis://:secret@localhost");

    EXPECT_EQ(address.user, "");
    EXPECT_EQ(address.password, "secret");
}

TEST(RedisUrl, EscapesWhatAPasswordMayHold) {
    auto address = parse_redis_url("redis://w%40l:p%3A%2F%40%25@localhost");

    EXPECT_EQ(address.user, "w@l");
    EXPECT_EQ(address.password, "p:/@%");
}

TEST(RedisUrl, AsksForTls) {
    EXPECT_TRUE(parse_redis_url("rediss://localhost").is_tls);
}

TEST(RedisUrl, TakesAddressesAsHosts) {
    EXPECT_EQ(parse_redis_url("redis://127.0.0.1:1").host, "127.0.0.1");
    EXPECT_EQ(parse_redis_url("redis://[::1]:1").host, "::1");
}

TEST(RedisUrl, NamesASocket) {
    auto address = parse_redis_url("unix:///run/redis.sock?db=3");

    EXPECT_EQ(address.path, "/run/redis.sock");
    EXPECT_EQ(address.database, "3");
}

TEST(RedisUrl, NamesASocketWithAPassword) {
    auto address = parse_redis_url("unix://walcast:secret@/run/redis.sock");

    EXPECT_EQ(address.path, "/run/redis.sock");
    EXPECT_EQ(address.user, "walcast");
    EXPECT_EQ(address.password, "secret");
}

class BadRedisUrl : public testing::TestWithParam<const char*> {};

TEST_P(BadRedisUrl, IsRefused) {
    EXPECT_THROW(parse_redis_url(GetParam()), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(RedisUrl, BadRedisUrl,
                         testing::Values("", "localhost:6379", "localhost", "http://localhost",
                                         "redis://localhost:port", "redis://localhost/first",
                                         "redis://localhost/1/2", "redis://a b", "unix://",
                                         "unix:///run/redis.sock?db=x", "redis://localhost?db=2",
                                         "unix:///run/redis.sock?bd=2"));

TEST(RedisUrl, SaysWhatWouldDo) {
    auto error = error_of<std::invalid_argument>([] { parse_redis_url("http://localhost"); });

    EXPECT_TRUE(contains(error, "redis, rediss or unix")) << error;
}

// The ways in which people forget to escape a password.
class LeakyRedisUrl : public testing::TestWithParam<const char*> {};

TEST_P(LeakyRedisUrl, IsRefusedWithoutRepeatingItsPassword) {
    auto error = error_of<std::invalid_argument>([] { parse_redis_url(GetParam()); });

    EXPECT_FALSE(contains(error, "secret")) << error;
}

INSTANTIATE_TEST_SUITE_P(
    RedisUrl, LeakyRedisUrl,
    testing::Values("http://user:secret@localhost", "redis://:secret@local host",
                    "redis://:secret@localhost/first", "redis://:se@secret@localhost",
                    "redis://:%zzsecret@host", "redis://:secret/1@localhost",
                    "redis://user:12/secret@localhost", "user:secret@localhost:6379"));

TEST(RedisAddress, IsShownWithoutItsPassword) {
    EXPECT_EQ(parse_redis_url("redis://walcast:secret@localhost:6380/2").shown(),
              "redis://localhost:6380");
    EXPECT_EQ(parse_redis_url("rediss://:secret@cache").shown(), "rediss://cache:6379");
    EXPECT_EQ(parse_redis_url("unix://:secret@/run/redis.sock").shown(), "unix:///run/redis.sock");
}

}  // namespace walcast
