#include "agent/recording/mask_value.hpp"

#include "decoders/value_writer.hpp"
#include "tests/support/random_bytes.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <regex>
#include <set>

namespace walcast {

static constexpr HashKey key{4711, 4712};

static std::string mask(std::uint32_t type, std::string_view text) {
    return ValueMasker(key).mask(type, text);
}

static std::string as_json(const JsonTypes& types, std::uint32_t type, std::string_view text) {
    std::string out;
    ValueWriter().append(out, types.of(type), text);
    return out;
}

static bool is_like(const std::string& text, const char* pattern) {
    return std::regex_match(text, std::regex(pattern));
}

// --- texts ---

TEST(MaskValue, KeepsOfATextItsLengthAndTheKindsOfItsCharacters) {
    EXPECT_TRUE(is_like(mask(25, "Pangolin 77, x"), "[A-Z][a-z]{7} [0-9]{2}, [a-z]"));
    EXPECT_NE(mask(25, "Pangolin 77, x"), "Pangolin 77, x");
    EXPECT_EQ(mask(25, "\"\\\n\t {}()[],;'"), "\"\\\n\t {}()[],;'");
    EXPECT_EQ(mask(25, ""), "");
    EXPECT_EQ(mask(25, "Größe 漢 😀").size(), std::string("Größe 漢 😀").size());
}

TEST(MaskValue, KeepsTextsUtf8) {
    const JsonTypes types;
    for (const auto* text :
         {"é漢😀", "\xc2\x85", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf"})
        EXPECT_NO_THROW(as_json(types, 25, mask(25, text)));
}

TEST(MaskValue, DoesNotKeepBytesThatAreNotUtf8) {
    EXPECT_EQ(mask(25, "\xe9\xa0"), "\xff\xff");
    EXPECT_EQ(mask(25, "\xc0\xaf\xed\xa0\x80"), "\xff\xff\xff\xff\xff");
}

TEST(MaskValue, GivesTheSameForTheSameAndOthersForOthers) {
    ValueMasker masker(key);
    std::set<std::string> found;
    for (auto i = 0; i < 2000; ++i) found.insert(masker.mask(25, fmt::format("user-{:04}", i)));

    EXPECT_EQ(found.size(), 2000U);
    EXPECT_EQ(masker.mask(25, "user-0007"), ValueMasker(key).mask(25, "user-0007"));
    EXPECT_NE(masker.mask(25, "user-0007"), ValueMasker({4711, 1}).mask(25, "user-0007"));
}

TEST(MaskValue, MasksALongText) {
    std::string text(100'000, 'x');

    auto masked = mask(25, text);

    EXPECT_EQ(masked.size(), text.size());
    EXPECT_EQ(masked.find("xxxxxxxx"), std::string::npos);
}

// --- numbers ---

TEST(MaskValue, KeepsEachSmallintOneAndItsOwn) {
    ValueMasker masker(key);
    std::set<int> found;
    for (auto i = -32768; i <= 32767; ++i) {
        auto text = std::to_string(i);
        auto masked = masker.mask(21, text);
        ASSERT_EQ(masked.size(), text.size()) << text;
        auto value = std::stoi(masked);
        ASSERT_EQ(std::to_string(value), masked);
        ASSERT_TRUE(value >= -32768 && value <= 32767) << text << " " << masked;
        found.insert(value);
        ASSERT_EQ(masker.mask(20, text), masked) << "as bigint it meets itself";
        ASSERT_EQ(masker.mask(1700, text), masked) << "and as numeric";
    }

    EXPECT_EQ(found.size(), 65536U);
}

TEST(MaskValue, KeepsIntegersWithinTheTypesTheyFit) {
    for (auto i = 0U; i < 50; ++i) {
        ValueMasker masker({i, 1});
        auto within = [&](std::int64_t value, std::int64_t least, std::int64_t most) {
            auto masked = std::stoll(masker.mask(20, std::to_string(value)));
            EXPECT_TRUE(masked >= least && masked <= most) << value << " " << masked;
        };
        within(2147483647, 1'000'000'000, 2147483647);
        within(-2147483647 - 1, -2147483647 - 1, -1'000'000'000);
        within(2147483648, 2147483648, 4294967295);
        within(9007199254740991, 1'000'000'000'000'000, 9007199254740991);
        within(std::numeric_limits<std::int64_t>::max(), 1'000'000'000'000'000'000,
               std::numeric_limits<std::int64_t>::max());
        within(std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::min(),
               -1'000'000'000'000'000'000);
        EXPECT_EQ(masker.mask(5069, "18446744073709551614").size(), 20U);
        EXPECT_EQ(masker.mask(5069, "18446744073709551615").size(), 20U);
    }
}

TEST(MaskValue, KeepsOfANumericWhereItsDigitsAre) {
    EXPECT_TRUE(is_like(mask(1700, "-12.340"), "-[1-9][0-9]\\.[0-9]{3}"));
    EXPECT_TRUE(is_like(mask(1700, "0.000123"), "0\\.000[1-9][0-9][1-9]"));
    EXPECT_TRUE(is_like(mask(701, "1.5e-07"), "[1-9]\\.[1-9]e-07"));
    EXPECT_TRUE(is_like(mask(1700, "12345678901234567890123.5"), "[1-9][0-9]{22}\\.[1-9]"));
    for (const auto* kept :
         {"NaN", "Infinity", "-Infinity", "-0", "0.00", "1.7976931348623157e+308"})
        EXPECT_EQ(mask(701, kept), kept);
}

// --- every built-in type ---

struct MaskSample {
    std::uint32_t type;
    std::string text;
    const char* form;  // Of what it becomes.
};

static const std::vector<MaskSample> samples{
    {16, "t", "t"},
    {17, "\\x00ff73656372", "\\\\x[0-9a-f]{12}"},
    {18, "x", "[a-z]"},
    {19, "some_name", "[a-z]{4}.[a-z]{4}"},
    {20, "123456789012", "[1-9][0-9]{11}"},
    {21, "-123", "-[1-9][0-9]{2}"},
    {22, "10 22 35", "[1-9][0-9] [1-9][0-9] [1-9][0-9]"},
    {23, "1234567", "[1-9][0-9]{6}"},
    {26, "16384", "[1-9][0-9]{4}"},
    {27, "(0,1)", "\\([0-9],[0-9]\\)"},
    {27, "(1007,4)", "\\([1-9][0-9]{3},[0-9]\\)"},
    {1010, R"x({"(1007,12)",NULL})x", R"x(\{"\([1-9][0-9]{3},[1-9][0-9]\)",NULL\})x"},
    {28, "738", "[1-9][0-9]{2}"},
    {30, "1234 5678", "[1-9][0-9]{3} [1-9][0-9]{3}"},
    {114, R"({"name": ["Ada \"L\" é\n", 1815, -1.5e3, true, null]})",
     R"x(\{"[a-z]{4}": \["[A-Z][a-z]{2} \\"[A-Z]\\" ..\\n", [1-9][0-9]{3}, -[1-9]\.[1-9]e3, true, null\]\})x"},
    {142, "<a href=\"x\">text &amp; more</a>",
     "<[a-z] [a-z]{4}=\"[a-z]\">[a-z]{4} &amp; [a-z]{4}</[a-z]>"},
    {600, "(1.5,-27)", "\\([1-9]\\.[1-9],-[1-9][0-9]\\)"},
    {603, "(33,44),(11,22)", "\\([0-9]{2},[0-9]{2}\\),\\([0-9]{2},[0-9]{2}\\)"},
    {650, "10.20.0.0/16", "[1-9][0-9]\\.[1-9][0-9]\\.0\\.0/16"},
    {650, "2001:db8::/32", "[1-9a-f][0-9a-f]{3}:[1-9a-f][0-9a-f]{2}::/32"},
    {701, "0.30000000000000004", "0\\.[1-9][0-9]{15}[1-9]"},
    {790, "$1,234.50", "\\$[1-9],[0-9]{3}\\.[0-9]{2}"},
    {829, "08:00:2b:01:02:03", "([0-9a-f]{2}:){5}[0-9a-f]{2}"},
    {869, "192.168.17.9/24", "[12][0-9]{2}\\.[12][0-9]{2}\\.[1-9][0-9]\\.[1-9]/24"},
    {869, "::ffff:10.0.0.1", "::[1-9a-f][0-9a-f]{3}:[1-9][0-9]\\.0\\.0\\.[1-9]"},
    {1042, "padded   ", "[a-z]{6}   "},
    {1043, "word", "[a-z]{4}"},
    {1082, "2024-02-29", "[0-9]{4}-[01][0-9]-[0-3][0-9]"},
    {1082, "0044-03-15 BC", "0044-[01][0-9]-[0-3][0-9] BC"},
    {1083, "23:59:59.5", "[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\\.[1-9]"},
    {1114, "2024-01-02 03:04:05.12",
     "[0-9]{4}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]\\.[0-9][1-9]"},
    {1114, "infinity", "infinity"},
    {1184, "2024-01-02 03:04:05+00",
     "[0-9]{4}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]\\+00"},
    {1184, "0044-03-15 12:00:00+00 BC",
     "0044-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]\\+00 BC"},
    {1186, "1 year 2 mons -3 days +04:05:06.7",
     "[1-9] year [1-9] mons -[1-9] days \\+0[1-9]:[0-5][0-9]:[0-5][0-9]\\.[1-9]"},
    {1266, "04:05:06-08:30", "[0-2][0-9]:[0-5][0-9]:[0-5][0-9]-08:30"},
    {1560, "10110101", "[01]{8}"},
    {1700, "1234.50", "[1-9][0-9]{3}\\.[0-9]{2}"},
    {2950, "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
     "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-9[0-9a-f]{3}-[0-9a-f]{12}"},
    {3220, "16/B374D848", "[0-9A-F]{2}/[0-9A-F]{8}"},
    {3614, "'fat':12 'rat':13A", "'[a-z]{3}':[0-9]{2} '[a-z]{3}':[0-9]{2}[A-Z]"},
    {3904, "[1,3)", "\\[[0-9],[0-9]\\)"},
    {3904, "empty", "empty"},
    {3908, R"(["2024-01-01 00:00:00",))", "\\[\"[-0-9]{10} [:0-9]{8}\",\\)"},
    {4451, "{[1,3),[10,20)}", "\\{\\[[0-9],[0-9]\\),\\[[0-9]{2},[0-9]{2}\\)\\}"},
    {1007, "{12,NULL,{3,4}}", "\\{[1-9][0-9],NULL,\\{[0-9],[0-9]\\}\\}"},
    {1007, "[2:3]={17,28}", "\\[2:3\\]=\\{[1-9][0-9],[1-9][0-9]\\}"},
    {1009, R"({plain,"two words","a \"q\"",NULL,""})",
     R"x(\{[a-z]{5},"[a-z]{3} [a-z]{5}","[a-z] \\"[a-z]\\"",NULL,""\})x"},
    {1185, R"({"2024-01-02 03:04:05+00"})", R"x(\{"[-0-9]{10} [:0-9]{8}\+00"\})x"},
    {1020, "{(3,4),(1,2);(7,8),(5,6)}",
     "\\{\\([0-9],[0-9]\\),\\([0-9],[0-9]\\);\\([0-9],[0-9]\\),\\([0-9],[0-9]\\)\\}"},
    {2951, "{3f2504e0-4f89-41d3-9a0c-0305e82c3301}", "\\{[-0-9a-f]{36}\\}"},
};

TEST(MaskValue, KeepsValuesOfEachTypeValuesOfIt) {
    const JsonTypes types;
    for (auto i = 0U; i < 20; ++i) {
        ValueMasker masker({i, 7});
        for (const auto& [type, text, form] : samples) {
            auto masked = masker.mask(type, text);
            EXPECT_TRUE(is_like(masked, form)) << type << " " << text << " became " << masked;
            EXPECT_NO_THROW(as_json(types, type, masked)) << type << " " << masked;
        }
    }
}

TEST(MaskValue, KeepsDatesDates) {
    ValueMasker masker(key);
    std::set<std::string> found;
    for (auto day = 1; day <= 28; ++day)
        for (auto month = 1; month <= 12; ++month)
            found.insert(masker.mask(1082, fmt::format("2023-{:02}-{:02}", month, day)));

    EXPECT_EQ(found.size(), 28U * 12);
    EXPECT_EQ(masker.mask(1114, "2023-04-05 00:00:00").substr(0, 10),
              masker.mask(1082, "2023-04-05"));
    for (const auto& date : found) {
        auto day = std::chrono::year{std::stoi(date.substr(0, 4))} / std::stoi(date.substr(5, 2)) /
                   std::stoi(date.substr(8));
        EXPECT_TRUE(day.ok()) << date;
    }
}

TEST(MaskValue, KeepsRowPlacesWithinTheirTypeAndNotInClear) {
    std::set<std::string> found;
    for (auto i = 0U; i < 50; ++i) {
        auto masked = ValueMasker({i, 1}).mask(27, "(4294967295,65535)");
        ASSERT_TRUE(is_like(masked, "\\([1-9][0-9]{9},[1-6][0-9]{4}\\)")) << masked;
        EXPECT_LE(std::stoull(masked.substr(1)), 4294967295U) << masked;
        EXPECT_LE(std::stoull(masked.substr(masked.find(',') + 1)), 65535U) << masked;
        found.insert(masked);
    }

    EXPECT_GT(found.size(), 40U);
    EXPECT_NE(mask(27, "(1007,70000)"), "(1007,70000)");
}

TEST(MaskValue, KeepsTheBoundsOfARangeInOrder) {
    for (auto i = 0U; i < 50; ++i) {
        auto masked = ValueMasker({i, 1}).mask(3904, "[100,200)");
        EXPECT_LT(masked.substr(1, 3), masked.substr(5, 3)) << masked;
    }
}

// What its type would never print is not kept for that.
TEST(MaskValue, KeepsNothingOfWhatIsNotOfItsType) {
    for (const auto& [type, text, form] : samples) {
        if (type == 16) continue;
        for (const auto* other :
             {"secretword", "{secretword", "(\"secretword", "[secretword,",
              "{\"secretword\": secretword", "2024-secretword", "99:secretword:1"}) {
            auto masked = mask(type, other);
            EXPECT_EQ(masked.find("secretword"), std::string::npos) << type << " " << masked;
        }
    }
}

TEST(MaskValue, EndsWhateverTheBytes) {
    auto seed = test_seed();
    RecordProperty("seed", std::to_string(seed));
    SCOPED_TRACE("WALCAST_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    ValueMasker masker(key);

    for (auto i = 0; i < 3000; ++i) {
        const auto& sample = samples[random() % samples.size()];
        auto text = sample.text;
        flip_bits(text, random);
        text.resize(text.size() - random() % (text.size() + 1) * (random() % 2));
        masker.mask(sample.type, text);
    }
}

// --- types that are not built in ---

static constexpr std::uint32_t domain_oid = 16500;
static constexpr std::uint32_t composite_oid = 16501;
static constexpr std::uint32_t composites_oid = 16502;
static constexpr std::uint32_t hstore_oid = 16503;
static constexpr std::uint32_t enum_oid = 16504;

static std::vector<TypeDescription> user_types() {
    using Kind = TypeDescription::Kind;
    return {{.oid = domain_oid, .kind = Kind::domain, .of = 1082, .fields = {}},
            {.oid = composite_oid,
             .kind = Kind::composite,
             .fields = {{"count", 23}, {"label", 25}, {"since", domain_oid}}},
            {.oid = composites_oid, .kind = Kind::array, .of = composite_oid, .fields = {}},
            {.oid = hstore_oid, .kind = Kind::hstore, .fields = {}},
            {.oid = enum_oid, .fields = {}}};
}

TEST(MaskValue, LooksIntoWhatHoldsOtherValues) {
    ValueMasker masker(key);
    masker.add_types(user_types());
    JsonTypes types;
    types.add(user_types());
    std::vector<MaskSample> held{
        {domain_oid, "2024-02-29", "[0-9]{4}-[01][0-9]-[0-3][0-9]"},
        {composite_oid, R"((12,"two ""words""",2024-02-29))",
         R"x(\([1-9][0-9],"[a-z]{3} ""[a-z]{5}""",[-0-9]{10}\))x"},
        {composite_oid, R"((,"",))", R"x(\(,"",\))x"},
        {composite_oid, "(1,2)", "\\([0-9],[0-9]\\)"},
        {composites_oid, R"x({"(12,\"two words\",)","(34,word,2024-02-29)",NULL})x",
         R"x(\{"\([1-9][0-9],\\"[a-z]{3} [a-z]{5}\\",\)","\([1-9][0-9],[a-z]{4},[-0-9]{10}\)",NULL\})x"},
        {hstore_oid, R"("key"=>"a \"b\"", "other"=>NULL)",
         R"x("[a-z]{3}"=>"[a-z] \\"[a-z]\\"", "[a-z]{5}"=>NULL)x"},
        {enum_oid, "happy \"x\"", "[a-z]{5} \"[a-z]\""},
        {99999, "{1,2}", "\\{[0-9],[0-9]\\}"}};

