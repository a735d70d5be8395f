#pragma once

#include "agent/clock.hpp"
#include "decoders/lsn.hpp"

#include <chrono>
#include <optional>

namespace walcast {

// How far Postgres may be told to forget: what the sink holds, and holds for good. Never goes back.
// Pure.
class Progress {
public:
    // `delay`: how long the sink may lose what it has accepted, as Redis does until its append-only
    // file is on disk.
    explicit Progress(std::chrono::milliseconds delay) : delay_(delay) {}

    // The sink holds all up to `lsn`. Not for good yet, unless `is_durable`, which holds for all
    // before it too.
    void accepted(Lsn lsn, bool is_durable, Clock::time_point now);

    // The sink's connection is lost, and what it held perhaps with it.
    void sink_lost();

    // It has answered on the connection that it accepted by: so it has not come back older. What
    // had waited for its delay is confirmed. Time alone confirms nothing: while nothing is sent,
    // nobody hears that the connection has ended.
    void answered(Clock::time_point now);

    Lsn confirmed() const { return confirmed_; }

    // The sink holds something that only the next durable acceptance makes good.
    bool is_waiting_for_durability() const { return !is_durable_; }

    // There is something to confirm that waits for its delay; or has waited, and an answer is due.
    bool is_delayed() const { return ripening_.has_value(); }
    bool is_answer_due(Clock::time_point now) const { return ripening_ && ripening_->due <= now; }

    // When all will have waited for its delay.
    std::optional<Clock::time_point> all_due_at() const {
        if (next_) return next_->due;
        if (ripening_) return ripening_->due;
        return std::nullopt;
    }

private:
    struct Step {
        Lsn lsn;
        Clock::time_point due;
    };

    Lsn latest() const;  // What was accepted last, confirmed or not.

    std::chrono::milliseconds delay_;
    Lsn confirmed_;
    bool is_durable_ = true;
    // Two steps are enough: the later one collects what comes while the first one waits.
    std::optional<Step> ripening_;
    std::optional<Step> next_;
};

}  // namespace walcast
