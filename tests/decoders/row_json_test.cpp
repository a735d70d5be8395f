#include "decoders/row_json.hpp"

#include "decoders/byte_reader.hpp"
#include "tests/support/relations.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <ostream>

namespace walcast {

static std::string json_of(JsonForm form, std::string_view text) {
    std::string out;
    append_json_value(out, form, text);
    return out;
}

static std::string json_string(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
}

// --- forms ---

TEST(JsonForm, IsChosenByTheTypesOid) {
    for (auto oid : {20U, 21U, 23U, 26U, 28U, 29U, 5069U})
        EXPECT_EQ(json_form(oid), JsonForm::integer) << oid;
    for (auto oid : {700U, 701U}) EXPECT_EQ(json_form(oid), JsonForm::floating) << oid;
    EXPECT_EQ(json_form(16), JsonForm::boolean);
    EXPECT_EQ(json_form(1700), JsonForm::numeric);
    EXPECT_EQ(json_form(1114), JsonForm::timestamp);
    EXPECT_EQ(json_form(1184), JsonForm::timestamptz);
    EXPECT_EQ(json_form(114), JsonForm::json);
    EXPECT_EQ(json_form(3802), JsonForm::json);
}

TEST(JsonForm, IsAStringForAllOtherTypes) {
    // text, varchar, bytea, uuid, date, time, timetz, interval, int4[], json[], money, "char",
    // an enum.
    for (auto oid : {25U, 1043U, 17U, 2950U, 1082U, 1083U, 1266U, 1186U, 1007U, 199U, 790U, 18U,
                     16999U, 0U, 0xFFFFFFFFU})
        EXPECT_EQ(json_form(oid), JsonForm::string) << oid;
}

struct Written {
    JsonForm form;
    const char* text;
    const char* json;

