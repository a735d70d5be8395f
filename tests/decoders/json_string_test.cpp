#include "decoders/json_string.hpp"

#include "tests/support/throws.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace walcast {

static std::string json_string(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
}

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

// Characters of one and two bytes; there are no longer ones in what is tried below.
static bool is_plainly_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto byte = static_cast<unsigned char>(text[i]);
        if (byte < 0x80) continue;
        auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
        if (byte < 0xC2 || byte > 0xDF || next < 0x80 || next > 0xBF) return false;
        ++i;
    }
    return true;
}

static void expect_written_plainly(const std::string& text) {
    if (is_plainly_utf8(text))
        ASSERT_EQ(json_string(text), plainly(text));
    else
        ASSERT_THROW(json_string(text), ValueError) << plainly(text);
}

// Eight bytes are looked at together, so each byte value is tried at each place in and around them.
TEST(JsonString, WritesEachByteAtEachOffsetAsItShould) {
    for (std::size_t size = 1; size <= 17; ++size) {
        for (std::size_t offset = 0; offset < size; ++offset) {
            for (auto code = 0; code < 256; ++code) {
                std::string text(size, 'x');
                text[offset] = static_cast<char>(code);
                expect_written_plainly(text);
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
            expect_written_plainly(text);
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

TEST(JsonString, TellsWhereTextIsNotUtf8) {
    for (const auto* broken : {"\xff", "\x80", "\xc3", "\xc3(", "\xe2\x82", "\xed\xa0\x80",
                               "\xc0\xaf", "\xf4\x90\x80\x80", "\xf0\x9f\x98"}) {
        for (const auto* before : {"", "1234567", "12345678", "é\n漢字😀"}) {
            auto text = std::string(before) + broken;
            EXPECT_EQ(error_of<ValueError>([&] { json_string(text); }),
                      fmt::format("not UTF-8 at byte {}", std::string_view(before).size()));
        }
    }
}

TEST(Json, IsEmbeddedAsItIs) {
    std::string out = ":";

    append_json(out, R"({"a": [1e400,  null, "\u0000"]})");

    EXPECT_EQ(out, R"(:{"a": [1e400,  null, "\u0000"]})");
}

TEST(Json, MustBeUtf8) {
    std::string out;

    EXPECT_EQ(error_of<ValueError>([&] { append_json(out, "[\"\xff\"]"); }), "not UTF-8 at byte 2");
}

}  // namespace walcast
