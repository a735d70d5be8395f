#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace walcast {

// Big-endian fields, one after the other, as Postgres sends them.
class Bytes {
public:
    Bytes& u8(std::uint8_t value) { return put(value, 1); }
    Bytes& u16(std::uint16_t value) { return put(value, 2); }
    Bytes& u32(std::uint32_t value) { return put(value, 4); }
    Bytes& u64(std::uint64_t value) { return put(value, 8); }
    Bytes& kind(char letter) {
        out_ += letter;
        return *this;
    }
    Bytes& raw(std::string_view bytes) {
        out_ += bytes;
        return *this;
    }
    // With the NUL at its end.
    Bytes& string(std::string_view text) {
        out_ += text;
        out_ += '\0';
        return *this;
    }

    const std::string& str() const { return out_; }

private:
    Bytes& put(std::uint64_t value, unsigned size) {
        while (size-- > 0) out_ += static_cast<char>(value >> (8 * size) & 0xFFU);
        return *this;
    }

    std::string out_;
};

// Reads `4e 0004 74`; spaces mean nothing.
inline std::string from_hex(std::string_view text) {
    auto digit = [](char character) -> unsigned {
        if (character >= '0' && character <= '9') return static_cast<unsigned>(character - '0');
        if (character >= 'a' && character <= 'f')
            return static_cast<unsigned>(character - 'a') + 10;
        throw std::invalid_argument("not a hexadecimal digit");
    };
    std::string digits;
    for (auto character : text)
        if (character != ' ') digits += character;
    if (digits.size() % 2 != 0) throw std::invalid_argument("half a byte");
    std::string bytes;
    for (std::size_t i = 0; i < digits.size(); i += 2)
        bytes += static_cast<char>(digit(digits[i]) << 4U | digit(digits[i + 1]));
    return bytes;
}

}  // namespace walcast
