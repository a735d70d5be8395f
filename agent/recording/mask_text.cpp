#include "agent/recording/mask_text.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace walcast {

namespace {

struct Character {
    std::size_t bytes = 1;
    std::uint32_t value = 0;
    std::uint32_t radix = 0;  // 0: it stays.
    std::uint32_t first = 0;  // Code point of value 0; of signs: none.
};

// Neither quoted nor escaped by anything that holds them. All other ASCII signs stay as they are,
// so that arrays, composites and JSON stay what they are.
constexpr std::string_view signs = "!#$%&*+-./:<=>?@^_|~";
constexpr std::uint32_t sign = 0;
constexpr std::uint32_t surrogates_begin = 0xD800;
constexpr std::uint32_t surrogates = 0x800;

std::uint32_t follower(std::string_view text, std::size_t i) {
    auto byte = i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
    return byte >= 0x80 && byte < 0xC0 ? byte & 0x3FU : 0x100U;
}

// Bytes that are not UTF-8 stay so, but do not stay what they are.
constexpr Character no_character{.bytes = 1, .value = 0x100, .radix = 0, .first = 0};

Character read_beyond_ascii(std::string_view text) {
    auto byte = static_cast<unsigned char>(text[0]);
    auto size = byte >= 0xF0 ? 4U : byte >= 0xE0 ? 3U : 2U;
    std::uint32_t code = byte & (0xFFU >> (size + 1));
    if (byte < 0xC0 || byte > 0xF4) return no_character;
    for (std::size_t i = 1; i < size; ++i) {
        auto bits = follower(text, i);
        if (bits > 0x3F) return no_character;
        code = code << 6U | bits;
    }
    auto is_surrogate = code >= surrogates_begin && code < surrogates_begin + surrogates;
    if (is_surrogate ||
        code < (size == 2   ? 0x80U
                : size == 3 ? 0x800U
                            : 0x10000U) ||
        code > 0x10FFFF)
        return no_character;
    if (code < 0xA0) return {.bytes = size, .value = 0, .radix = 0, .first = 0};
    auto first = size == 2 ? 0xA0U : size == 3 ? 0x800U : 0x10000U;
    auto end = size == 2 ? 0x800U : size == 3 ? 0x10000U - surrogates : 0x110000U;
    if (size == 3 && code >= surrogates_begin) code -= surrogates;
    return {.bytes = size, .value = code - first, .radix = end - first, .first = first};
}

Character read_character(std::string_view text) {
    auto c = text[0];
    auto of = [&](char first, std::uint32_t radix) {
        return Character{1, static_cast<std::uint32_t>(c - first), radix,
                         static_cast<std::uint32_t>(first)};
    };
    if (static_cast<unsigned char>(c) >= 0x80) return read_beyond_ascii(text);
    if (c >= '0' && c <= '9') return of('0', 10);
    if (c >= 'a' && c <= 'z') return of('a', 26);
    if (c >= 'A' && c <= 'Z') return of('A', 26);
    auto place = signs.find(c);
    if (place == std::string_view::npos) return {};
    return {1, static_cast<std::uint32_t>(place), static_cast<std::uint32_t>(signs.size()), sign};
}

void append_character(std::string& out, const Character& like, std::uint32_t value) {
    if (like.first == sign) {
        out += signs[value];
        return;
    }
    auto code = like.first + value;
    if (like.bytes == 3 && code >= surrogates_begin) code += surrogates;
    if (like.bytes == 1) {
        out += static_cast<char>(code);
        return;
    }
    constexpr std::array<unsigned, 5> heads{0, 0, 0xC0, 0xE0, 0xF0};
    auto shift = static_cast<unsigned>(6 * (like.bytes - 1));
    out += static_cast<char>(heads[like.bytes] | code >> shift);
    while (shift > 0) {
        shift -= 6;
        out += static_cast<char>(0x80U | (code >> shift & 0x3FU));
    }
}

}  // namespace

std::string mask_text(const Permutation& permutation, std::string_view text) {
    MaskedPlaces places;
    for (auto rest = text; !rest.empty();) {
        auto character = read_character(rest);
        if (character.radix > 0) places.add(character.value, character.radix);
        rest.remove_prefix(character.bytes);
    }
    places.permute(permutation);
    std::string out;
    std::size_t i = 0;
    for (auto rest = text; !rest.empty();) {
        auto character = read_character(rest);
        if (character.radix > 0)
            append_character(out, character, places.values[i++]);
        else if (character.value == no_character.value)
            out += '\xFF';
        else
            out += rest.substr(0, character.bytes);
        rest.remove_prefix(character.bytes);
    }
    return out;
}

std::string mask_words(const Permutation& permutation, std::string_view text) {
    auto is_of_word = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               static_cast<unsigned char>(c) >= 0x80;
    };
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        auto end = at;
        while (end < text.size() && is_of_word(text[end])) ++end;
        auto word = text.substr(at, end - at);
        static constexpr std::array<std::string_view, 5> entities{"amp", "lt", "gt", "quot",
                                                                  "apos"};
        auto is_entity = at > 0 && text[at - 1] == '&' && end < text.size() && text[end] == ';' &&
                         std::find(entities.begin(), entities.end(), word) != entities.end();
        out += is_entity || word == "NULL" ? std::string(word) : mask_text(permutation, word);
        if (end < text.size()) out += text[end++];
        at = end;
    }
    return out;
}

}  // namespace walcast
