#include "agent/rules/sql_literal.hpp"

#include "agent/rules/predicate_token.hpp"
#include "decoders/json_string.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace walcast {

namespace {

// As most types of Postgres read a text.
std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t\n\r\f\v";
    auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) + 1 - first);
}

// The beginning of a word is enough, while it is clear which.
std::optional<std::string> boolean_literal(std::string_view text) {
    auto word = folded(trimmed(text));
    auto begins = [&](std::string_view whole) { return whole.starts_with(word); };
    if (word.empty() || word == "o") return std::nullopt;
    if (begins("true") || begins("yes") || word == "on" || word == "1") return "t";
    if (begins("false") || begins("no") || begins("off") || word == "0") return "f";
    return std::nullopt;
}

template <typename Number>
std::optional<std::string> integer_literal(std::string_view text) {
    text = trimmed(text);
    auto digits = text;
    if (digits.starts_with('+')) digits.remove_prefix(1);
    if (digits.starts_with('-') && digits.size() < text.size()) return std::nullopt;
    Number number = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return std::to_string(number);
}

std::string number_literal(std::string_view text) {
    text = trimmed(text);
    auto word = folded(text);
    if (word == "nan") return "NaN";
    if (word == "infinity" || word == "+infinity" || word == "inf" || word == "+inf")
        return "Infinity";
    if (word == "-infinity" || word == "-inf") return "-Infinity";
    return std::string(text);
}

bool is_hex(char character) {
    return (character >= '0' && character <= '9') || (character >= 'a' && character <= 'f');
}

// As Postgres: in braces or not, with a hyphen after any four digits.
std::optional<std::string> uuid_literal(std::string_view text) {
    auto rest = folded(text);
    if (rest.starts_with('{') && rest.ends_with('}')) rest = rest.substr(1, rest.size() - 2);
    std::string uuid;
    std::size_t digits = 0;
    for (std::size_t i = 0; i < rest.size(); ++i) {
        auto may_part = digits % 4 == 0 && digits > 0 && digits < 32;
        if (rest[i] == '-' && may_part && rest[i - 1] != '-') continue;
        if (!is_hex(rest[i]) || digits == 32) return std::nullopt;
        if (digits == 8 || digits == 12 || digits == 16 || digits == 20) uuid += '-';
        uuid += rest[i];
        ++digits;
    }
    return digits == 32 ? std::optional(uuid) : std::nullopt;
}

std::optional<std::string> bytea_literal(std::string_view text) {
    auto bytes = folded(text);
    auto is_bytes = bytes.starts_with("\\x") && bytes.size() % 2 == 0 &&
                    std::all_of(bytes.begin() + 2, bytes.end(), is_hex);
    return is_bytes ? std::optional(bytes) : std::nullopt;
}

std::string time_literal(std::string_view text) {
    auto word = folded(trimmed(text));
    return word.ends_with("infinity") ? word : std::string(trimmed(text));
}

std::optional<std::string> short_literal(std::string_view text, std::size_t size_max) {
    if (text.size() > size_max) return std::nullopt;
    return std::string(text);
}

std::optional<std::string> string_literal(SqlType type, std::string_view text) {
    constexpr std::size_t name_size_max = 63;
    switch (type) {
        case SqlType::boolean: return boolean_literal(text);
        case SqlType::int2: return integer_literal<std::int16_t>(text);
        case SqlType::int4: return integer_literal<std::int32_t>(text);
        case SqlType::int8: return integer_literal<std::int64_t>(text);
        case SqlType::oid: return integer_literal<std::uint32_t>(text);
        case SqlType::numeric:
        case SqlType::float4:
        case SqlType::float8: return number_literal(text);
        case SqlType::name: return short_literal(text, name_size_max);
        case SqlType::character: return short_literal(text, 1);
        case SqlType::uuid: return uuid_literal(text);
        case SqlType::bytea: return bytea_literal(text);
        case SqlType::date:
        case SqlType::time:
        case SqlType::timestamp:
        case SqlType::timestamptz: return time_literal(text);
        default: return std::string(text);
    }
}

std::optional<SqlLiteral> number_beside(SqlType type, const std::string& text) {
    switch (type) {
        case SqlType::int2:
        case SqlType::int4:
        case SqlType::int8:
        case SqlType::numeric: return SqlLiteral{SqlType::numeric, text};
        // Both sides are made double.
        case SqlType::float4:
        case SqlType::float8: return SqlLiteral{SqlType::float8, text};
        case SqlType::oid:
            if (auto number = integer_literal<std::uint32_t>(text))
                return SqlLiteral{type, *number};
            return std::nullopt;
        default: return std::nullopt;
    }
}

bool is_readable(const SqlLiteral& literal) {
    try {
        read_sql_value(literal.type, literal.text);
        return true;
    } catch (const ValueError&) {
        return false;
    }
}

}  // namespace

std::optional<SqlLiteral> sql_literal(SqlType type, const Predicate::Literal& literal) {
    using Kind = Predicate::Literal::Kind;
    std::optional<SqlLiteral> made;
    if (literal.kind == Kind::number)
        made = number_beside(type, literal.text);
    else if (literal.kind == Kind::boolean && type == SqlType::boolean)
        made = SqlLiteral{type, literal.text.substr(0, 1)};
    else if (literal.kind == Kind::string)
        if (auto text = string_literal(type, literal.text)) made = SqlLiteral{type, *text};
    return made && is_readable(*made) ? made : std::nullopt;
}

std::string_view expected_literal(SqlType type) {
    switch (type) {
        case SqlType::boolean: return "true or false";
        case SqlType::int2:
        case SqlType::int4:
        case SqlType::int8:
        case SqlType::numeric:
        case SqlType::float4:
        case SqlType::float8: return "a number";
        case SqlType::oid: return "a whole number from 0 to 4294967295";
        case SqlType::name: return "a text of at most 63 bytes in single quotes";
        case SqlType::character: return "one character of ASCII in single quotes, as 'r'";
        case SqlType::uuid: return "a UUID as 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'";
        case SqlType::bytea: return R"(bytes as '\x00ff')";
        case SqlType::date: return "a date as '2024-01-31'";
        case SqlType::time: return "a time as '14:30:00'";
        case SqlType::timestamp: return "a time without zone as '2024-01-31 14:30:00'";
        case SqlType::timestamptz: return "a time as '2024-01-31 14:30:00+00'";
        default: return "a text in single quotes, as 'open'";
    }
}

}  // namespace walcast
