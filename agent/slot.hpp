#pragma once

#include "agent/config.hpp"
#include "agent/pg_connection.hpp"
#include "decoders/lsn.hpp"
#include "sinks/awaitable.hpp"

#include <string>

namespace walcast {

struct SlotFacts {
    Lsn confirmed_lsn;
    Lsn wal_end;             // Of the server's log, as of the same time.
    std::string active_pid;  // Empty: nobody reads it.
    std::string wal_status;
    bool is_temporary = false;
    bool has_failover = false;  // From 17 on: standbys keep a copy, to go on from after a failover.
};

// Looks a slot up without touching it. Throws SetupError, with what mends it, when it cannot be
// streamed from.
asio::awaitable<SlotFacts> read_slot(PgConnection& connection, std::string slot, Plugin plugin);

}  // namespace walcast
