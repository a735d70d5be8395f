#pragma once

#include "agent/clock.hpp"
#include "decoders/lsn.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace walcast {

// Whether what is written to Postgres comes through: a logical message goes out, comes back in the
// stream, and is done when the sink's position covers it. One is on its way at a time. Pure.
class Heartbeat {
public:
    static constexpr std::string_view prefix = "walcast:heartbeat";

    // `token` is unlike any other's.
    explicit Heartbeat(std::string token) : token_(std::move(token)) {}

    bool is_out() const { return sent_at_.has_value(); }
    std::optional<Clock::time_point> sent_at() const { return sent_at_; }

    // When the last one was through.
    std::optional<Clock::time_point> returned_at() const { return returned_at_; }
    Clock::duration round_trip() const { return round_trip_; }

    // The content of the next one; the last one, if it is still out, is given up.
    std::string send(Clock::time_point now);

    // It could not be written, as far as we know; should it come back, it does not count.
    void failed();

    // The stream holds a message of this prefix, or the end of a transaction.
    void heard(std::string_view content);
    void committed(Lsn end_lsn);

    // It has come back, and only the sink does not hold it yet.
    bool is_back() const { return end_lsn_.has_value(); }

    // The sink holds all up to `lsn`. True when this brought the one that was out back.
    bool accepted(Lsn lsn, Clock::time_point now);

private:
    std::string content() const { return token_ + "-" + std::to_string(count_); }

    std::string token_;
    std::uint64_t count_ = 0;
    std::optional<Clock::time_point> sent_at_;
    bool is_heard_ = false;       // In the transaction that is being read.
    std::optional<Lsn> end_lsn_;  // Of its transaction.
    std::optional<Clock::time_point> returned_at_;
    Clock::duration round_trip_{0};
};

}  // namespace walcast
