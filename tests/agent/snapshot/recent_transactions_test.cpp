#include "agent/snapshot/recent_transactions.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

namespace walcast {

namespace {

// A snapshot in which these run.
PgSnapshot snapshot_of(std::uint64_t xmax, std::vector<std::uint64_t> running = {}) {
    auto xmin = running.empty() ? xmax : running.front();
    return {.xmin = xmin, .xmax = xmax, .running = std::move(running)};
}

std::uint32_t lower_half(std::uint64_t xid) {
    return static_cast<std::uint32_t>(xid);
}

struct Told {
    std::uint64_t xid = 0;  // 0: an event by itself.
    SyncIdRange ids;
};

// By the definition: of each id by itself, whether the snapshot has seen it.
SnapshotPosition naive(const std::vector<Told>& told, const PgSnapshot& snapshot, SyncId last) {
    std::map<SyncId, bool> seen;
    for (const auto& [xid, ids] : told) {
        auto runs = std::count(snapshot.running.begin(), snapshot.running.end(), xid) > 0;
        for (auto id = ids.first; id <= ids.last; ++id)
            seen[id] = xid == 0 || (xid < snapshot.xmax && !runs);
    }
    SnapshotPosition position{.last_sync_id = last, .visible = {}};
    for (auto [id, is_seen] : seen)
        if (!is_seen) position.last_sync_id = std::min(position.last_sync_id, id - 1);
    for (const auto& [xid, ids] : told) {
        if (ids.first <= position.last_sync_id || xid == 0 || !seen[ids.first]) continue;
        auto& visible = position.visible;
        if (!visible.empty() && visible.back().last + 1 == ids.first)
            visible.back().last = ids.last;
        else
            visible.push_back(ids);
    }
    return position;
}

// Every snapshot of the transactions from `base` on.
std::vector<PgSnapshot> all_snapshots(std::uint64_t base, unsigned count) {
    std::vector<PgSnapshot> all;
    for (unsigned size = 0; size <= count; ++size) {
        for (unsigned set = 0; set < 1U << size; ++set) {
            std::vector<std::uint64_t> running;
            for (unsigned i = 0; i < size; ++i)
                if ((set >> i & 1U) != 0) running.push_back(base + i);
            all.push_back(snapshot_of(base + size, std::move(running)));
        }
    }
    return all;
}

constexpr unsigned transactions = 4;
constexpr SyncId before = 1000;  // The id that the session began at.

// Every order of four transactions, each of them followed by an event or not.
template <typename See>
void for_each_stream(std::uint64_t base, RecentTransactions::Limits limits, See see) {
    std::vector<unsigned> order(transactions);
    std::iota(order.begin(), order.end(), 0U);
    do {
        for (unsigned events = 0; events < 1U << transactions; ++events) {
            RecentTransactions recent(snapshot_of(base), limits);
            std::vector<Told> told;
            auto last = before;
            for (unsigned i = 0; i < transactions; ++i) {
                // The last one takes no ids, the others one or two.
                auto count = order[i] == transactions - 1 ? 0 : 1 + order[i] % 2;
                recent.committed(lower_half(base + order[i]), last + 1, last + count);
                if (count > 0) told.push_back({base + order[i], {last + 1, last + count}});
                last += count;
                if ((events >> i & 1U) == 0) continue;
                ++last;
                told.push_back({0, {last, last}});
            }
            see(recent, told, last);
        }
    } while (std::next_permutation(order.begin(), order.end()));
}

// Also where the lower halves begin anew.
const std::uint64_t bases[] = {100, (std::uint64_t{1} << 32U) - 2, (std::uint64_t{7} << 32U) - 3};

}  // namespace

TEST(RecentTransactions, TellWhatEachSnapshotHasSeen) {
    for (auto base : bases) {
        for_each_stream(base, {}, [&](const auto& recent, const auto& told, SyncId last) {
            for (const auto& snapshot : all_snapshots(base, transactions)) {
                auto found = recent.position_of(snapshot, last);

                ASSERT_TRUE(std::holds_alternative<SnapshotPosition>(found));
                EXPECT_EQ(std::get<SnapshotPosition>(found), naive(told, snapshot, last));
            }
        });
    }
}

TEST(RecentTransactions, RefuseWhenTheyHaveForgottenWhatASnapshotHasNotSeen) {
    for (auto base : bases) {
        RecentTransactions::Limits limits{.transactions = 1, .xids = 16};
        for_each_stream(base, limits, [&](const auto& recent, auto told, SyncId last) {
            // Events are not remembered, so that only the last transaction is.
            auto is_event = [](const Told& one) { return one.xid == 0; };
            auto kept = std::find_if_not(told.rbegin(), told.rend(), is_event);
            for (const auto& snapshot : all_snapshots(base, transactions)) {
                auto must_refuse = std::any_of(kept + 1, told.rend(), [&](const Told& one) {
                    return one.xid != 0 && !snapshot.shows(one.xid);
                });
                auto found = recent.position_of(snapshot, last);

                EXPECT_EQ(std::holds_alternative<std::string>(found), must_refuse);
                if (must_refuse) continue;
                EXPECT_EQ(std::get<SnapshotPosition>(found), naive(told, snapshot, last));
            }
        });
    }
}

// What is forgotten of long ago is not told from what never was: then they refuse rather than lie.
TEST(RecentTransactions, NeverLieOfWhatTheyHaveForgotten) {
    for (auto base : bases) {
        RecentTransactions::Limits limits{.transactions = 1, .xids = 2};
        for_each_stream(base, limits, [&](const auto& recent, const auto& told, SyncId last) {
            for (const auto& snapshot : all_snapshots(base, transactions)) {
                auto found = recent.position_of(snapshot, last);
                if (std::holds_alternative<std::string>(found)) continue;
                EXPECT_EQ(std::get<SnapshotPosition>(found), naive(told, snapshot, last));
            }
        });
    }
}

static bool is_refused(const RecentTransactions& recent, const PgSnapshot& snapshot) {
    return std::holds_alternative<std::string>(recent.position_of(snapshot, before));
}

TEST(RecentTransactions, RefuseWhatMayHaveBeenPublishedBeforeTheStart) {
    RecentTransactions recent(snapshot_of(100, {95}));

    EXPECT_TRUE(is_refused(recent, snapshot_of(99)));         // Older than the start;
    EXPECT_TRUE(is_refused(recent, snapshot_of(101, {95})));  // one still runs that did then.
    EXPECT_FALSE(is_refused(recent, snapshot_of(101, {100})));
    EXPECT_FALSE(is_refused(recent, snapshot_of(100)));
}

TEST(RecentTransactions, RefuseWhatTheServerHasNotComeTo) {
    RecentTransactions recent(snapshot_of(100));
    recent.committed(104, 1, 1);  // What was written after a snapshot was taken.

    EXPECT_FALSE(is_refused(recent, snapshot_of(104)));
    EXPECT_TRUE(is_refused(recent, snapshot_of(110)));
    EXPECT_TRUE(is_refused(recent, snapshot_of(18446744073709551615U)));
    EXPECT_TRUE(is_refused(recent, snapshot_of(18446744073709551615U, {101})));
}

TEST(RecentTransactions, RefuseASnapshotOfWhoHasWritten) {
    RecentTransactions recent(snapshot_of(100));
    recent.committed(110, 1, 1);

    // Its own xid is not among those that run, though it is below all that have ended.
    EXPECT_TRUE(is_refused(recent, {.xmin = 105, .xmax = 110, .running = {}}));
    EXPECT_TRUE(is_refused(recent, {.xmin = 105, .xmax = 110, .running = {107}}));
    EXPECT_FALSE(is_refused(recent, {.xmin = 105, .xmax = 110, .running = {105, 107}}));
}

TEST(RecentTransactions, KnowLongAfterwardsThatOneIsNotVisibleYet) {
    RecentTransactions recent(snapshot_of(100), {.transactions = 10, .xids = 5000});
    recent.committed(100, 1, 1);  // Waits for a standby.
    for (std::uint32_t xid = 101; xid < 5000; ++xid) recent.committed(xid, xid, xid);

    EXPECT_TRUE(is_refused(recent, snapshot_of(5000, {100})));
    EXPECT_FALSE(is_refused(recent, snapshot_of(5000)));
}

TEST(RecentTransactions, LetALongTransactionRun) {
    RecentTransactions recent(snapshot_of(100), {.transactions = 10, .xids = 5000});
    for (std::uint32_t xid = 101; xid < 5000; ++xid) recent.committed(xid, xid, xid);

    EXPECT_FALSE(is_refused(recent, snapshot_of(5000, {100})));
}

TEST(RecentTransactions, DoNotTakeAGapInTheXidsForWhatWasThere) {
    RecentTransactions recent(snapshot_of(100), {.transactions = 1, .xids = 8});
    for (std::uint32_t xid : {100U, 101U, 103U, 500U, 501U}) recent.committed(xid, xid, xid);

    // 100 to 500 are forgotten; of those from 493 on it is known which were there.
    EXPECT_TRUE(is_refused(recent, snapshot_of(502, {492})));
    EXPECT_FALSE(is_refused(recent, snapshot_of(502, {493})));
    EXPECT_TRUE(is_refused(recent, snapshot_of(502, {500})));
}

}  // namespace walcast
