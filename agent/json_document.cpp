#include "agent/json_document.hpp"

#include "agent/json_members.hpp"
#include "decoders/json_string.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

namespace walcast {

using simdjson::ondemand::json_type;

static std::string_view text_of(simdjson::ondemand::value value) {
    switch (value.type()) {
        case json_type::object: return value.get_object().value().raw_json();
        case json_type::array: return value.get_array().value().raw_json();
        default: break;
    }
    auto text = value.raw_json_token();
    return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
}

static std::string compact(std::string_view text) {
    std::string out(text.size(), '\0');
    std::size_t size = 0;
    if (simdjson::minify(text.data(), text.size(), out.data(), size) != simdjson::SUCCESS)
        throw ValueError("not JSON");
    out.resize(size);
    return out;
}

// Whether JSON has a number of this form.
static bool is_number(std::string_view text) {
    auto take = [&](std::string_view any_of) {
        auto is_there = !text.empty() && any_of.find(text[0]) != std::string_view::npos;
        if (is_there) text.remove_prefix(1);
        return is_there;
    };
    auto take_digits = [&] {
        auto is_any = take("0123456789");
        while (take("0123456789")) continue;
        return is_any;
    };
    take("-");
    if (!take("0") && !take_digits()) return false;
    if (take(".") && !take_digits()) return false;
    if (!take("eE")) return text.empty();
    take("+-");
    return take_digits() && text.empty();
}

// The same with each number zero: JSON has numbers of any size, the parser none beyond 64 bits.
static std::string without_numbers(std::string_view text) {
    std::string out(text);
    for (std::size_t at = 0; at < out.size(); ++at) {
        if (out[at] == '"') {
            for (++at; at < out.size() && out[at] != '"'; ++at)
                if (out[at] == '\\') ++at;
            continue;
        }
        auto begins = out[at] == '-' || (out[at] >= '0' && out[at] <= '9');
        if (!begins) continue;
        auto end = std::min(text.find_first_not_of("0123456789+-.eE", at), text.size());
        if (is_number(text.substr(at, end - at))) {
            out.replace(at, end - at, end - at, ' ');
            out[at] = '0';
        }
        at = end - 1;
    }
    return out;
}

void for_each_checked_member(std::string_view text,
                             const std::function<void(const JsonMember& member)>& see) {
    // All of it is looked at first: the second parser, which shows the text of a value, passes over
    // what it is not asked about.
    simdjson::dom::parser checking;
    simdjson::padded_string padded(text);
    simdjson::dom::element whole;
    auto error = checking.parse(padded).get(whole);
    if (error == simdjson::NUMBER_ERROR)
        error = checking.parse(simdjson::padded_string(without_numbers(text))).get(whole);
    if (error != simdjson::SUCCESS)
        throw ValueError(fmt::format("not JSON: {}", simdjson::error_message(error)));
    simdjson::dom::object object;
    if (whole.get(object) != simdjson::SUCCESS) throw ValueError("not a JSON object");

    simdjson::ondemand::parser showing;
    auto document = showing.iterate(padded);
    std::set<std::string> names;
    auto checked = object.begin();
    for_each_member(document.get_object().value(), [&](std::string_view name, auto value) {
        if (!names.emplace(name).second)
            throw ValueError(fmt::format("\"{}\" stands there twice", name));
        auto shown = compact(text_of(value));
        see({.name = name, .value = checked.value(), .text = shown});
        ++checked;
        return true;
    });
}

}  // namespace walcast
