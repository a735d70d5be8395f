#pragma once

#include "agent/catalog.hpp"
#include "decoders/event.hpp"
#include "decoders/stream_message.hpp"
#include "sinks/awaitable.hpp"
#include "sinks/sink.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace walcast {

// What the server said before streaming began.
struct StreamFacts {
    struct Published {
        std::string schema;
        std::string name;
        // What only wal2json hides: changes of rows that nothing identifies, NaN and infinities.
        bool has_identity = true;
        bool has_floats = false;
    };
    Source source;
    Lsn confirmed_lsn;                                // Where the slot was.
    Lsn wal_end;                                      // How far the server's log reached.
    std::map<std::uint32_t, Lsn> timeline_ends;       // Where each earlier timeline was left.
    std::chrono::milliseconds wal_sender_timeout{0};  // 0: none.
    std::string encoding;                             // Of the database.
    std::vector<Published> published;
    // Partitioned tables whose identity is full while that of some partition is not.
    std::vector<std::pair<std::string, std::string>> partial_old_rows;
    std::string conninfo = {};  // How to connect to it, with the password.
    // What `pg_current_snapshot()` said when the slot was ours; nothing where the server is a
    // standby.
    std::optional<std::string> snapshot = {};
};

// A slot being read, and what can be asked of its server meanwhile. Nothing here retries or has a
// time limit. Errors are PgErrors.
class ChangeStream {
public:
    virtual ~ChangeStream() = default;

    // Connects, checks all that streaming needs, and takes the slot, which is the lock that keeps
    // others out. Throws SetupError with what mends it, SlotActive when another one has the slot.
    virtual asio::awaitable<void> start() = 0;

    virtual const StreamFacts& facts() const = 0;

    // What is known of tables and types; grows as the stream shows new ones.
    virtual Catalog& catalog() = 0;

    // The next message received, without waiting; its views live until the next call.
    virtual std::optional<StreamMessage> next() = 0;

    // Takes what has arrived.
    virtual void receive() = 0;

    // Returns early after `interrupt`.
    virtual asio::awaitable<void> wait_readable() = 0;
    virtual void interrupt() = 0;

    // Reports how far we are. May go on beside reading.
    virtual asio::awaitable<void> report(StandbyStatus status) = 0;

    // Ends the stream in good order.
    virtual asio::awaitable<void> finish() = 0;

    // The rest goes by connections of its own, to the server that streams.

    // Finds out anew what is published.
    virtual asio::awaitable<void> list_tables() = 0;

    // Asks about a relation and its types, once transaction `xid`, which may have made them, is
    // visible. Notes in the catalog what it hears.
    virtual asio::awaitable<TableDescription> describe(Relation relation, std::uint32_t xid) = 0;

    // Whether the server still takes us for the slot's reader: we may have been frozen. If so, the
    // facts say anew where the slot was, how far the log reached, and what the snapshot is.
    virtual asio::awaitable<bool> has_slot() = 0;

    // Whether the server turns new connections away because it stops.
    virtual asio::awaitable<bool> is_stopping() = 0;

    struct Wal {
        Lsn end;                                          // Of the server's log.
        std::optional<std::int64_t> retained_bytes = {};  // What the slot keeps of it,
        std::optional<std::int64_t> safe_bytes = {};      // and what may come until it is lost.
    };
    virtual asio::awaitable<Wal> wal() = 0;

    // Writes a logical message that comes back in the stream, as a transaction of its own.
    virtual asio::awaitable<Wal> emit(std::string prefix, std::string content) = 0;
};

}  // namespace walcast
