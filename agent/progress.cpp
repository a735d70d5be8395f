#include "agent/progress.hpp"

#include <algorithm>
#include <utility>

namespace walcast {

void Progress::accepted(Lsn lsn, bool is_durable, Clock::time_point now) {
    is_durable_ = is_durable;
    if (!is_durable) return;
    Step step{lsn, now + delay_};
    if (ripening_)
        next_ = step;
    else
        ripening_ = step;
    advance(now);
}

void Progress::sink_lost() {
    ripening_.reset();
    next_.reset();
}

void Progress::advance(Clock::time_point now) {
    while (ripening_ && ripening_->due <= now) {
        confirmed_ = std::max(confirmed_, ripening_->lsn);
        ripening_ = std::exchange(next_, std::nullopt);
    }
}

}  // namespace walcast
