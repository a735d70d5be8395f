#pragma once

#include "decoders/lsn.hpp"

#include <chrono>
#include <cstdint>
#include <string_view>

namespace walcast {

// A place in commit order. Rises with every change the stream holds; always below 2^53, since
// JavaScript clients compare it as a number.
using SyncId = std::uint64_t;
inline constexpr SyncId sync_id_limit = SyncId{1} << 53U;

// Microseconds since 1970-01-01 UTC.
using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;

enum class Action : std::uint8_t { insert, update, remove };

constexpr std::string_view name_of(Action action) {
    switch (action) {
        case Action::insert: return "insert";
        case Action::update: return "update";
        case Action::remove: return "delete";
    }
    return "";
}

// What an update carries. Without the old row in the stream it is always the whole row.
enum class DataKind : std::uint8_t {
    full,
    delta,  // The columns that changed.
    patch,  // The same as a JSON Patch (RFC 6902).
};

// What all messages of one transaction say of it.
struct TransactionInfo {
    Lsn commit_lsn;
    std::uint32_t xid = 0;
    Timestamp commit_time;

    bool operator==(const TransactionInfo&) const = default;
};

}  // namespace walcast
