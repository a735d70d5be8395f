#include "agent/recording/mask_form.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <vector>

namespace walcast {

void expect_only(std::string_view characters, std::string_view text) {
    if (text.find_first_not_of(characters) != std::string_view::npos) throw OtherForm();
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

template <typename Number>
static Number to_number(std::string_view text) {
    Number number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) throw OtherForm();
    return number;
}

static bool is_special(std::string_view text) {
    return text == "NaN" || text == "Infinity" || text == "-Infinity" || text == "infinity" ||
           text == "-infinity";
}

// --- numbers ---

// Digits among other signs. Zeros before the first other digit stay, and what is not zero at either
// end does not become it, so that nothing grows shorter.
std::string FormMasker::digits(std::string_view text) const {
    auto first = text.find_first_of("123456789");
    if (first == std::string_view::npos) return std::string(text);
    auto last = text.find_last_of("0123456789");
    MaskedPlaces places;
    for (auto i = first; i <= last; ++i) {
        if (!is_digit(text[i])) continue;
        auto is_end = (i == first || i == last) && text[i] != '0';
        auto least = is_end ? 1U : 0U;
        places.add(static_cast<std::uint32_t>(text[i] - '0') - least, 10 - least);
    }
    places.permute(permutation_);
    std::string out(text);
    std::size_t at = 0;
    for (auto i = first; i <= last; ++i) {
        if (!is_digit(text[i])) continue;
        auto least = (i == first || i == last) && text[i] != '0' ? 1U : 0U;
        out[i] = static_cast<char>('0' + places.values[at++] + least);
    }
    return out;
}

// Of as many digits, and within every integer type that it fits, so that a number of one type still
// meets the same number of another.
std::string FormMasker::integer(std::string_view text) const {
    auto is_negative = text.starts_with('-');
    auto magnitude = to_number<std::uint64_t>(text.substr(is_negative ? 1 : 0));
    if (is_negative && magnitude == 0) return std::string(text);
    std::vector<std::uint64_t> bounds{is_negative ? 1U : 0U};
    for (std::uint64_t power = 10;; power *= 10) {
        bounds.push_back(power);
        if (power == 10'000'000'000'000'000'000U) break;
    }
    auto more = is_negative ? 1U : 0U;
    for (auto bits : {15U, 31U, 63U}) bounds.push_back((std::uint64_t{1} << bits) + more);
    for (auto bits : {32U, 53U}) bounds.push_back(std::uint64_t{1} << bits);
    std::sort(bounds.begin(), bounds.end());
    auto end = std::upper_bound(bounds.begin(), bounds.end(), magnitude);
    auto begin = *(end - 1);
    auto count =
        end == bounds.end() ? std::numeric_limits<std::uint64_t>::max() - begin : *end - begin;
    if (magnitude - begin >= count) return std::string(text);  // 2^64 - 1.
    return (is_negative ? "-" : "") +
           fmt::to_string(begin + permutation_.number(magnitude - begin, count));
}

std::string FormMasker::number(std::string_view text) const {
    constexpr auto exponent_max = 37;  // Beyond, any other digit may be too large for its type.
    if (is_special(text)) return std::string(text);
    auto is_whole = text.find_first_not_of("0123456789", text.starts_with('-') ? 1 : 0) ==
                    std::string_view::npos;
    if (is_whole && text.size() <= 19) return integer(text);
    auto e = std::min(text.find_first_of("eE"), text.size());
    if (text.substr(0, e).find_first_not_of("0123456789.-") != std::string_view::npos)
        throw OtherForm();
    if (e == text.size()) return digits(text);
    auto exponent = text.substr(e + 1);
    if (exponent.starts_with('+')) exponent.remove_prefix(1);
    if (std::abs(to_number<int>(exponent)) >= exponent_max) return std::string(text);
    return digits(text.substr(0, e)) + std::string(text.substr(e));
}

// All that are among other signs.
std::string FormMasker::numbers(std::string_view text) const {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        for (std::string_view special : {"NaN", "Infinity"}) {
            if (!text.substr(at).starts_with(special)) continue;
            out += special;
            at += special.size();
        }
        if (at == text.size()) break;
        auto is_begin = is_digit(text[at]) ||
                        (text[at] == '-' && at + 1 < text.size() && is_digit(text[at + 1]));
        if (!is_begin) {
            expect_only("()[]<>{},;: -", text.substr(at, 1));
            out += text[at++];
            continue;
        }
        auto end = at + 1;
        while (end < text.size() &&
               (is_digit(text[end]) || text[end] == '.' || text[end] == 'e' ||
                ((text[end] == '-' || text[end] == '+') && text[end - 1] == 'e')))
            ++end;
        out += number(text.substr(at, end - at));
        at = end;
    }
    return out;
}

