#include "agent/rules/truth.hpp"

#include <gtest/gtest.h>

#include <array>

namespace walcast {

static constexpr auto yes = Truth::of(true);
static constexpr auto no = Truth::of(false);
static constexpr auto null = Truth::null();

TEST(Truth, IsNegatedAsInSql) {
    EXPECT_EQ(!yes, no);
    EXPECT_EQ(!no, yes);
    EXPECT_EQ(!null, null);
    EXPECT_EQ(!Truth::anything(), Truth::anything());
    EXPECT_EQ(!Truth::true_or_false(), Truth::true_or_false());
}

TEST(Truth, IsJoinedAsInSql) {
    struct {
        Truth a;
        Truth b;
        Truth both;
        Truth either;
    } cases[] = {{yes, yes, yes, yes}, {yes, no, no, yes},   {yes, null, null, yes},
                 {no, no, no, no},     {no, null, no, null}, {null, null, null, null}};
    for (const auto& each : cases) {
        EXPECT_EQ(each.a & each.b, each.both);
        EXPECT_EQ(each.b & each.a, each.both);
        EXPECT_EQ(each.a | each.b, each.either);
        EXPECT_EQ(each.b | each.a, each.either);
    }
}

TEST(Truth, IsCertainWhereWhatIsUnknownDoesNotMatter) {
    EXPECT_EQ(no & Truth::anything(), no);
    EXPECT_EQ(yes | Truth::anything(), yes);
    EXPECT_TRUE((null & Truth::anything()).is_not_true());
    EXPECT_TRUE((null & Truth::true_or_false()).is_not_true());
    EXPECT_TRUE((yes & Truth::anything()).is_unknown());
    EXPECT_TRUE((no | Truth::anything()).is_unknown());
    EXPECT_TRUE((null | Truth::true_or_false()).is_unknown());
}

// Sets of truths are joined as all their members are.
TEST(Truth, IsTheSetOfWhatItsPartsMayGive) {
    constexpr std::array members{yes, no, null};
    for (auto member : members)
        for (auto other : members) {
            EXPECT_FALSE((member & other).is_true() && (Truth::anything() & other).is_not_true());
            EXPECT_FALSE((member | other).is_not_true() && (Truth::anything() | other).is_true());
        }
    EXPECT_EQ(Truth::true_or_false() & Truth::true_or_false(), Truth::true_or_false());
    EXPECT_EQ(Truth::true_or_false() | Truth::true_or_false(), Truth::true_or_false());
    EXPECT_EQ(Truth::true_or_false() & yes, Truth::true_or_false());
}

TEST(Truth, IsOneOfThree) {
    EXPECT_TRUE(yes.is_true());
    EXPECT_TRUE(no.is_not_true());
    EXPECT_TRUE(null.is_not_true());
    EXPECT_TRUE(Truth::anything().is_unknown());
    EXPECT_TRUE(Truth::true_or_false().is_unknown());
    EXPECT_FALSE(yes.is_unknown());
    EXPECT_FALSE(null.is_unknown());
}

}  // namespace walcast
