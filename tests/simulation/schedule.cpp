#include "tests/simulation/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace walcast {

using Kind = Step::Kind;

// --- made from a seed ---

static std::vector<LoggedChange> some_changes(Dice& dice, std::uint64_t& last_row) {
    std::vector<LoggedChange> changes;
    auto count = dice.is_lucky(12) ? dice.between(8, 40) : dice.between(0, 4);
    for (; count > 0; --count) {
        auto roll = dice.below(100);
        auto kind = roll < 45   ? LoggedChange::Kind::insert
                    : roll < 75 ? LoggedChange::Kind::update
                    : roll < 90 ? LoggedChange::Kind::remove
                    : roll < 95 ? LoggedChange::Kind::truncate
                                : LoggedChange::Kind::event;
        auto is_row = kind <= LoggedChange::Kind::remove;
        changes.push_back({.kind = kind,
                           .row = is_row ? ++last_row : 0,
                           .room = static_cast<unsigned>(dice.below(3))});
    }
    return changes;
}

static Step work(Dice& dice, std::uint64_t& last_row) {
    Step step;
    auto roll = dice.below(100);
    if (roll < 80) {
        step.changes = some_changes(dice, last_row);
    } else {
        step.kind = roll < 86 ? Kind::event : roll < 92 ? Kind::message : Kind::filler;
    }
    return step;
}

