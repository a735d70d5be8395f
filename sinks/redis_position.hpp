#pragma once

#include "sinks/resp.hpp"
#include "sinks/sink.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// A position as Redis has it: the fields of a hash (docs/protocol.md). All that read throw
// SinkError for what somebody has edited.

// What is stored of a position, from the fields and values of its hash; nothing where there is
// none. `resetting`, if given, is set when a reset was interrupted.
std::optional<Stored> read_stored(const Reply& reply, std::string* resetting = nullptr);

// Commit times of what outputs were told, the latest.
Timestamp read_clock(const Reply& reply);

// A number among them; `field` is for the error.
std::uint64_t read_number(std::string_view field, std::string_view text);

// The fields and values of a new epoch's position.
std::vector<std::string> fields_of(const Position& position, const Source& source);

// Commit LSN, xid, and the commit time's microseconds since 1970.
std::string text_of(const std::optional<TransactionInfo>& transaction);

// Appends a position as arguments of the commit script: sync id, LSN, and the four of a transaction
// that was sent in part.
void append_position(std::string& out, const Position& position);

}  // namespace walcast
