#include "agent/clock.hpp"

#include <cassert>

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

std::optional<Clock::time_point> Clock::Simulation::next() const {
    constexpr std::chrono::hours never{24 * 365};  // Signals wait until the end of time.
    if (!virtual_->until_next || *virtual_->until_next > never) return std::nullopt;
    return virtual_->now + *virtual_->until_next;
}

void Clock::Simulation::move_to(time_point time) {
    assert(time >= virtual_->now);
    virtual_->now = time;
    virtual_->until_next.reset();
}

Clock::duration ClockTraits::to_wait_duration(const Clock::duration& duration) {
    if (!Clock::virtual_) return duration;
    Clock::virtual_->until_next = duration;
    return Clock::duration::zero();
}

}  // namespace walcast
