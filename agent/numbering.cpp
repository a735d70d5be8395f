#include "agent/numbering.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <cassert>

namespace walcast {

Numbering::Numbering(Position position, Lsn begins_at)
    : position_(std::move(position)),
      resumed_(position_.partial),
      is_recognised_(!position_.last || position_.last->commit_lsn < begins_at ||
                     position_.last->xid == 0) {}

void Numbering::begin(const TransactionInfo& transaction) {
    assert(!is_in_transaction_);
    is_in_transaction_ = true;
    is_covered_ = transaction.commit_lsn < position_.lsn;
    current_ = {
        .commit_lsn = transaction.commit_lsn, .xid = transaction.xid, .changes = 0, .hash = 0};
    commit_time_ = transaction.commit_time;
    if (is_covered_ || !resumed_) return;
    if (resumed_->commit_lsn != transaction.commit_lsn || resumed_->xid != transaction.xid)
        missing(fmt::format("transaction {}", transaction.xid), transaction.commit_lsn);
}

void Numbering::missing(std::string_view instead, Lsn lsn) const {
    throw Gap(fmt::format("transaction {} at {} was sent in part, but {} at {} came instead",
                          resumed_->xid, resumed_->commit_lsn, instead, lsn));
}

// A covered transaction is at or before the last one that was sent. Those without changes mean
// nothing: whether they come depends on version and options.
void Numbering::recognise() {
    const auto& last = position_.last;
    if (!last || current_.commit_lsn < last->commit_lsn) return;
    if (*last != TransactionInfo{current_.commit_lsn, current_.xid, commit_time_})
        throw Gap(fmt::format(
            "transaction {} at {} was never sent, though the position is at {} and the last one "
            "sent was {} at {}: the database was restored from a backup",
            current_.xid, current_.commit_lsn, position_.lsn, last->xid, last->commit_lsn));
    is_recognised_ = true;
}

void Numbering::expect_recognised() const {
    if (is_recognised_) return;
    throw Gap(fmt::format(
        "transaction {} at {}, the last one sent, did not come again: the database was restored "
        "from a backup",
        position_.last->xid, position_.last->commit_lsn));
}

SyncId Numbering::advance(unsigned count) {
    auto first = position_.sync_id + 1;
    position_.sync_id += count;
    if (position_.sync_id >= sync_id_limit)
        throw SetupError("sync ids have reached 2^53: begin a new epoch");
    return first;
}

std::optional<SyncId> Numbering::take(std::string_view message, unsigned count) {
    assert(is_in_transaction_);
    if (is_covered_) {
        if (current_.changes++ == 0) recognise();
        return std::nullopt;
    }
    expect_recognised();
    before_ = current_;
    before_id_ = position_.sync_id;
    ++current_.changes;
    current_.hash = XXH3_64bits_withSeed(message.data(), message.size(), current_.hash);
    if (resumed_) {
        if (current_.changes < resumed_->changes) return std::nullopt;
        if (current_.hash != resumed_->hash)
            throw Gap(fmt::format(
                "the first {} changes of transaction {} at {} are not what was sent before",
                resumed_->changes, resumed_->xid, resumed_->commit_lsn));
        resumed_.reset();
        return std::nullopt;
    }
    position_.partial = current_;
    return advance(count);
}

void Numbering::take_back() {
    assert(is_in_transaction_ && position_.partial == current_);
    current_ = before_;
    position_.sync_id = before_id_;
    position_.partial = current_;
    if (current_.changes == 0) position_.partial.reset();
}

void Numbering::commit(Lsn end_lsn) {
    assert(is_in_transaction_);
    is_in_transaction_ = false;
    if (is_covered_) return;
    expect_recognised();
    if (resumed_)
        throw Gap(
            fmt::format("transaction {} at {} came again with {} changes, but {} had been sent",
                        resumed_->xid, resumed_->commit_lsn, current_.changes, resumed_->changes));
    position_.lsn = end_lsn;
    position_.partial.reset();
    if (current_.changes > 0)
        position_.last = TransactionInfo{current_.commit_lsn, current_.xid, commit_time_};
}

std::optional<SyncId> Numbering::take_alone(Lsn lsn, unsigned count) {
    assert(!is_in_transaction_);
    // In decoding order its end and the commits' ends rise together.
    if (lsn <= position_.lsn) return std::nullopt;
    expect_recognised();
    // What ends before the unfinished transaction was sent before it, and is covered.
    if (resumed_) missing("a message", lsn);
    position_.lsn = lsn;
    if (count == 0) return std::nullopt;
    return advance(count);
}

void Numbering::reached(Lsn lsn) {
    assert(!is_in_transaction_);
    if (!is_recognised_ && lsn > position_.last->commit_lsn) expect_recognised();
    if (resumed_ && lsn > resumed_->commit_lsn) missing("the end of the log", lsn);
    if (!resumed_ && lsn > position_.lsn) position_.lsn = lsn;
}

}  // namespace walcast
