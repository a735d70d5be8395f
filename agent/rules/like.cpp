#include "agent/rules/like.hpp"

#include <cstddef>

namespace walcast {

static std::size_t after_character(std::string_view text, std::size_t at) {
    do ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U);
    return at;
}

// Each `%` first stands for nothing, then for one character more whenever the rest does not match.
// Only the last one met needs to grow: those before it could not do better.
bool is_like(std::string_view text, std::string_view pattern) {
    constexpr auto none = std::string_view::npos;
    std::size_t in_text = 0;
    std::size_t in_pattern = 0;
    auto after_percent = none;
    std::size_t percent_end = 0;
    while (in_text < text.size()) {
        auto has_more = in_pattern < pattern.size();
        if (has_more && pattern[in_pattern] == '%') {
            after_percent = ++in_pattern;
            percent_end = in_text;
            continue;
        }
        if (has_more && pattern[in_pattern] == '_') {
            ++in_pattern;
            in_text = after_character(text, in_text);
            continue;
        }
        auto literal = in_pattern + (has_more && pattern[in_pattern] == '\\' ? 1 : 0);
        if (literal < pattern.size() && pattern[literal] == text[in_text]) {
            in_pattern = literal + 1;
            ++in_text;
            continue;
        }
        if (after_percent == none) return false;
        in_pattern = after_percent;
        in_text = percent_end = after_character(text, percent_end);
    }
    while (in_pattern < pattern.size() && pattern[in_pattern] == '%') ++in_pattern;
    return in_pattern == pattern.size();
}

}  // namespace walcast
