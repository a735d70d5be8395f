#pragma once

#include "decoders/byte_reader.hpp"
#include "decoders/lsn.hpp"
#include "decoders/sync_action.hpp"

#include <array>
#include <string_view>
#include <variant>

namespace walcast {

// The frames inside CopyBoth ("Streaming Replication Protocol" in the PostgreSQL manual).

// One message of the output plugin.
struct WalData {
    Lsn start;  // Neither unique nor rising, and 0 at times; no plugin but wal2json needs it.
    std::string_view payload;  // A view into the frame.
};

// The server's sign of life.
struct Keepalive {
    Lsn wal_end;  // All that committed below it has been sent before on this connection.
    bool is_reply_requested = false;  // The server is stopping, or about to drop us.
};

using StreamMessage = std::variant<WalData, Keepalive>;

// Throws DecodeError.
StreamMessage read_stream_message(std::string_view frame);

// What we report: how far we have received, and how far Postgres may forget.
struct StandbyStatus {
    Lsn received;
    Lsn confirmed;
    Timestamp now;
    bool is_reply_requested = false;  // The server is to answer with a keepalive at once.
};

std::array<char, 34> write_standby_status(const StandbyStatus& status);

// Timestamps on the wire count from 2000-01-01.
inline constexpr std::chrono::microseconds postgres_epoch{946'684'800'000'000};

Timestamp read_timestamp(ByteReader& in);

}  // namespace walcast
