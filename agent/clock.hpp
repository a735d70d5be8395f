#pragma once

#include <boost/asio/basic_waitable_timer.hpp>

#include <chrono>
#include <optional>

namespace walcast {

// Time for all that waits in `agent`: the system's; or, in a simulation, one that stands still
// until it is moved on.
class Clock {
public:
    using duration = std::chrono::steady_clock::duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<Clock, duration>;
    static constexpr bool is_steady = true;

    static time_point now() {
        if (virtual_) return virtual_->now;
        return time_point(std::chrono::steady_clock::now().time_since_epoch());
    }

    // By the calendar, which may jump.
    static std::chrono::system_clock::time_point unix_now();

    // While one lives, time is virtual; at most one lives.
    class Simulation {
    public:
        Simulation();
        ~Simulation();
        Simulation(const Simulation&) = delete;
        Simulation& operator=(const Simulation&) = delete;

        // When the next timer is due of the loop that was polled last, since the last move. Nothing
        // when none ever is.
        std::optional<time_point> next() const;

        void move_to(time_point time);
    };

private:
    friend struct ClockTraits;
    struct Virtual {
        time_point now{std::chrono::hours{1}};
        std::optional<duration> until_next;  // From now to when the first timer is due.
    };
    static std::optional<Virtual> virtual_;
};

// What Asio waits for, given how long a timer still has: in a simulation not at all, so that a loop
// that is polled looks at its timers each time. Nearly so: the kernel is free to be late with a
// timer that is due. For that a simulation brings its own (tests/simulation/kernel.cpp).
struct ClockTraits {
    static Clock::duration to_wait_duration(const Clock::duration& duration);
    static Clock::duration to_wait_duration(const Clock::time_point& time) {
        return to_wait_duration(time - Clock::now());
    }
};

using Timer = boost::asio::basic_waitable_timer<Clock, ClockTraits>;

}  // namespace walcast
