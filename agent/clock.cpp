#include "agent/clock.hpp"

#include <cassert>
#include <utility>

namespace walcast {

std::optional<Clock::Virtual> Clock::virtual_;

std::chrono::system_clock::time_point Clock::unix_now() {
    if (!virtual_) return std::chrono::system_clock::now();
    return std::chrono::system_clock::time_point(virtual_->now.time_since_epoch());
}

Clock::Simulation::Simulation() {
    assert(!virtual_);
    virtual_.emplace();
}

Clock::Simulation::~Simulation() {
    virtual_.reset();
}

bool Clock::Simulation::move_on() {
    constexpr std::chrono::hours never{24 * 365};  // Signals wait until the end of time.
    auto until_next = std::exchange(virtual_->until_next, std::nullopt);
    if (!until_next || *until_next > never) return false;
    virtual_->now += *until_next;
    return true;
}

Clock::duration ClockTraits::to_wait_duration(const Clock::duration& duration) {
    if (!Clock::virtual_) return duration;
    Clock::virtual_->until_next = duration;
    return Clock::duration::zero();
}

}  // namespace walcast
