#include "decoders/value_writer.hpp"

#include "decoders/text_scanner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstdint>

namespace walcast {

namespace {

[[noreturn]] void fail(std::string_view what, std::string_view text) {
    throw ValueError(fmt::format("not {}: {}", what, excerpt(text)));
}

bool is_digit(char character) {
    return character >= '0' && character <= '9';
}

// As many as there are, taken off the front; how many.
std::size_t take_digits(std::string_view& text) {
    std::size_t count = 0;
    while (count < text.size() && is_digit(text[count])) ++count;
    text.remove_prefix(count);
    return count;
}

// -?(0|[1-9][0-9]*)(\.[0-9]+)?(e[+-]?[0-9]+)?
bool is_json_number(std::string_view text) {
    if (text.starts_with('-')) text.remove_prefix(1);
    auto has_leading_zero = text.starts_with('0');
    auto count = take_digits(text);
    if (count == 0 || (has_leading_zero && count > 1)) return false;
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        if (take_digits(text) == 0) return false;
    }
    if (text.starts_with('e')) {
        text.remove_prefix(1);
        if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
        if (take_digits(text) == 0) return false;
    }
    return text.empty();
}

void append_number(std::string& out, std::string_view text) {
    if (!is_json_number(text)) fail("a number", text);
    out += text;
}

bool is_exact_integer(std::string_view text) {
    constexpr std::string_view largest = "9007199254740991";  // 2^53 - 1
    auto digits = text.starts_with('-') ? text.substr(1) : text;
    return digits.size() < largest.size() || (digits.size() == largest.size() && digits <= largest);
}

bool is_exact_numeric(std::string_view text) {
    constexpr std::size_t digits_max = 15;
    constexpr std::size_t size_max = 300;  // Those of a double end near 1e-308.
    std::size_t digits = 0;
    for (auto character : text) {
        if (character >= '1' && character <= '9')
            ++digits;
        else if (character == '0')
            digits += digits > 0 ? 1 : 0;
    }
    return digits <= digits_max && text.size() <= size_max;
}

void append_exact(std::string& out, std::string_view text, bool is_exact) {
    if (!is_exact) out += '"';
    append_number(out, text);
    if (!is_exact) out += '"';
}

bool is_special(std::string_view text) {
    return text == "NaN" || text == "Infinity" || text == "-Infinity";
}

void append_floating(std::string& out, std::string_view text) {
    if (is_special(text)) return append_json_string(out, text);
    append_number(out, text);
}

void append_boolean(std::string& out, std::string_view text) {
    if (text != "t" && text != "f") fail("a boolean", text);
    out += text == "t" ? "true" : "false";
}

// A 0 in `shape` stands for a digit.
bool has_shape(std::string_view text, std::string_view shape) {
    if (text.size() != shape.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i)
        if (shape[i] == '0' ? !is_digit(text[i]) : text[i] != shape[i]) return false;
    return true;
}

// Years have four digits or more.
bool is_date(std::string_view text) {
    return take_digits(text) >= 4 && has_shape(text, "-00-00");
}

bool is_time(std::string_view text) {
    constexpr std::string_view shape = "00:00:00";
    if (!has_shape(text.substr(0, shape.size()), shape)) return false;
    text.remove_prefix(shape.size());
    if (text.empty()) return true;
    if (!text.starts_with('.')) return false;
    text.remove_prefix(1);
    return take_digits(text) > 0 && text.empty();
}

// `2024-01-02 03:04:05.12`, with `+00` behind it when it has a zone, and ` BC` at the end of years
// before 1. Anything else, such as an infinity, stays as it is.
void append_timestamp(std::string& out, std::string_view text, bool has_zone) {
    constexpr std::string_view era = " BC";
    constexpr std::string_view utc = "+00";
    auto rest = text;
    auto is_bc = rest.ends_with(era);
    if (is_bc) rest.remove_suffix(era.size());
    if (has_zone && !rest.ends_with(utc)) return append_json_string(out, text);
    if (has_zone) rest.remove_suffix(utc.size());
    auto space = rest.find(' ');
    auto is_iso = space != std::string_view::npos && is_date(rest.substr(0, space)) &&
                  is_time(rest.substr(space + 1));
    if (!is_iso) return append_json_string(out, text);
    out += '"';
    out += rest.substr(0, space);
    out += 'T';
    out += rest.substr(space + 1);
    if (has_zone) out += 'Z';
    if (is_bc) out += era;
    out += '"';
}

// The value of a hexadecimal digit; 16 and more for what is none.
constexpr std::array<std::uint8_t, 256> nibbles = [] {
    std::array<std::uint8_t, 256> table{};
    table.fill(0xFF);
    for (std::uint8_t i = 0; i < 10; ++i) table[std::size_t{'0'} + i] = i;
    for (std::uint8_t i = 0; i < 6; ++i) {
        table[std::size_t{'a'} + i] = static_cast<std::uint8_t>(10 + i);
        table[std::size_t{'A'} + i] = static_cast<std::uint8_t>(10 + i);
    }
    return table;
}();

std::uint32_t nibble(char digit) {
    return nibbles[static_cast<unsigned char>(digit)];
}

// Three bytes, so six digits, become four characters; `=` stands for each byte that is missing.
void append_base64(std::string& out, std::string_view text) {
    constexpr const char* alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!text.starts_with("\\x") || text.size() % 2 != 0) fail("a bytea in hexadecimal", text);
    auto hex = text.substr(2);
    auto start = out.size();
    out.resize(start + 2 + (hex.size() + 5) / 6 * 4);
    auto* to = out.data() + start;
    *to++ = '"';
    for (std::size_t i = 0; i < hex.size(); i += 6) {
        auto six = hex.substr(i, 6);
        std::uint32_t bits = 0;
        std::uint32_t all = 0;
        for (auto digit : six) {
            all |= nibble(digit);
            bits = bits << 4U | (nibble(digit) & 0xFU);
        }
        if (all > 0xF) fail("a bytea in hexadecimal", text);
        bits <<= 4 * (6 - six.size());
        *to++ = alphabet[bits >> 18U];
        *to++ = alphabet[bits >> 12U & 0x3FU];
        *to++ = six.size() > 2 ? alphabet[bits >> 6U & 0x3FU] : '=';
        *to++ = six.size() > 4 ? alphabet[bits & 0x3FU] : '=';
    }
    *to = '"';
}

