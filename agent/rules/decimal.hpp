#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace walcast {

// A number of any length; a view of the text that it was read from. NaN is above all others, and
// equal to itself.
struct Decimal {
    enum class Kind : std::uint8_t { minus_infinity, finite, infinity, nan } kind = Kind::finite;
    int sign = 0;                // -1, 0, 1
    std::int64_t magnitude = 0;  // Digits before the point; below 0: zeros behind it.
    // The digits: of both, one after the other. The first is not 0.
    std::string_view head = {};
    std::string_view tail = {};
};

// As Postgres prints a number, or as SQL writes one: 12.50, -.5, 1e6; and NaN, Infinity, -Infinity.
// Nothing when it is none, or has more digits than `numeric` allows.
std::optional<Decimal> read_decimal(std::string_view text);

// Below 0, 0 or above, as a is less than b, equal or more.
int compare(const Decimal& a, const Decimal& b);

}  // namespace walcast
