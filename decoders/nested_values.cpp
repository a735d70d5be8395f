#include "decoders/nested_values.hpp"

#include "decoders/json_string.hpp"
#include "decoders/text_scanner.hpp"

#include <simdjson.h>

#include <algorithm>

namespace walcast {

namespace ondemand = simdjson::ondemand;

struct NestedValues::Parser {
    ondemand::parser parser;
    std::string padded;

    bool read(NestedValues& found, ondemand::value value, std::span<const std::string> keys);
    bool read_scalar(NestedValues& found, ondemand::value value);
};

NestedValues::NestedValues() = default;
NestedValues::~NestedValues() = default;
NestedValues::NestedValues(NestedValues&&) noexcept = default;

void NestedValues::clear() {
    bytes_.clear();
    slices_.clear();
}

void NestedValues::add(std::string_view text) {
    slices_.push_back({bytes_.size(), text.size()});
    bytes_ += text;
}

// What is there a million times would otherwise be looked at as often.
void NestedValues::keep_each_once() {
    auto text = [&](const Slice& slice) {
        return std::string_view(bytes_).substr(slice.begin, slice.size);
    };
    std::sort(slices_.begin(), slices_.end(),
              [&](const Slice& a, const Slice& b) { return text(a) < text(b); });
    auto end = std::unique(slices_.begin(), slices_.end(),
                           [&](const Slice& a, const Slice& b) { return text(a) == text(b); });
    slices_.erase(end, slices_.end());
}

void NestedValues::read_array(const JsonType& array, std::string_view text) {
    clear();
    if (text.starts_with('[')) text.remove_prefix(std::min(text.find('=') + 1, text.size()));
    TextScanner in(text, "array");
    auto depth = 0;
    do {
        if (in.skip('{')) {
            ++depth;
        } else if (in.skip('}')) {
            --depth;
        } else if (in.skip(array.delimiter)) {
            // The next element follows.
        } else if (in.skip('"')) {
            add(in.quoted(TextScanner::Quotes::by_backslash, scratch_));
        } else {
            auto element = in.bare(array.delimiter, '{', '}');
            if (element != "NULL") add(element);
        }
    } while (depth > 0);
    in.expect_end();
    keep_each_once();
}

// --- JSON ---

static std::string_view token_of(ondemand::value& value) {
    std::string_view token = value.raw_json_token();
    return token.substr(0, token.find_last_not_of(" \t\r\n") + 1);
}

// False when the document is broken. Half of a surrogate pair, which json has and no text can hold,
// is taken as it is written.
bool NestedValues::Parser::read_scalar(NestedValues& found, ondemand::value value) {
    auto token = token_of(value);
    if (token == "null") return true;
    std::string_view text;
    if (!token.starts_with('"'))
        found.add(token);
    else if (value.get_string().get(text) == simdjson::SUCCESS)
        found.add(text);
    else
        found.add(token.substr(1, token.size() - 2));
    return true;
}

bool NestedValues::Parser::read(NestedValues& found, ondemand::value value,
                                std::span<const std::string> keys) {
    ondemand::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS) return false;
    if (!keys.empty()) {
        ondemand::object object;
        if (type != ondemand::json_type::object) return true;
        if (value.get_object().get(object) != simdjson::SUCCESS) return false;
        for (auto member : object) {
            std::string_view key;
            ondemand::value inner;
            if (member.error() != simdjson::SUCCESS) return false;
            auto is_named = member.unescaped_key().get(key) == simdjson::SUCCESS && key == keys[0];
            if (!is_named) continue;
            found.clear();
            if (member.value().get(inner) != simdjson::SUCCESS) return false;
            if (!read(found, inner, keys.subspan(1))) return false;
        }
        return true;
    }
    if (type == ondemand::json_type::object) return true;
    if (type != ondemand::json_type::array) return read_scalar(found, value);
    ondemand::array array;
    if (value.get_array().get(array) != simdjson::SUCCESS) return false;
    for (auto item : array) {
        ondemand::value element;
        if (item.get(element) != simdjson::SUCCESS) return false;
        if (element.type().get(type) != simdjson::SUCCESS) return false;
        auto is_scalar = type != ondemand::json_type::object && type != ondemand::json_type::array;
        if (is_scalar && !read_scalar(found, element)) return false;
    }
    return true;
}

void NestedValues::read_json(std::string_view document, std::span<const std::string> keys) {
    // Given back once documents are small again.
    constexpr auto kept_bytes_max = std::size_t{1} << 20U;
    clear();
    if (!parser_ ||
        (parser_->padded.capacity() > kept_bytes_max && document.size() <= kept_bytes_max / 2))
        parser_ = std::make_unique<Parser>();
    auto& padded = parser_->padded;
    padded.assign(document);
    padded.append(simdjson::SIMDJSON_PADDING, '\0');
    ondemand::document parsed;
    ondemand::value root;
    auto error = parser_->parser.iterate(padded.data(), document.size(), padded.size()).get(parsed);
    auto first = document.find_first_not_of(" \t\r\n");
    // A document that is a scalar has no keys.
    if (first != document.npos && document[first] != '{' && document[first] != '[') return;
    auto is_read = error == simdjson::SUCCESS &&
                   parsed.get_value().get(root) == simdjson::SUCCESS &&
                   parser_->read(*this, root, keys);
    if (!is_read) throw ValueError("not a JSON document");
    keep_each_once();
}

}  // namespace walcast
