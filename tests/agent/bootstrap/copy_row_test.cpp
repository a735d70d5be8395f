#include "agent/bootstrap/copy_row.hpp"

#include "agent/errors.hpp"

#include <gtest/gtest.h>

namespace walcast {

// `a|b|NULL`
static std::string read(std::string_view line) {
    CopyRow row;
    std::string shown;
    for (const auto& value : row.read(line)) {
        if (!shown.empty()) shown += '|';
        shown += value.kind == Value::Kind::null ? "NULL" : "'" + std::string(value.text) + "'";
    }
    return shown;
}

TEST(CopyRow, HasTextsAndNulls) {
    EXPECT_EQ(read("7\tBuy milk\t\\N\t\n"), "'7'|'Buy milk'|NULL|''");
    EXPECT_EQ(read("\\N\n"), "NULL");
    EXPECT_EQ(read("\n"), "''");
}

TEST(CopyRow, HasEveryCharacter) {
    EXPECT_EQ(read("a\\tb\\nc\\rd\\be\\ff\\vg\\\\h\n"), "'a\tb\nc\rd\be\ff\vg\\h'");
    EXPECT_EQ(read("\\\\N\t\\\\\\N\n"), "'\\N'|'\\N'");
    EXPECT_EQ(read("\\\\x00ff\té\n"), "'\\x00ff'|'é'");
}

TEST(CopyRow, KeepsItsValuesApart) {
    CopyRow row;
    const auto& tuple = row.read("\\\\aaaaaaaaaaaaaaaaaaaaaaaaaaaa\t\\\\b\t\\\\c\n");

    EXPECT_EQ(tuple[0].text, "\\aaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    EXPECT_EQ(tuple[1].text, "\\b");
    EXPECT_EQ(tuple[2].text, "\\c");
}

TEST(CopyRow, RefusesWhatEndsInACharacter) {
    EXPECT_THROW(read("a\\\n"), PgError);
}

}  // namespace walcast
