#include "decoders/utf8.hpp"

#include <simdjson.h>

namespace walcast {

bool is_utf8(std::string_view text) {
    return simdjson::validate_utf8(text);
}

static std::size_t character_size(char first) {
    auto byte = static_cast<unsigned char>(first);
    if (byte < 0x80) return 1;
    if (byte < 0xE0) return 2;
    return byte < 0xF0 ? 3 : 4;
}

std::size_t first_not_utf8(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        auto character = text.substr(at, character_size(text[at]));
        if (!is_utf8(character)) return at;
        at += character.size();
    }
    return at;
}

}  // namespace walcast
