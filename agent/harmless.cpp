#include "agent/harmless.hpp"

namespace walcast {

void append_harmless(std::string& out, std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto byte = static_cast<unsigned char>(text[i]);
        auto is_c1 = byte == 0xC2 && i + 1 < text.size() &&
                     static_cast<unsigned char>(text[i + 1]) >= 0x80 &&
                     static_cast<unsigned char>(text[i + 1]) < 0xA0;
        if (is_c1) ++i;
        if (is_c1 || byte == 0x7F || byte < 0x20)
            out += byte == '\n' || byte == '\r' || byte == '\t' ? " " : "?";
        else
            out += text[i];
    }
}

}  // namespace walcast
