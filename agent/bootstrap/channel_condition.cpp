#include "agent/bootstrap/channel_condition.hpp"

#include "agent/pg_connection.hpp"
#include "agent/rules/channel_template.hpp"
#include "decoders/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>

namespace walcast {

using Part = TableRule::Part;
using Rows = ChannelCondition::Rows;

namespace {

constexpr std::uint32_t boolean = 16, name_type = 19, int8 = 20, int2 = 21, int4 = 23, text = 25,
                        bpchar = 1042, varchar = 1043, uuid = 2950;

// Stands in a value as %XX.
bool is_plain(char byte) {
    return !is_in_channel_values(byte) && byte != '%';
}

// The value whose text in a channel's name this is; nothing where no value's is.
std::optional<std::string> decode(std::string_view encoded) {
    std::string value;
    for (std::size_t i = 0; i < encoded.size(); ++i) {
        if (encoded[i] != '%') {
            value += encoded[i];
            continue;
        }
        unsigned byte = 0;
        auto digits = encoded.substr(i + 1, 2);
        auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
        if (error != std::errc{} || end != digits.data() + 2) return std::nullopt;
        value += static_cast<char>(byte);
        i += 2;
    }
    std::string again;
    append_channel_value(again, value);
    if (again != encoded) return std::nullopt;
    return value;
}

bool is_ascii(std::string_view value) {
    return std::none_of(value.begin(), value.end(),
                        [](char byte) { return static_cast<unsigned char>(byte) >= 0x80; });
}

template <typename Integer>
bool is_integer(std::string_view value) {
    Integer number = 0;
    auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    return error == std::errc{} && fmt::to_string(number) == value;
}

bool is_uuid(std::string_view value) {
    constexpr std::string_view form = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    auto fits = [](char byte, char wanted) {
        auto is_digit = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
        return wanted == 'x' ? is_digit : byte == wanted;
    };
    return std::equal(value.begin(), value.end(), form.begin(), form.end(), fits);
}

// The rows whose column prints this. Types whose text is not their value's only one, as it were of
// other settings, are left to the router.
ChannelCondition with_value(const Column& column, const std::string& value, bool is_utf8) {
    auto is_possible = true;
    switch (column.type_oid) {
        case int2: is_possible = is_integer<std::int16_t>(value); break;
        case int4: is_possible = is_integer<std::int32_t>(value); break;
        case int8: is_possible = is_integer<std::int64_t>(value); break;
        case uuid: is_possible = is_uuid(value); break;
        case boolean: is_possible = value == "t" || value == "f"; break;
        case text:
        case varchar:
        case bpchar:
        case name_type:
            is_possible = value.find('\0') == std::string::npos && walcast::is_utf8(value);
            if (is_possible && !is_utf8 && !is_ascii(value)) return {Rows::any, {}};
            break;
        default: return {Rows::any, {}};
    }
    if (!is_possible) return {Rows::none, {}};
    return {Rows::some,
            fmt::format("r.{} = {}", quote_identifier(column.name), quote_literal(value))};
}

// The conditions of a template's columns.
class Matching {
public:
    Matching(const std::vector<Part>& parts, const Relation& relation, bool is_utf8)
        : parts_(parts), relation_(relation), is_utf8_(is_utf8) {}

    ChannelCondition match(std::string_view name);

private:
    std::optional<std::size_t> end_of_value(std::string_view rest, std::size_t part);
    bool add(const Part& part, std::string_view encoded);

    const std::vector<Part>& parts_;
    const Relation& relation_;
    bool is_utf8_;
    std::string sql_;
    bool is_certain_ = true;
};

// Values hold no plain characters: the first one is of the text after the value. Where that has
// none, nobody need know where the value ends.
std::optional<std::size_t> Matching::end_of_value(std::string_view rest, std::size_t part) {
    auto found =
        static_cast<std::size_t>(std::find_if(rest.begin(), rest.end(), is_plain) - rest.begin());
    if (part + 1 == parts_.size()) {
        if (found == rest.size()) return found;
        return std::nullopt;
    }
    const auto& after = parts_[part + 1].text;
    auto before_plain = static_cast<std::size_t>(
        std::find_if(after.begin(), after.end(), is_plain) - after.begin());
    is_certain_ = before_plain < after.size();
    if (!is_certain_ || found == rest.size() || found < before_plain) return std::nullopt;
    return found - before_plain;
}

// False where no row has it.
bool Matching::add(const Part& part, std::string_view encoded) {
    auto value = decode(encoded);
    if (!value) return false;
    if (part.kind != Part::Kind::column) return true;
    auto condition = with_value(relation_.columns[part.index], *value, is_utf8_);
    if (condition.rows == Rows::some)
        sql_ += fmt::format("{}{}", sql_.empty() ? "" : " AND ", condition.sql);
    return condition.rows != Rows::none;
}

ChannelCondition Matching::match(std::string_view name) {
    sql_.clear();
    for (std::size_t i = 0; i < parts_.size(); ++i) {
        const auto& part = parts_[i];
        if (part.kind == Part::Kind::literal) {
            if (!name.starts_with(part.text)) return {};
            name.remove_prefix(part.text.size());
            continue;
        }
        auto end = end_of_value(name, i);
        if (!is_certain_) return {sql_.empty() ? Rows::any : Rows::some, sql_};
        if (!end || !add(part, name.substr(0, *end))) return {};
        name.remove_prefix(*end);
    }
    if (!name.empty()) return {};
    return {sql_.empty() ? Rows::any : Rows::some, sql_};
}

}  // namespace

ChannelCondition condition_of(const TableRule& rule, const Relation& relation,
                              const std::vector<std::string>& channels, bool is_utf8) {
    ChannelCondition all;
    for (const auto& parts : rule.channels) {
        for (const auto& channel : channels) {
            auto one = Matching(parts, relation, is_utf8).match(channel);
            if (one.rows == Rows::any) return one;
            if (one.rows == Rows::none) continue;
            all.rows = Rows::some;
            all.sql += fmt::format("{}({})", all.sql.empty() ? "" : " OR ", one.sql);
        }
    }
    return all;
}

}  // namespace walcast
