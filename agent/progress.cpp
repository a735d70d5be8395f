#include "agent/progress.hpp"

#include <algorithm>
#include <utility>

namespace walcast {

void Progress::accepted(Lsn lsn, bool is_durable, Clock::time_point now) {
    answered(now);
    is_durable_ = is_durable;
    if (!is_durable || lsn <= latest()) return;
    Step step{lsn, now + delay_};
    if (ripening_)
        next_ = step;
    else
        ripening_ = step;
    if (delay_.count() == 0) answered(now);
}

void Progress::sink_lost() {
    ripening_.reset();
    next_.reset();
}

Lsn Progress::latest() const {
    if (next_) return next_->lsn;
    return ripening_ ? ripening_->lsn : confirmed_;
}

void Progress::answered(Clock::time_point now) {
    while (ripening_ && ripening_->due <= now) {
        confirmed_ = std::max(confirmed_, ripening_->lsn);
        ripening_ = std::exchange(next_, std::nullopt);
    }
}

}  // namespace walcast
