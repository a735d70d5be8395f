#include "agent/log.hpp"

#include <gtest/gtest.h>

namespace walcast {

TEST(Log, QuotesAFieldOnOneLine) {
    EXPECT_EQ(quoted("plain"), R"("plain")");
    EXPECT_EQ(quoted(R"(say "hi\")"), R"("say \"hi\\\"")");
    EXPECT_EQ(quoted("one\ntwo\r\tthree\x1b[2J"), "\"one two  three [2J\"");
    EXPECT_EQ(quoted("Größe"), R"("Größe")");
}

}  // namespace walcast
