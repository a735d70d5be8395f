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

    // Time passes.
    void advance(Clock::time_point now);

    Lsn confirmed() const { return confirmed_; }

    // The sink holds something that only the next durable acceptance makes good.
    bool is_waiting_for_durability() const { return !is_durable_; }

    // When there is something to confirm that waits for its delay.
    bool is_delayed() const { return ripening_.has_value(); }

private:
    struct Step {
        Lsn lsn;
        Clock::time_point due;
    };

    std::chrono::milliseconds delay_;
    Lsn confirmed_;
    bool is_durable_ = true;
    // Two steps are enough: the later one collects what comes while the first one waits.
    std::optional<Step> ripening_;
    std::optional<Step> next_;
};

}  // namespace walcast
