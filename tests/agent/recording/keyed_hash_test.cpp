#include "agent/recording/keyed_hash.hpp"

#include <gtest/gtest.h>

#include <string>

namespace walcast {

// From the reference implementation: key 00 01 … 0f, input 00 01 ….
TEST(KeyedHash, IsSipHash24) {
    constexpr HashKey key{0x0706050403020100U, 0x0f0e0d0c0b0a0908U};
    std::string input;
    for (auto i = 0; i < 15; ++i) input += static_cast<char>(i);

    EXPECT_EQ(keyed_hash(key, ""), 0x726fdb47dd0e0e31U);
    EXPECT_EQ(keyed_hash(key, input.substr(0, 1)), 0x74f839c593dc67fdU);
    EXPECT_EQ(keyed_hash(key, input.substr(0, 8)), 0x93f5f5799a932462U);
    EXPECT_EQ(keyed_hash(key, input), 0xa129ca6149be45e5U);
}

TEST(KeyedHash, HasAnotherKeyEachTime) {
    auto one = random_key();
    auto two = random_key();

    EXPECT_NE(one.low, two.low);
    EXPECT_NE(one.high, two.high);
}

}  // namespace walcast
