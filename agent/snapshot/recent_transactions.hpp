#pragma once

#include "agent/snapshot/pg_snapshot.hpp"
#include "decoders/sync_action.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <variant>
#include <vector>

namespace walcast {

struct SyncIdRange {
    SyncId first = 0;
    SyncId last = 0;

    bool operator==(const SyncIdRange&) const = default;
};

// Which sync ids a snapshot has seen.
struct SnapshotPosition {
    SyncId last_sync_id = 0;           // All up to it,
    std::vector<SyncIdRange> visible;  // and these after it.

    bool operator==(const SnapshotPosition&) const = default;
};

// Remembers the transactions of a stream, in commit order, to tell how far a snapshot had got. That
// is not told by LSNs: a commit is in the log before anybody sees it, and with synchronous
// replication long before. Bounded; pure.
class RecentTransactions {
public:
    struct Limits {
        std::size_t transactions = 65'536;         // With their ids;
        std::size_t xids = std::size_t{1} << 23U;  // after that, of so many xids, that they were.
    };

    // Of a session that begins. `at_start` was taken when nobody else read the slot any more: all
    // that was published before had committed before.
    explicit RecentTransactions(const PgSnapshot& at_start) : RecentTransactions(at_start, {}) {}
    RecentTransactions(const PgSnapshot& at_start, Limits limits);

    // The next transaction of the stream, and the ids that it took: none where `first` is above
    // `last`. What takes ids by itself, as an event outside of transactions, is not told here, and
    // always visible.
    void committed(std::uint32_t xid, SyncId first, SyncId last);

    // Why a snapshot's position cannot be told; that of a later one may.
    using Refusal = std::string;

    // What a snapshot has seen. All that it shows must have been told, up to `last_sync_id`,
    // and some transaction that began after it.
    std::variant<SnapshotPosition, Refusal> position_of(const PgSnapshot& snapshot,
                                                        SyncId last_sync_id) const;

private:
    struct Transaction {
        std::uint64_t xid = 0;
        SyncIdRange ids;
    };
    std::uint64_t extend(std::uint32_t xid) const;
    void forget(std::uint64_t xid);
    Refusal why_not(const PgSnapshot& snapshot) const;

    Limits limits_;
    std::uint64_t newest_;  // The highest xid so far, or where they stood at the start.
    std::deque<Transaction> transactions_;
    // Those without ids: all below `known_from_` that were; from there on one bit each, used again
    // from xid to xid.
    std::uint64_t forgotten_up_to_;
    std::uint64_t known_from_;
    std::uint64_t known_up_to_;
    std::vector<bool> forgotten_;
};

}  // namespace walcast
