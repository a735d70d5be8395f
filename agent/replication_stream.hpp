#pragma once

#include "agent/catalog.hpp"
#include "agent/pg_connection.hpp"
#include "decoders/stream_message.hpp"
#include "sinks/sink.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace walcast {

// A replication slot being read with pgoutput, protocol version 1.
class ReplicationStream {
public:
    struct Settings {
        std::string conninfo;
        std::string slot;
        std::vector<std::string> publications;
        bool is_temporary = false;  // Made for this connection, and gone with it.
        std::function<void(const std::string& line)> say = {};  // Whom a temporary slot waits for.
    };

    // What the server said before streaming began.
    struct Facts {
        Source source;
        Lsn confirmed_lsn;                                // Where the slot was.
        Lsn wal_end;                                      // How far the server's log reached.
        std::map<std::uint32_t, Lsn> timeline_ends;       // Where each earlier timeline was left.
        std::chrono::milliseconds wal_sender_timeout{0};  // 0: none.
        Catalog catalog;
        std::vector<std::pair<std::string, std::string>> published;  // Schema and name.
    };

    ReplicationStream(asio::any_io_executor executor, Settings settings);

    // Connects, checks all that streaming needs, and takes the slot. Throws SetupError with what
    // mends it, SlotActive when another one has the slot.
    asio::awaitable<void> start();

    const Facts& facts() const { return facts_; }

    // The next message received, without waiting; its views live until the next call.
    std::optional<StreamMessage> next();
    void receive() { connection_.receive(); }

    // Returns early after `interrupt`.
    asio::awaitable<void> wait_readable() { return connection_.wait_readable(); }
    void interrupt() { connection_.interrupt(); }

    // Reports how far we are. May go on beside reading.
    asio::awaitable<void> report(StandbyStatus status);

    // Ends the stream in good order.
    asio::awaitable<void> finish() { return connection_.end_copy(); }

    PgConnection& connection() { return connection_; }

private:
    asio::awaitable<void> identify();
    asio::awaitable<void> check_slot();
    asio::awaitable<void> check_publications();
    asio::awaitable<void> read_catalog();

    Settings settings_;
    PgConnection connection_;
    Facts facts_;
};

}  // namespace walcast
