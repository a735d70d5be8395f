#pragma once

#include "agent/snapshot/snapshot_positions.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace walcast {

// Appends `"epoch":"k3","lastSyncId":1043,"visible":[[1045,1046]]`.
void append_snapshot_answer(std::string& out, const SnapshotAnswer& answer);

// Reads it again, as an object; nothing where it is none.
std::optional<SnapshotAnswer> read_snapshot_answer(std::string_view json);

// `{"error":"…"}`, and what that says; empty where it says none.
std::string error_json(std::string_view error);
std::string read_error(std::string_view json);

}  // namespace walcast
