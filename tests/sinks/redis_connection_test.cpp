#include "sinks/redis_connection.hpp"

#include "sinks/sink.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <ostream>

namespace walcast {

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
