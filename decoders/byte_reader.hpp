#pragma once

#include "decoders/lsn.hpp"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace walcast {

// Bytes that break the protocol. Fatal: the same bytes would come again.
struct DecodeError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Reads big-endian fields off the front of one message. Every read is checked against the end and
// throws DecodeError with the offset; the views it gives live as long as the message.
class ByteReader {
public:
    // `what` names the message in errors and must be a literal.
    explicit ByteReader(std::string_view bytes, const char* what)
        : begin_(bytes.data()), at_(bytes.data()), end_(bytes.data() + bytes.size()), what_(what) {}

    std::uint8_t u8() { return static_cast<std::uint8_t>(*take(1)); }
    std::uint16_t u16() { return static_cast<std::uint16_t>(big_endian<2>()); }
    std::uint32_t u32() { return static_cast<std::uint32_t>(big_endian<4>()); }
    std::uint64_t u64() { return big_endian<8>(); }
    Lsn lsn() { return Lsn{u64()}; }
    std::string_view bytes(std::size_t count) { return {take(count), count}; }

    // Up to the NUL, which is consumed.
    std::string_view string();

    bool at_end() const { return at_ == end_; }
    std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
    std::string_view rest() { return bytes(left()); }
    void expect_end() const {
        if (!at_end()) fail("bytes after its end");
    }
    [[noreturn]] void fail(std::string_view why) const;

private:
    const char* take(std::size_t count) {
        if (left() < count) fail("cut short");
        const auto* taken = at_;
        at_ += count;
        return taken;
    }
    template <std::size_t size>
    std::uint64_t big_endian() {
        const auto* from = take(size);
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < size; ++i)
            value = value << 8U | static_cast<unsigned char>(from[i]);
        return value;
    }

    const char* begin_;
    const char* at_;
    const char* end_;
    const char* what_;
};

}  // namespace walcast
