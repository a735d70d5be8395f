#include "sinks/uuid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace walcast {

void append_uuid(std::string& out, Timestamp clock, SyncId sync_id, unsigned ordinal) {
    using namespace std::chrono;
    constexpr auto most = (std::int64_t{1} << 48U) - 1;
    auto time =
        std::clamp<std::int64_t>(floor<milliseconds>(clock).time_since_epoch().count(), 0, most);
    // 53 bits of sync id and 8 of ordinal, of the 62 that a UUIDv7 has there; 12 before them.
    ordinal = std::min(ordinal, (1U << 20U) - 1);
    auto low = sync_id << 8U | (ordinal & 0xFFU);
    fmt::format_to(std::back_inserter(out), "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}", time >> 16U,
                   time & 0xFFFF, ordinal >> 8U, 0x8000U | low >> 48U, low & 0xFFFF'FFFF'FFFFU);
}

}  // namespace walcast
