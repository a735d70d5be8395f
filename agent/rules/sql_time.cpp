#include "agent/rules/sql_time.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <limits>

namespace walcast {

namespace {

using Number = std::optional<std::int64_t>;

constexpr std::int64_t second = 1'000'000;
constexpr std::int64_t day = 86'400 * second;

Number read_infinity(std::string_view text) {
    if (text == "infinity") return std::numeric_limits<std::int64_t>::max();
    if (text == "-infinity") return std::numeric_limits<std::int64_t>::min();
    return std::nullopt;
}

bool take(std::string_view& text, char character) {
    if (!text.starts_with(character)) return false;
    text.remove_prefix(1);
    return true;
}

// A number of that many digits.
Number take_number(std::string_view& text, std::size_t digits_min, std::size_t digits_max) {
    auto digits = text.substr(0, text.find_first_not_of("0123456789"));
    if (digits.size() < digits_min || digits.size() > digits_max) return std::nullopt;
    std::int64_t number = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    text.remove_prefix(digits.size());
    return number;
}

bool is_leap(std::int64_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

std::int64_t days_in(std::int64_t year, std::int64_t month) {
    constexpr std::array days{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[static_cast<std::size_t>(month - 1)] + (month == 2 && is_leap(year) ? 1 : 0);
}

// Since 2000-01-01, as Postgres counts (from 1970 on its last year would not fit), in the Gregorian
// calendar without end, of which year 0 is 1 BC.
std::int64_t days_since_epoch(std::int64_t year, std::int64_t month, std::int64_t day_of_month) {
    if (month <= 2) --year;
    auto era = (year >= 0 ? year : year - 399) / 400;
    auto year_of_era = year - era * 400;
    auto day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day_of_month - 1;
    auto day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146'097 + day_of_era - 730'425;
}

Number take_date(std::string_view& text, bool is_bc) {
    auto year = take_number(text, 4, 7);
    if (!year || *year == 0 || !take(text, '-')) return std::nullopt;
    if (is_bc) year = 1 - *year;
    auto month = take_number(text, 2, 2);
    if (!month || *month < 1 || *month > 12 || !take(text, '-')) return std::nullopt;
    auto day_of_month = take_number(text, 2, 2);
    if (!day_of_month || *day_of_month < 1 || *day_of_month > days_in(*year, *month))
        return std::nullopt;
    return days_since_epoch(*year, *month, *day_of_month);
}

// `.12`, of microseconds; 0 where there is none.
Number take_fraction(std::string_view& text) {
    if (!take(text, '.')) return 0;
    auto before = text.size();
    auto fraction = take_number(text, 1, 6);
    if (!fraction) return std::nullopt;
    for (auto digits = before - text.size(); digits < 6; ++digits) *fraction *= 10;
    return fraction;
}

Number take_time(std::string_view& text) {
    auto hours = take_number(text, 2, 2);
    if (!hours || !take(text, ':')) return std::nullopt;
    auto minutes = take_number(text, 2, 2);
    if (!minutes || *minutes > 59) return std::nullopt;
    Number seconds = 0;
    Number fraction = 0;
    if (take(text, ':')) {
        seconds = take_number(text, 2, 2);
        fraction = take_fraction(text);
    }
    if (!seconds || *seconds > 59 || !fraction) return std::nullopt;
    auto time = ((*hours * 60 + *minutes) * 60 + *seconds) * second + *fraction;
    return time <= day ? Number(time) : std::nullopt;
}

// How far ahead of UTC: `+05:30`, `-08`, `Z`; 0 where there is none.
Number take_offset(std::string_view& text) {
    if (text.empty() || take(text, 'Z')) return 0;
    auto sign = text[0] == '-' ? -1 : 1;
    if (!take(text, '+') && !take(text, '-')) return std::nullopt;
    auto hours = take_number(text, 2, 2);
    Number minutes = 0;
    Number seconds = 0;
    if (take(text, ':')) minutes = take_number(text, 2, 2);
    if (take(text, ':')) seconds = take_number(text, 2, 2);
    if (!hours || *hours > 15 || !minutes || *minutes > 59 || !seconds || *seconds > 59)
        return std::nullopt;
    return sign * ((*hours * 60 + *minutes) * 60 + *seconds) * second;
}

bool take_era(std::string_view& text) {
    constexpr std::string_view era = " BC";
    auto is_bc = text.ends_with(era);
    if (is_bc) text.remove_suffix(era.size());
    return is_bc;
}

Number read_moment(std::string_view text, bool has_zone) {
    if (auto infinity = read_infinity(text)) return infinity;
    auto is_bc = take_era(text);
    auto date = take_date(text, is_bc);
    if (!date) return std::nullopt;
    Number time = 0;
    Number offset = 0;
    if (!text.empty()) {
        if (!take(text, ' ') && !take(text, 'T')) return std::nullopt;
        time = take_time(text);
        if (has_zone) offset = take_offset(text);
    }
    if (!time || !offset || !text.empty()) return std::nullopt;
    static const auto first = days_since_epoch(-4713, 11, 24);
    static const auto end = days_since_epoch(294'277, 1, 1);
    if (*date < first - 1 || *date > end) return std::nullopt;  // What is left cannot overflow.
    auto moment = *date * day + *time - *offset;
    return moment >= first * day && moment < end * day ? Number(moment) : std::nullopt;
}

}  // namespace

std::optional<std::int64_t> read_date(std::string_view text) {
    if (auto infinity = read_infinity(text)) return infinity;
    static const auto first = days_since_epoch(-4713, 11, 24);
    static const auto end = days_since_epoch(5'874'898, 1, 1);
    auto is_bc = take_era(text);
    auto date = take_date(text, is_bc);
    return date && text.empty() && *date >= first && *date < end ? date : std::nullopt;
}

std::optional<std::int64_t> read_time(std::string_view text) {
    auto time = take_time(text);
    return time && text.empty() ? time : std::nullopt;
}

std::optional<std::int64_t> read_timestamp(std::string_view text) {
    return read_moment(text, false);
}

std::optional<std::int64_t> read_timestamptz(std::string_view text) {
    return read_moment(text, true);
}

}  // namespace walcast
