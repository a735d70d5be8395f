#pragma once

#include "decoders/byte_reader.hpp"
#include "decoders/sync_action.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

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

        // The messages that would have begun and ended it, had it been sent whole.
        std::string begin_message() const;
        std::string commit_message() const;
    };
    using Sorted = std::variant<Whole, Boundary, Part, Abort, Commit>;

    // Views are valid as long as `message`. Throws DecodeError.
    Sorted sort(std::string_view message);

private:
    Sorted sort_part(ByteReader& in, char kind);

    bool is_in_block_ = false;
    std::uint32_t xid_ = 0;  // Of the block.
};

}  // namespace walcast
