#include "decoders/row_json.hpp"

#include "tests/support/relations.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace walcast {

static constexpr auto no_limit = std::numeric_limits<std::size_t>::max();

static const JsonTypes types;
static ValueWriter writer;

static Value text_value(std::string_view text) {
    return {Value::Kind::text, text};
}

static const Value null_value{Value::Kind::null, {}};
static const Value unchanged_value{Value::Kind::unchanged, {}};

static Relation documents() {
    return relation_of("documents").key("id").column("title").column("body");
}

TEST(RowJson, WritesAllColumnsInTheirOrder) {
    RowJson row(documents(), types);
    Tuple tuple{text_value("7"), text_value("a \"b\""), null_value};
    std::string out;

    auto gaps = append_row(out, row, tuple, no_limit, writer);

    EXPECT_EQ(out, R"({"id":7,"title":"a \"b\"","body":null})");
    EXPECT_FALSE(gaps.has_unchanged);
    EXPECT_FALSE(gaps.has_omitted);
}

TEST(RowJson, EscapesTheNamesOfColumns) {
    RowJson row(relation_of("t").column("a\"b\\c\n"), types);
    std::string out;

    append_row(out, row, {text_value("x")}, no_limit, writer);

    EXPECT_EQ(out, R"({"a\"b\\c\n":"x"})");
}

TEST(RowJson, WritesATableWithoutColumns) {
    RowJson row(relation_of("empty"), types);
    std::string out;

    append_row(out, row, {}, no_limit, writer);

    EXPECT_EQ(out, "{}");
}

TEST(RowJson, LeavesUnchangedValuesOutAndListsThem) {
    RowJson row(documents(), types);
    Tuple tuple{unchanged_value, text_value("x"), unchanged_value};
    std::string out;
    std::string list;

    auto gaps = append_row(out, row, tuple, no_limit, writer);
    append_unchanged_keys(list, row, tuple);

    EXPECT_EQ(out, R"({"title":"x"})");
    EXPECT_TRUE(gaps.has_unchanged);
    EXPECT_FALSE(gaps.has_omitted);
    EXPECT_EQ(list, R"(["id","body"])");
}

TEST(RowJson, LeavesLargeValuesOutAndListsThem) {
    RowJson row(documents(), types);
    Tuple tuple{text_value("7"), text_value("12345"), text_value("1234")};
    std::string out;
    std::string list;

    auto gaps = append_row(out, row, tuple, 4, writer);
    append_omitted_keys(list, row, tuple, 4);

    EXPECT_EQ(out, R"({"id":7,"body":"1234"})");
    EXPECT_FALSE(gaps.has_unchanged);
    EXPECT_TRUE(gaps.has_omitted);
    EXPECT_EQ(list, R"(["title"])");
}

TEST(RowJson, NeverListsAValueAsBothUnchangedAndOmitted) {
    RowJson row(documents(), types);
    Tuple tuple{text_value("7"), text_value("12345"), unchanged_value};
    std::string unchanged;
    std::string omitted;

    append_unchanged_keys(unchanged, row, tuple);
    append_omitted_keys(omitted, row, tuple, 4);

    EXPECT_EQ(unchanged, R"(["body"])");
    EXPECT_EQ(omitted, R"(["title"])");
}

TEST(RowJson, RefusesBinaryValues) {
    RowJson row(documents(), types);
    Tuple tuple{{Value::Kind::binary, "\x01"}, null_value, null_value};
    std::string out;

    EXPECT_EQ(error_of<ValueError>([&] { append_row(out, row, tuple, no_limit, writer); }),
              R"(column "id": came as binary, which was not asked for)");
}

TEST(RowJson, NamesTheColumnOfAValueThatCannotBeWritten) {
    RowJson row(documents(), types);
    Tuple tuple{text_value("7"), text_value("caf\xc3\xa9 \xe9!"), null_value};
    std::string out;

    EXPECT_EQ(error_of<ValueError>([&] { append_row(out, row, tuple, no_limit, writer); }),
              R"(column "title": not UTF-8 at byte 6)");
}

TEST(RowJson, RefusesNamesThatAreNotUtf8) {
    auto relation = relation_of("t").column("id").column("caf\xe9");

    EXPECT_EQ(error_of<ValueError>([&] { RowJson row(relation, types); }),
              "name of column 2: not UTF-8 at byte 3");
}

TEST(RowJson, FollowsATypeThatIsAddedAgain) {
    JsonTypes mine;
    mine.add({{.oid = 20000, .kind = TypeDescription::Kind::domain, .of = type::text}});
    RowJson row(relation_of("t").column("a", 20000), mine);
    mine.add({{.oid = 20000, .kind = TypeDescription::Kind::domain, .of = type::int4}});
    std::string out;

    append_row(out, row, {text_value("1")}, no_limit, writer);

    EXPECT_EQ(out, R"({"a":1})");
}

}  // namespace walcast
