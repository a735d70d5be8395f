#include "agent/backoff.hpp"

#include <gtest/gtest.h>

#include <set>

namespace walcast {

using namespace std::chrono_literals;

TEST(Backoff, WaitsBetweenHalfAndAllOfADoublingTime) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        Backoff backoff({.first = 100ms, .most = 5000ms}, seed);
        for (auto full : {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 5000ms, 5000ms}) {
            auto wait = backoff.next();
            EXPECT_GE(wait, full / 2) << seed;
            EXPECT_LE(wait, full) << seed;
        }
    }
}

TEST(Backoff, NeverWaitsLongerThanItsLimitHoweverManyAttempts) {
    Backoff backoff({.first = 100ms, .most = 5000ms}, 1);

    for (auto i = 0; i < 1000; ++i) {
        auto wait = backoff.next();
        ASSERT_GE(wait, 0ms) << i;
        ASSERT_LE(wait, 5000ms) << i;
    }
}

TEST(Backoff, BeginsAgainAfterAReset) {
    Backoff backoff({.first = 100ms, .most = 5000ms}, 1);
    for (auto i = 0; i < 10; ++i) backoff.next();

    backoff.reset();

    EXPECT_LE(backoff.next(), 100ms);
}

TEST(Backoff, WaitsTheSameForTheSameSeed) {
    Backoff one({}, 7);
    Backoff other({}, 7);

    for (auto i = 0; i < 10; ++i) EXPECT_EQ(one.next(), other.next());
}

TEST(Backoff, WaitsDifferentlyForDifferentSeeds) {
    std::set<std::chrono::milliseconds> waits;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        Backoff backoff({.first = 4000ms, .most = 5000ms}, seed * 0x9E3779B97F4A7C15U);
        waits.insert(backoff.next());
    }

    EXPECT_GT(waits.size(), 30U);
}

TEST(Backoff, TakesTimesTooShortForJitter) {
    Backoff backoff({.first = 1ms, .most = 1ms}, 1);

    for (auto i = 0; i < 10; ++i) EXPECT_LE(backoff.next(), 1ms);
}

}  // namespace walcast