std::string FormMasker::tid(std::string_view text) const {
    constexpr std::uint64_t offset_end = 65'536;
    auto comma = text.find(',');
    if (comma == std::string_view::npos || !text.starts_with('(') || !text.ends_with(')'))
        throw OtherForm();
    auto block = text.substr(1, comma - 1);
    expect_only("0123456789", block);
    auto offset = to_number<std::uint64_t>(text.substr(comma + 1, text.size() - comma - 2));
    if (offset >= offset_end) throw OtherForm();
    std::uint64_t begin = 0;
    std::uint64_t end = 10;
    while (offset >= end) {
        begin = end;
        end = std::min(end * 10, offset_end);
    }
    return fmt::format("({},{})", integer(block),
                       begin + permutation_.number(offset - begin, end - begin));
}

std::string FormMasker::hex(std::string_view text) const {
    expect_only("0123456789abcdefABCDEF:-/", text);
    constexpr std::string_view upper = "0123456789ABCDEF";
    constexpr std::string_view lower = "0123456789abcdef";
    auto used = text.find_first_of("abcdef") != std::string_view::npos ? lower : upper;
    if (text.find_first_of("ABCDEF") == std::string_view::npos) used = lower;
    MaskedPlaces places;
    for (auto c : text)
        if (auto digit = used.find(c); digit != std::string_view::npos)
            places.add(static_cast<std::uint32_t>(digit), 16);
    places.permute(permutation_);
    std::string out(text);
    std::size_t at = 0;
    for (auto& c : out)
        if (used.find(c) != std::string_view::npos) c = used[places.values[at++]];
    return out;
}

// Version and variant stay.
std::string FormMasker::uuid(std::string_view text) const {
    constexpr std::size_t size = 36;
    constexpr std::size_t version = 14;
    constexpr std::size_t variant = 19;
    if (text.size() != size) throw OtherForm();
    std::string rest(text);
    rest.erase(variant, 1).erase(version, 1);
    rest = hex(rest);
    rest.insert(version, 1, text[version]).insert(variant, 1, text[variant]);
    return rest;
}

std::string FormMasker::bits(std::string_view text) const {
    expect_only("01", text);
    MaskedPlaces places;
    for (auto c : text) places.add(c == '1' ? 1 : 0, 2);
    places.permute(permutation_);
    std::string out;
    for (auto value : places.values) out += value == 1 ? '1' : '0';
    return out;
}

// --- times ---

std::string FormMasker::date(std::string_view text) const {
    namespace chrono = std::chrono;
    if (is_special(text)) return std::string(text);
    constexpr std::string_view era = " BC";
    auto is_bc = text.ends_with(era);
    if (is_bc) text.remove_suffix(era.size());
    if (text.size() < 10 || text[text.size() - 3] != '-' || text[text.size() - 6] != '-')
        throw OtherForm();
    auto year_text = text.substr(0, text.size() - 6);
    auto month = to_number<unsigned>(text.substr(text.size() - 5, 2));
    auto day = to_number<unsigned>(text.substr(text.size() - 2));
    auto year = to_number<int>(year_text);
    if (!is_bc && year >= 1 && year <= 9999) {
        constexpr chrono::sys_days first = chrono::year{1} / 1 / 1;
        constexpr auto count = static_cast<std::uint64_t>(
            (chrono::sys_days(chrono::year{10000} / 1 / 1) - first).count());
        auto found = chrono::year{year} / static_cast<int>(month) / static_cast<int>(day);
        if (!found.ok()) throw OtherForm();
        auto days = static_cast<std::uint64_t>((chrono::sys_days(found) - first).count());
        auto masked = chrono::year_month_day(
            first + chrono::days(static_cast<int>(permutation_.number(days, count))));
        return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(masked.year()),
                           static_cast<unsigned>(masked.month()),
                           static_cast<unsigned>(masked.day()));
    }
    constexpr unsigned days_of_any_month = 28;
    if (month < 1 || month > 12 || day < 1 || day > 31) throw OtherForm();
    if (day <= days_of_any_month) {
        month = static_cast<unsigned>(permutation_.number(month - 1, 12)) + 1;
        day = static_cast<unsigned>(permutation_.number(day - 1, days_of_any_month)) + 1;
    }
    return fmt::format("{}-{:02}-{:02}{}", year_text, month, day, is_bc ? era : "");
}

