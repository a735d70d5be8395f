#pragma once

#include "decoders/byte_reader.hpp"
#include "decoders/sync_action.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

namespace walcast {

// Sorts a pgoutput stream that carries transactions in progress (option `streaming`, protocol
// versions 2 to 4): blocks of their changes come between whole transactions, and their commit or
// abort later. Without its xid each of their messages is what a whole transaction would hold.
class PgoutputStreaming {
public:
    // A message that is not of a transaction in progress.
    struct Whole {};
    // Where a block begins or ends.
    struct Boundary {};
    // A message of transaction `xid`, of its subtransaction `subxid` (or of the transaction itself,
    // when both are the same): the byte `kind`, then `body`.
    struct Part {
        std::uint32_t xid = 0;
        std::uint32_t subxid = 0;
        char kind = 0;
        std::string_view body;
    };
    // What was sent of `subxid` is void, and all that came after its first change; all of the
    // transaction when both are the same.
    struct Abort {
        std::uint32_t xid = 0;
        std::uint32_t subxid = 0;
    };
    struct Commit {
        TransactionInfo transaction;
        Lsn end_lsn;
        // Descriptions of tables that came after those which the transaction holds, and stay true
        // after it: to be read before its commit message.
        std::vector<std::string> newer_relations;

        // The messages that would have begun and ended it, had it been sent whole.
        std::string begin_message() const;
        std::string commit_message() const;
    };
    using Sorted = std::variant<Whole, Boundary, Part, Abort, Commit>;

    // Views are valid as long as `message`. Throws DecodeError.
    Sorted sort(std::string_view message);

private:
    Sorted sort_part(ByteReader& in, char kind);
    void note_relation(std::string_view message);
    void settle(Commit& commit);

    // The last description of a table, and when it came.
    struct Described {
        std::uint64_t order = 0;
        std::string message;  // Without an xid.
    };
    using Relations = std::unordered_map<std::uint32_t, Described>;

    Relations settled_;                                         // Of what has been committed.
    std::unordered_map<std::uint32_t, Relations> in_progress_;  // Of each transaction.
    std::uint64_t order_ = 0;
    bool is_in_block_ = false;
    std::uint32_t xid_ = 0;  // Of the block.
};

}  // namespace walcast
