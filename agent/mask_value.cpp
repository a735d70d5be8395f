#include "agent/mask_value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <optional>

namespace walcast {

enum class ValueMasker::Kind : std::uint8_t {
    kept,
    text,
    words,
    integer,
    number,
    numbers,
    digits,
    hex,
    uuid,
    bits,
    date,
    time,
    timestamp,
    interval,
    address,
    network,
    json,
    range,
    multirange,
};

// Not what its type prints.
struct OtherForm {};

// --- characters ---

namespace {

struct Character {
    std::size_t bytes = 1;
    std::uint32_t value = 0;
    std::uint32_t radix = 0;  // 0: it stays.
    std::uint32_t first = 0;  // Code point of value 0; of signs: none.
};

// Neither quoted nor escaped by anything that holds them. All other ASCII signs stay as they are,
// so that arrays, composites and JSON stay what they are.
constexpr std::string_view signs = "!#$%&*+-./:<=>?@^_|~";
constexpr std::uint32_t sign = 0;
constexpr std::uint32_t surrogates_begin = 0xD800;
constexpr std::uint32_t surrogates = 0x800;

std::uint32_t follower(std::string_view text, std::size_t i) {
    auto byte = i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
    return byte >= 0x80 && byte < 0xC0 ? byte & 0x3FU : 0x100U;
}

// Bytes that are not UTF-8 stay so, but do not stay what they are.
constexpr Character no_character{.bytes = 1, .value = 0x100, .radix = 0, .first = 0};

Character read_beyond_ascii(std::string_view text) {
    auto byte = static_cast<unsigned char>(text[0]);
    auto size = byte >= 0xF0 ? 4U : byte >= 0xE0 ? 3U : 2U;
    std::uint32_t code = byte & (0xFFU >> (size + 1));
    if (byte < 0xC0 || byte > 0xF4) return no_character;
    for (std::size_t i = 1; i < size; ++i) {
        auto bits = follower(text, i);
        if (bits > 0x3F) return no_character;
        code = code << 6U | bits;
    }
    auto is_surrogate = code >= surrogates_begin && code < surrogates_begin + surrogates;
    if (is_surrogate ||
        code < (size == 2   ? 0x80U
                : size == 3 ? 0x800U
                            : 0x10000U) ||
        code > 0x10FFFF)
        return no_character;
    if (code < 0xA0) return {.bytes = size, .value = 0, .radix = 0, .first = 0};
    auto first = size == 2 ? 0xA0U : size == 3 ? 0x800U : 0x10000U;
    auto end = size == 2 ? 0x800U : size == 3 ? 0x10000U - surrogates : 0x110000U;
    if (size == 3 && code >= surrogates_begin) code -= surrogates;
    return {.bytes = size, .value = code - first, .radix = end - first, .first = first};
}

Character read_character(std::string_view text) {
    auto c = text[0];
    auto of = [&](char first, std::uint32_t radix) {
        return Character{1, static_cast<std::uint32_t>(c - first), radix,
                         static_cast<std::uint32_t>(first)};
    };
    if (static_cast<unsigned char>(c) >= 0x80) return read_beyond_ascii(text);
    if (c >= '0' && c <= '9') return of('0', 10);
    if (c >= 'a' && c <= 'z') return of('a', 26);
    if (c >= 'A' && c <= 'Z') return of('A', 26);
    auto place = signs.find(c);
    if (place == std::string_view::npos) return {};
    return {1, static_cast<std::uint32_t>(place), static_cast<std::uint32_t>(signs.size()), sign};
}

void append_character(std::string& out, const Character& like, std::uint32_t value) {
    if (like.first == sign) {
        out += signs[value];
        return;
    }
    auto code = like.first + value;
    if (like.bytes == 3 && code >= surrogates_begin) code += surrogates;
    if (like.bytes == 1) {
        out += static_cast<char>(code);
        return;
    }
    constexpr std::array<unsigned, 5> heads{0, 0, 0xC0, 0xE0, 0xF0};
    auto shift = static_cast<unsigned>(6 * (like.bytes - 1));
    out += static_cast<char>(heads[like.bytes] | code >> shift);
    while (shift > 0) {
        shift -= 6;
        out += static_cast<char>(0x80U | (code >> shift & 0x3FU));
    }
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

void expect_only(std::string_view characters, std::string_view text) {
    if (text.find_first_not_of(characters) != std::string_view::npos) throw OtherForm();
}

template <typename Number>
Number to_number(std::string_view text) {
    Number number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) throw OtherForm();
    return number;
}

bool is_special(std::string_view text) {
    return text == "NaN" || text == "Infinity" || text == "-Infinity" || text == "infinity" ||
           text == "-infinity";
}

}  // namespace

// Places of a value that change together.
struct ValueMasker::Cells {
    std::vector<std::uint32_t> values;
    std::vector<std::uint32_t> radices;
    void add(std::uint32_t value, std::uint32_t radix) {
        values.push_back(value);
        radices.push_back(radix);
    }
};

void ValueMasker::permute(Cells& cells) const {
    permutation_.sequence(cells.values, cells.radices);
}

std::string ValueMasker::text(std::string_view text) const {
    Cells cells;
    for (auto rest = text; !rest.empty();) {
        auto character = read_character(rest);
        if (character.radix > 0) cells.add(character.value, character.radix);
        rest.remove_prefix(character.bytes);
    }
    permute(cells);
    std::string out;
    std::size_t i = 0;
    for (auto rest = text; !rest.empty();) {
        auto character = read_character(rest);
        if (character.radix > 0)
            append_character(out, character, cells.values[i++]);
        else if (character.value == no_character.value)
            out += '\xFF';
        else
            out += rest.substr(0, character.bytes);
        rest.remove_prefix(character.bytes);
    }
    return out;
}

// Each word by itself, so that all signs stay; entities of XML stay too.
std::string ValueMasker::words(std::string_view text) const {
    auto is_of_word = [](char c) {
        return is_digit(c) || is_letter(c) || static_cast<unsigned char>(c) >= 0x80;
    };
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        auto end = at;
        while (end < text.size() && is_of_word(text[end])) ++end;
        auto word = text.substr(at, end - at);
        static constexpr std::array<std::string_view, 5> entities{"amp", "lt", "gt", "quot",
                                                                  "apos"};
        auto is_entity = at > 0 && text[at - 1] == '&' && end < text.size() && text[end] == ';' &&
                         std::find(entities.begin(), entities.end(), word) != entities.end();
        out += is_entity || word == "NULL" ? std::string(word) : this->text(word);
        if (end < text.size()) out += text[end++];
        at = end;
    }
    return out;
}

