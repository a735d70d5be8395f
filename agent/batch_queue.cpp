#include "agent/batch_queue.hpp"

#include <cassert>

namespace walcast {

void BatchQueue::begin_at(Position position) {
    assert(batches_.empty());
    position_ = std::move(position);
}

asio::awaitable<void> BatchQueue::push(Batch batch) {
    while (!has_room()) co_await room_.wait();
    batches_.push_back(std::move(batch));
    pushed_.raise();
}

void BatchQueue::close() {
    is_closed_ = true;
    pushed_.raise();
    sent_signal_.raise();
}

asio::awaitable<const Batch*> BatchQueue::next_to_send() {
    while (sent_ == batches_.size() || sent_ >= sent_max) co_await pushed_.wait();
    auto* batch = &batches_[sent_++];
    room_.raise();
    sent_signal_.raise();
    co_return batch;
}

asio::awaitable<void> BatchQueue::wait_for_sent() {
    while (sent_ == 0 && !is_done()) co_await sent_signal_.wait();
}

void BatchQueue::retire() {
    position_ = std::move(batches_.front().after);
    constexpr std::size_t spare_bytes_max = 2 * 1024 * 1024;  // A giant row's buffer is not kept.
    const auto& done = batches_.front();
    if (spares_.size() < waiting_max + sent_max &&
        done.bytes.capacity() + done.extras.capacity() <= spare_bytes_max)
        spares_.push_back(std::move(batches_.front()));
    batches_.pop_front();
}

std::size_t BatchQueue::bytes() const {
    std::size_t bytes = 0;
    for (const auto& batch : batches_) bytes += batch.bytes.size();
    return bytes;
}

const Batch& BatchQueue::oldest_sent() const {
    assert(sent_ > 0);
    return batches_.front();
}

Position BatchQueue::accepted() {
    assert(sent_ > 0);
    --sent_;
    retire();
    pushed_.raise();  // There may be one to send that had to wait.
    return position_;
}

bool BatchQueue::resume_at(const Position& position) {
    auto found = batches_.size() + 1;
    if (position == position_) found = 0;
    for (std::size_t i = 0; i < sent_; ++i)
        if (batches_[i].after == position) found = i + 1;
    if (found > batches_.size()) return false;
    for (std::size_t i = 0; i < found; ++i) retire();
    sent_ = 0;
    pushed_.raise();
    return true;
}

Batch BatchQueue::spare() {
    if (spares_.empty()) return {};
    auto batch = std::move(spares_.back());
    spares_.pop_back();
    return batch;
}

}  // namespace walcast