    friend void PrintTo(const Written& shown, std::ostream* out) { *out << shown.text; }
};

class JsonValue : public testing::TestWithParam<Written> {};

TEST_P(JsonValue, IsWrittenTrueToItsType) {
    EXPECT_EQ(json_of(GetParam().form, GetParam().text), GetParam().json);
}

INSTANTIATE_TEST_SUITE_P(
    Integer, JsonValue,
    testing::Values(Written{JsonForm::integer, "0", "0"}, Written{JsonForm::integer, "-1", "-1"},
                    Written{JsonForm::integer, "9007199254740991", "9007199254740991"},
                    Written{JsonForm::integer, "-9007199254740991", "-9007199254740991"},
                    Written{JsonForm::integer, "9007199254740992", R"("9007199254740992")"},
                    Written{JsonForm::integer, "-9007199254740992", R"("-9007199254740992")"},
                    Written{JsonForm::integer, "10000000000000000", R"("10000000000000000")"},
                    Written{JsonForm::integer, "999999999999999", "999999999999999"},
                    Written{JsonForm::integer, "9223372036854775807", R"("9223372036854775807")"},
                    Written{JsonForm::integer, "-9223372036854775808", R"("-9223372036854775808")"},
                    Written{JsonForm::integer, "18446744073709551615",
                            R"("18446744073709551615")"}));

INSTANTIATE_TEST_SUITE_P(
    Numeric, JsonValue,
    testing::Values(Written{JsonForm::numeric, "0", "0"},
                    Written{JsonForm::numeric, "0.00", "0.00"},
                    Written{JsonForm::numeric, "-0.5", "-0.5"},
                    Written{JsonForm::numeric, "19.90", "19.90"},
                    Written{JsonForm::numeric, "123456789012345", "123456789012345"},
                    Written{JsonForm::numeric, "-123456789012345", "-123456789012345"},
                    Written{JsonForm::numeric, "1234567890123456", R"("1234567890123456")"},
                    Written{JsonForm::numeric, "1234567890.12345", "1234567890.12345"},
                    Written{JsonForm::numeric, "1234567890.123456", R"("1234567890.123456")"},
                    // Zeros in front are no digits that a double must keep; those behind are.
                    Written{JsonForm::numeric, "0.00000000000000000000123456789012345",
                            "0.00000000000000000000123456789012345"},
                    Written{JsonForm::numeric, "0.000000000000000000001234567890123456",
                            R"("0.000000000000000000001234567890123456")"},
                    Written{JsonForm::numeric, "1.00000000000000", "1.00000000000000"},
                    Written{JsonForm::numeric, "1.000000000000000", R"("1.000000000000000")"},
                    Written{JsonForm::numeric, "NaN", R"("NaN")"},
                    Written{JsonForm::numeric, "Infinity", R"("Infinity")"},
                    Written{JsonForm::numeric, "-Infinity", R"("-Infinity")"}));

INSTANTIATE_TEST_SUITE_P(Floating, JsonValue,
                         testing::Values(Written{JsonForm::floating, "1.5", "1.5"},
                                         Written{JsonForm::floating, "0.1", "0.1"},
                                         Written{JsonForm::floating, "-0", "-0"},
                                         Written{JsonForm::floating, "1e+20", "1e+20"},
                                         Written{JsonForm::floating, "1e-07", "1e-07"},
                                         Written{JsonForm::floating, "-1.7976931348623157e+308",
                                                 "-1.7976931348623157e+308"},
                                         Written{JsonForm::floating, "NaN", R"("NaN")"},
                                         Written{JsonForm::floating, "Infinity", R"("Infinity")"},
                                         Written{JsonForm::floating, "-Infinity",
                                                 R"("-Infinity")"}));

INSTANTIATE_TEST_SUITE_P(Boolean, JsonValue,
                         testing::Values(Written{JsonForm::boolean, "t", "true"},
                                         Written{JsonForm::boolean, "f", "false"}));

INSTANTIATE_TEST_SUITE_P(
    Timestamp, JsonValue,
    testing::Values(
        Written{JsonForm::timestamp, "2024-01-02 03:04:05", R"("2024-01-02T03:04:05")"},
        Written{JsonForm::timestamp, "2024-01-02 03:04:05.12", R"("2024-01-02T03:04:05.12")"},
        Written{JsonForm::timestamp, "2024-01-02 03:04:05.123456",
                R"("2024-01-02T03:04:05.123456")"},
        Written{JsonForm::timestamp, "0001-01-01 00:00:00", R"("0001-01-01T00:00:00")"},
        Written{JsonForm::timestamp, "infinity", R"("infinity")"},
        Written{JsonForm::timestamp, "-infinity", R"("-infinity")"},
        Written{JsonForm::timestamp, "10000-01-01 00:00:00", R"("10000-01-01 00:00:00")"},
        Written{JsonForm::timestamp, "0044-03-15 12:00:00 BC", R"("0044-03-15 12:00:00 BC")"}));

INSTANTIATE_TEST_SUITE_P(
    Timestamptz, JsonValue,
    testing::Values(
        Written{JsonForm::timestamptz, "2024-01-02 03:04:05+00", R"("2024-01-02T03:04:05Z")"},
        Written{JsonForm::timestamptz, "2024-01-02 03:04:05.12+00", R"("2024-01-02T03:04:05.12Z")"},
        Written{JsonForm::timestamptz, "infinity", R"("infinity")"},
        Written{JsonForm::timestamptz, "-infinity", R"("-infinity")"},
        Written{JsonForm::timestamptz, "0044-03-15 12:00:00+00 BC",
                R"("0044-03-15 12:00:00+00 BC")"},
        // Never claimed to be UTC when it is not.
        Written{JsonForm::timestamptz, "2024-01-02 03:04:05+05:30",
                R"("2024-01-02 03:04:05+05:30")"}));

INSTANTIATE_TEST_SUITE_P(Json, JsonValue,
                         testing::Values(Written{JsonForm::json, R"({"a": [1, null, "x"]})",
                                                 R"({"a": [1, null, "x"]})"},
                                         Written{JsonForm::json, "null", "null"},
                                         Written{JsonForm::json, "1e400", "1e400"},
                                         Written{JsonForm::json, R"("\u0000")", R"("\u0000")"}));

INSTANTIATE_TEST_SUITE_P(String, JsonValue,
                         testing::Values(Written{JsonForm::string, "", R"("")"},
                                         Written{JsonForm::string, "x", R"("x")"},
                                         Written{JsonForm::string, R"(\x00ff)", R"("\\x00ff")"}));

// --- strings ---

// Written byte by byte, without any haste.
static std::string plainly(std::string_view text) {
    std::string out = "\"";
    for (auto character : text) {
        switch (character) {
            case '"': out += "\\\""; break;
            case '\\': out += "\\\\"; break;
            case '\b': out += "\\b"; break;
            case '\f': out += "\\f"; break;
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\t': out += "\\t"; break;
            default:
                if (static_cast<unsigned char>(character) < 0x20)
                    out += fmt::format("\\u{:04x}", static_cast<unsigned>(character));
                else
                    out += character;
        }
    }
    return out + '"';
}

TEST(JsonString, EscapesEachControlCharacter) {
    for (auto code = 0; code < 0x20; ++code) {
        std::string text(1, static_cast<char>(code));
        EXPECT_EQ(json_string(text), plainly(text)) << code;
    }
    EXPECT_EQ(json_string(std::string(1, '\x01')), R"("\u0001")");
    EXPECT_EQ(json_string(std::string(1, '\x1f')), R"("\u001f")");
    EXPECT_EQ(json_string(std::string(1, '\0')), R"("\u0000")");
}

TEST(JsonString, EscapesQuotesAndBackslashes) {
    EXPECT_EQ(json_string(R"(a"b\c)"), R"("a\"b\\c")");
}

// Eight bytes are looked at together, so each byte value is tried at each place in and around them.
TEST(JsonString, WritesEachByteAtEachOffsetAsItShould) {
    for (std::size_t size = 1; size <= 17; ++size) {
        for (std::size_t offset = 0; offset < size; ++offset) {
            for (auto code = 0; code < 256; ++code) {
                std::string text(size, 'x');
                text[offset] = static_cast<char>(code);
                ASSERT_EQ(json_string(text), plainly(text)) << size << ' ' << offset << ' ' << code;
            }
        }
    }
}

// A byte that needs an escape may hide behind its neighbour's carry.
TEST(JsonString, WritesEachPairOfNeighboursAsItShould) {
    for (auto first = 0; first < 256; ++first) {
        for (auto second = 0; second < 256; ++second) {
            std::string text = "xxxxxxxx";
            text[3] = static_cast<char>(first);
            text[4] = static_cast<char>(second);
            ASSERT_EQ(json_string(text), plainly(text)) << first << ' ' << second;
        }
    }
}

TEST(JsonString, EscapesTextWhereEveryByteNeedsIt) {
    std::string text(40, '"');

    EXPECT_EQ(json_string(text), plainly(text));
}

TEST(JsonString, KeepsMultibyteCharactersAndDelete) {
    EXPECT_EQ(json_string("é€😀 Ω漢字 \x7f"), "\"é€😀 Ω漢字 \x7f\"");
}

TEST(JsonString, AppendsToWhatIsThere) {
    std::string out = "[";

    append_json_string(out, "x");

    EXPECT_EQ(out, R"(["x")");
}

// --- rows ---

static constexpr auto no_limit = std::numeric_limits<std::size_t>::max();

static Value text_value(std::string_view text) {
    return {Value::Kind::text, text};
}

static const Value null_value{Value::Kind::null, {}};
static const Value unchanged_value{Value::Kind::unchanged, {}};

static Relation documents() {
    return relation_of("documents").key("id").column("title").column("body");
}

TEST(RowJson, WritesAllColumnsInTheirOrder) {
    RowJson row(documents());
    Tuple tuple{text_value("7"), text_value("a \"b\""), null_value};
    std::string out;

    auto gaps = append_row(out, row, tuple, no_limit);

    EXPECT_EQ(out, R"({"id":7,"title":"a \"b\"","body":null})");
    EXPECT_FALSE(gaps.has_unchanged);
    EXPECT_FALSE(gaps.has_omitted);
}

TEST(RowJson, EscapesTheNamesOfColumns) {
    RowJson row(relation_of("t").column("a\"b\\c\n"));
    std::string out;

    append_row(out, row, {text_value("x")}, no_limit);

    EXPECT_EQ(out, R"({"a\"b\\c\n":"x"})");
}

