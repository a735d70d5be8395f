#include "agent/concurrency.hpp"

#include "agent/turns.hpp"
#include "tests/support/coroutines.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace walcast {

using namespace std::chrono_literals;

class ConcurrencyTest : public testing::Test {
protected:
    asio::awaitable<void> wait_for(Signal& awaited, std::string name) {
        struct Leaving {
            std::vector<std::string>& log;
            std::string name;
            ~Leaving() { log.push_back(name + " ended"); }
        } leaving{log, name};
        co_await awaited.wait();
        log.push_back(name + " was told");
    }
    asio::awaitable<void> fail(std::string why) {
        throw std::runtime_error(why);
        co_return;
    }
    // Waits for `signal` with a time limit, and logs how that ended.
    asio::awaitable<void> wait_within_an_hour() {
        try {
            auto waiting = signal.wait();
            auto is_in_time = co_await within(1h, std::move(waiting));
            log.push_back(is_in_time ? "in time" : "too late");
        } catch (const boost::system::system_error&) {
            log.push_back("cancelled");
            throw;
        }
    }
    // Has its turn until `until` is raised.
    asio::awaitable<void> take_turn(Signal& until, std::string name) {
        auto turn = co_await turns.take();
        log.push_back(name + " has it");
        co_await until.wait();
        log.push_back(name + " gives it back");
    }
    asio::awaitable<int> answer() { co_return 42; }
    asio::awaitable<int> fail_to_answer() {
        throw std::runtime_error("no");
        co_return 0;
    }

    std::vector<std::string> log;  // Outlives the coroutines, which the context destroys.
    asio::io_context context;
    Signal signal{context.get_executor()};
    Signal other{context.get_executor()};
    Signal third{context.get_executor()};
    Turns turns{context.get_executor()};
};

using Logged = std::vector<std::string>;

// --- signal ---

TEST_F(ConcurrencyTest, ASignalWakesWhoeverWaits) {
    auto waiting = start(context, wait_for(signal, "a"));
    EXPECT_FALSE(waiting.has_ended());

    signal.raise();
    settle(context);

    EXPECT_TRUE(waiting.has_ended());
    EXPECT_EQ(log, (Logged{"a was told", "a ended"}));
}

TEST_F(ConcurrencyTest, ASignalRaisedBeforeIsNotLost) {
    signal.raise();

    EXPECT_TRUE(start(context, wait_for(signal, "a")).has_ended());
}

TEST_F(ConcurrencyTest, ASignalRaisedTwiceWakesOnce) {
    signal.raise();
    signal.raise();
    start(context, wait_for(signal, "a")).get();

    EXPECT_FALSE(start(context, wait_for(signal, "b")).has_ended());
}

TEST_F(ConcurrencyTest, AWaitWithALimitEndsWithoutASignal) {
    auto waiting = start(context, signal.wait(0ms));
    settle(context);

    EXPECT_TRUE(waiting.has_ended());
}

TEST_F(ConcurrencyTest, AWaitWithALimitIsWokenBefore) {
    auto waiting = start(context, signal.wait(1h));
    EXPECT_FALSE(waiting.has_ended());

    signal.raise();
    settle(context);

    EXPECT_TRUE(waiting.has_ended());
}

// --- turns ---

TEST_F(ConcurrencyTest, TurnsAreTakenInTheOrderOfAsking) {
    auto a = start(context, take_turn(signal, "a"));
    auto b = start(context, take_turn(other, "b"));
    auto c = start(context, take_turn(third, "c"));
    EXPECT_EQ(log, Logged{"a has it"});

    third.raise();
    other.raise();
    signal.raise();
    settle(context);

    EXPECT_EQ(log, (Logged{"a has it", "a gives it back", "b has it", "b gives it back", "c has it",
                           "c gives it back"}));
}

TEST_F(ConcurrencyTest, WhoIsCancelledHoldsNobodyUp) {
    auto a = start(context, take_turn(signal, "a"));
    auto b = start(context, within(0ms, take_turn(other, "b")));
    auto c = start(context, take_turn(third, "c"));
    settle(context);
    EXPECT_FALSE(b.get());
    EXPECT_EQ(log, Logged{"a has it"});

    signal.raise();
    settle(context);

    EXPECT_EQ(log, (Logged{"a has it", "a gives it back", "c has it"}));
}

TEST_F(ConcurrencyTest, AnErrorEndsATurn) {
    auto a = start(context, run_together(take_turn(signal, "a"), fail("broken")));
    EXPECT_THROW(a.get(), std::runtime_error);

    auto b = start(context, take_turn(other, "b"));

    EXPECT_EQ(log.back(), "b has it");
}

// --- run_together ---

TEST_F(ConcurrencyTest, TasksEndTogetherWithTheFirst) {
    auto task = start(context, run_together(wait_for(signal, "a"), wait_for(other, "b")));
    EXPECT_FALSE(task.has_ended());

    signal.raise();
    settle(context);

    EXPECT_NO_THROW(task.get());
    EXPECT_EQ(log, (Logged{"a was told", "a ended", "b ended"}));
}

TEST_F(ConcurrencyTest, TheFirstErrorIsTheOneThatPassesOn) {
    auto task = start(context, run_together(wait_for(signal, "a"), fail("broken")));

    try {
        task.get();
        ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "broken");
    }
    EXPECT_EQ(log, Logged{"a ended"});
}

// --- within ---

TEST_F(ConcurrencyTest, WhatEndsInTimeGivesItsResult) {
    EXPECT_EQ(start(context, within(1h, answer())).get(), 42);
}

TEST_F(ConcurrencyTest, WhatFailsInTimePassesItsErrorOn) {
    EXPECT_THROW(start(context, within(1h, fail_to_answer())).get(), std::runtime_error);
    EXPECT_THROW(start(context, within(1h, fail("no"))).get(), std::runtime_error);
}

TEST_F(ConcurrencyTest, WhatTakesTooLongIsCancelled) {
    auto task = start(context, within(0ms, wait_for(signal, "a")));
    settle(context);

    EXPECT_FALSE(task.get());
    EXPECT_EQ(log, Logged{"a ended"});
}

// Or the caller would take a session that ends for a server that does not answer.
TEST_F(ConcurrencyTest, WhatIsCancelledFromOutsideHasNotTakenTooLong) {
    auto task = start(context, run_together(wait_for(other, "a"), wait_within_an_hour()));

    other.raise();
    settle(context);

    EXPECT_NO_THROW(task.get());
    EXPECT_EQ(log, (Logged{"a was told", "a ended", "cancelled"}));
}

}  // namespace walcast
