#pragma once

#include "agent/recording/keyed_hash.hpp"

#include <cstdint>
#include <span>

namespace walcast {

// Keyed permutations (format-preserving encryption by Feistel networks): whatever goes in, what
// comes out is of the same set; the same gives the same, and different gives different. Small sets
// are guessed easily all the same.
class Permutation {
public:
    explicit Permutation(HashKey key) : key_(key) {}

    // Of the numbers below `count`, which `value` is one of.
    std::uint64_t number(std::uint64_t value, std::uint64_t count) const;

    // Of the sequences whose number at each place is below the radix there. Long ones may become
    // the same, though nobody will see it happen.
    void sequence(std::span<std::uint32_t> values, std::span<const std::uint32_t> radices) const;

private:
    void shift(std::span<std::uint32_t> values, std::span<const std::uint32_t> radices,
               std::uint64_t by) const;

    HashKey key_;
};

}  // namespace walcast
