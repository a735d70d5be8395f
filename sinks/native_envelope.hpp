#pragma once

#include "decoders/sync_action.hpp"
#include "sinks/sink.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace walcast {

// The native message format (docs/protocol.md), written straight to its final bytes.

// Appends `{"syncId":7,"action":"insert","modelName":"Todo","modelId":`; the id, data and the
// closing brace follow. `model_name` is a JSON string with its quotes.
void append_action_head(std::string& out, SyncId sync_id, Action action,
                        std::string_view model_name);

// Appends all of a message up to where its body follows. Without `prev_sync_id` its place is left
// empty, for the server to fill from its history.
void append_message_head(std::string& out, const Batch& batch, const Message& message,
                         std::string_view epoch, std::optional<SyncId> prev_sync_id);

// What follows the body.
std::string_view message_end(const Message& message);

// Appends a whole message of a batch, as one channel gets it.
void append_message(std::string& out, const Batch& batch, const Message& message,
                    std::string_view epoch, SyncId prev_sync_id);

// Appends what is kept, and published, of a mutation.
void append_receipt(std::string& out, const Batch& batch, const Batch::Receipt& receipt,
                    std::string_view epoch);

// 2026-11-21T04:10:24.870123Z. Times outside the years 0 to 9999 become the nearest inside.
void append_timestamp(std::string& out, Timestamp time);

}  // namespace walcast
