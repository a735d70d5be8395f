#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace walcast {

// Dates and times in ISO form, as Postgres prints them under DateStyle ISO, as numbers that compare
// as they do; nothing when the text is none, or beyond what the type holds. `BC` and the infinities
// are read too; `T` may stand between date and time, and seconds may lack.

// Days.
std::optional<std::int64_t> read_date(std::string_view text);

// Microseconds. 24:00:00 is one.
std::optional<std::int64_t> read_time(std::string_view text);

// Microseconds. A date alone is its midnight.
std::optional<std::int64_t> read_timestamp(std::string_view text);

// In UTC, where no offset or Z says otherwise.
std::optional<std::int64_t> read_timestamptz(std::string_view text);

}  // namespace walcast
