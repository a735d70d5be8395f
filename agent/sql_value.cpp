#include "agent/sql_value.hpp"

#include "agent/sql_time.hpp"
#include "decoders/json_string.hpp"
#include "decoders/text_scanner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <cmath>
#include <limits>

namespace walcast {

namespace {

struct KnownType {
    std::uint32_t oid;
    SqlType type;
    std::string_view name;
    std::string_view expected;
};

constexpr std::string_view string_expected = "a text in single quotes, as 'open'";
constexpr auto known_types = std::to_array<KnownType>({
    {16, SqlType::boolean, "boolean", "true or false"},
    {17, SqlType::bytea, "bytea", R"(bytes as '\x00ff')"},
    {18, SqlType::character, "\"char\"", "one character of ASCII in single quotes, as 'r'"},
    {19, SqlType::name, "name", "a text of at most 63 bytes in single quotes"},
    {20, SqlType::int8, "bigint", "a number"},
    {21, SqlType::int2, "smallint", "a number"},
    {23, SqlType::int4, "integer", "a number"},
    {25, SqlType::text, "text", string_expected},
    {26, SqlType::oid, "oid", "a whole number from 0 to 4294967295"},
    {700, SqlType::float4, "real", "a number"},
    {701, SqlType::float8, "double precision", "a number"},
    {1042, SqlType::bpchar, "character", string_expected},
    {1043, SqlType::text, "character varying", string_expected},
    {1082, SqlType::date, "date", "a date as '2024-01-31'"},
    {1083, SqlType::time, "time", "a time as '14:30:00'"},
    {1114, SqlType::timestamp, "timestamp", "a time without zone as '2024-01-31 14:30:00'"},
    {1184, SqlType::timestamptz, "timestamptz", "a time as '2024-01-31 14:30:00+00'"},
    {1700, SqlType::numeric, "numeric", "a number"},
    {2950, SqlType::uuid, "uuid", "a UUID as 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"},
    {0, SqlType::enumeration, "an enum", "one of its labels in single quotes"},
    // Often met, and not compared here.
    {114, SqlType::other, "json", ""},
    {142, SqlType::other, "xml", ""},
    {790, SqlType::other, "money", ""},
    {869, SqlType::other, "inet", ""},
    {1186, SqlType::other, "interval", ""},
    {1266, SqlType::other, "timetz", ""},
    {3802, SqlType::other, "jsonb", ""},
});

const KnownType* find(std::uint32_t oid) {
    auto found = std::find_if(known_types.begin(), known_types.end(),
                              [&](const KnownType& known) { return known.oid == oid && oid != 0; });
    return found == known_types.end() ? nullptr : &*found;
}

const KnownType& entry_of(SqlType type) {
    auto found = std::find_if(known_types.begin(), known_types.end(),
                              [&](const KnownType& known) { return known.type == type; });
    assert(found != known_types.end());
    return *found;
}

template <typename Number>
std::optional<double> read_floating(std::string_view text) {
    constexpr auto infinity = std::numeric_limits<double>::infinity();
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (text == "Infinity") return infinity;
    if (text == "-Infinity") return -infinity;
    auto decimal = read_decimal(text);
    if (!decimal) return std::nullopt;
    if (text.starts_with('+')) text.remove_prefix(1);
    Number number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    auto is_lost = (number == 0 && decimal->sign != 0) || std::isinf(number);
    if (error != std::errc() || end != text.data() + text.size() || is_lost) return std::nullopt;
    return static_cast<double>(number);
}

std::optional<std::int64_t> read_boolean(std::string_view text) {
    if (text == "t") return 1;
    if (text == "f") return 0;
    return std::nullopt;
}

std::string_view without_blanks_behind(std::string_view text) {
    return text.substr(0, text.find_last_not_of(' ') + 1);
}

template <typename Value>
std::optional<SqlValue> some(std::optional<Value> value) {
    return value ? std::optional<SqlValue>(*value) : std::nullopt;
}

std::optional<SqlValue> read(SqlType type, std::string_view text) {
    constexpr std::size_t uuid_size = 36;
    switch (type) {
        case SqlType::boolean: return some(read_boolean(text));
        case SqlType::int2:
        case SqlType::int4:
        case SqlType::int8:
        case SqlType::oid:
        case SqlType::numeric: return some(read_decimal(text));
        case SqlType::float4: return some(read_floating<float>(text));
        case SqlType::float8: return some(read_floating<double>(text));
        case SqlType::text:
        case SqlType::name:
        case SqlType::character:
        case SqlType::enumeration: return text;
        case SqlType::bpchar: return without_blanks_behind(text);
        case SqlType::uuid:
            return text.size() == uuid_size ? some(std::optional(text)) : std::nullopt;
        case SqlType::bytea:
            return text.starts_with("\\x") ? some(std::optional(text)) : std::nullopt;
        case SqlType::date: return some(read_date(text));
        case SqlType::time: return some(read_time(text));
        case SqlType::timestamp: return some(read_timestamp(text));
        case SqlType::timestamptz: return some(read_timestamptz(text));
        case SqlType::other: break;
    }
    return std::nullopt;
}

// --- literals ---

std::string to_lower(std::string_view text) {
    std::string lower(text);
    for (auto& character : lower)
        if (character >= 'A' && character <= 'Z') character = static_cast<char>(character + 32);
    return lower;
}

// As most types of Postgres read a text.
std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t\n\r\f\v";
    auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) + 1 - first);
}

