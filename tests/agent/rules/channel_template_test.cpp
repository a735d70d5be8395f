#include "agent/rules/channel_template.hpp"

#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>

namespace walcast {

// The parts as text, columns as `<name>`.
static std::string show(std::string_view text) {
    std::string out;
    for (const auto& part : parse_channel_template(text).parts) {
        out += part.is_column ? '<' + part.text : '[' + part.text;
        for (const auto& key : part.keys) out += " / " + key;
        out += part.is_column ? '>' : ']';
    }
    return out;
}

TEST(ChannelTemplate, HasLiteralTextAndColumns) {
    EXPECT_EQ(show("workspace:{workspace_id}"), "[workspace:]<workspace_id>");
    EXPECT_EQ(show("a:{b}:c:{d}"), "[a:]<b>[:c:]<d>");
    EXPECT_EQ(show("all"), "[all]");
}

TEST(ChannelTemplate, TakesAnyNameOfAColumn) {
    EXPECT_EQ(show("{Größe in cm}"), "<Größe in cm>");
    EXPECT_EQ(show("{a:b}"), "<a:b>");
}

TEST(ChannelTemplate, TakesDoubledBracesAsBraces) {
    EXPECT_EQ(show("a{{b}}c"), "[a{b}c]");
    EXPECT_EQ(show("{{{id}}}"), "[{]<id>[}]");
    EXPECT_EQ(show("{{{{"), "[{{]");
}

TEST(ChannelTemplate, ReadsKeysOfADocument) {
    EXPECT_EQ(show("team:{meta.team_id}"), "[team:]<meta / team_id>");
    EXPECT_EQ(show("{meta.a.b c.d}"), "<meta / a / b c / d>");
}

TEST(ChannelTemplate, TakesNamesInQuotesAsTheyAre) {
    EXPECT_EQ(show(R"({"a.b"})"), "<a.b>");
    EXPECT_EQ(show(R"({"a.b"."}".c:"x""y"})"), R"(<a.b / } / c:"x""y">)");
    EXPECT_EQ(show(R"({"x""y"})"), R"(<x"y>)");
}

TEST(ChannelTemplate, KnowsWhichNamesItCanMake) {
    auto can_make = [](std::string_view text, std::string_view name) {
        return parse_channel_template(text).can_make(name);
    };

    EXPECT_TRUE(can_make("walcast:{a}", "walcast:control"));
    EXPECT_TRUE(can_make("{a}:{b}", "walcast:control"));
    EXPECT_TRUE(can_make("walcast:c{a}l", "walcast:control"));
    EXPECT_FALSE(can_make("{a}", "walcast:control"));
    EXPECT_FALSE(can_make("walcast:x{a}", "walcast:control"));
    EXPECT_FALSE(can_make("walcast:control:{a}", "walcast:control"));
    EXPECT_TRUE(can_make("walcast:control", "walcast:control"));
}

TEST(ChannelTemplate, KnowsHowNamesCanBegin) {
    auto can_begin = [](std::string_view text, std::string_view beginning) {
        return parse_channel_template(text).can_begin_with(beginning);
    };

    EXPECT_TRUE(can_begin("w:receipt:{a}", "w:receipt:"));
    EXPECT_TRUE(can_begin("w:receipt:", "w:receipt:"));
    EXPECT_TRUE(can_begin("{a}:receipt:{b}", "w:receipt:"));
    EXPECT_TRUE(can_begin("w:rec{a}:x", "w:receipt:"));
    EXPECT_TRUE(can_begin("{a}", "wal"));
    EXPECT_TRUE(can_begin("wal", ""));
    EXPECT_FALSE(can_begin("w:receipt", "w:receipt:"));
    EXPECT_FALSE(can_begin("w:receipts:{a}", "w:receipt:"));
    EXPECT_FALSE(can_begin("{a}", "w:receipt:"));
    EXPECT_FALSE(can_begin("x:receipt:{a}", "w:receipt:"));
}

TEST(ChannelTemplate, ReadsAColumnTwice) {
    EXPECT_EQ(show("{id}-{id}"), "<id>[-]<id>");
}

struct WrongTemplate {
    const char* text;
    const char* says;

    friend void PrintTo(const WrongTemplate& shown, std::ostream* out) { *out << shown.text; }
};

class BadChannelTemplate : public testing::TestWithParam<WrongTemplate> {};

TEST_P(BadChannelTemplate, IsRefusedAndSaysWhere) {
    auto error = error_of<std::invalid_argument>([] { parse_channel_template(GetParam().text); });

    EXPECT_TRUE(contains(error, GetParam().says)) << error;
}

