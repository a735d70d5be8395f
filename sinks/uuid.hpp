#pragma once

#include "decoders/sync_action.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace walcast {

// Appends an id in the shape of a UUIDv7 that sorts by `clock`, which must not go back, then by
// sync id, then by ordinal: 01a1fc4c-5ae6-7000-8000-000000041200. Ordinals from 256 to 2^20 differ,
// but do not sort.
void append_uuid(std::string& out, Timestamp clock, SyncId sync_id, unsigned ordinal);

// What such an id is made of; nothing where it is none, or its ordinal is above 255.
struct UuidParts {
    Timestamp clock;  // To the millisecond.
    SyncId sync_id = 0;
    unsigned ordinal = 0;

    auto operator<=>(const UuidParts&) const = default;
};
std::optional<UuidParts> read_uuid(std::string_view text);

}  // namespace walcast
