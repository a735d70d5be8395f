#pragma once

#include <cstdint>
#include <string_view>

namespace walcast {

struct HashKey {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
};

// SipHash-2-4 (https://www.aumasson.jp/siphash/siphash.pdf): whoever has not the key can tell
// nothing of what was hashed, nor find what hashes alike. With a key that everybody knows, a
// checksum.
std::uint64_t keyed_hash(HashKey key, std::string_view bytes);

// From the system's source of randomness.
HashKey random_key();

}  // namespace walcast