INSTANTIATE_TEST_SUITE_P(Channel, BadChannelTemplate,
                         testing::Values(WrongTemplate{"", "needs a name"},
                                         WrongTemplate{"todos:{id", "the { at 7 is not closed"},
                                         WrongTemplate{"{", "the { at 1 is not closed"},
                                         WrongTemplate{"todos:{}",
                                                       "no column between the braces at 7"},
                                         WrongTemplate{"todos:id}", "the } at 9 was not opened"},
                                         WrongTemplate{"{id}}", "the } at 5 was not opened"},
                                         WrongTemplate{"{a}{b}", "between the columns at 4"},
                                         WrongTemplate{"{a.}", "no key after the dot at 3"},
                                         WrongTemplate{"{a.b", "the { at 1 is not closed"},
                                         WrongTemplate{"{\"a}", "the { at 1 is not closed"},
                                         WrongTemplate{"{\"a\"b}", "after the quoted name"},
                                         WrongTemplate{"todos\n", "control character at 6"},
                                         WrongTemplate{"\x01", "control character at 1"}));

static std::string channel_value(std::string_view value) {
    std::string out;
    append_channel_value(out, value);
    return out;
}

TEST(ChannelValue, KeepsLettersDigitsAndHarmlessMarks) {
    EXPECT_EQ(channel_value("azAZ09-._~@+"), "azAZ09-._~@+");
    EXPECT_EQ(channel_value("3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
              "3f2504e0-4f89-41d3-9a0c-0305e82c3301");
    EXPECT_EQ(channel_value("ann@example.com"), "ann@example.com");
}

TEST(ChannelValue, KeepsWhatIsBeyondAscii) {
    EXPECT_EQ(channel_value("Größe漢😀"), "Größe漢😀");
}

TEST(ChannelValue, EncodesWhatCouldEndItsPartOfTheName) {
    EXPECT_EQ(channel_value("a:b"), "a%3Ab");
    EXPECT_EQ(channel_value("a/b"), "a%2Fb");
    EXPECT_EQ(channel_value("a%3Ab"), "a%253Ab");
    EXPECT_EQ(channel_value("a b\n"), "a%20b%0A");
    EXPECT_EQ(channel_value("{x}*?[]"), "%7Bx%7D%2A%3F%5B%5D");
    EXPECT_EQ(channel_value(std::string_view("\0", 1)), "%00");
}

TEST(ChannelValue, IsNeverTheSameForTwoTexts) {
    std::vector<std::string> seen;
    for (auto code = 0; code < 256; ++code) {
        auto encoded = channel_value(std::string(1, static_cast<char>(code)));
        EXPECT_EQ(std::count(seen.begin(), seen.end(), encoded), 0) << code;
        seen.push_back(encoded);
    }
}

// --- two templates ---

static bool can_share(std::string_view a, std::string_view b) {
    auto first = parse_channel_template(a);
    auto second = parse_channel_template(b);
    EXPECT_EQ(can_make_same(first, second), can_make_same(second, first)) << a << " " << b;
    return can_make_same(first, second);
}

TEST(ChannelTemplate, SharesANameWithAnother) {
    EXPECT_TRUE(can_share("all", "all"));
    EXPECT_TRUE(can_share("user:{id}", "user:{owner_id}"));
    EXPECT_TRUE(can_share("user:{id}", "user:7"));
    EXPECT_TRUE(can_share("user:{id}", "user:"));
    EXPECT_TRUE(can_share("{a}", "all"));
    EXPECT_TRUE(can_share("{a}:x", "y:{b}"));
    EXPECT_TRUE(can_share("a{x}b{y}c", "abbc"));
    EXPECT_TRUE(can_share("{a}", "%41"));
}

TEST(ChannelTemplate, SharesNoNameWithAnother) {
    EXPECT_FALSE(can_share("all", "every"));
    EXPECT_FALSE(can_share("user:{id}", "workspace:{id}"));
    EXPECT_FALSE(can_share("{a}", "x:{b}"));
    EXPECT_FALSE(can_share("{a}:{b}", "{c}"));
    EXPECT_FALSE(can_share("u:{a}:x", "u:{a}:y"));
    EXPECT_FALSE(can_share("u:{a}", "u:{a}:{b}"));
}

TEST(ChannelTemplate, SharesANameWhereverBothMakeIt) {
    // Every name of up to four bytes of a small alphabet, by brute force.
    constexpr std::string_view alphabet = "a:%";
    std::vector<std::string> names{""};
    for (std::size_t i = 0; i < names.size() && names[i].size() < 4; ++i)
        for (auto byte : alphabet) names.push_back(names[i] + byte);
    const std::vector<std::string> texts{"a",        ":",    "a:",   "{x}",     "a{x}",
                                         "{x}a",     "{x}:", ":{x}", "{x}:{y}", "a{x}:a",
                                         "{x}a:{y}", "%{x}", "{x}aa"};
    for (const auto& a : texts) {
        for (const auto& b : texts) {
            auto first = parse_channel_template(a);
            auto second = parse_channel_template(b);
            auto is_made = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
                return first.can_make(name) && second.can_make(name);
            });
            EXPECT_EQ(can_share(a, b), is_made) << a << " " << b;
        }
    }
}

}  // namespace walcast