// The catalog may be asked later than the row was written, when the type has other fields already.
std::size_t count_fields(std::string_view text) {
    TextScanner in(text, "composite");
    in.expect('(');
    std::size_t count = 0;
    do {
        if (in.skip('"'))
            in.skip_quoted(TextScanner::Quotes::doubled);
        else
            in.bare(',', '(', ')');
        ++count;
    } while (in.skip(','));
    in.expect(')');
    in.expect_end();
    return count;
}

}  // namespace

void ValueWriter::append_value(std::string& out, const JsonType& type, std::string_view text,
                               std::size_t depth) {
    if (depth == depth_max) throw ValueError(fmt::format("nested too deeply: {}", excerpt(text)));
    switch (type.form) {
        case JsonForm::string: return append_json_string(out, text);
        case JsonForm::number: return append_number(out, text);
        case JsonForm::exact_integer: return append_exact(out, text, is_exact_integer(text));
        case JsonForm::exact_numeric:
            if (is_special(text)) return append_json_string(out, text);
            return append_exact(out, text, is_exact_numeric(text));
        case JsonForm::floating: return append_floating(out, text);
        case JsonForm::boolean: return append_boolean(out, text);
        case JsonForm::timestamp: return append_timestamp(out, text, false);
        case JsonForm::timestamptz: return append_timestamp(out, text, true);
        case JsonForm::json: return append_json(out, text);
        case JsonForm::base64: return append_base64(out, text);
        case JsonForm::array: return append_array(out, type, text, depth);
        case JsonForm::vector: return append_vector(out, type, text, depth);
        case JsonForm::composite: return append_composite(out, type, text, depth);
        case JsonForm::hstore: return append_hstore(out, text, depth);
    }
}

