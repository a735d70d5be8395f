#include "agent/rules/like.hpp"

#include <gtest/gtest.h>

#include <string>

namespace walcast {

TEST(Like, MatchesAllOfTheText) {
    EXPECT_TRUE(is_like("abc", "abc"));
    EXPECT_FALSE(is_like("abc", "ab"));
    EXPECT_FALSE(is_like("ab", "abc"));
    EXPECT_FALSE(is_like("ABC", "abc"));
    EXPECT_TRUE(is_like("", ""));
    EXPECT_FALSE(is_like("", "_"));
}

TEST(Like, TakesPercentForAnyCharacters) {
    EXPECT_TRUE(is_like("", "%"));
    EXPECT_TRUE(is_like("abc", "a%"));
    EXPECT_TRUE(is_like("abc", "%c"));
    EXPECT_TRUE(is_like("abc", "a%c"));
    EXPECT_TRUE(is_like("abc", "%%b%%"));
    EXPECT_TRUE(is_like("aXbaXc", "a%Xc"));
    EXPECT_FALSE(is_like("abc", "%d%"));
}

TEST(Like, TakesUnderscoreForOneCharacterOfAnySize) {
    EXPECT_TRUE(is_like("a漢c", "a_c"));
    EXPECT_TRUE(is_like("😀", "_"));
    EXPECT_FALSE(is_like("é", "__"));
    EXPECT_TRUE(is_like("éa", "%_a"));
    EXPECT_FALSE(is_like("a", "%_a"));
}

TEST(Like, TakesWhatIsEscapedAsItself) {
    EXPECT_TRUE(is_like("50%", "50\\%"));
    EXPECT_FALSE(is_like("50x", "50\\%"));
    EXPECT_TRUE(is_like("a_b", "a\\_b"));
    EXPECT_TRUE(is_like("a\\b", "a\\\\b"));
    EXPECT_TRUE(is_like("ab", "\\a\\b"));
    EXPECT_TRUE(is_like("xx%", "%\\%"));
    EXPECT_TRUE(is_like("é", "\\é"));
}

TEST(Like, IsNotSlowWhereMuchAlmostMatches) {
    std::string text(20000, 'a');
    std::string pattern;
    for (auto i = 0; i < 50; ++i) pattern += "a%";

    EXPECT_FALSE(is_like(text, pattern + 'b'));
}

}  // namespace walcast
