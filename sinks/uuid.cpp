#include "sinks/uuid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
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

std::optional<UuidParts> read_uuid(std::string_view text) {
    constexpr std::string_view form = "xxxxxxxx-xxxx-7000-xxxx-xxxxxxxxxxxx";
    if (text.size() != form.size()) return std::nullopt;
    std::uint64_t high = 0;  // 48 bits,
    std::uint64_t low = 0;   // and 64, of which the first two are 10.
    for (std::size_t i = 0; i < form.size(); ++i) {
        if (form[i] != 'x') {
            if (text[i] != form[i]) return std::nullopt;
            continue;
        }
        unsigned digit = 0;
        auto [end, error] = std::from_chars(&text[i], &text[i] + 1, digit, 16);
        if (error != std::errc{}) return std::nullopt;
        auto& part = i < 18 ? high : low;
        part = part << 4U | digit;
    }
    if (low >> 62U != 2) return std::nullopt;
    low &= (std::uint64_t{1} << 62U) - 1;
    UuidParts parts{.clock = Timestamp{std::chrono::milliseconds{high}},
                    .sync_id = low >> 8U,
                    .ordinal = static_cast<unsigned>(low & 0xFFU)};
    if (parts.sync_id >= sync_id_limit) return std::nullopt;
    return parts;
}

}  // namespace walcast
