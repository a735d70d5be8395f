#include "agent/rules/channel_template.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace walcast {

namespace {

// Reads what stands between the braces: `column`, `column.key.key`, `"odd.column"."odd.key"`.
class PathReader {
public:
    PathReader(std::string_view text, std::size_t begin) : text_(text), at_(begin) {}

    ChannelTemplate::Part read() {
        auto open = at_ - 1;
        ChannelTemplate::Part part{.is_column = true, .text = read_name(open), .keys = {}};
        while (at_ < text_.size() && text_[at_] == '.') {
            ++at_;
            part.keys.push_back(read_name(open));
        }
        if (at_ >= text_.size()) not_closed(open);
        if (text_[at_] != '}')
            throw ChannelTemplateError(
                fmt::format("\"{}\": expected }} or . after the quoted name at {}", text_, at_ + 1),
                at_);
        return part;
    }
    std::size_t at() const { return at_; }  // Of the closing brace.

private:
    [[noreturn]] void not_closed(std::size_t open) const {
        throw ChannelTemplateError(
            fmt::format("\"{}\": the {{ at {} is not closed", text_, open + 1), open);
    }

    std::string read_name(std::size_t open) {
        auto begin = at_;
        std::string name;
        if (at_ < text_.size() && text_[at_] == '"') {
            for (++at_;; ++at_) {
                if (at_ >= text_.size()) not_closed(open);
                if (text_[at_] == '"' && (at_ + 1 >= text_.size() || text_[++at_] != '"')) break;
                name += text_[at_];
            }
        } else {
            while (at_ < text_.size() && text_[at_] != '}' && text_[at_] != '.')
                name += text_[at_++];
            if (at_ >= text_.size()) not_closed(open);
        }
        if (!name.empty()) return name;
        throw ChannelTemplateError(
            begin == open + 1
                ? fmt::format("\"{}\": no column between the braces at {}", text_, open + 1)
                : fmt::format("\"{}\": no key after the dot at {}", text_, begin),
            begin);
    }

    std::string_view text_;
    std::size_t at_;
};

}  // namespace

ChannelTemplate parse_channel_template(std::string_view text) {
    ChannelTemplate parsed;
    parsed.text = text;
    std::string literal;
    auto end_literal = [&] {
        if (!literal.empty())
            parsed.parts.push_back({.is_column = false, .text = literal, .keys = {}});
        literal.clear();
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto is_doubled = i + 1 < text.size() && text[i + 1] == text[i];
        if ((text[i] == '{' || text[i] == '}') && is_doubled) {
            literal += text[i++];
        } else if (text[i] == '{') {
            PathReader path(text, i + 1);
            auto part = path.read();
            auto is_beside_another =
                literal.empty() && !parsed.parts.empty() && parsed.parts.back().is_column;
            if (is_beside_another)
                throw ChannelTemplateError(
                    fmt::format(
                        "\"{}\": between the columns at {} nothing tells where one value ends and "
                        "the next begins, so one row could reach the channel of another: write "
                        "\"{}:{}\"",
                        text, i + 1, text.substr(0, i), text.substr(i)),
                    i);
            end_literal();
            parsed.parts.push_back(std::move(part));
            i = path.at();
        } else if (text[i] == '}') {
            throw ChannelTemplateError(
                fmt::format("\"{}\": the }} at {} was not opened; a literal brace is doubled", text,
                            i + 1),
                i);
        } else if (static_cast<unsigned char>(text[i]) < 0x20) {
            throw ChannelTemplateError(fmt::format("control character at {}", i + 1), i);
        } else {
            literal += text[i];
        }
    }
    end_literal();
    if (parsed.parts.empty()) throw ChannelTemplateError("a channel needs a name", 0);
    return parsed;
}

bool is_in_channel_values(char character) {
    auto byte = static_cast<unsigned char>(character);
    auto is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    return is_letter || (byte >= '0' && byte <= '9') || byte >= 0x80 ||
           std::string_view("-._~@+").find(character) != std::string_view::npos;
}

void append_channel_value(std::string& out, std::string_view value) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    for (auto character : value) {
        if (is_in_channel_values(character)) {
            out += character;
        } else {
            auto byte = static_cast<unsigned char>(character);
            out += '%';
            out += digits[byte >> 4U];
            out += digits[byte & 0xFU];
        }
    }
}

// Which beginnings of a name a part can make after those that the parts before it have `reached`.
static std::vector<bool> reach(const ChannelTemplate::Part& part, std::string_view name,
                               const std::vector<bool>& reached) {
    std::vector<bool> next(name.size() + 1);
    for (std::size_t i = 0; i <= name.size(); ++i) {
        if (!reached[i]) continue;
        if (!part.is_column) {
            if (name.substr(i).starts_with(part.text)) next[i + part.text.size()] = true;
            continue;
        }
        next[i] = true;
        for (auto j = i; j < name.size() && (is_in_channel_values(name[j]) || name[j] == '%'); ++j)
            next[j + 1] = true;
    }
    return next;
}

bool ChannelTemplate::can_make(std::string_view name) const {
    std::vector<bool> reached(name.size() + 1);
    reached[0] = true;
    for (const auto& part : parts) reached = reach(part, name, reached);
    return reached[name.size()];
}

bool ChannelTemplate::can_begin_with(std::string_view beginning) const {
    std::vector<bool> reached(beginning.size() + 1);
    reached[0] = true;
    for (const auto& part : parts) {
        for (std::size_t i = 0; i <= beginning.size() && !part.is_column; ++i)
            if (reached[i] && part.text.starts_with(beginning.substr(i))) return true;
        reached = reach(part, beginning, reached);
    }
    return reached[beginning.size()];
}

namespace {

// A template as a pattern: each element a byte of its text, or any number of bytes of a value.
struct Element {
    bool is_value = false;
    char byte = 0;
};

std::vector<Element> pattern_of(const ChannelTemplate& channel) {
    std::vector<Element> pattern;
    for (const auto& part : channel.parts) {
        if (part.is_column) pattern.push_back({.is_value = true});
        for (std::size_t i = 0; !part.is_column && i < part.text.size(); ++i)
            pattern.push_back({.byte = part.text[i]});
    }
    return pattern;
}

// Can a value hold it? Any other byte stands there as %XX.
bool is_of_values(const Element& element) {
    return element.is_value || is_in_channel_values(element.byte) || element.byte == '%';
}

}  // namespace

bool can_make_same(const ChannelTemplate& a, const ChannelTemplate& b) {
    auto first = pattern_of(a);
    auto second = pattern_of(b);
    // Whether what is left of both, from their i-th and j-th element on, can be the same.
    std::vector<std::vector<bool>> same(first.size() + 1,
                                        std::vector<bool>(second.size() + 1, false));
    for (auto i = first.size() + 1; i-- > 0;) {
        for (auto j = second.size() + 1; j-- > 0;) {
            auto is_end = i == first.size() && j == second.size();
            auto left = i < first.size() && first[i].is_value;
            auto right = j < second.size() && second[j].is_value;
            auto both = i < first.size() && j < second.size();
            // A value ends, or takes the other's next element.
            same[i][j] =
                is_end || (left && same[i + 1][j]) || (right && same[i][j + 1]) ||
                (left && both && is_of_values(second[j]) && same[i][j + 1]) ||
                (right && both && is_of_values(first[i]) && same[i + 1][j]) ||
                (!left && !right && both && first[i].byte == second[j].byte && same[i + 1][j + 1]);
        }
    }
    return same[0][0];
}

}  // namespace walcast
