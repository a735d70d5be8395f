#include "decoders/json_string.hpp"

#include "decoders/utf8.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <iterator>

namespace walcast {

static void append_escape(std::string& out, char character) {
    switch (character) {
        case '"': out += "\\\""; return;
        case '\\': out += "\\\\"; return;
        case '\n': out += "\\n"; return;
        case '\r': out += "\\r"; return;
        case '\t': out += "\\t"; return;
        case '\b': out += "\\b"; return;
        case '\f': out += "\\f"; return;
        default: fmt::format_to(std::back_inserter(out), "\\u{:04x}", character); return;
    }
}

static bool needs_escape(char character) {
    return static_cast<unsigned char>(character) < 0x20 || character == '"' || character == '\\';
}

static constexpr std::uint64_t tops = 0x8080808080808080U;

// Eight bytes at once: is any of them a control character, a quote or a backslash?
static bool any_needs_escape(std::uint64_t word) {
    constexpr std::uint64_t ones = 0x0101010101010101U;
    auto quotes = word ^ (ones * '"');
    auto backslashes = word ^ (ones * '\\');
    auto found = ((word - ones * 0x20U) & ~word) | ((quotes - ones) & ~quotes) |
                 ((backslashes - ones) & ~backslashes);
    return (found & tops) != 0;
}

static void check_utf8(std::string_view text) {
    if (!is_utf8(text)) throw ValueError(fmt::format("not UTF-8 at byte {}", first_not_utf8(text)));
}

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    const auto* at = text.data();
    const auto* end = at + text.size();
    const auto* run = at;    // What needs no escape is copied in one go.
    std::uint64_t seen = 0;  // All bytes, laid over each other: are they ASCII?
    while (at != end) {
        std::uint64_t word = 0;
        if (end - at >= 8) std::memcpy(&word, at, 8);
        if (end - at >= 8 && !any_needs_escape(word)) {
            seen |= word;
            at += 8;
        } else if (needs_escape(*at)) {
            out.append(run, at);
            append_escape(out, *at);
            run = ++at;
        } else {
            seen |= static_cast<unsigned char>(*at);
            ++at;
        }
    }
    if ((seen & tops) != 0) check_utf8(text);
    out.append(run, end);
    out += '"';
}

void append_json(std::string& out, std::string_view json) {
    if (json.empty()) throw ValueError("empty, which is no JSON");
    check_utf8(json);
    out += json;
}

}  // namespace walcast
