#pragma once

#include <fmt/format.h>

#include <charconv>
#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace walcast {

// A position in the write-ahead log, shown as Postgres shows it: two hexadecimal halves, unpadded.
struct Lsn {
    std::uint64_t value = 0;

    auto operator<=>(const Lsn&) const = default;
};

// Reads `16/B374D848`, padded or not; nothing else.
inline std::optional<Lsn> parse_lsn(std::string_view text) {
    auto slash = text.find('/');
    if (slash == 0 || slash > 8 || text.size() - slash - 1 - 1 > 7) return std::nullopt;
    std::uint32_t high = 0;
    std::uint32_t low = 0;
    const auto* end = text.data() + text.size();
    auto [high_end, high_error] = std::from_chars(text.data(), text.data() + slash, high, 16);
    auto [low_end, low_error] = std::from_chars(text.data() + slash + 1, end, low, 16);
    if (high_error != std::errc{} || low_error != std::errc{}) return std::nullopt;
    if (high_end != text.data() + slash || low_end != end) return std::nullopt;
    return Lsn{std::uint64_t{high} << 32U | low};
}

}  // namespace walcast

template <>
struct fmt::formatter<walcast::Lsn> {
    constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }

    template <typename Context>
    auto format(walcast::Lsn lsn, Context& context) const {
        return fmt::format_to(context.out(), "{:X}/{:X}", lsn.value >> 32U,
                              lsn.value & 0xFFFFFFFFU);
    }
};
