#include "agent/recording/permutation.hpp"

#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <string_view>

namespace walcast {

static constexpr std::uint64_t rounds = 8;
static constexpr std::size_t feistel_max = 256;  // Longer sequences are hashed once.

template <typename Numbers>
static std::string_view bytes_of(const Numbers& numbers) {
    auto bytes = std::as_bytes(std::span(numbers));
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::uint64_t Permutation::number(std::uint64_t value, std::uint64_t count) const {
    assert(value < count);
    auto half = static_cast<unsigned>((std::bit_width(count - 1) + 1) / 2);
    auto mask = (std::uint64_t{1} << half) - 1;
    // Of the numbers of an even count of bits, again and again until one below `count` comes.
    do {
        auto left = value >> half;
        auto right = value & mask;
        for (std::uint64_t round = 0; round < rounds; ++round) {
            std::array<std::uint64_t, 3> input{count, round, right};
            left ^= keyed_hash(key_, bytes_of(input)) & mask;
            std::swap(left, right);
        }
        value = left << half | right;
    } while (value >= count);
    return value;
}

void Permutation::sequence(std::span<std::uint32_t> values,
                           std::span<const std::uint32_t> radices) const {
    auto size = values.size();
    if (size == 0) return;
    if (size == 1) {
        values[0] = static_cast<std::uint32_t>(number(values[0], radices[0]));
        return;
    }
    auto shape = keyed_hash(key_, bytes_of(radices));
    auto hash = [&](std::uint64_t round, std::span<const std::uint32_t> of) {
        std::array<std::uint64_t, 3> input{shape, round, keyed_hash(key_, bytes_of(of))};
        return keyed_hash(key_, bytes_of(input));
    };
    if (size > feistel_max) return shift(values, radices, hash(rounds, values));
    auto half = size / 2;
    for (std::uint64_t round = 0; round < rounds; ++round) {
        if (round % 2 == 0)
            shift(values.first(half), radices.first(half), hash(round, values.subspan(half)));
        else
            shift(values.subspan(half), radices.subspan(half), hash(round, values.first(half)));
    }
}

// Adds at each place, modulo its radix, what follows from `by`.
void Permutation::shift(std::span<std::uint32_t> values, std::span<const std::uint32_t> radices,
                        std::uint64_t by) const {
    std::uint64_t random = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (i % 2 == 0) {
            std::array<std::uint64_t, 1> place{i};
            random = keyed_hash({by, key_.high}, bytes_of(place));
        }
        values[i] = static_cast<std::uint32_t>((values[i] + (random & 0xFFFFFFFFU)) % radices[i]);
        random >>= 32U;
    }
}

}  // namespace walcast
