#include "agent/recording/keyed_hash.hpp"

#include <bit>
#include <cstddef>
#include <random>

namespace walcast {

namespace {

struct State {
    std::uint64_t a, b, c, d;

    void round() {
        a += b;
        b = std::rotl(b, 13) ^ a;
        a = std::rotl(a, 32);
        c += d;
        d = std::rotl(d, 16) ^ c;
        a += d;
        d = std::rotl(d, 21) ^ a;
        c += b;
        b = std::rotl(b, 17) ^ c;
        c = std::rotl(c, 32);
    }
    void add(std::uint64_t word) {
        d ^= word;
        round();
        round();
        a ^= word;
    }
};

std::uint64_t little_endian(std::string_view bytes) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        word |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return word;
}

}  // namespace

std::uint64_t keyed_hash(HashKey key, std::string_view bytes) {
    constexpr std::size_t word_bytes = 8;
    State state{key.low ^ 0x736f6d6570736575U, key.high ^ 0x646f72616e646f6dU,
                key.low ^ 0x6c7967656e657261U, key.high ^ 0x7465646279746573U};
    auto rest = bytes;
    for (; rest.size() >= word_bytes; rest.remove_prefix(word_bytes))
        state.add(little_endian(rest.substr(0, word_bytes)));
    state.add(little_endian(rest) | std::uint64_t{bytes.size() & 0xFFU} << 56U);
    state.c ^= 0xFF;
    for (auto i = 0; i < 4; ++i) state.round();
    return state.a ^ state.b ^ state.c ^ state.d;
}

HashKey random_key() {
    std::random_device random;
    auto word = [&] { return std::uint64_t{random()} << 32U | random(); };
    auto low = word();
    return {low, word()};
}

}  // namespace walcast
