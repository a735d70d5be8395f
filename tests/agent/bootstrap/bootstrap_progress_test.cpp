#include "agent/bootstrap/bootstrap_progress.hpp"

#include <gtest/gtest.h>

namespace walcast {

using std::chrono::seconds;

TEST(BootstrapProgress, ShowsShareRowsAndRate) {
    EXPECT_EQ(progress_line(520'000, 1'000'000, seconds{10}),
              " 52 % [##########..........]  520,000 rows  52,000/s");
    EXPECT_EQ(progress_line(0, 10, seconds{1}), "  0 % [....................]  0 rows  0/s");
}

TEST(BootstrapProgress, KnowsNoShareWithoutAnEstimate) {
    EXPECT_EQ(progress_line(1234, std::nullopt, seconds{2}), "1,234 rows  617/s");
    EXPECT_EQ(progress_line(5, 0, seconds{1}), "5 rows  5/s");
}

TEST(BootstrapProgress, IsNotDoneBeforeItsEnd) {
    EXPECT_EQ(progress_line(30, 10, seconds{1}).substr(0, 5), " 99 %");
}

TEST(BootstrapProgress, GroupsDigits) {
    EXPECT_EQ(grouped(0), "0");
    EXPECT_EQ(grouped(999), "999");
    EXPECT_EQ(grouped(1000), "1,000");
    EXPECT_EQ(grouped(1234567), "1,234,567");
}

}  // namespace walcast
