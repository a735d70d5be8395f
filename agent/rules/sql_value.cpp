#include "agent/rules/sql_value.hpp"

#include "agent/rules/sql_time.hpp"
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
};

constexpr auto known_types = std::to_array<KnownType>({
    {16, SqlType::boolean, "boolean"},
    {17, SqlType::bytea, "bytea"},
    {18, SqlType::character, "\"char\""},
    {19, SqlType::name, "name"},
    {20, SqlType::int8, "bigint"},
    {21, SqlType::int2, "smallint"},
    {23, SqlType::int4, "integer"},
    {25, SqlType::text, "text"},
    {26, SqlType::oid, "oid"},
    {700, SqlType::float4, "real"},
    {701, SqlType::float8, "double precision"},
    {1042, SqlType::bpchar, "character"},
    {1043, SqlType::text, "character varying"},
    {1082, SqlType::date, "date"},
    {1083, SqlType::time, "time"},
    {1114, SqlType::timestamp, "timestamp"},
    {1184, SqlType::timestamptz, "timestamptz"},
    {1700, SqlType::numeric, "numeric"},
    {2950, SqlType::uuid, "uuid"},
    {0, SqlType::enumeration, "an enum"},
    // Often met, and not compared here.
    {114, SqlType::other, "json"},
    {142, SqlType::other, "xml"},
    {790, SqlType::other, "money"},
    {869, SqlType::other, "inet"},
    {1186, SqlType::other, "interval"},
    {1266, SqlType::other, "timetz"},
    {3802, SqlType::other, "jsonb"},
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

}  // namespace walcast
