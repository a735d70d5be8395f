#pragma once

#include "agent/batch_builder.hpp"
#include "agent/numbering.hpp"
#include "decoders/event.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace walcast {

// Writes what a logical message says of its transaction, or the event that it is: `bytes` are what
// it came in. Any other message is passed over. Returns what is wrong with it, if anything: an
// event that cannot be read has its id nevertheless, and is among the dead letters.
std::optional<std::string> take_message(const LogicalMessage& message, std::string_view bytes,
                                        Numbering& numbering, BatchBuilder& builder);

}  // namespace walcast
