#include "decoders/json_type.hpp"

#include "decoders/json_string.hpp"

#include <array>

namespace walcast {

namespace {

struct StringType {
    std::uint32_t oid;
    std::uint32_t array_oid;
};

// Their OIDs are the same in all versions.
constexpr auto string_types = std::to_array<StringType>({
    {18, 1002},    // "char"
    {19, 1003},    // name
    {24, 1008},    // regproc
    {25, 1009},    // text
    {26, 1028},    // oid
    {27, 1010},    // tid
    {28, 1011},    // xid
    {29, 1012},    // cid
    {142, 143},    // xml
    {600, 1017},   // point
    {601, 1018},   // lseg
    {602, 1019},   // path
    {604, 1027},   // polygon
    {628, 629},    // line
    {650, 651},    // cidr
    {718, 719},    // circle
    {774, 775},    // macaddr8
    {790, 791},    // money
    {829, 1040},   // macaddr
    {869, 1041},   // inet
    {1033, 1034},  // aclitem
    {1042, 1014},  // bpchar
    {1043, 1015},  // varchar
    {1082, 1182},  // date
    {1083, 1183},  // time
    {1186, 1187},  // interval
    {1266, 1270},  // timetz
    {1560, 1561},  // bit
    {1562, 1563},  // varbit
    {1790, 2201},  // refcursor
    {2202, 2207},  // regprocedure
    {2203, 2208},  // regoper
    {2204, 2209},  // regoperator
    {2205, 2210},  // regclass
    {2206, 2211},  // regtype
    {2950, 2951},  // uuid
    {2970, 2949},  // txid_snapshot
    {3220, 3221},  // pg_lsn
    {3614, 3643},  // tsvector
    {3615, 3645},  // tsquery
    {3734, 3735},  // regconfig
    {3769, 3770},  // regdictionary
    {3904, 3905},  // int4range
    {3906, 3907},  // numrange
    {3908, 3909},  // tsrange
    {3910, 3911},  // tstzrange
    {3912, 3913},  // daterange
    {3926, 3927},  // int8range
    {4072, 4073},  // jsonpath
    {4089, 4090},  // regnamespace
    {4096, 4097},  // regrole
    {4191, 4192},  // regcollation
    {4451, 6150},  // int4multirange
    {4532, 6151},  // nummultirange
    {4533, 6152},  // tsmultirange
    {4534, 6153},  // tstzmultirange
    {4535, 6155},  // datemultirange
    {4536, 6157},  // int8multirange
    {5038, 5039},  // pg_snapshot
    {5069, 271},   // xid8
});

constexpr std::uint32_t int2 = 21;
constexpr std::uint32_t oid_type = 26;

JsonForm int8_form(JsonPolicy::Numbers numbers) {
    switch (numbers) {
        case JsonPolicy::Numbers::exact: return JsonForm::exact_integer;
        case JsonPolicy::Numbers::strings: return JsonForm::string;
        case JsonPolicy::Numbers::numbers: return JsonForm::number;
    }
    return JsonForm::string;
}

JsonForm numeric_form(JsonPolicy::Numbers numbers) {
    switch (numbers) {
        case JsonPolicy::Numbers::exact: return JsonForm::exact_numeric;
        case JsonPolicy::Numbers::strings: return JsonForm::string;
        case JsonPolicy::Numbers::numbers: return JsonForm::floating;
    }
    return JsonForm::string;
}

JsonForm bytea_form(JsonPolicy::Bytes bytes) {
    return bytes == JsonPolicy::Bytes::base64 ? JsonForm::base64 : JsonForm::string;
}

JsonType plain(JsonForm form) {
    return {.form = form};
}

JsonType sequence(JsonForm form, const JsonType& element, char delimiter = ',') {
    return {.form = form, .element = &element, .delimiter = delimiter};
}

}  // namespace

JsonTypes::JsonTypes(JsonPolicy policy) {
    for (auto [oid, array_oid] : string_types)
        add_built_in(oid, array_oid, plain(JsonForm::string));
    add_built_in(603, 1020, plain(JsonForm::string), ';');  // box
    add_built_in(16, 1000, plain(JsonForm::boolean));
    add_built_in(17, 1001, plain(bytea_form(policy.bytes)));
    add_built_in(20, 1016, plain(int8_form(policy.numbers)));
    add_built_in(int2, 1005, plain(JsonForm::number));
    add_built_in(23, 1007, plain(JsonForm::number));  // int4
    add_built_in(114, 199, plain(JsonForm::json));
    add_built_in(700, 1021, plain(JsonForm::floating));  // float4
    add_built_in(701, 1022, plain(JsonForm::floating));  // float8
    add_built_in(1114, 1115, plain(JsonForm::timestamp));
    add_built_in(1184, 1185, plain(JsonForm::timestamptz));
    add_built_in(1700, 1231, plain(numeric_form(policy.numbers)));
    add_built_in(3802, 3807, plain(JsonForm::json));                               // jsonb
    add_built_in(22, 1006, sequence(JsonForm::vector, slot(int2).type, ' '));      // int2vector
    add_built_in(30, 1013, sequence(JsonForm::vector, slot(oid_type).type, ' '));  // oidvector
}

void JsonTypes::add_built_in(std::uint32_t oid, std::uint32_t array_oid, const JsonType& type,
                             char delimiter) {
    auto& element = slot(oid);
    element.type = type;
    element.type.oid = oid;
    element.origin = Slot::Origin::built_in;
    auto& array = slot(array_oid);
    array.type = sequence(JsonForm::array, element.type, delimiter);
    array.type.oid = array_oid;
    array.origin = Slot::Origin::built_in;
}

bool JsonTypes::knows(std::uint32_t oid) const {
    auto found = slots_.find(oid);
    return found != slots_.end() && found->second->origin != Slot::Origin::referred_to;
}

const JsonType& JsonTypes::of(std::uint32_t oid) const {
    static const JsonType unknown;
    auto found = slots_.find(oid);
    return found != slots_.end() ? found->second->type : unknown;
}

void JsonTypes::add(const std::vector<TypeDescription>& types) {
    for (const auto& description : types) {
        auto& added = slot(description.oid);
        if (added.origin == Slot::Origin::built_in) continue;
        added.type = type_of(description);
        added.type.oid = description.oid;
        added.type.is_enum = description.kind == TypeDescription::Kind::enumeration;
        added.origin = Slot::Origin::added;
        auto is_domain = description.kind == TypeDescription::Kind::domain;
        added.base = is_domain ? &slot(description.of) : nullptr;
    }
    resolve_domains();
}

JsonType JsonTypes::type_of(const TypeDescription& description) {
    switch (description.kind) {
        case TypeDescription::Kind::base:
        case TypeDescription::Kind::enumeration:
        case TypeDescription::Kind::domain: return plain(JsonForm::string);
        case TypeDescription::Kind::hstore: return plain(JsonForm::hstore);
        case TypeDescription::Kind::array:
            return sequence(JsonForm::array, slot(description.of).type, description.delimiter);
        case TypeDescription::Kind::composite: break;
    }
    auto type = plain(JsonForm::composite);
    for (const auto& field : description.fields) {
        std::string key;
        append_json_string(key, field.name);
        type.fields.push_back({.key = key + ':', .type = &slot(field.type_oid).type});
    }
    return type;
}

// A domain may have been added before its base, or its base added again.
void JsonTypes::resolve_domains() {
    constexpr auto steps_max = 100;  // Only domains in a ring need more.
    for (auto& [oid, domain] : slots_) {
        if (domain->base == nullptr) continue;
        const auto* base = domain->base;
        for (auto steps = 0; base->base != nullptr && steps < steps_max; ++steps) base = base->base;
        domain->type = base->base == nullptr ? base->type : plain(JsonForm::string);
    }
}

JsonTypes::Slot& JsonTypes::slot(std::uint32_t oid) {
    auto& found = slots_[oid];
    if (!found) found = std::make_unique<Slot>();
    return *found;
}

}  // namespace walcast
