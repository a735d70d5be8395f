#include "agent/heartbeat.hpp"

#include <utility>

namespace walcast {

std::string Heartbeat::send(Clock::time_point now) {
    failed();
    ++count_;
    sent_at_ = now;
    return content();
}

void Heartbeat::failed() {
    sent_at_.reset();
    is_heard_ = false;
    end_lsn_.reset();
}

void Heartbeat::heard(std::string_view said) {
    if (sent_at_ && said == content()) is_heard_ = true;
}

void Heartbeat::committed(Lsn end_lsn) {
    if (std::exchange(is_heard_, false)) end_lsn_ = end_lsn;
}

bool Heartbeat::accepted(Lsn lsn, Clock::time_point now) {
    if (!end_lsn_ || lsn < *end_lsn_ || !sent_at_) return false;
    round_trip_ = now - *sent_at_;
    returned_at_ = now;
    sent_at_.reset();
    end_lsn_.reset();
    return true;
}

}  // namespace walcast