// 03:04:05.12, with a zone behind it or not, which stays.
std::string FormMasker::time(std::string_view text) const {
    constexpr std::size_t size = 8;
    if (text.size() < size || text[2] != ':' || text[5] != ':') throw OtherForm();
    auto hour = to_number<unsigned>(text.substr(0, 2));
    auto minute = to_number<unsigned>(text.substr(3, 2));
    auto second = to_number<unsigned>(text.substr(6, 2));
    if (hour == 24) return std::string(text);
    constexpr unsigned day = 86'400;
    auto of_day = (hour * 60 + minute) * 60 + second;
    if (of_day >= day || minute >= 60 || second >= 60) throw OtherForm();
    of_day = static_cast<unsigned>(permutation_.number(of_day, day));
    auto rest = text.substr(size);
    expect_only("0123456789.+-:", rest);
    auto fraction =
        rest.substr(0, rest.starts_with('.') ? rest.find_first_not_of("0123456789", 1) : 0);
    return fmt::format("{:02}:{:02}:{:02}{}{}", of_day / 3600, of_day / 60 % 60, of_day % 60,
                       digits(fraction), rest.substr(fraction.size()));
}

std::string FormMasker::timestamp(std::string_view text) const {
    if (is_special(text)) return std::string(text);
    constexpr std::string_view era = " BC";
    auto is_bc = text.ends_with(era);
    auto space = text.find(' ');
    if (space == std::string_view::npos || space + 1 == text.size()) throw OtherForm();
    auto clock = text.substr(space + 1);
    if (is_bc) clock.remove_suffix(era.size());
    auto day = date(std::string(text.substr(0, space)) + std::string(is_bc ? era : ""));
    if (is_bc) day.resize(day.size() - era.size());
    return day + ' ' + time(clock) + std::string(is_bc ? era : "");
}

// `1 year 2 mons -3 days +04:00:00.5`.
std::string FormMasker::interval(std::string_view text) const {
    std::string out;
    while (!text.empty()) {
        auto token = text.substr(0, text.find(' '));
        text.remove_prefix(std::min(text.size(), token.size() + 1));
        auto colon = token.rfind(':');
        if (colon != std::string_view::npos && colon >= 3 && token.size() >= colon + 3) {
            expect_only("0123456789+-.:", token);
            auto sixty = [&](std::string_view two) {
                return fmt::format("{:02}", permutation_.number(to_number<unsigned>(two) % 60, 60));
            };
            out += digits(token.substr(0, colon - 3));
            out +=
                ':' + sixty(token.substr(colon - 2, 2)) + ':' + sixty(token.substr(colon + 1, 2));
            out += digits(token.substr(colon + 3));
        } else {
            static constexpr std::array<std::string_view, 6> units{"year", "years", "mon",
                                                                   "mons", "day",   "days"};
            auto is_unit = std::find(units.begin(), units.end(), token) != units.end();
            if (!is_unit) expect_only("0123456789+-", token);
            out += digits(token);
        }
        if (!text.empty()) out += ' ';
    }
    return out;
}

// --- addresses ---

// Of a network only the parts that its prefix covers.
std::string FormMasker::address(std::string_view text, bool is_network) const {
    auto slash = std::min(text.find('/'), text.size());
    auto prefix = slash == text.size() ? 128U : to_number<unsigned>(text.substr(slash + 1));
    auto is_v6 = text.find(':') != std::string_view::npos;
    auto part_bits = is_v6 ? 16U : 8U;
    std::string out;
    auto covered = 0U;
    for (std::size_t at = 0; at < slash;) {
        auto end = std::min(text.find_first_of(".:", at), slash);
        auto part = text.substr(at, end - at);
        expect_only("0123456789abcdef", part);
        covered += part_bits;
        auto is_decimal =
            !is_v6 || (end < slash ? text[end] == '.' : at > 0 && text[at - 1] == '.');
        if (part.empty() || (is_network && covered > prefix) || part == "0") {
            out += part;
        } else if (is_decimal) {
            auto value = to_number<unsigned>(part);
            auto begin = part.size() == 3 ? 100U : part.size() == 2 ? 10U : 1U;
            auto count = part.size() == 3 ? 156U : part.size() == 2 ? 90U : 9U;
            if (value < begin || value >= begin + count) throw OtherForm();
            out += fmt::to_string(begin + permutation_.number(value - begin, count));
        } else {
            auto value = std::uint64_t{};
            auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), value, 16);
            auto begin = std::uint64_t{1} << (4 * (part.size() - 1));
            if (error != std::errc{} || part.size() > 4 || value < begin) throw OtherForm();
            out += fmt::format("{:x}", begin + permutation_.number(value - begin, 15 * begin));
        }
        if (end < slash) out += text[end++];
        at = end;
    }
    return out + std::string(text.substr(slash));
}

}  // namespace walcast