static Step fault(Dice& dice, unsigned agents) {
    Step step;
    constexpr auto first = static_cast<unsigned>(Kind::kill);
    step.kind = static_cast<Kind>(dice.between(first, Step::kinds - 1));
    step.agent = static_cast<unsigned>(dice.below(agents));
    step.time =
        milliseconds{dice.is_lucky(15) ? dice.between(2000, 20'000) : dice.between(1, 2000)};
    step.amount = dice.below(101);
    return step;
}

static SimulatedRedis::Settings redis_settings(Dice& dice) {
    SimulatedRedis::Settings settings;
    auto roll = dice.below(3);
    if (roll == 1) {
        settings.durability = SimulatedRedis::Durability::delay;
        settings.delay = milliseconds{dice.between(20, 1500)};
    } else if (roll == 2) {
        settings.durability = SimulatedRedis::Durability::replicas;
    }
    return settings;
}

static BatchBuilder::Limits batch_limits(Dice& dice) {
    BatchBuilder::Limits limits;
    if (dice.is_lucky(70)) limits.batch_messages = dice.between(1, 12);
    if (dice.is_lucky(30)) limits.message_bytes = dice.between(1, 400);
    if (dice.is_lucky(30)) limits.batch_bytes = dice.between(1, 2000);
    return limits;
}

Schedule schedule_of(std::uint64_t seed) {
    Dice dice(seed);
    Schedule schedule;
    schedule.seed = seed;
    schedule.agents = static_cast<unsigned>(std::array{1, 1, 2, 2, 2, 3}[dice.below(6)]);
    schedule.has_position = !dice.is_lucky(5);
    schedule.heartbeat = milliseconds{dice.is_lucky(40) ? dice.between(100, 2000) : 0};
    constexpr std::array timeouts{0, 1'000, 3'000, 60'000};
    schedule.postgres.wal_sender_timeout = milliseconds{timeouts[dice.below(timeouts.size())]};
    schedule.postgres.is_keepalive_rare = dice.is_lucky(30);
    schedule.redis = redis_settings(dice);
    schedule.batches = batch_limits(dice);
    schedule.length = milliseconds{dice.between(50, dice.is_lucky(30) ? 5000 : 800)};
    auto when = [&] {
        return milliseconds{dice.below(static_cast<std::uint64_t>(schedule.length.count()))};
    };
    std::uint64_t last_row = 0;
    for (auto count = dice.between(1, 14); count > 0; --count) {
        schedule.steps.push_back(work(dice, last_row));
        schedule.steps.back().at = when();
    }
    for (auto count = dice.between(0, 5); count > 0; --count) {
        schedule.steps.push_back(fault(dice, schedule.agents));
        schedule.steps.back().at = when();
    }
    std::stable_sort(schedule.steps.begin(), schedule.steps.end(),
                     [](const Step& one, const Step& other) { return one.at < other.at; });
    return schedule;
}

// --- shown ---

std::string shown(const Step& step) {
    static constexpr std::array<const char*, Step::kinds> names{
        "commit",
        "an event, not transactional",
        "a message, not transactional",
        "other writes",
        "kill -9",
        "power off",
        "freeze",
        "SIGTERM",
        "other rules",
        "Postgres crashes",
        "Postgres stops (fast)",
        "Postgres fails over",
        "connection to Postgres cut",
        "network to Postgres stalls",
        "another cluster",
        "slot moved forward",
        "slot made anew",
        "slot dropped",
        "slot lent to somebody else",
        "Redis crashes, or fails over",
        "Redis emptied",
        "connection to Redis cut",
        "network to Redis stalls",
        "Redis refuses writes",
        "Redis' replica lags",
    };
    auto line =
        fmt::format("{:6} ms  {}", step.at.count(), names[static_cast<unsigned>(step.kind)]);
    if (step.kind == Kind::commit) {
        for (const auto& change : step.changes)
            line += fmt::format(" {}{}", "iudte"[static_cast<unsigned>(change.kind)],
                                change.row == 0 ? "" : fmt::to_string(change.row));
        return line;
    }
    if (step.kind < Kind::kill) return line;
    return line +
           fmt::format(": agent {}, {} ms, {} %", step.agent + 1, step.time.count(), step.amount);
}

std::string shown(const Schedule& schedule) {
    static constexpr std::array durabilities{"none", "delay", "replicas"};
    auto text = fmt::format(
        "seed={} agents={} position={} heartbeat={}ms wal_sender_timeout={}ms durability={} "
        "delay={}ms batch_messages={} batch_bytes={} message_bytes={} length={}ms\n",
        schedule.seed, schedule.agents, schedule.has_position, schedule.heartbeat.count(),
        schedule.postgres.wal_sender_timeout.count(),
        durabilities[static_cast<unsigned>(schedule.redis.durability)],
        schedule.redis.delay.count(), schedule.batches.batch_messages, schedule.batches.batch_bytes,
        schedule.batches.message_bytes, schedule.length.count());
    for (const auto& step : schedule.steps) text += shown(step) + "\n";
    return text;
}

// --- shrunk ---

Schedule shrink(Schedule schedule, const std::function<bool(const Schedule&)>& fails) {
    auto try_this = [&](const Schedule& smaller) {
        auto is_worth_it = fails(smaller);
        if (is_worth_it) schedule = smaller;
        return is_worth_it;
    };
    // Steps, in chunks that become smaller.
    for (auto size = schedule.steps.size(); size > 0; size /= 2) {
        for (std::size_t at = 0; at < schedule.steps.size();) {
            auto smaller = schedule;
            auto begin = smaller.steps.begin() + static_cast<std::ptrdiff_t>(at);
            auto left = schedule.steps.size() - at;
            smaller.steps.erase(begin, begin + static_cast<std::ptrdiff_t>(std::min(size, left)));
            if (!try_this(smaller)) at += size;
        }
    }
    for (std::size_t i = 0; i < schedule.steps.size(); ++i) {
        while (!schedule.steps[i].changes.empty()) {
            auto smaller = schedule;
            smaller.steps[i].changes.pop_back();
            if (!try_this(smaller)) break;
        }
    }
    auto smaller = schedule;
    smaller.heartbeat = {};
    try_this(smaller);
    for (auto agents = 1U; agents < schedule.agents; ++agents) {
        smaller = schedule;
        smaller.agents = agents;
        for (auto& step : smaller.steps) step.agent = std::min(step.agent, agents - 1);
        if (try_this(smaller)) break;
    }
    return schedule;
}

}  // namespace walcast
