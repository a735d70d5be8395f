#pragma once

#include "agent/catalog.hpp"
#include "agent/config.hpp"
#include "agent/pg_connection.hpp"
#include "agent/recording/recording.hpp"
#include "decoders/stream_message.hpp"
#include "sinks/sink.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace walcast {

// A replication slot being read.
class ReplicationStream {
public:
    struct Settings {
        std::string conninfo;
        std::string slot;
        std::vector<std::string> publications;
        Plugin plugin = Plugin::pgoutput;
        unsigned format_version = 2;  // Of wal2json.
        bool is_streaming = false;    // pgoutput: transactions in progress too.
        bool is_without_origins = false;
        JsonPolicy values = {};
        bool is_temporary = false;  // Made for this connection, and gone with it.
        std::function<void(const std::string& line)> say = {};  // Whom a temporary slot waits for.
        RecordingWriter* recording = nullptr;  // Hears all that the stream and the catalog tell.
    };

    // What the server said before streaming began.
    struct Facts {
        Source source;
        Lsn confirmed_lsn;                                // Where the slot was.
        Lsn wal_end;                                      // How far the server's log reached.
        std::map<std::uint32_t, Lsn> timeline_ends;       // Where each earlier timeline was left.
        std::chrono::milliseconds wal_sender_timeout{0};  // 0: none.
        std::string encoding;                             // Of the database.
        struct Published {
            std::string schema;
            std::string name;
            // What only wal2json hides: changes of rows that nothing identifies, NaN and
            // infinities.
            bool has_identity = true;
            bool has_floats = false;
        };
        std::vector<Published> published;
        // Partitioned tables whose identity is full while that of some partition is not.
        std::vector<std::pair<std::string, std::string>> partial_old_rows;
    };

    ReplicationStream(asio::any_io_executor executor, Settings settings);

    // Connects, checks all that streaming needs, and takes the slot. Throws SetupError with what
    // mends it, SlotActive when another one has the slot.
    asio::awaitable<void> start();

    const Facts& facts() const { return facts_; }

    // Finds out anew what is published, on another connection.
    asio::awaitable<void> list_tables(PgConnection& connection);

    // What is known of tables and types; grows as the stream shows new ones.
    Catalog& catalog() { return catalog_; }

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
    RecordingWriter* recording() { return settings_.recording; }

private:
    void start_recording();
    asio::awaitable<void> identify();
    asio::awaitable<void> check_slot();
    asio::awaitable<void> check_publications();
    asio::awaitable<void> read_catalog();
    asio::awaitable<std::vector<Facts::Published>> list_all(PgConnection& connection) const;
    std::string pgoutput_command();
    asio::awaitable<void> start_wal2json(std::string attempted);

    Settings settings_;
    PgConnection connection_;
    Facts facts_;
    bool are_nans_told_ = false;  // Of wal2json: as text, not as null.
    Catalog catalog_;
};

}  // namespace walcast