    for (const auto& [type, text, form] : held) {
        auto masked = masker.mask(type, text);
        EXPECT_TRUE(is_like(masked, form)) << type << " " << text << " became " << masked;
        EXPECT_NO_THROW(as_json(types, type, masked)) << type << " " << masked;
    }
}

TEST(MaskValue, DoesNotMakeAnElementNull) {
    ValueMasker masker(key);
    for (auto i = 0; i < 20'000; ++i) {
        auto element = fmt::format("{:c}{:c}ab", 'a' + i % 26, 'a' + i / 26 % 26);
        EXPECT_NE(masker.mask(1009, '{' + element + '}'), "{null}");
    }
}

TEST(MaskValue, KeepsOurNamesInContentsThatAreForUs) {
    ValueMasker masker(key);
    auto content = R"({"mutationId":"m-71","data":{"title":"secret"}})";

    EXPECT_TRUE(is_like(masker.mask_content(content, true),
                        R"x(\{"mutationId":"[a-z].[0-9]{2}","data":\{"[a-z]{5}":"[a-z]{6}"\}\})x"));
    EXPECT_TRUE(
        is_like(masker.mask_content(content, false),
                R"x(\{"[a-zA-Z]{10}":"[a-z].[0-9]{2}","[a-z]{4}":\{"[a-z]{5}":"[a-z]{6}"\}\})x"));
    EXPECT_TRUE(is_like(masker.mask_content("hello", true), "[a-z]{5}"));
}

}  // namespace walcast
