#include "tests/simulation/simulation.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <string_view>

namespace walcast {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const auto* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::uint64_t random_seed() {
    return std::random_device{}();
}

// An assertion that fails says which schedule it was.
std::uint64_t running_seed = 0;
void say_seed(int) {
    auto line = fmt::format("aborted by the schedule of WALCAST_SEED={}\n", running_seed);
    [[maybe_unused]] auto written = write(STDERR_FILENO, line.data(), line.size());
}

Outcome run(const Schedule& schedule, bool is_traced = false, SimulatedRedis::Flaws flaws = {}) {
    running_seed = schedule.seed;
    return simulate(schedule, is_traced, flaws);
}

// What to read of a failure: the least that still fails, and what happened then.
std::string explained(const Schedule& failed, SimulatedRedis::Flaws flaws = {}) {
    auto fails = [&](const Schedule& schedule) {
        return run(schedule, false, flaws).failure.has_value();
    };
    auto least = shrink(failed, fails);
    auto outcome = run(least, true, flaws);
    auto text = fmt::format("{}\n\nthe least schedule that fails:\n{}\nwhat happens:\n",
                            outcome.failure.value_or("not when traced"), shown(least));
    for (const auto& line : outcome.trace) text += line + "\n";
    return text + fmt::format(
                      "\nto run it again: WALCAST_SEED={} WALCAST_SECONDS=0 "
                      "build/release/tests/simulation --gtest_filter=Simulation.KeepsAllPromises",
                      failed.seed);
}

TEST(Simulation, KeepsAllPromises) {
    auto seed = from_environment("WALCAST_SEED", random_seed());
    auto time = std::chrono::seconds{from_environment("WALCAST_SECONDS", 8)};
    std::cout << "WALCAST_SEED=" << seed << std::endl;
    auto begun = std::chrono::steady_clock::now();
    std::uint64_t schedules = 0;
    Outcome sum;
    do {
        auto schedule = schedule_of(seed + schedules++);
        auto outcome = run(schedule);
        ASSERT_FALSE(outcome.failure) << explained(schedule);
        sum.batches += outcome.batches;
        sum.changes += outcome.changes;
        sum.epochs += outcome.epochs;
        sum.turns += outcome.turns;
    } while (std::chrono::steady_clock::now() - begun < time);
    std::cout << schedules << " schedules, " << sum.turns << " turns, " << sum.batches
              << " batches, " << sum.changes << " changes, " << sum.epochs << " epochs\n";
}

TEST(Simulation, RunsTheSameForTheSameSeed) {
    auto seed = from_environment("WALCAST_SEED", random_seed());
    for (auto i = 0U; i < 50; ++i) {
        auto schedule = schedule_of(seed + i);

        auto once = run(schedule, true);
        auto again = run(schedule, true);

        ASSERT_EQ(once.trace, again.trace) << shown(schedule);
        ASSERT_FALSE(once.trace.empty());
    }
}

// What is worse than Redis is must be found, and soon; with less left to read.
void expect_found(SimulatedRedis::Flaws flaws) {
    constexpr std::uint64_t schedules_max = 20'000;
    for (std::uint64_t seed = 0; seed < schedules_max; ++seed) {
        auto schedule = schedule_of(seed);
        if (!run(schedule, false, flaws).failure) continue;
        auto least = shrink(schedule, [&](const Schedule& smaller) {
            return run(smaller, false, flaws).failure.has_value();
        });
        EXPECT_LE(least.steps.size(), 12U) << shown(least);
        std::cout << "found by schedule " << seed << "\n" << shown(least);
        return;
    }
    FAIL() << "not found by " << schedules_max << " schedules";
}

TEST(Simulation, FindsARedisThatTakesBatchesOfFormerOwners) {
    expect_found({.forgets_owners = true});
}

TEST(Simulation, FindsARedisThatTakesBatchesThatDoNotBeginWhereThePositionIs) {
    expect_found({.forgets_positions = true});
}

TEST(Simulation, FindsARedisThatTakesHalfABatch) {
    expect_found({.halves_batches = true});
}

}  // namespace
}  // namespace walcast

int main(int argc, char** argv) {
    std::signal(SIGABRT, walcast::say_seed);
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
