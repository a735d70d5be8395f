#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>

namespace walcast {

// Whether `text` is one JSON value in UTF-8. Numbers may be of any length, which simdjson would
// refuse to hold.
class JsonCheck {
public:
    bool operator()(std::string_view text) {
        simdjson::padded_string padded(text);
        try {
            simdjson::ondemand::document document = parser_.iterate(padded);
            if (document.is_scalar()) return is_scalar(text);
            simdjson::ondemand::value value = document.get_value();
            return is_value(value) &&
                   document.current_location().error() == simdjson::OUT_OF_BOUNDS;
        } catch (const simdjson::simdjson_error&) {
            return false;
        }
    }

private:
    // A document that is a scalar is read as another type: this makes it an element.
    bool is_scalar(std::string_view text) {
        simdjson::padded_string padded('[' + std::string(text) + ']');
        simdjson::ondemand::parser parser;
        simdjson::ondemand::document document = parser.iterate(padded);
        std::size_t count = 0;
        auto is_good = true;
        for (auto element : document.get_array()) {
            is_good = is_good && is_value(element.value());
            ++count;
        }
        return is_good && count == 1 &&
               document.current_location().error() == simdjson::OUT_OF_BOUNDS;
    }

    // Embedded documents nest as deeply as they like; this stack does not.
    static bool is_value(simdjson::ondemand::value value, int depth = 0) {
        constexpr auto depth_max = 100;
        using simdjson::ondemand::json_type;
        if (depth == depth_max) return true;
        switch (value.type().value()) {
            case json_type::object:
                for (auto field : value.get_object()) {
                    std::string_view key = field.unescaped_key();
                    (void)key;
                    if (!is_value(field.value(), depth + 1)) return false;
                }
                return true;
            case json_type::array:
                for (auto element : value.get_array())
                    if (!is_value(element.value(), depth + 1)) return false;
                return true;
            case json_type::string: return value.get_string().error() == simdjson::SUCCESS;
            case json_type::boolean: return value.get_bool().error() == simdjson::SUCCESS;
            case json_type::null: return value.is_null();
            case json_type::number: return is_number(value.raw_json_token());
        }
        return false;
    }

    static bool is_number(std::string_view text) {
        text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
        auto skip = [&](std::string_view any) {
            auto is_there = !text.empty() && any.find(text.front()) != std::string_view::npos;
            if (is_there) text.remove_prefix(1);
            return is_there;
        };
        auto digits = [&] {
            auto has_some = false;
            while (skip("0123456789")) has_some = true;
            return has_some;
        };
        skip("-");
        if (!skip("0") && !digits()) return false;
        if (skip(".") && !digits()) return false;
        if (skip("eE")) {
            skip("+-");
            if (!digits()) return false;
        }
        return text.empty();
    }

    simdjson::ondemand::parser parser_;
};

inline bool is_utf8(std::string_view text) {
    return simdjson::validate_utf8(text.data(), text.size());
}

}  // namespace walcast
