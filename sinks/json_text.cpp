#include "sinks/json_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

namespace walcast {

void append_quoted(std::string& out, std::string_view text) {
    out += '"';
    for (auto character : text) {
        switch (character) {
            case '"': out += "\\\""; break;
            case '\\': out += "\\\\"; break;
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\t': out += "\\t"; break;
            default:
                if (static_cast<unsigned char>(character) < 0x20)
                    fmt::format_to(std::back_inserter(out), "\\u{:04x}", character);
                else
                    out += character;
        }
    }
    out += '"';
}

std::string_view bare(std::string_view json) {
    return json.starts_with('"') ? json.substr(1, json.size() - 2) : json;
}

std::string unquoted(std::string_view json) {
    constexpr std::string_view letters = "nrtbf";
    constexpr std::string_view meant = "\n\r\t\b\f";
    auto text = bare(json);
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            out += text[i];
            continue;
        }
        auto escaped = text[++i];
        auto letter = letters.find(escaped);
        if (escaped == 'u') {
            auto digits = text.substr(i + 1, 4);
            unsigned char byte = 0;
            std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
            out += static_cast<char>(byte);
            i += digits.size();
        } else {
            out += letter == std::string_view::npos ? escaped : meant[letter];
        }
    }
    return out;
}

static bool is_between(char character) {
    return std::string_view(" \t\r\n,:{").find(character) != std::string_view::npos;
}

// Where the string that begins at `at` ends, behind its quote.
static std::size_t end_of_string(std::string_view text, std::size_t at) {
    for (++at; at < text.size() && text[at] != '"'; ++at)
        if (text[at] == '\\') ++at;
    return std::min(at + 1, text.size());
}

static std::size_t end_of_value(std::string_view text, std::size_t at) {
    if (at < text.size() && text[at] == '"') return end_of_string(text, at);
    auto depth = 0;
    while (at < text.size()) {
        auto character = text[at];
        if (character == '"') {
            at = end_of_string(text, at);
            continue;
        }
        auto opens = character == '{' || character == '[';
        auto closes = character == '}' || character == ']';
        auto is_end = depth == 0 && (closes || is_between(character)) && !opens;
        if (is_end) break;
        if (opens) ++depth;
        if (closes) --depth;
        ++at;
        if (closes && depth == 0) break;
    }
    return at;
}

bool JsonMembers::next() {
    auto skip = [this] {
        while (at_ < text_.size() && is_between(text_[at_])) ++at_;
    };
    skip();
    if (at_ >= text_.size() || text_[at_] != '"') return false;
    auto begin = at_;
    at_ = end_of_string(text_, at_);
    name_ = bare(text_.substr(begin, at_ - begin));
    at_ = std::min(text_.find(':', at_), text_.size() - 1) + 1;
    while (at_ < text_.size() && text_[at_] != '{' && is_between(text_[at_])) ++at_;
    begin = at_;
    at_ = end_of_value(text_, at_);
    value_ = text_.substr(begin, at_ - begin);
    return true;
}

bool JsonElements::next() {
    constexpr std::string_view between = " \t\r\n,";
    if (at_ == 0) at_ = std::min(text_.find('['), text_.size() - 1) + 1;
    at_ = std::min(text_.find_first_not_of(between, at_), text_.size());
    auto begin = at_;
    at_ = end_of_value(text_, at_);
    value_ = text_.substr(begin, at_ - begin);
    return !value_.empty();
}

std::string_view json_member(std::string_view text, std::string_view name) {
    JsonMembers members(text);
    while (members.next())
        if (members.name() == name) return members.value();
    return {};
}

}  // namespace walcast
