#include "sinks/redis_address.hpp"

#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

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

TEST(RedisUrl, NamesTheFilesOfTls) {
    auto address =
        parse_redis_url("rediss://h?sslrootcert=/ca.pem&sslcert=/me%20too.pem&sslkey=me+.key");

    EXPECT_TRUE(address.is_tls);
    EXPECT_EQ(address.sslrootcert, "/ca.pem");
    EXPECT_EQ(address.sslcert, "/me too.pem");
    EXPECT_EQ(address.sslkey, "me+.key");
}

// --- Sentinel ---

using Server = RedisAddress::Server;

TEST(SentinelUrl, NamesSentinelsAndTheMaster) {
    auto address = parse_redis_url("redis-sentinel://a:1,b,[::1]:3/2?master=mymaster");

    EXPECT_FALSE(address.is_tls);
    EXPECT_EQ(address.sentinels,
              (std::vector{Server{"a", "1"}, Server{"b", "26379"}, Server{"::1", "3"}}));
    EXPECT_EQ(address.master, "mymaster");
    EXPECT_EQ(address.database, "2");
}

TEST(SentinelUrl, HasCredentialsForTheRedisAndForTheSentinels) {
    auto address = parse_redis_url(
        "redis-sentinel://w:p,%40%2F@a:1,b:2?master=m&sentinel_user=s&sentinel_password=q%26+");

    EXPECT_EQ(address.sentinels, (std::vector{Server{"a", "1"}, Server{"b", "2"}}));
    EXPECT_EQ(address.user, "w");
    EXPECT_EQ(address.password, "p,@/");
    EXPECT_EQ(address.sentinel_user, "s");
    EXPECT_EQ(address.sentinel_password, "q&+");
    EXPECT_EQ(address.database, "");
}

TEST(SentinelUrl, AsksForTls) {
    auto address = parse_redis_url("rediss-sentinel://a/?sslrootcert=/ca.pem&master=m");

    EXPECT_TRUE(address.is_tls);
    EXPECT_EQ(address.sslrootcert, "/ca.pem");
}

TEST(SentinelUrl, MayNameOneSentinelOnly) {
    EXPECT_EQ(parse_redis_url("redis-sentinel://a?master=m").sentinels,
              (std::vector{Server{"a", "26379"}}));
}

// --- what is refused ---

class BadRedisUrl : public testing::TestWithParam<const char*> {};

TEST_P(BadRedisUrl, IsRefused) {
    EXPECT_THROW(parse_redis_url(GetParam()), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(
    RedisUrl, BadRedisUrl,
    testing::Values("", "localhost:6379", "localhost", "http://localhost", "redis://localhost:port",
                    "redis://localhost/first", "redis://localhost/1/2", "redis://a b", "unix://",
                    "unix:///run/redis.sock?db=x", "redis://localhost?db=2",
                    "unix:///run/redis.sock?bd=2", "redis://a,b:6379", "redis://localhost#6379",
                    "redis://localhost?sslrootcert=/ca.pem", "rediss://localhost?sslcert=/me.pem",
                    "rediss://localhost?sslkey=/me.key", "rediss://localhost?master=m",
                    "redis-sentinel://a,b", "redis-sentinel://a,b?master=",
                    "redis-sentinel://?master=m", "redis-sentinel://,b?master=m",
                    "redis-sentinel://a,?master=m", "redis-sentinel://a,,b?master=m",
                    "redis-sentinel://a,:2?master=m", "redis-sentinel://a,b:x?master=m",
                    "redis-sentinel://a,b/x?master=m", "redis-sentinel://a b?master=m",
                    "redis-sentinel:a", "redis-sentinel://a?master=m&sentinel_user=u",
                    "redis-sentinel://a?master=m&sslrootcert=/ca.pem",
                    "redis-sentinel://a?master=m&db=2"));

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
                    "redis://user:12/secret@localhost", "user:secret@localhost:6379",
                    "redis://user:12?secret@localhost", "redis://user:12#secret@localhost",
                    "redis://user:12?secret=1@localhost", "rediss://user:12?secret@localhost",
                    "redis-sentinel://:secret@a b?master=m", "redis-sentinel://:secret@a,?master=m",
                    "redis-sentinel://:se@secret@a?master=m",
                    "redis-sentinel://:secret/1@a?master=m",
                    "redis-sentinel://:12/secret@a?master=m",
                    "redis-sentinel://u:12?secret@a?master=m",
                    "redis-sentinel://u:12,secret@a,b,?master=m",
                    "redis-sentinel://a?master=m&sentinel_password=b&secret",
                    "redis-sentinel://a?master=m&sentinel_password=b#secret"));

TEST(RedisUrl, IsKnownByItsScheme) {
    for (const auto* url :
         {"redis://a", "rediss://a", "unix:///s", "redis-sentinel://a", "rediss-sentinel://a"})
        EXPECT_TRUE(is_redis_url(url)) << url;
    for (const auto* url : {"", "redis", "redis:a", "postgres://a", "://"})
        EXPECT_FALSE(is_redis_url(url)) << url;
}

TEST(RedisAddress, IsShownWithoutItsPassword) {
    EXPECT_EQ(parse_redis_url("redis://walcast:secret@localhost:6380/2").shown(),
              "redis://localhost:6380");
    EXPECT_EQ(parse_redis_url("rediss://:secret@cache").shown(), "rediss://cache:6379");
    EXPECT_EQ(parse_redis_url("unix://:secret@/run/redis.sock").shown(), "unix:///run/redis.sock");
    EXPECT_EQ(parse_redis_url("redis://:secret@[::1]:1").shown(), "redis://[::1]:1");
    EXPECT_EQ(parse_redis_url("rediss-sentinel://w:secret@a,[::1]:2/1?sentinel_password=secret&"
                              "master=m&sentinel_user=s")
                  .shown(),
              "rediss-sentinel://a:26379,[::1]:2?master=m");
}

}  // namespace walcast
