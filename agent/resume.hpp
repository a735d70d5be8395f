#pragma once

#include "agent/change_stream.hpp"
#include "sinks/sink.hpp"

#include <optional>
#include <string>

namespace walcast {

// Why the stream cannot be proved to go on where `stored` ends, or nothing when it can.
std::optional<std::string> find_gap(const std::optional<Stored>& stored, const StreamFacts& facts);

// Throws SetupError when the server is on an older timeline than the position: an old primary came
// back.
void refuse_older_timeline(const std::optional<Stored>& stored, const StreamFacts& facts);

// A new lineage of sync ids: short, random.
std::string random_epoch();

// Where a new epoch begins: above every id that may have been given out before.
Position first_of_epoch(const std::optional<Stored>& stored, const StreamFacts& facts);

}  // namespace walcast
