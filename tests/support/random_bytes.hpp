#pragma once

#include <cstdlib>
#include <random>
#include <string>

namespace walcast {

// The seed of a random test: WALCAST_SEED, to run a failure again, or a new one. The test shows it.
inline std::uint64_t test_seed() {
    if (const auto* given = std::getenv("WALCAST_SEED")) return std::strtoull(given, nullptr, 10);
    return std::random_device{}();
}

// Flips one to four bits.
inline void flip_bits(std::string& bytes, std::mt19937_64& random) {
    if (bytes.empty()) return;
    for (auto left = 1 + random() % 4; left > 0; --left)
        bytes[random() % bytes.size()] ^= static_cast<char>(1U << random() % 8);
}

}  // namespace walcast