// The beginning of a word is enough, while it is clear which.
std::optional<std::string> boolean_literal(std::string_view text) {
    auto word = to_lower(trimmed(text));
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
    auto word = to_lower(text);
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
    auto rest = to_lower(text);
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
    auto bytes = to_lower(text);
    auto is_bytes = bytes.starts_with("\\x") && bytes.size() % 2 == 0 &&
                    std::all_of(bytes.begin() + 2, bytes.end(), is_hex);
    return is_bytes ? std::optional(bytes) : std::nullopt;
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
        case SqlType::timestamptz: return std::string(trimmed(text));
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

}  // namespace

SqlType sql_type_of(const JsonType& type) {
    if (type.is_enum) return SqlType::enumeration;
    const auto* known = find(type.oid);
    return known == nullptr ? SqlType::other : known->type;
}

std::string sql_name_of(const JsonType& type) {
    if (type.is_enum) return "an enum";
    if (const auto* known = find(type.oid)) return std::string(known->name);
    if (type.form == JsonForm::array || type.form == JsonForm::vector) return "an array";
    if (type.form == JsonForm::composite) return "a composite";
    if (type.form == JsonForm::hstore) return "hstore";
    return type.oid == 0 ? "of an unknown type" : fmt::format("of the type with OID {}", type.oid);
}

bool has_order(SqlType type) {
    return type != SqlType::enumeration && type != SqlType::character && !has_patterns(type);
}

bool has_patterns(SqlType type) {
    return type == SqlType::text || type == SqlType::name || type == SqlType::bpchar;
}

SqlValue read_sql_value(SqlType type, std::string_view text) {
    if (auto value = read(type, text)) return *value;
    throw ValueError(fmt::format("not {}: {}", entry_of(type).name, excerpt(text)));
}

static int compare_floating(double a, double b) {
    if (std::isnan(a) || std::isnan(b))
        return static_cast<int>(std::isnan(a)) - static_cast<int>(std::isnan(b));
    return static_cast<int>(a > b) - static_cast<int>(a < b);
}

int compare(const SqlValue& a, const SqlValue& b) {
    assert(a.index() == b.index());
    if (const auto* number = std::get_if<std::int64_t>(&a))
        return static_cast<int>(*number > std::get<std::int64_t>(b)) -
               static_cast<int>(*number < std::get<std::int64_t>(b));
    if (const auto* floating = std::get_if<double>(&a))
        return compare_floating(*floating, std::get<double>(b));
    if (const auto* decimal = std::get_if<Decimal>(&a))
        return compare(*decimal, std::get<Decimal>(b));
    return std::get<std::string_view>(a).compare(std::get<std::string_view>(b));
}

std::optional<SqlLiteral> sql_literal(SqlType type, const Predicate::Literal& literal) {
    using Kind = Predicate::Literal::Kind;
    std::optional<SqlLiteral> made;
    if (literal.kind == Kind::number)
        made = number_beside(type, literal.text);
    else if (literal.kind == Kind::boolean && type == SqlType::boolean)
        made = SqlLiteral{type, literal.text.substr(0, 1)};
    else if (literal.kind == Kind::string)
        if (auto text = string_literal(type, literal.text)) made = SqlLiteral{type, *text};
    return made && read(made->type, made->text) ? made : std::nullopt;
}

std::string_view expected_literal(SqlType type) {
    return entry_of(type).expected;
}

}  // namespace walcast
