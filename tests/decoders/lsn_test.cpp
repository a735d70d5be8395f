#include "decoders/lsn.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace walcast {

TEST(Lsn, IsShownInTwoUnpaddedHalves) {
    EXPECT_EQ(fmt::to_string(Lsn{0x16'B374D848}), "16/B374D848");
    EXPECT_EQ(fmt::to_string(Lsn{0x1F30708}), "0/1F30708");
    EXPECT_EQ(fmt::to_string(Lsn{0x1'00000000}), "1/0");
    EXPECT_EQ(fmt::to_string(Lsn{}), "0/0");
}

TEST(Lsn, IsReadPaddedOrNot) {
    EXPECT_EQ(parse_lsn("16/B374D848"), Lsn{0x16'B374D848});
    EXPECT_EQ(parse_lsn("0/1F30708"), Lsn{0x1F30708});
    EXPECT_EQ(parse_lsn("0/01F30708"), Lsn{0x1F30708});
    EXPECT_EQ(parse_lsn("00000016/0000000A"), Lsn{0x16'0000000A});
}

TEST(Lsn, IsReadInEitherCase) {
    EXPECT_EQ(parse_lsn("a/bcdef"), Lsn{0xA'000BCDEF});
    EXPECT_EQ(parse_lsn("A/BCDEF"), Lsn{0xA'000BCDEF});
}

TEST(Lsn, IsReadAtItsLimits) {
    EXPECT_EQ(parse_lsn("0/0"), Lsn{0});
    EXPECT_EQ(parse_lsn("FFFFFFFF/FFFFFFFF"), Lsn{std::numeric_limits<std::uint64_t>::max()});
}

TEST(Lsn, IsReadBackAsItIsShown) {
    for (auto value : {0x0ULL, 0x1ULL, 0xFFFFFFFFULL, 0x100000000ULL, 0x16B374D848ULL})
        EXPECT_EQ(parse_lsn(fmt::to_string(Lsn{value})), Lsn{value});
}

class LsnGarbage : public testing::TestWithParam<const char*> {};

TEST_P(LsnGarbage, IsRefused) {
    EXPECT_EQ(parse_lsn(GetParam()), std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(Lsn, LsnGarbage,
                         testing::Values("", "/", "1", "1/", "/1", "1//1", "1/1/1", " 1/1", "1/1 ",
                                         "1 /1", "1/ 1", "0x1/0", "1/0x1", "g/0", "0/g", "-1/0",
                                         "0/-1", "+1/0", "0/+1", "123456789/0", "0/123456789",
                                         "000000001/0", "0/000000001", "1/1\n"));

TEST(Lsn, ComparesAsANumberAndNotAsText) {
    EXPECT_LT(Lsn{0x9'00000000}, Lsn{0x10'00000000});
    EXPECT_LT(*parse_lsn("0/9"), *parse_lsn("0/10"));
}

}  // namespace walcast
