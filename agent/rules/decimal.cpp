#include "agent/rules/decimal.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>

namespace walcast {

// What `numeric` allows before the point, and behind it.
static constexpr std::int64_t magnitude_max = 131072;
static constexpr std::int64_t scale_max = 16383;

static std::string_view take_digits(std::string_view& text) {
    auto end = text.find_first_not_of("0123456789");
    auto digits = text.substr(0, end);
    text.remove_prefix(digits.size());
    return digits;
}

static std::string_view without_zeros(std::string_view digits) {
    auto first = digits.find_first_not_of('0');
    return first == std::string_view::npos ? std::string_view() : digits.substr(first);
}

// `e+6`; 0 where there is none.
static std::optional<std::int64_t> read_exponent(std::string_view text) {
    if (text.empty()) return 0;
    if (text[0] != 'e' && text[0] != 'E') return std::nullopt;
    text.remove_prefix(1);
    if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
    std::int32_t exponent = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), exponent);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return exponent;
}

std::optional<Decimal> read_decimal(std::string_view text) {
    using Kind = Decimal::Kind;
    if (text == "NaN") return Decimal{.kind = Kind::nan};
    if (text == "Infinity") return Decimal{.kind = Kind::infinity};
    if (text == "-Infinity") return Decimal{.kind = Kind::minus_infinity};
    Decimal decimal{.sign = text.starts_with('-') ? -1 : 1};
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    auto head = take_digits(text);
    std::string_view tail;
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        tail = take_digits(text);
    }
    auto exponent = read_exponent(text);
    if ((head.empty() && tail.empty()) || !exponent) return std::nullopt;
    if (static_cast<std::int64_t>(tail.size()) - *exponent > scale_max) return std::nullopt;
    decimal.head = without_zeros(head);
    decimal.tail = decimal.head.empty() ? without_zeros(tail) : tail;
    if (decimal.head.empty() && decimal.tail.empty()) return Decimal{};
    decimal.magnitude =
        *exponent + (decimal.head.empty()
                         ? -static_cast<std::int64_t>(tail.size() - decimal.tail.size())
                         : static_cast<std::int64_t>(decimal.head.size()));
    if (decimal.magnitude > magnitude_max) return std::nullopt;
    return decimal;
}

static char digit(const Decimal& decimal, std::size_t place) {
    if (place < decimal.head.size()) return decimal.head[place];
    place -= decimal.head.size();
    return place < decimal.tail.size() ? decimal.tail[place] : '0';
}

static int compare_digits(const Decimal& a, const Decimal& b) {
    if (a.magnitude != b.magnitude) return a.magnitude < b.magnitude ? -1 : 1;
    auto size = std::max(a.head.size() + a.tail.size(), b.head.size() + b.tail.size());
    for (std::size_t i = 0; i < size; ++i)
        if (auto difference = digit(a, i) - digit(b, i); difference != 0) return difference;
    return 0;
}

int compare(const Decimal& a, const Decimal& b) {
    if (a.kind != b.kind) return a.kind < b.kind ? -1 : 1;
    if (a.kind != Decimal::Kind::finite) return 0;
    if (a.sign != b.sign) return a.sign - b.sign;
    return a.sign * compare_digits(a, b);
}

}  // namespace walcast
