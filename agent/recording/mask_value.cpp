#include "agent/recording/mask_value.hpp"

#include "agent/recording/mask_json.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace walcast {

enum class ValueMasker::Kind : std::uint8_t {
    boolean,
    text,
    words,
    integer,
    number,
    numbers,
    tid,
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
            while (is_null(element)) element = forms_.text(element);
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
        append_quoted(out, forms_.text(read_quoted(text, at)), '\\');
    }
    return out;
}

std::string ValueMasker::mask_content(std::string_view content, bool has_our_names) const {
    auto is_json = content.starts_with('{') || content.starts_with('[');
    try {
        if (is_json)
            return mask_json(forms_, content,
                             has_our_names ? OutermostNames::kept : OutermostNames::masked);
    } catch (const OtherForm&) {
        // Then it is text.
    }
    return forms_.text(content);
}

// --- types ---

// What is not here is words: enums, regclass, tsvector, xml and the like, and types of extensions.
ValueMasker::Kind ValueMasker::kind_of(std::uint32_t type_oid) const {
    switch (type_oid) {
        case 16: return Kind::boolean;
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
        case 27: return Kind::tid;
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
ValueMasker::ValueMasker(HashKey key) : forms_(Permutation(key)) {
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
    if (depth == depth_max) return forms_.words(text);
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
            case TypeDescription::Kind::enumeration:
            case TypeDescription::Kind::base: break;
        }
    } catch (const OtherForm&) {
        // Then it is words.
    }
    return forms_.words(text);
}

std::string ValueMasker::mask_kind(Kind kind, std::uint32_t type_oid, std::string_view text) const {
    switch (kind) {
        case Kind::boolean: expect_only("tf", text); return std::string(text);
        case Kind::text: return forms_.text(text);
        case Kind::words: return forms_.words(text);
        case Kind::integer: return forms_.integer(text);
        case Kind::number: return forms_.number(text);
        case Kind::numbers: return forms_.numbers(text);
        case Kind::tid: return forms_.tid(text);
        case Kind::digits: expect_only("0123456789$,.-()", text); return forms_.digits(text);
        case Kind::hex:
            return text.starts_with("\\x") ? "\\x" + forms_.hex(text.substr(2)) : forms_.hex(text);
        case Kind::uuid: return forms_.uuid(text);
        case Kind::bits: return forms_.bits(text);
        case Kind::date: return forms_.date(text);
        case Kind::time: return forms_.time(text);
        case Kind::timestamp: return forms_.timestamp(text);
        case Kind::interval: return forms_.interval(text);
        case Kind::address: return forms_.address(text, false);
        case Kind::network: return forms_.address(text, true);
        case Kind::json: return mask_json(forms_, text, OutermostNames::masked);
        case Kind::range: return range(bound_type(type_oid), text);
        case Kind::multirange: return multirange(bound_type(type_oid), text);
    }
    return forms_.words(text);
}

}  // namespace walcast
