#pragma once

#include "agent/config.hpp"
#include "agent/pg_connection.hpp"
#include "decoders/lsn.hpp"
#include "sinks/awaitable.hpp"

#include <functional>
#include <string>
#include <string_view>

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

// Prints a line for the operator.
using Say = std::function<void(const std::string& line)>;

enum class SlotKind { lasting, temporary };

// What creates it, for an operator to read.
std::string create_slot_sql(const PgConnection& connection, std::string_view slot, Plugin plugin,
                            SlotKind kind);

// Creates a slot on a replication connection, and says whom it waits for when it takes long.
// Returns its consistent point.
asio::awaitable<std::string> create_slot(PgConnection& connection, std::string conninfo,
                                         std::string slot, Plugin plugin, SlotKind kind, Say say);

}  // namespace walcast