void ValueWriter::append_array(std::string& out, const JsonType& type, std::string_view text,
                               std::size_t depth) {
    assert(type.element != nullptr);
    // `[2:3]={7,8}`: as a JSON array it would lose its bounds.
    if (text.starts_with('[')) return append_json_string(out, text);
    TextScanner in(text, "array");
    append_dimension(out, type, in, depth, 1);
    in.expect_end();
}

void ValueWriter::append_dimension(std::string& out, const JsonType& type, TextScanner& in,
                                   std::size_t depth, int dimension) {
    constexpr auto dimensions_max = 6;  // The server's own limit.
    if (dimension > dimensions_max) in.fail("more than six dimensions");
    in.expect('{');
    out += '[';
    if (!in.is_at('}')) {
        append_element(out, type, in, depth, dimension);
        while (in.skip(type.delimiter)) {
            out += ',';
            append_element(out, type, in, depth, dimension);
        }
    }
    in.expect('}');
    out += ']';
}

void ValueWriter::append_element(std::string& out, const JsonType& type, TextScanner& in,
                                 std::size_t depth, int dimension) {
    if (in.is_at('{')) return append_dimension(out, type, in, depth, dimension + 1);
    if (in.skip('"')) {
        auto text = in.quoted(TextScanner::Quotes::by_backslash, scratch_[depth]);
        return append_value(out, *type.element, text, depth + 1);
    }
    auto text = in.bare(type.delimiter, '{', '}');
    if (text.empty()) in.fail("an element that needs quotes");
    if (text == "NULL")
        out += "null";
    else
        append_value(out, *type.element, text, depth + 1);
}

// Like `1 2 3`, never with a null.
void ValueWriter::append_vector(std::string& out, const JsonType& type, std::string_view text,
                                std::size_t depth) {
    assert(type.element != nullptr);
    out += '[';
    for (auto rest = text; !rest.empty();) {
        auto element = rest.substr(0, rest.find(' '));
        if (element.size() + 1 == rest.size() || element.empty()) fail("a vector", text);
        append_value(out, *type.element, element, depth + 1);
        rest.remove_prefix(std::min(element.size() + 1, rest.size()));
        if (!rest.empty()) out += ',';
    }
    out += ']';
}

// Like `(1,,"","a""b")`, where what is not there is null.
void ValueWriter::append_composite(std::string& out, const JsonType& type, std::string_view text,
                                   std::size_t depth) {
    if (type.fields.empty() && text == "()") {
        out += "{}";
        return;
    }
    if (count_fields(text) != type.fields.size()) return append_json_string(out, text);
    TextScanner in(text, "composite");
    auto before = '(';
    for (const auto& field : type.fields) {
        in.expect(before);
        out += before == '(' ? '{' : ',';
        before = ',';
        out += field.key;
        if (in.skip('"')) {
            auto value = in.quoted(TextScanner::Quotes::doubled, scratch_[depth]);
            append_value(out, *field.type, value, depth + 1);
        } else if (auto value = in.bare(',', '(', ')'); !value.empty()) {
            append_value(out, *field.type, value, depth + 1);
        } else {
            out += "null";
        }
    }
    out += '}';
}

// Like `"a"=>"1", "b"=>NULL`.
void ValueWriter::append_hstore(std::string& out, std::string_view text, std::size_t depth) {
    constexpr auto quotes = TextScanner::Quotes::by_backslash;
    TextScanner in(text, "hstore");
    out += '{';
    for (auto is_first = true; !in.at_end(); is_first = false) {
        if (!is_first) {
            in.expect(", ");
            out += ',';
        }
        in.expect('"');
        append_json_string(out, in.quoted(quotes, scratch_[depth]));
        out += ':';
        in.expect("=>");
        if (in.skip('"')) {
            append_json_string(out, in.quoted(quotes, scratch_[depth]));
        } else {
            in.expect("NULL");
            out += "null";
        }
    }
    out += '}';
}

}  // namespace walcast
