#include "agent/channel_template.hpp"

#include <fmt/format.h>

namespace walcast {

ChannelTemplate parse_channel_template(std::string_view text) {
    ChannelTemplate parsed;
    std::string literal;
    auto end_literal = [&] {
        if (!literal.empty()) parsed.parts.push_back({.is_column = false, .text = literal});
        literal.clear();
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto is_doubled = i + 1 < text.size() && text[i + 1] == text[i];
        if ((text[i] == '{' || text[i] == '}') && is_doubled) {
            literal += text[i++];
        } else if (text[i] == '{') {
            auto close = text.find('}', i);
            if (close == std::string_view::npos)
                throw std::invalid_argument(
                    fmt::format("\"{}\": the {{ at {} is not closed", text, i + 1));
            if (close == i + 1)
                throw std::invalid_argument(
                    fmt::format("\"{}\": no column between the braces at {}", text, i + 1));
            end_literal();
            parsed.parts.push_back(
                {.is_column = true, .text = std::string(text.substr(i + 1, close - i - 1))});
            i = close;
        } else if (text[i] == '}') {
            throw std::invalid_argument(fmt::format(
                "\"{}\": the }} at {} was not opened; a literal brace is doubled", text, i + 1));
        } else if (static_cast<unsigned char>(text[i]) < 0x20) {
            throw std::invalid_argument(fmt::format("control character at {}", i + 1));
        } else {
            literal += text[i];
        }
    }
    end_literal();
    if (parsed.parts.empty()) throw std::invalid_argument("a channel needs a name");
    return parsed;
}

static bool stands_for_itself(unsigned char byte) {
    auto is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    return is_letter || (byte >= '0' && byte <= '9') || byte >= 0x80 ||
           std::string_view("-._~@+").find(static_cast<char>(byte)) != std::string_view::npos;
}

void append_channel_value(std::string& out, std::string_view value) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    for (auto character : value) {
        auto byte = static_cast<unsigned char>(character);
        if (stands_for_itself(byte)) {
            out += character;
        } else {
            out += '%';
            out += digits[byte >> 4U];
            out += digits[byte & 0xFU];
        }
    }
}

}  // namespace walcast
