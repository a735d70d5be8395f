#include "sinks/redis_connection.hpp"

#include "sinks/sink.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <ostream>

namespace walcast {

// --- addresses ---

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

// --- error replies ---

struct Refusal {
    const char* reply;
    const char* hint;

    friend void PrintTo(const Refusal& shown, std::ostream* out) { *out << shown.reply; }
};

class RedisError : public testing::TestWithParam<Refusal> {};

TEST_P(RedisError, SaysWhatWasAttemptedWhatCameBackAndWhatToDo) {
    auto error = error_of<SinkError>([] { throw_redis_error("AUTH", GetParam().reply); });

    EXPECT_TRUE(error.starts_with(std::string("redis: AUTH: ") + GetParam().reply)) << error;
    EXPECT_TRUE(contains(error, GetParam().hint)) << error;
}

INSTANTIATE_TEST_SUITE_P(
    Redis, RedisError,
    testing::Values(
        Refusal{"NOAUTH Authentication required.", "[redis] url"},
        Refusal{"WRONGPASS invalid username-password pair or user is disabled.", "[redis] url"},
        Refusal{"NOPERM this user has no permissions to run the 'evalsha' command", "ACL SETUSER"},
        Refusal{"READONLY You can't write against a read only replica.", "primary"},
        Refusal{"OOM command not allowed when used memory > 'maxmemory'.", "maxmemory"},
        Refusal{"LOADING Redis is loading the dataset in memory", "waits"},
        Refusal{"MISCONF Redis is configured to save RDB snapshots, but it is currently unable",
                "disk"},
        Refusal{"BUSY Redis is busy running a script.", "SCRIPT KILL"},
        Refusal{"NOSCRIPT No matching script. Please use EVAL.", "again"},
        Refusal{"CROSSSLOT Keys in request don't hash to the same slot", "Cluster"},
        Refusal{"MOVED 3999 127.0.0.1:6381", "Cluster"},
        Refusal{"ERR AUTH <password> called without any password configured", "password"},
        Refusal{"ERR DB index is out of range", "database number"}));

TEST(RedisError, PassesOnWhatNobodyExpected) {
    auto error = error_of<SinkError>([] { throw_redis_error("INFO", "ERR something else"); });

    EXPECT_EQ(error, "redis: INFO: ERR something else");
}

}  // namespace walcast