TEST(RowJson, WritesATableWithoutColumns) {
    RowJson row{Relation(relation_of("empty"))};
    std::string out;

    append_row(out, row, {}, no_limit);

    EXPECT_EQ(out, "{}");
}

TEST(RowJson, LeavesUnchangedValuesOutAndListsThem) {
    RowJson row(documents());
    Tuple tuple{unchanged_value, text_value("x"), unchanged_value};
    std::string out;
    std::string list;

    auto gaps = append_row(out, row, tuple, no_limit);
    append_unchanged_keys(list, row, tuple);

    EXPECT_EQ(out, R"({"title":"x"})");
    EXPECT_TRUE(gaps.has_unchanged);
    EXPECT_FALSE(gaps.has_omitted);
    EXPECT_EQ(list, R"(["id","body"])");
}

TEST(RowJson, LeavesLargeValuesOutAndListsThem) {
    RowJson row(documents());
    Tuple tuple{text_value("7"), text_value("12345"), text_value("1234")};
    std::string out;
    std::string list;

    auto gaps = append_row(out, row, tuple, 4);
    append_omitted_keys(list, row, tuple, 4);

    EXPECT_EQ(out, R"({"id":7,"body":"1234"})");
    EXPECT_FALSE(gaps.has_unchanged);
    EXPECT_TRUE(gaps.has_omitted);
    EXPECT_EQ(list, R"(["title"])");
}

TEST(RowJson, NeverListsAValueAsBothUnchangedAndOmitted) {
    RowJson row(documents());
    Tuple tuple{text_value("7"), text_value("12345"), unchanged_value};
    std::string unchanged;
    std::string omitted;

    append_unchanged_keys(unchanged, row, tuple);
    append_omitted_keys(omitted, row, tuple, 4);

    EXPECT_EQ(unchanged, R"(["body"])");
    EXPECT_EQ(omitted, R"(["title"])");
}

TEST(RowJson, RefusesBinaryValues) {
    RowJson row(documents());
    Tuple tuple{{Value::Kind::binary, "\x01"}, null_value, null_value};
    std::string out;

    EXPECT_THROW(append_row(out, row, tuple, no_limit), DecodeError);
}

}  // namespace walcast
