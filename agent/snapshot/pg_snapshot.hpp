#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace walcast {

// Which transactions a query sees, as `pg_current_snapshot()` prints it: `xmin:xmax:xip,xip`.
struct PgSnapshot {
    std::uint64_t xmin = 0;              // All below have ended,
    std::uint64_t xmax = 0;              // none from here on has,
    std::vector<std::uint64_t> running;  // nor have these between them, which rise.

    // Whether it shows what a committed transaction has done.
    bool shows(std::uint64_t xid) const;
};

// Throws std::invalid_argument, saying what would do.
PgSnapshot parse_snapshot(std::string_view text);

}  // namespace walcast
