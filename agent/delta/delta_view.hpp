#pragma once

#include "agent/delta/delta.hpp"

#include <string>
#include <string_view>

namespace walcast {

// Of a complete page: `{"status":"complete","epoch":..,"lastSyncId":..,"more":..,"next":"..",
// "messages":[..]}`; otherwise `{"status":"not provable","reason":..,"detail":..,"epoch":..,
// "lastSyncId":..}` with the position as it is now. Messages are in it byte for byte.
std::string delta_json(const DeltaRequest& request, const HistoryPage& page, const Delta& delta);

// `{"channel":"w:1","message":{..}}`
void append_entry_json(std::string& out, std::string_view channel, std::string_view message);

// The known ids of all channels, as a request takes them.
std::string shown_after(const std::vector<SyncId>& after);

}  // namespace walcast
