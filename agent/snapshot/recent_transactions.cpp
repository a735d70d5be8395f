#include "agent/snapshot/recent_transactions.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace walcast {

RecentTransactions::RecentTransactions(const PgSnapshot& at_start, Limits limits)
    : limits_(limits),
      newest_(at_start.xmax),
      forgotten_up_to_(at_start.xmax),
      known_from_(at_start.xmax),
      known_up_to_(at_start.xmax) {}

// The stream has the lower half of an xid. Those that run at one time are near each other.
std::uint64_t RecentTransactions::extend(std::uint32_t xid) const {
    auto distance = static_cast<std::int32_t>(xid - static_cast<std::uint32_t>(newest_));
    return newest_ + static_cast<std::uint64_t>(std::int64_t{distance});
}

void RecentTransactions::committed(std::uint32_t xid, SyncId first, SyncId last) {
    auto extended = extend(xid);
    newest_ = std::max(newest_, extended);
    if (first > last) return;
    transactions_.push_back({extended, {first, last}});
    if (transactions_.size() <= limits_.transactions) return;
    forget(transactions_.front().xid);
    transactions_.pop_front();
}

void RecentTransactions::forget(std::uint64_t xid) {
    forgotten_up_to_ = std::max(forgotten_up_to_, xid + 1);
    if (xid < known_from_) return;
    forgotten_.resize(limits_.xids);
    if (xid >= known_up_to_ + limits_.xids) {  // Nothing of before is left.
        forgotten_.assign(limits_.xids, false);
        known_up_to_ = xid;
    }
    for (; known_up_to_ <= xid; ++known_up_to_) forgotten_[known_up_to_ % limits_.xids] = false;
    if (known_up_to_ - known_from_ > limits_.xids) known_from_ = known_up_to_ - limits_.xids;
    forgotten_[xid % limits_.xids] = true;
}

// All that is forgotten must be visible.
RecentTransactions::Refusal RecentTransactions::why_not(const PgSnapshot& snapshot) const {
    // Otherwise the one who took it has an xid: what it has done itself would come once more.
    auto first = snapshot.running.empty() ? snapshot.xmax : snapshot.running.front();
    if (snapshot.xmin != first)
        return "it must be of a transaction on the primary that has written nothing";
    // The stream has come to what was written after the snapshot was taken.
    if (snapshot.xmax > newest_ + 1)
        return fmt::format(
            "its xmax {} lies above all transactions that the server has begun by now ({}): it is "
            "no snapshot of this server's, or of its past",
            snapshot.xmax, newest_);
    if (snapshot.xmax < forgotten_up_to_)
        return "it is older than what is remembered: take another one, and ask at once";
    for (auto xid : snapshot.running) {
        if (xid < known_from_)
            return fmt::format(
                "transaction {} runs for longer than is remembered, perhaps since before the agent "
                "began to stream, so nobody can tell whether it was published: take another "
                "snapshot when it has ended",
                xid);
        if (xid < known_up_to_ && forgotten_[xid % limits_.xids])
            return fmt::format(
                "transaction {} was published, but is not visible yet, as with a synchronous "
                "standby that is away: take another snapshot when it is",
                xid);
    }
    return {};
}

std::variant<SnapshotPosition, RecentTransactions::Refusal> RecentTransactions::position_of(
    const PgSnapshot& snapshot, SyncId last_sync_id) const {
    if (auto why = why_not(snapshot); !why.empty()) return why;
    SnapshotPosition position{.last_sync_id = last_sync_id, .visible = {}};
    auto is_all_visible = true;
    for (const auto& [xid, ids] : transactions_) {
        auto is_visible = snapshot.shows(xid);
        if (!is_visible && is_all_visible) position.last_sync_id = ids.first - 1;
        is_all_visible = is_all_visible && is_visible;
        if (is_all_visible || !is_visible) continue;
        auto& visible = position.visible;
        if (!visible.empty() && visible.back().last + 1 == ids.first)
            visible.back().last = ids.last;
        else
            visible.push_back(ids);
    }
    return position;
}

}  // namespace walcast
