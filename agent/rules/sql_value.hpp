#pragma once

#include "agent/rules/decimal.hpp"
#include "decoders/json_type.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace walcast {

// The types whose values can be compared here; a domain is its base.
enum class SqlType : std::uint8_t {
    other,
    boolean,
    int2,
    int4,
    int8,
    oid,
    numeric,
    float4,
    float8,
    text,  // And varchar.
    name,
    character,  // "char", a byte.
    bpchar,
    enumeration,
    uuid,
    bytea,
    date,
    time,
    timestamp,
    timestamptz,
};

SqlType sql_type_of(const JsonType& type);

// As SQL calls it; of those that are not compared too.
std::string sql_name_of(const JsonType& type);

// Of text and enums the stream does not tell it: it is a matter of collation, or of the catalog.
bool has_order(SqlType type);
bool has_patterns(SqlType type);

// What compares as the type does: dates, times and booleans as whole numbers, texts by their bytes.
using SqlValue = std::variant<std::int64_t, double, Decimal, std::string_view>;

// A value as the server prints it, of which the result may be a view. Throws ValueError.
SqlValue read_sql_value(SqlType type, std::string_view text);

// Below 0, 0 or above. Both must have been read as the same type, or both as numbers that are not
// floating.
int compare(const SqlValue& a, const SqlValue& b);

}  // namespace walcast
