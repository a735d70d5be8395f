#include "decoders/row_json.hpp"

#include "decoders/byte_reader.hpp"

#include <fmt/format.h>

#include <cstring>

namespace walcast {

JsonForm json_form(std::uint32_t type_oid) {
    switch (type_oid) {
        case 16: return JsonForm::boolean;
        case 20:
        case 21:
        case 23:
        case 26:
        case 28:
        case 29:
        case 5069: return JsonForm::integer;  // int8 int2 int4 oid xid cid xid8
        case 700:
        case 701: return JsonForm::floating;
        case 1700: return JsonForm::numeric;
        case 1114: return JsonForm::timestamp;
        case 1184: return JsonForm::timestamptz;
        case 114:
        case 3802: return JsonForm::json;
        default: return JsonForm::string;
    }
}

static void append_escape(std::string& out, char character) {
    switch (character) {
        case '"': out += "\\\""; return;
        case '\\': out += "\\\\"; return;
        case '\n': out += "\\n"; return;
        case '\r': out += "\\r"; return;
        case '\t': out += "\\t"; return;
        case '\b': out += "\\b"; return;
        case '\f': out += "\\f"; return;
        default: fmt::format_to(std::back_inserter(out), "\\u{:04x}", character); return;
    }
}

static bool needs_escape(char character) {
    return static_cast<unsigned char>(character) < 0x20 || character == '"' || character == '\\';
}

// Eight bytes at once: is any of them a control character, a quote or a backslash?
static bool any_needs_escape(const char* eight) {
    constexpr auto ones = 0x0101010101010101U;
    constexpr auto tops = 0x8080808080808080U;
    std::uint64_t word = 0;
    std::memcpy(&word, eight, 8);
    auto quotes = word ^ (ones * '"');
    auto backslashes = word ^ (ones * '\\');
    auto found = ((word - ones * 0x20U) & ~word) | ((quotes - ones) & ~quotes) |
                 ((backslashes - ones) & ~backslashes);
    return (found & tops) != 0;
}

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    const auto* at = text.data();
    const auto* end = at + text.size();
    const auto* run = at;  // What needs no escape is copied in one go.
    while (at != end) {
        if (end - at >= 8 && !any_needs_escape(at)) {
            at += 8;
        } else if (needs_escape(*at)) {
            out.append(run, at);
            append_escape(out, *at);
            run = ++at;
        } else {
            ++at;
        }
    }
    out.append(run, end);
    out += '"';
}

static void append_integer(std::string& out, std::string_view text) {
    constexpr std::string_view largest = "9007199254740991";
    auto digits = text.starts_with('-') ? text.substr(1) : text;
    auto is_exact =
        digits.size() < largest.size() || (digits.size() == largest.size() && digits <= largest);
    if (is_exact)
        out += text;
    else
        append_json_string(out, text);
}

static void append_numeric(std::string& out, std::string_view text) {
    constexpr std::size_t digits_max = 15;
    std::size_t digits = 0;
    for (auto character : text) {
        if (character >= '1' && character <= '9')
            ++digits;
        else if (character == '0')
            digits += digits > 0 ? 1 : 0;
        else if (character != '.' && character != '-')
            digits = digits_max + 1;  // NaN, Infinity
    }
    if (digits <= digits_max)
        out += text;
    else
        append_json_string(out, text);
}

static void append_floating(std::string& out, std::string_view text) {
    auto last = text.empty() ? 'N' : text.back();  // NaN and Infinity end in letters.
    if (last >= '0' && last <= '9')
        out += text;
    else
        append_json_string(out, text);
}

// `2024-01-02 03:04:05.12`, with `+00` at its end when it has a zone. Infinite and BC dates, and
// years beyond 9999, have no such form and stay as they are.
static void append_timestamp(std::string& out, std::string_view text, bool has_zone) {
    auto space = text.find(' ');
    auto clock = space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);
    auto is_iso = space == std::string_view("2024-01-02").size() && clock.size() >= 8 &&
                  clock.find(' ') == std::string_view::npos &&
                  (!has_zone || clock.ends_with("+00"));
    if (!is_iso) return append_json_string(out, text);
    if (has_zone) clock.remove_suffix(3);
    out += '"';
    out += text.substr(0, space);
    out += 'T';
    out += clock;
    out += has_zone ? "Z\"" : "\"";
}

void append_json_value(std::string& out, JsonForm form, std::string_view text) {
    switch (form) {
        case JsonForm::string: return append_json_string(out, text);
        case JsonForm::integer: return append_integer(out, text);
        case JsonForm::numeric: return append_numeric(out, text);
        case JsonForm::floating: return append_floating(out, text);
        case JsonForm::boolean: out += text == "t" ? "true" : "false"; return;
        case JsonForm::timestamp: return append_timestamp(out, text, false);
        case JsonForm::timestamptz: return append_timestamp(out, text, true);
        case JsonForm::json: out += text; return;
    }
}

RowJson::RowJson(const Relation& relation) {
    for (std::size_t i = 0; i < relation.columns.size(); ++i) {
        Column column{.index = i, .key = {}, .form = json_form(relation.columns[i].type_oid)};
        append_json_string(column.key, relation.columns[i].name);
        column.key += ':';
        columns.push_back(std::move(column));
    }
}

RowGaps append_row(std::string& out, const RowJson& row, const Tuple& tuple,
                   std::size_t value_bytes_max) {
    RowGaps gaps;
    out += '{';
    auto is_first = true;
    for (const auto& column : row.columns) {
        const auto& value = tuple[column.index];
        if (value.kind == Value::Kind::unchanged) {
            gaps.has_unchanged = true;
            continue;
        }
        if (value.text.size() > value_bytes_max) {
            gaps.has_omitted = true;
            continue;
        }
        if (!is_first) out += ',';
        is_first = false;
        out += column.key;
        if (value.kind == Value::Kind::text)
            append_json_value(out, column.form, value.text);
        else if (value.kind == Value::Kind::null)
            out += "null";
        else
            throw DecodeError(
                fmt::format("column {} came as binary, which was not asked for", column.key));
    }
    out += '}';
    return gaps;
}

template <typename IsListed>
static void append_keys(std::string& out, const RowJson& row, const Tuple& tuple,
                        IsListed is_listed) {
    out += '[';
    auto is_first = true;
    for (const auto& column : row.columns) {
        if (!is_listed(tuple[column.index])) continue;
        if (!is_first) out += ',';
        is_first = false;
        out.append(column.key, 0, column.key.size() - 1);  // Without its colon.
    }
    out += ']';
}

void append_unchanged_keys(std::string& out, const RowJson& row, const Tuple& tuple) {
    append_keys(out, row, tuple,
                [](const Value& value) { return value.kind == Value::Kind::unchanged; });
}

void append_omitted_keys(std::string& out, const RowJson& row, const Tuple& tuple,
                         std::size_t value_bytes_max) {
    append_keys(out, row, tuple,
                [=](const Value& value) { return value.text.size() > value_bytes_max; });
}

}  // namespace walcast
