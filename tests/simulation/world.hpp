#pragma once

#include "agent/clock.hpp"
#include "agent/random.hpp"
#include "sinks/awaitable.hpp"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace walcast {

using Time = Clock::time_point;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Chance that follows from a seed (splitmix64).
class Dice {
public:
    explicit Dice(std::uint64_t seed) : state_(seed) {}

    std::uint64_t roll() {
        auto bits = state_ += 0x9E3779B97F4A7C15U;
        bits = (bits ^ bits >> 30U) * 0xBF58476D1CE4E5B9U;
        bits = (bits ^ bits >> 27U) * 0x94D049BB133111EBU;
        return bits ^ bits >> 31U;
    }
    std::uint64_t below(std::uint64_t end) { return roll() % end; }
    std::uint64_t between(std::uint64_t first, std::uint64_t last) {
        return first + below(last - first + 1);
    }
    bool is_lucky(unsigned percent) { return below(100) < percent; }

private:
    std::uint64_t state_;
};

// Time, chance, and all that will happen. What is simulated lives in one; what happens is told as
// lines when it is traced.
class World {
public:
    using Action = std::function<void()>;

    World(std::uint64_t seed, bool is_traced)
        : dice(seed), is_traced_(is_traced), random_(seed), began_at_(Clock::now()) {}

    void at(Time time, Action action);
    void after(Clock::duration wait, Action action) { at(Clock::now() + wait, std::move(action)); }

    // When the next thing happens. `let_happen` does what is due.
    std::optional<Time> next() const;
    void move_to(Time time) { clock_.move_to(time); }
    std::optional<Time> next_timer() const { return clock_.next(); }
    void let_happen();

    milliseconds age() const {
        return std::chrono::duration_cast<milliseconds>(Clock::now() - began_at_);
    }

    // A promise is broken. The first one counts.
    void fail(std::string what) {
        note("FAILED: {}", what);
        if (!failure) failure = std::move(what);
    }

    template <typename... Arguments>
    void note(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        if (is_traced_) write(fmt::format(format, std::forward<Arguments>(arguments)...));
    }
    bool is_traced() const { return is_traced_; }

    Dice dice;
    std::optional<std::string> failure;
    std::vector<std::string> trace;

private:
    struct Planned {
        Time time;
        std::uint64_t number;  // What is planned first happens first.
        Action action;
    };
    static bool is_later(const Planned& one, const Planned& other) {
        return one.time != other.time ? one.time > other.time : one.number > other.number;
    }
    void write(const std::string& line);

    bool is_traced_;
    Clock::Simulation clock_;
    Random::Simulation random_;
    Time began_at_;
    std::vector<Planned> planned_;  // A heap.
    std::uint64_t planned_count_ = 0;
};

// Waits. The wait belongs to the one who waits: it ends late when that one is frozen.
asio::awaitable<void> pass(Clock::duration time);

// A connection: what either end sends arrives at the other later, in order, or never.
class Link : public std::enable_shared_from_this<Link> {
public:
    explicit Link(World& world) : world_(world) {}

    void to_server(World::Action arrived) { send(0, std::move(arrived)); }
    void to_client(World::Action arrived) { send(1, std::move(arrived)); }

    // The end has come for the one or the other.
    bool has_ended_for_client() const { return has_ended_[1]; }
    bool has_ended_for_server() const { return has_ended_[0]; }
    std::function<void()> wake_client = nullptr;  // Something has arrived, or the end has come.
    std::function<void()> on_end_for_server = nullptr;

    // By the network: perhaps what is on its way to the server still arrives.
    void break_off();
    // An end closes it, or its process dies: what that one has sent arrives before the end.
    void client_leaves();
    void server_leaves();
    // The client's machine is off: nobody tells the server.
    void client_vanishes();
    void stall_until(Time time) { stalled_until_ = std::max(stalled_until_, time); }

    std::string end;  // Why it ended.

private:
    // To the server: 0, to the client: 1.
    void send(std::size_t to, World::Action arrived);
    void plan(std::size_t to, Time time);
    void arrive(std::size_t to);
    void end_for(std::size_t whom);

    World& world_;
    std::array<std::deque<World::Action>, 2> on_the_way_;
    std::array<Time, 2> last_arrival_;
    std::array<bool, 2> has_ended_{};
    Time stalled_until_;
};

}  // namespace walcast
