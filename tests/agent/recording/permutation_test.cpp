#include "agent/recording/permutation.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace walcast {

TEST(Permutation, GivesEachNumberOfASetOnce) {
    Permutation permutation({1, 2});
    for (std::uint64_t count : {1, 2, 3, 9, 10, 26, 100, 1000, 4097}) {
        std::set<std::uint64_t> found;
        for (std::uint64_t value = 0; value < count; ++value) {
            auto masked = permutation.number(value, count);
            EXPECT_LT(masked, count);
            found.insert(masked);
        }
        EXPECT_EQ(found.size(), count);
    }
}

TEST(Permutation, TakesTheLargestSets) {
    Permutation permutation({1, 2});
    for (auto count : {std::uint64_t{1} << 63U, ~std::uint64_t{0}})
        for (std::uint64_t value : {std::uint64_t{0}, std::uint64_t{7}, count - 1})
            EXPECT_LT(permutation.number(value, count), count);
}

TEST(Permutation, GivesEachSequenceOnce) {
    Permutation permutation({1, 2});
    const std::vector<std::uint32_t> radices{10, 3, 26, 2};
    std::set<std::vector<std::uint32_t>> found;
    for (std::uint32_t i = 0; i < 10 * 3 * 26 * 2; ++i) {
        std::vector<std::uint32_t> values{i % 10, i / 10 % 3, i / 30 % 26, i / 780};
        permutation.sequence(values, radices);
        for (std::size_t place = 0; place < values.size(); ++place)
            EXPECT_LT(values[place], radices[place]);
        found.insert(values);
    }

    EXPECT_EQ(found.size(), 10U * 3 * 26 * 2);
}

TEST(Permutation, TellsLongSequencesApart) {
    Permutation permutation({1, 2});
    const std::vector<std::uint32_t> radices(1000, 26);
    std::set<std::vector<std::uint32_t>> found;
    for (std::uint32_t i = 0; i < 26; ++i) {
        std::vector<std::uint32_t> values(1000, 3);
        values[999] = i;
        permutation.sequence(values, radices);
        found.insert(values);
    }

    EXPECT_EQ(found.size(), 26U);
}

TEST(Permutation, IsAnotherOneUnderAnotherKey) {
    EXPECT_NE(Permutation({1, 2}).number(7, 1'000'000), Permutation({1, 3}).number(7, 1'000'000));
}

}  // namespace walcast
