#pragma once

#include "agent/concurrency.hpp"
#include "sinks/sink.hpp"

#include <deque>
#include <vector>

namespace walcast {

// Batches on their way: waiting, sent, and, once accepted, gone. Bounded, so that a slow sink holds
// the reader back. What was sent and not accepted is kept to be sent again. One thread.
class BatchQueue {
public:
    static constexpr std::size_t waiting_max = 2;
    static constexpr std::size_t sent_max = 4;

    explicit BatchQueue(const asio::any_io_executor& executor)
        : pushed_(executor), room_(executor), sent_signal_(executor) {}

    // Where the first batch will begin.
    void begin_at(Position position);

    bool is_empty() const { return batches_.empty(); }
    std::size_t size() const { return batches_.size(); }
    std::size_t bytes() const;  // Of all of them.
    bool has_room() const { return batches_.size() - sent_ < waiting_max; }
    asio::awaitable<void> push(Batch batch);  // Waits for room.

    // No more will be pushed.
    void close();
    bool is_done() const { return is_closed_ && batches_.empty(); }

    // The next batch to send; waits until there is one and not too many await their answer. It
    // stays valid until it is accepted.
    asio::awaitable<const Batch*> next_to_send();

    // Waits until a batch has been sent and not accepted; returns at once when all is done.
    asio::awaitable<void> wait_for_sent();

    // The one whose answer comes next.
    const Batch& oldest_sent() const;

    // The oldest batch sent is in. Returns the position that it led to.
    Position accepted();

    // The sink was connected anew and is at `position`: what led there is in, what is left will be
    // sent again. False when the position is none that these batches lead to.
    bool resume_at(const Position& position);

    // An emptied batch to write into.
    Batch spare();

private:
    void retire();

    std::deque<Batch> batches_;
    std::size_t sent_ = 0;  // The first so many have been sent.
    Position position_;     // Before the first batch.
    std::vector<Batch> spares_;
    bool is_closed_ = false;
    Signal pushed_;
    Signal room_;
    Signal sent_signal_;
};

}  // namespace walcast
