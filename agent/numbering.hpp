#pragma once

#include "agent/errors.hpp"
#include "decoders/event.hpp"
#include "sinks/sink.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace walcast {

// What stands for an epoch's last transaction before it has one: what committed before `lsn` is
// none of it, and may come again after a crash of the server.
inline TransactionInfo none_before(Lsn lsn) {
    return {.commit_lsn = lsn, .xid = 0, .commit_time = {}};
}

// Gives each change its place in commit order, from where a sink has got to. What the position
// covers is passed over; that it is the same as then is checked by its hash. Pure.
//
// Ids follow what the stream holds and never what the rules want: one for an insert, a delete, each
// table of a truncate and a `walcast:event`; two for an update.
class Numbering {
public:
    // Of a stream that shows what committed at or above `begins_at`, covered or not.
    explicit Numbering(Position position, Lsn begins_at = {});

    // Throws Gap when a transaction that was sent in part does not come again. So do the others,
    // when what comes is not what was sent before: the server was restored from a backup, and has
    // written another log in the same place.
    void begin(const TransactionInfo& transaction);

    // The first of the `count` ids of the change whose bytes are `message`, or nothing when the
    // position covers it. Throws Gap when it is not what was sent before.
    std::optional<SyncId> take(std::string_view message, unsigned count);

    // The last change that `take` gave ids to was not written after all.
    void take_back();

    void commit(Lsn end_lsn);

    // The same for a message that is a transaction of its own, ending at `lsn`. Zero ids for a
    // message that none are due to.
    std::optional<SyncId> take_alone(Lsn lsn, unsigned count);

    // All that ends at or below `lsn` has come, says the server. Between transactions only. Throws
    // Gap when a transaction sent in part should have been there.
    void reached(Lsn lsn);

    bool is_in_transaction() const { return is_in_transaction_; }

    // The position covers the whole of the transaction.
    bool is_covered() const { return is_covered_; }

    // The position's last transaction has come again, or need not.
    bool is_recognised() const { return is_recognised_; }

    // Everything numbered so far.
    const Position& position() const { return position_; }

private:
    [[noreturn]] void missing(std::string_view instead, Lsn lsn) const;
    void recognise();
    void expect_recognised() const;
    SyncId advance(unsigned count);

    Position position_;
    std::optional<PartialTransaction> resumed_;  // What was sent of the transaction to come again.
    bool is_recognised_;  // The position's last transaction has come again, or need not.
    bool is_in_transaction_ = false;
    bool is_covered_ = false;  // This whole transaction is.
    PartialTransaction current_;
    Timestamp commit_time_;      // Of the current one.
    PartialTransaction before_;  // The last change, and its ids.
    SyncId before_id_ = 0;
};

}  // namespace walcast
