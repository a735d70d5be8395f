#pragma once

#include "decoders/json_type.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace walcast {

// The types that targets write values of: built-in ones of each form, and some of a user.
inline constexpr std::array<std::uint32_t, 56> fuzz_types{
    // bool bytea int8 int2 int2vector int4 text oid oidvector json xml point float4 float8 box
    // money
    16, 17, 20, 21, 22, 23, 25, 26, 30, 114, 142, 600, 700, 701, 603, 790,
    // varchar date time timestamp timestamptz interval bit numeric uuid inet tsvector jsonb
    1043, 1082, 1083, 1114, 1184, 1186, 1560, 1700, 2950, 869, 3614, 3802,
    // Arrays: bool bytea int2 int2vector int4 int8 text box float8 timestamp timestamptz numeric
    // date
    // uuid
    1000, 1001, 1005, 1006, 1007, 1016, 1009, 1020, 1022, 1115, 1185, 1231, 1182, 2951,
    // Arrays: json jsonb; ranges: int4 ts; multirange: int4
    199, 3807, 3904, 3908, 4451,
    // Ours, below.
    16500, 16501, 16502, 16503, 16504, 16505, 16506, 16507, 16508};

inline std::vector<TypeDescription> fuzz_type_descriptions() {
    using Kind = TypeDescription::Kind;
    return {
        {.oid = 16500, .kind = Kind::domain, .of = 20},
        {.oid = 16501,
         .kind = Kind::composite,
         .fields = {{"a", 23}, {"b \"x\"", 25}, {"c", 1185}, {"d", 1700}, {"e", 17}}},
        {.oid = 16502, .kind = Kind::array, .of = 16501},
        {.oid = 16503, .kind = Kind::composite, .fields = {{"inner", 16501}, {"n", 16500}}},
        {.oid = 16504, .kind = Kind::hstore},
        {.oid = 16505, .kind = Kind::array, .of = 16504},
        {.oid = 16506, .kind = Kind::array, .of = 16500},
        {.oid = 16507, .kind = Kind::composite, .fields = {{"j", 3802}, {"all", 16502}}},
        {.oid = 16508, .kind = Kind::domain, .of = 16503},
    };
}

inline JsonTypes make_fuzz_types(JsonPolicy policy) {
    JsonTypes types(policy);
    types.add(fuzz_type_descriptions());
    return types;
}

// Whether its values may hold JSON of the server, which nobody checks again.
inline bool embeds_json(const JsonType& type) {
    if (type.form == JsonForm::json) return true;
    if (type.element != nullptr && embeds_json(*type.element)) return true;
    return std::any_of(type.fields.begin(), type.fields.end(), [](const JsonType::Field& field) {
        return field.type != nullptr && embeds_json(*field.type);
    });
}

}  // namespace walcast
