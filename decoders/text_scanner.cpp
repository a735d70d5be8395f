#include "decoders/text_scanner.hpp"

#include "decoders/json_string.hpp"

#include <fmt/format.h>

#include <iterator>

namespace walcast {

TextScanner::Raw TextScanner::raw_quoted(Quotes quotes) {
    Raw raw;
    const auto* begin = at_;
    for (; at_ != end_; ++at_) {
        if (*at_ == '\\') {
            raw.has_escapes = true;
            if (++at_ == end_) break;
        } else if (*at_ == '"') {
            auto is_doubled = quotes == Quotes::doubled && end_ - at_ > 1 && at_[1] == '"';
            if (!is_doubled) {
                raw.text = {begin, static_cast<std::size_t>(at_ - begin)};
                ++at_;
                return raw;
            }
            raw.has_escapes = true;
            ++at_;
        }
    }
    fail("no closing quote");
}

std::string_view TextScanner::quoted(Quotes quotes, std::string& buffer) {
    auto raw = raw_quoted(quotes);
    if (!raw.has_escapes) return raw.text;
    buffer.resize(raw.text.size());
    auto* to = buffer.data();
    for (auto from = raw.text.begin(); from != raw.text.end(); ++from) {
        if (*from == '\\' || *from == '"') ++from;  // There is always a character behind.
        *to++ = *from;
    }
    return {buffer.data(), static_cast<std::size_t>(to - buffer.data())};
}

std::string_view TextScanner::bare(char delimiter, char opening, char closing) {
    const auto* begin = at_;
    for (; at_ != end_; ++at_) {
        if (*at_ == delimiter || *at_ == closing)
            return {begin, static_cast<std::size_t>(at_ - begin)};
        if (*at_ == '"' || *at_ == '\\' || *at_ == opening) fail("a character that needs quotes");
    }
    fail("no closing bracket");
}

void TextScanner::fail(std::string_view why) const {
    throw ValueError(
        fmt::format("{}: {} at byte {} of {}", what_, why, at_ - text_.data(), excerpt(text_)));
}

void TextScanner::fail_expecting(std::string_view next) const {
    fail(fmt::format("expected '{}'", next));
}

std::string excerpt(std::string_view text) {
    constexpr std::size_t bytes_max = 40;
    std::string shown = "\"";
    for (auto character : text.substr(0, bytes_max)) {
        if (character == '"' || character == '\\')
            (shown += '\\') += character;
        else if (character >= ' ' && character <= '~')
            shown += character;
        else
            fmt::format_to(std::back_inserter(shown), "\\x{:02x}",
                           static_cast<unsigned char>(character));
    }
    shown += text.size() > bytes_max ? "…\"" : "\"";
    return shown;
}

}  // namespace walcast