// --- numbers ---

// Digits among other signs. Zeros before the first other digit stay, and what is not zero at either
// end does not become it, so that nothing grows shorter.
std::string ValueMasker::digits(std::string_view text) const {
    auto first = text.find_first_of("123456789");
    if (first == std::string_view::npos) return std::string(text);
    auto last = text.find_last_of("0123456789");
    Cells cells;
    for (auto i = first; i <= last; ++i) {
        if (!is_digit(text[i])) continue;
        auto is_end = (i == first || i == last) && text[i] != '0';
        auto least = is_end ? 1U : 0U;
        cells.add(static_cast<std::uint32_t>(text[i] - '0') - least, 10 - least);
    }
    permute(cells);
    std::string out(text);
    std::size_t at = 0;
    for (auto i = first; i <= last; ++i) {
        if (!is_digit(text[i])) continue;
        auto least = (i == first || i == last) && text[i] != '0' ? 1U : 0U;
        out[i] = static_cast<char>('0' + cells.values[at++] + least);
    }
    return out;
}

// Of as many digits, and within every integer type that it fits, so that a number of one type still
// meets the same number of another.
std::string ValueMasker::integer(std::string_view text) const {
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

std::string ValueMasker::number(std::string_view text) const {
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
std::string ValueMasker::numbers(std::string_view text) const {
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

std::string ValueMasker::hex(std::string_view text) const {
    expect_only("0123456789abcdefABCDEF:-/", text);
    constexpr std::string_view upper = "0123456789ABCDEF";
    constexpr std::string_view lower = "0123456789abcdef";
    auto used = text.find_first_of("abcdef") != std::string_view::npos ? lower : upper;
    if (text.find_first_of("ABCDEF") == std::string_view::npos) used = lower;
    Cells cells;
    for (auto c : text)
        if (auto digit = used.find(c); digit != std::string_view::npos)
            cells.add(static_cast<std::uint32_t>(digit), 16);
    permute(cells);
    std::string out(text);
    std::size_t at = 0;
    for (auto& c : out)
        if (used.find(c) != std::string_view::npos) c = used[cells.values[at++]];
    return out;
}

// Version and variant stay.
std::string ValueMasker::uuid(std::string_view text) const {
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

std::string ValueMasker::bits(std::string_view text) const {
    expect_only("01", text);
    Cells cells;
    for (auto c : text) cells.add(c == '1' ? 1 : 0, 2);
    permute(cells);
    std::string out;
    for (auto value : cells.values) out += value == 1 ? '1' : '0';
    return out;
}

// --- times ---

std::string ValueMasker::date(std::string_view text) const {
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
std::string ValueMasker::time(std::string_view text) const {
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

std::string ValueMasker::timestamp(std::string_view text) const {
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
std::string ValueMasker::interval(std::string_view text) const {
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
std::string ValueMasker::address(std::string_view text, bool is_network) const {
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

// --- ranges ---

static bool is_above(std::string_view lower, std::string_view upper) {
    for (auto* bound : {&lower, &upper})
        if (bound->starts_with('"')) bound->remove_prefix(1);
    auto is_number = [](std::string_view text) {
        return text.find_first_not_of("0123456789.-") == std::string_view::npos &&
               text.find('-', 1) == std::string_view::npos;
    };
    if (is_number(lower) && is_number(upper))
        return std::strtold(std::string(lower).c_str(), nullptr) >
               std::strtold(std::string(upper).c_str(), nullptr);
    return lower > upper;
}

// The bounds trade places where they came out the wrong way round.
std::string ValueMasker::range(std::uint32_t of, std::string_view text) const {
    if (text == "empty") return std::string(text);
    if (text.size() < 3) throw OtherForm();
    expect_only("[(", text.substr(0, 1));
    expect_only("])", text.substr(text.size() - 1));
    auto body = text.substr(1, text.size() - 2);
    auto comma = body.find(',');
    if (comma == std::string_view::npos) throw OtherForm();
    auto bound = [&](std::string_view quoted) -> std::string {
        if (quoted.empty()) return "";
        if (!quoted.starts_with('"')) return mask(of, quoted);
        return '"' + mask(of, quoted.substr(1, quoted.size() - 2)) + '"';
    };
    auto lower = bound(body.substr(0, comma));
    auto upper = bound(body.substr(comma + 1));
    if (!lower.empty() && !upper.empty() && is_above(lower, upper)) std::swap(lower, upper);
    return text[0] + lower + ',' + upper + text.back();
}

std::string ValueMasker::multirange(std::uint32_t of, std::string_view text) const {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        if (text[at] != '[' && text[at] != '(') {
            expect_only("{},", text.substr(at, 1));
            out += text[at++];
            continue;
        }
        auto end = text.find_first_of("])", at);
        if (end == std::string_view::npos) throw OtherForm();
        out += range(of, text.substr(at, end + 1 - at));
        at = end + 1;
    }
    return out;
}

// --- what holds other values ---

namespace {

// What stands in quotes at `at`, where they open, with its escapes undone; `at` is then behind
// them. `doubled`: two quotes stand for one, too.
std::string read_quoted(std::string_view text, std::size_t& at) {
    std::string found;
    for (++at; at < text.size(); ++at) {
        auto is_escape =
            text[at] == '\\' || (text[at] == '"' && at + 1 < text.size() && text[at + 1] == '"');
        if (is_escape) {
            if (++at == text.size()) break;
        } else if (text[at] == '"') {
            ++at;
            return found;
        }
        found += text[at];
    }
    throw OtherForm();
}

void append_quoted(std::string& out, std::string_view text, char quote_escape) {
    out += '"';
    for (auto c : text) {
        if (c == '\\') out += '\\';
        if (c == '"') out += quote_escape;
        out += c;
    }
    out += '"';
}

bool is_null(std::string_view text) {
    return text.size() == 4 && (text[0] | 0x20) == 'n' && (text[1] | 0x20) == 'u' &&
           (text[2] | 0x20) == 'l' && (text[3] | 0x20) == 'l';
}

}  // namespace

std::string ValueMasker::array(std::uint32_t of, char delimiter, std::string_view text,
                               int depth) const {
    std::string out;
    std::size_t at = text.starts_with('[') ? text.find('=') + 1 : 0;  // Bounds stay.
    if (text.starts_with('[') && at == 0) throw OtherForm();
    expect_only("0123456789-:[]=", text.substr(0, at));
    out += text.substr(0, at);
    for (; at < text.size();) {
        if (text[at] == '"') {
            append_quoted(out, mask(of, read_quoted(text, at), depth), '\\');
            continue;
        }
        auto end = at;
        while (end < text.size() && text[end] != delimiter && text[end] != '{' && text[end] != '}')
            ++end;
        auto element = std::string(text.substr(at, end - at));
        if (element != "NULL" && !element.empty()) {
            element = mask(of, element, depth);
            while (is_null(element)) element = this->text(element);
        }
        out += element;
        if (end < text.size()) out += text[end++];
        at = end;
    }
    return out;
}

std::string ValueMasker::composite(const TypeDescription& type, std::string_view text,
                                   int depth) const {
    struct Field {
        std::string text;
        bool is_quoted = false;
    };
    std::vector<Field> fields;
    if (!text.starts_with('(') || !text.ends_with(')')) throw OtherForm();
    for (std::size_t at = 0; text[at] != ')';) {
        ++at;
        auto& field = fields.emplace_back();
        field.is_quoted = at < text.size() && text[at] == '"';
        if (field.is_quoted) {
            field.text = read_quoted(text, at);
        } else {
            auto end = std::min(text.find_first_of(",)", at), text.size());
            field.text = text.substr(at, end - at);
            at = end;
        }
        if (at >= text.size()) throw OtherForm();
    }
    std::string out;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        auto of = fields.size() == type.fields.size() ? type.fields[i].type_oid : 0;
        out += i == 0 ? '(' : ',';
        auto masked = fields[i].text.empty() ? "" : mask(of, fields[i].text, depth);
        if (fields[i].is_quoted)
            append_quoted(out, masked, '"');
        else
            out += masked;
    }
    return out + ')';
}

// `"a"=>"1", "b"=>NULL`: escapes stay, so what is between quotes is text as it is.
std::string ValueMasker::hstore(std::string_view text) const {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        auto is_null = text.substr(at).starts_with("NULL");
        if (is_null || text[at] != '"') {
            if (!is_null) expect_only("=>, ", text.substr(at, 1));
            out += text.substr(at, is_null ? 4 : 1);
            at += is_null ? 4 : 1;
            continue;
        }
        append_quoted(out, this->text(read_quoted(text, at)), '\\');
    }
    return out;
}

// --- JSON ---

class ValueMasker::Json {
public:
    Json(const ValueMasker& masker, std::string_view text, bool has_our_names)
        : masker_(masker), text_(text), has_our_names_(has_our_names) {}

    std::string mask() {
        while (at_ < text_.size()) {
            auto c = text_[at_];
            if (c == '"') {
                mask_string();
            } else if (is_digit(c) || c == '-') {
                mask_number();
            } else if (is_letter(c)) {
                keep_word();
            } else {
                if (c == '{' || c == '[') ++depth_;
                if (c == '}' || c == ']') --depth_;
                if (std::string_view("{}[],: \t\r\n").find(c) == std::string_view::npos)
                    throw OtherForm();
                out_ += c;
                ++at_;
            }
        }
        return std::move(out_);
    }

private:
    void mask_string() {
        auto begin = ++at_;
        while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
        if (at_ >= text_.size()) throw OtherForm();
        auto raw = text_.substr(begin, at_++ - begin);
        auto behind = text_.find_first_not_of(" \t\r\n", at_);
        auto is_name = behind != std::string_view::npos && text_[behind] == ':';
        out_ += '"';
        if (is_name && depth_ == 1 && has_our_names_)
            out_ += raw;
        else
            append_text(raw);
        out_ += '"';
    }

    // Escapes stay, but for those of a code point, which become others.
    void append_text(std::string_view raw) {
        std::string pieces;  // All that is not an escape, masked together.
        for (std::size_t i = 0; i < raw.size();) {
            auto size = escape_size(raw, i);
            if (size == 0) pieces += raw[i];
            i += std::max<std::size_t>(size, 1);
        }
        auto masked = masker_.text(pieces);
        std::size_t at = 0;
        for (std::size_t i = 0; i < raw.size();) {
            auto size = escape_size(raw, i);
            if (size == 0) out_ += masked[at++];
            if (size == 2) out_ += raw.substr(i, size);
            if (size == 6) append_code_point(raw.substr(i, size));
            i += std::max<std::size_t>(size, 1);
        }
    }
    static std::size_t escape_size(std::string_view raw, std::size_t i) {
        if (raw[i] != '\\') return 0;
        auto size = i + 1 < raw.size() && raw[i + 1] == 'u' ? 6U : 2U;
        if (i + size > raw.size()) throw OtherForm();
        return size;
    }
    void append_code_point(std::string_view escape) {
        std::uint32_t code = 0;
        auto hex = escape.substr(2);
        auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
        if (error != std::errc{} || end != hex.data() + hex.size()) throw OtherForm();
        auto within = [&](std::uint32_t first, std::uint32_t count) {
            auto value = masker_.permutation_.number((code - first) % count, count);
            out_ += fmt::format("\\u{:04x}", first + value);
        };
        if (code < 0x20) return static_cast<void>(out_ += escape);
        if (code < 0x80) return within(0x100, 0x80);
        if (code >= 0xDC00 && code < 0xE000) return within(0xDC00, 0x400);
        if (code >= surrogates_begin && code < 0xDC00) return within(surrogates_begin, 0x400);
        within(0x1000, 0xC000);
    }

    void mask_number() {
        auto end = std::min(text_.find_first_not_of("0123456789.eE+-", at_), text_.size());
        out_ += masker_.number(text_.substr(at_, end - at_));
        at_ = end;
    }

    // True, false, null.
    void keep_word() {
        for (std::string_view word : {"true", "false", "null"}) {
            if (!text_.substr(at_).starts_with(word)) continue;
            out_ += word;
            at_ += word.size();
            return;
        }
        throw OtherForm();
    }

    const ValueMasker& masker_;
    std::string_view text_;
    bool has_our_names_;
    std::size_t at_ = 0;
    int depth_ = 0;
    std::string out_;
};

std::string ValueMasker::json(std::string_view text, bool has_our_names) const {
    return Json(*this, text, has_our_names).mask();
}

std::string ValueMasker::mask_content(std::string_view content, bool has_our_names) const {
    auto is_json = content.starts_with('{') || content.starts_with('[');
    try {
        if (is_json) return json(content, has_our_names);
    } catch (const OtherForm&) {
        // Then it is text.
    }
    return text(content);
}

// --- types ---

// What is not here is words: enums, regclass, tsvector, xml and the like, and types of extensions.
ValueMasker::Kind ValueMasker::kind_of(std::uint32_t type_oid) const {
    switch (type_oid) {
        case 16:  // bool
        case 27:  // tid
            return Kind::kept;
        case 18:    // "char"
        case 19:    // name
        case 25:    // text
        case 1042:  // bpchar
        case 1043:  // varchar
            return Kind::text;
        case 20:    // int8
        case 21:    // int2
        case 23:    // int4
        case 26:    // oid
        case 28:    // xid
        case 29:    // cid
        case 5069:  // xid8
            return Kind::integer;
        case 700:   // float4
        case 701:   // float8
        case 1700:  // numeric
            return Kind::number;
        case 22:    // int2vector
        case 30:    // oidvector
        case 600:   // point
        case 601:   // lseg
        case 602:   // path
        case 603:   // box
        case 604:   // polygon
        case 628:   // line
        case 718:   // circle
        case 2970:  // txid_snapshot
        case 5038:  // pg_snapshot
            return Kind::numbers;
        case 790: return Kind::digits;  // money
        case 17:                        // bytea
        case 774:                       // macaddr8
        case 829:                       // macaddr
        case 3220:                      // pg_lsn
            return Kind::hex;
        case 2950: return Kind::uuid;
        case 1560:  // bit
        case 1562:  // varbit
            return Kind::bits;
        case 1082: return Kind::date;
        case 1083:  // time
        case 1266:  // timetz
            return Kind::time;
        case 1114:  // timestamp
        case 1184:  // timestamptz
            return Kind::timestamp;
        case 1186: return Kind::interval;
        case 869: return Kind::address;  // inet
        case 650: return Kind::network;  // cidr
        case 114:                        // json
        case 3802:                       // jsonb
            return Kind::json;
        case 3904:  // int4range
        case 3906:  // numrange
        case 3908:  // tsrange
        case 3910:  // tstzrange
        case 3912:  // daterange
        case 3926:  // int8range
            return Kind::range;
        case 4451:  // int4multirange
        case 4532:  // nummultirange
        case 4533:  // tsmultirange
        case 4534:  // tstzmultirange
        case 4535:  // datemultirange
        case 4536:  // int8multirange
            return Kind::multirange;
        default: return Kind::words;
    }
}

static std::uint32_t bound_type(std::uint32_t range) {
    switch (range) {
        case 3904:
        case 4451: return 23;
        case 3906:
        case 4532: return 1700;
        case 3908:
        case 4533: return 1114;
        case 3910:
        case 4534: return 1184;
        case 3912:
        case 4535: return 1082;
        default: return 20;
    }
}

// An array tells its element by the address of that one's type.
ValueMasker::ValueMasker(HashKey key) : permutation_(key) {
    constexpr std::uint32_t built_in_end = 10'000;
    for (std::uint32_t oid = 1; oid < built_in_end; ++oid)
        if (kind_of(oid) != Kind::words) elements_.emplace(&built_in_.of(oid), oid);
}

void ValueMasker::add_types(const std::vector<TypeDescription>& types) {
    for (const auto& type : types) types_[type.oid] = type;
}

std::string ValueMasker::mask(std::uint32_t type_oid, std::string_view text) const {
    return mask(type_oid, text, 0);
}

std::string ValueMasker::mask(std::uint32_t type_oid, std::string_view text, int depth) const {
    constexpr auto depth_max = 32;
    if (depth == depth_max) return words(text);
    try {
        auto found = types_.find(type_oid);
        if (found == types_.end()) {
            const auto& type = built_in_.of(type_oid);
            if (type.form != JsonForm::array) return mask_kind(kind_of(type_oid), type_oid, text);
            auto element = elements_.find(type.element);
            return array(element == elements_.end() ? 0 : element->second, type.delimiter, text,
                         depth + 1);
        }
        const auto& type = found->second;
        switch (type.kind) {
            case TypeDescription::Kind::domain: return mask(type.of, text, depth + 1);
            case TypeDescription::Kind::array:
                return array(type.of, type.delimiter, text, depth + 1);
            case TypeDescription::Kind::composite: return composite(type, text, depth + 1);
            case TypeDescription::Kind::hstore: return hstore(text);
            case TypeDescription::Kind::base: break;
        }
    } catch (const OtherForm&) {
        // Then it is words.
    }
    return words(text);
}

std::string ValueMasker::mask_kind(Kind kind, std::uint32_t type_oid, std::string_view text) const {
    switch (kind) {
        case Kind::kept: expect_only("tf(0123456789,)", text); return std::string(text);
        case Kind::text: return this->text(text);
        case Kind::words: return words(text);
        case Kind::integer: return integer(text);
        case Kind::number: return number(text);
        case Kind::numbers: return numbers(text);
        case Kind::digits: expect_only("0123456789$,.-()", text); return digits(text);
        case Kind::hex: return text.starts_with("\\x") ? "\\x" + hex(text.substr(2)) : hex(text);
        case Kind::uuid: return uuid(text);
        case Kind::bits: return bits(text);
        case Kind::date: return date(text);
        case Kind::time: return time(text);
        case Kind::timestamp: return timestamp(text);
        case Kind::interval: return interval(text);
        case Kind::address: return address(text, false);
        case Kind::network: return address(text, true);
        case Kind::json: return json(text, false);
        case Kind::range: return range(bound_type(type_oid), text);
        case Kind::multirange: return multirange(bound_type(type_oid), text);
    }
    return words(text);
}

}  // namespace walcast
