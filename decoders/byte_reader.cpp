#include "decoders/byte_reader.hpp"

#include <fmt/format.h>

#include <cstring>

namespace walcast {

std::string_view ByteReader::string() {
    const auto* nul = left() == 0 ? nullptr : std::memchr(at_, 0, left());
    if (nul == nullptr) fail("a string without its end");
    auto text = bytes(static_cast<std::size_t>(static_cast<const char*>(nul) - at_));
    take(1);
    return text;
}

void ByteReader::fail(std::string_view why) const {
    throw DecodeError(
        fmt::format("{} at byte {} of {}: {}", what_, at_ - begin_, end_ - begin_, why));
}

}  // namespace walcast
