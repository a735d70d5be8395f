#include "decoders/value_writer.hpp"

#include "tests/support/random_bytes.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/throws.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <ostream>
#include <utility>

namespace walcast {

using Kind = TypeDescription::Kind;

static constexpr std::uint32_t address = 20001;  // (number int4, street text, tags text[])
static constexpr std::uint32_t addresses = 20002;
static constexpr std::uint32_t person = 20003;  // (name text, homes address[])
static constexpr std::uint32_t people = 20004;
static constexpr std::uint32_t hstore = 20005;
static constexpr std::uint32_t nothing = 20006;  // ()
static constexpr std::uint32_t single = 20007;   // (x int4)
static constexpr std::uint32_t ring = 20008;     // (r ring), which no server makes
static constexpr std::uint32_t rings = 20009;    // rings[], neither

static JsonTypes example_types(JsonPolicy policy = {}) {
    JsonTypes types(policy);
    types.add({
        {.oid = address,
         .kind = Kind::composite,
         .fields = {{"number", type::int4}, {"street", type::text}, {"tags", 1009}}},
        {.oid = addresses, .kind = Kind::array, .of = address},
        {.oid = person, .kind = Kind::composite, .fields = {{"name", 25}, {"homes", addresses}}},
        {.oid = people, .kind = Kind::array, .of = person},
        {.oid = hstore, .kind = Kind::hstore},
        {.oid = nothing, .kind = Kind::composite},
        {.oid = single, .kind = Kind::composite, .fields = {{"x", type::int4}}},
        {.oid = ring, .kind = Kind::composite, .fields = {{"r", ring}}},
        {.oid = rings, .kind = Kind::array, .of = rings},
    });
    return types;
}

static std::string written(std::uint32_t oid, std::string_view text, JsonPolicy policy = {}) {
    std::string out;
    ValueWriter().append(out, example_types(policy).of(oid), text);
    return out;
}

namespace {

struct Written {
    std::uint32_t oid;
    const char* text;
    const char* json;
    JsonPolicy policy = {};

    friend void PrintTo(const Written& shown, std::ostream* out) {
        *out << shown.oid << ' ' << shown.text;
    }
};

class ValueJson : public testing::TestWithParam<Written> {};
class BrokenValue : public testing::TestWithParam<Written> {};

}  // namespace

TEST_P(ValueJson, IsTrueToItsType) {
    EXPECT_EQ(written(GetParam().oid, GetParam().text, GetParam().policy), GetParam().json);
}

// What ought to be JSON is the error here.
TEST_P(BrokenValue, IsRefused) {
    EXPECT_EQ(
        error_of<ValueError>([] { written(GetParam().oid, GetParam().text, GetParam().policy); }),
        GetParam().json);
}

static constexpr JsonPolicy strings{.numbers = JsonPolicy::Numbers::strings};
static constexpr JsonPolicy numbers{.numbers = JsonPolicy::Numbers::numbers};
static constexpr JsonPolicy base64{.bytes = JsonPolicy::Bytes::base64};

INSTANTIATE_TEST_SUITE_P(
    Integer, ValueJson,
    testing::Values(Written{23, "0", "0"}, Written{23, "-2147483648", "-2147483648"},
                    Written{20, "-1", "-1"}, Written{20, "9007199254740991", "9007199254740991"},
                    Written{20, "-9007199254740991", "-9007199254740991"},
                    Written{20, "9007199254740992", R"("9007199254740992")"},
                    Written{20, "-9007199254740992", R"("-9007199254740992")"},
                    Written{20, "10000000000000000", R"("10000000000000000")"},
                    Written{20, "999999999999999", "999999999999999"},
                    Written{20, "-9223372036854775808", R"("-9223372036854775808")"},
                    Written{20, "-9223372036854775808", "-9223372036854775808", numbers},
                    Written{20, "1", R"("1")", strings}, Written{23, "1", "1", strings},
                    Written{21, "1", "1", strings}));

INSTANTIATE_TEST_SUITE_P(
    Numeric, ValueJson,
    testing::Values(Written{1700, "0", "0"}, Written{1700, "0.00", "0.00"},
                    Written{1700, "-0.5", "-0.5"}, Written{1700, "19.90", "19.90"},
                    Written{1700, "123456789012345", "123456789012345"},
                    Written{1700, "1234567890123456", R"("1234567890123456")"},
                    Written{1700, "1234567890.12345", "1234567890.12345"},
                    Written{1700, "1234567890.123456", R"("1234567890.123456")"},
                    // Zeros in front are no digits that a double must keep; those behind are.
                    Written{1700, "0.00000000000000000000123456789012345",
                            "0.00000000000000000000123456789012345"},
                    Written{1700, "0.000000000000000000001234567890123456",
                            R"("0.000000000000000000001234567890123456")"},
                    Written{1700, "1.00000000000000", "1.00000000000000"},
                    Written{1700, "1.000000000000000", R"("1.000000000000000")"},
                    Written{1700, "NaN", R"("NaN")"}, Written{1700, "NaN", R"("NaN")", numbers},
                    Written{1700, "-Infinity", R"("-Infinity")"},
                    Written{1700, "Infinity", R"("Infinity")", numbers},
                    Written{1700, "1234567890.123456", "1234567890.123456", numbers},
                    Written{1700, "1.5", R"("1.5")", strings}));

INSTANTIATE_TEST_SUITE_P(
    Floating, ValueJson,
    testing::Values(Written{701, "1.5", "1.5"}, Written{701, "-0", "-0"},
                    Written{701, "1e+20", "1e+20"}, Written{700, "1e-07", "1e-07"},
                    Written{701, "-1.7976931348623157e+308", "-1.7976931348623157e+308"},
                    Written{701, "NaN", R"("NaN")"}, Written{701, "-Infinity", R"("-Infinity")"},
                    Written{701, "Infinity", R"("Infinity")", numbers},
                    Written{701, "1.5", "1.5", strings}));

INSTANTIATE_TEST_SUITE_P(Boolean, ValueJson,
                         testing::Values(Written{16, "t", "true"}, Written{16, "f", "false"}));

INSTANTIATE_TEST_SUITE_P(
    Timestamp, ValueJson,
    testing::Values(Written{1114, "2024-01-02 03:04:05", R"("2024-01-02T03:04:05")"},
                    Written{1114, "2024-01-02 03:04:05.123456", R"("2024-01-02T03:04:05.123456")"},
                    Written{1114, "0044-03-15 10:00:00 BC", R"("0044-03-15T10:00:00 BC")"},
                    Written{1114, "12345-01-01 00:00:00", R"("12345-01-01T00:00:00")"},
                    Written{1114, "infinity", R"("infinity")"},
                    Written{1114, "-infinity", R"("-infinity")"},
                    Written{1184, "2024-01-02 03:04:05.12+00", R"("2024-01-02T03:04:05.12Z")"},
                    Written{1184, "0044-03-15 10:00:00.5+00 BC", R"("0044-03-15T10:00:00.5Z BC")"},
                    Written{1184, "294276-12-31 23:59:59+00", R"("294276-12-31T23:59:59Z")"},
                    Written{1184, "infinity", R"("infinity")"},
                    // Never claimed to be UTC when it is not.
                    Written{1184, "2024-01-02 03:04:05+05:30", R"("2024-01-02 03:04:05+05:30")"},
                    Written{1184, "2024-01-02 03:04:05", R"("2024-01-02 03:04:05")"},
                    Written{1114, "2024-01-02 03:04:05+00", R"("2024-01-02 03:04:05+00")"},
                    Written{1114, "202-01-02 03:04:05", R"("202-01-02 03:04:05")"},
                    Written{1114, "2024-01-02 03:04", R"("2024-01-02 03:04")"},
                    Written{1114, "2024-01-02 03:04:05.", R"("2024-01-02 03:04:05.")"},
                    Written{1114, "2024-01-02 03:04:05.1 \"", R"("2024-01-02 03:04:05.1 \"")"},
                    Written{1114, "", R"("")"}));

INSTANTIATE_TEST_SUITE_P(
    Bytes, ValueJson,
    testing::Values(Written{17, R"(\x00ff)", R"("\\x00ff")"}, Written{17, R"(\x)", R"("")", base64},
                    Written{17, R"(\x66)", R"("Zg==")", base64},
                    Written{17, R"(\x666f)", R"("Zm8=")", base64},
                    Written{17, R"(\x666f6f)", R"("Zm9v")", base64},
                    Written{17, R"(\x666f6f62)", R"("Zm9vYg==")", base64},
                    Written{17, R"(\xfbefffFBEFBE)", R"("++//++++")", base64}));

INSTANTIATE_TEST_SUITE_P(
    Array, ValueJson,
    testing::Values(Written{1007, "{}", "[]"}, Written{1007, "{1,NULL,3}", "[1,null,3]"},
                    Written{1007, "{{1,2},{3,NULL}}", "[[1,2],[3,null]]"},
                    Written{1007, "{{{{{{1}}}}}}", "[[[[[[1]]]]]]"},
                    Written{1007, "[2:3]={7,8}", R"("[2:3]={7,8}")"},
                    Written{1009, R"({a,"NULL",NULL,"","a b","{","}",",","\"","\\","\\\"",null})",
                            R"(["a","NULL",null,"","a b","{","}",",","\"","\\","\\\"","null"])"},
                    Written{1000, "{t,f}", "[true,false]"},
                    Written{1016, "{9007199254740992,1}", R"(["9007199254740992",1])"},
                    Written{1231, "{1.50,NaN}", R"([1.50,"NaN"])"},
                    Written{199, R"({"{\"a\": \"b\\\\\"}","null",NULL})",
                            R"([{"a": "b\\"},null,null])"},
                    Written{1185, R"({"2024-01-02 03:04:05+00",infinity})",
                            R"(["2024-01-02T03:04:05Z","infinity"])"},
                    Written{1001, R"({"\\x66"})", R"(["Zg=="])", base64},
                    Written{1020, "{(3,4),(1,2);NULL}", R"~(["(3,4),(1,2)",null])~"},
                    Written{1017, R"~({"(1,2)"})~", R"~(["(1,2)"])~"}));

INSTANTIATE_TEST_SUITE_P(Vector, ValueJson,
                         testing::Values(Written{22, "1 -2 3", "[1,-2,3]"}, Written{22, "", "[]"},
                                         Written{30, "1 4294967295", R"(["1","4294967295"])"},
                                         Written{1006, R"({"1 2",3})", "[[1,2],[3]]"}));

INSTANTIATE_TEST_SUITE_P(
    Composite, ValueJson,
    testing::Values(Written{address, R"((1,"a""b\\c",{}))",
                            R"({"number":1,"street":"a\"b\\c","tags":[]})"},
                    Written{address, "(,,)", R"({"number":null,"street":null,"tags":null})"},
                    Written{address, R"((1,"",{x}))", R"({"number":1,"street":"","tags":["x"]})"},
                    Written{address, "(1,NULL,)", R"({"number":1,"street":"NULL","tags":null})"},
                    Written{single, "()", R"({"x":null})"}, Written{nothing, "()", "{}"},
                    // The type has changed since.
                    Written{address, "(1,x)", R"~("(1,x)")~"},
                    Written{single, R"(("a""b",2))", R"~("(\"a\"\"b\",2)")~"},
                    Written{nothing, "(1)", R"~("(1)")~"}));

INSTANTIATE_TEST_SUITE_P(Hstore, ValueJson,
                         testing::Values(Written{hstore, "", "{}"},
                                         Written{hstore, R"("a"=>"1", "b"=>NULL)",
                                                 R"({"a":"1","b":null})"},
                                         Written{hstore, R"(""=>"NULL", "k\"\\"=>"=>,")",
                                                 R"({"":"NULL","k\"\\":"=>,"})"}));

static constexpr auto nested_text =
    R"~({"(Zoë,\"{\"\"(1,\\\\\"\"say \\\\\"\"\\\\\"\"x\\\\\\\\\\\\\\\\\\\\\"\",{})\"\",NULL}\")"})~";

INSTANTIATE_TEST_SUITE_P(
    Number, BrokenValue,
    testing::Values(
        Written{23, "", R"(not a number: "")"}, Written{23, "-", R"(not a number: "-")"},
        Written{23, "+1", R"(not a number: "+1")"}, Written{23, "01", R"(not a number: "01")"},
        Written{23, ".5", R"(not a number: ".5")"}, Written{23, "1.", R"(not a number: "1.")"},
        Written{23, "1e", R"(not a number: "1e")"}, Written{23, "NaN", R"(not a number: "NaN")"},
        Written{20, "1\"", R"(not a number: "1\"")"},
        Written{20, "1234567890123456789\x01", R"(not a number: "1234567890123456789\x01")"},
        Written{1700, "1,5", R"(not a number: "1,5")"},
        Written{1700, "Infinit", R"(not a number: "Infinit")"},
        Written{701, "1e+20x", R"(not a number: "1e+20x")"},
        Written{701, "0x10", R"(not a number: "0x10")"},
        Written{23, "é234567890123456789012345678901234567890",
                "not a number: \"\\xc3\\xa923456789012345678901234567890123456789…\""}));

INSTANTIATE_TEST_SUITE_P(
    Other, BrokenValue,
    testing::Values(Written{16, "true", R"(not a boolean: "true")"},
                    Written{16, "", R"(not a boolean: "")"},
                    Written{17, "", R"(not a bytea in hexadecimal: "")", base64},
                    Written{17, "00", R"(not a bytea in hexadecimal: "00")", base64},
                    Written{17, R"(\x0)", R"(not a bytea in hexadecimal: "\\x0")", base64},
                    Written{17, R"(\x0g)", R"(not a bytea in hexadecimal: "\\x0g")", base64},
                    Written{3802, "\"\xff\"", "not UTF-8 at byte 1"},
                    Written{1009, "{ok,\"\xff\"}", "not UTF-8 at byte 0"},
                    Written{22, "1  2", R"(not a vector: "1  2")"},
                    Written{30, "1 ", R"(not a vector: "1 ")"}));

INSTANTIATE_TEST_SUITE_P(
    Structure, BrokenValue,
    testing::Values(
        Written{1007, "", R"(array: expected '{' at byte 0 of "")"},
        Written{1007, "1", R"(array: expected '{' at byte 0 of "1")"},
        Written{1007, "{1", R"(array: no closing bracket at byte 2 of "{1")"},
        Written{1007, "{1}x", R"(array: text after its end at byte 3 of "{1}x")"},
        Written{1007, "{1,}", R"(array: an element that needs quotes at byte 3 of "{1,}")"},
        Written{1007, "{{{{{{{1}}}}}}}",
                R"(array: more than six dimensions at byte 6 of "{{{{{{{1}}}}}}}")"},
        Written{1009, R"({a"b"})",
                R"(array: a character that needs quotes at byte 2 of "{a\"b\"}")"},
        Written{1009, R"({"a"b})", R"(array: expected '}' at byte 4 of "{\"a\"b}")"},
        Written{1009, R"({"a\)", R"(array: no closing quote at byte 4 of "{\"a\\")"},
        Written{single, "1", R"(composite: expected '(' at byte 0 of "1")"},
        Written{single, "(1", R"(composite: no closing bracket at byte 2 of "(1")"},
        Written{single, "(1) ", R"(composite: text after its end at byte 3 of "(1) ")"},
        Written{single, "(\"1)", R"~(composite: no closing quote at byte 4 of "(\"1)")~"},
        Written{hstore, R"("a"=>1)", R"(hstore: expected 'NULL' at byte 5 of "\"a\"=>1")"},
        Written{hstore, R"("a"=>"1",)", R"(hstore: expected ', ' at byte 9 of "\"a\"=>\"1\",")"}));

TEST(ValueWriter, WritesArraysOfCompositesOfArrays) {
    EXPECT_EQ(written(people, nested_text),
              R"([{"name":"Zoë","homes":[{"number":1,"street":"say \"x\\","tags":[]},null]}])");
}

// One digit, but to a double it is zero.
TEST(ValueWriter, WritesNumericsBelowTheRangeOfADoubleAsStrings) {
    auto text = "0." + std::string(400, '0') + '1';

    EXPECT_EQ(written(type::numeric, text), '"' + text + '"');
    EXPECT_EQ(written(type::numeric, text, numbers), text);
}

// --- hostile text ---

// No text of an array or a composite is the beginning of another.
TEST(ValueWriter, RefusesStructuredTextCutAtEachByte) {
    std::pair<std::uint32_t, std::string_view> cases[] = {
        {people, nested_text},
        {1009, R"({{"a\"",NULL},{"\\é",c}})"},
        {address, R"((1,"a""b\\",{x}))"},
    };
    for (auto [oid, text] : cases) {
        written(oid, text);
        for (std::size_t size = 0; size < text.size(); ++size)
            EXPECT_THROW(written(oid, text.substr(0, size)), ValueError) << text.substr(0, size);
    }
}

TEST(ValueWriter, RefusesHstoreCutOtherThanBetweenPairs) {
    std::string_view text = R"("a"=>"\"", "b"=>NULL, "c"=>"")";
    for (std::size_t size = 0; size < text.size(); ++size) {
        auto cut = text.substr(0, size);
        if (cut.empty() || text.substr(size).starts_with(", "))
            EXPECT_NO_THROW(written(hstore, cut)) << cut;
        else
            EXPECT_THROW(written(hstore, cut), ValueError) << cut;
    }
}

TEST(ValueWriter, EndsWhateverIsNested) {
    for (auto open : {"{", "(", "\"{", "{\"", "(\"", "{(", "({"}) {
        std::string text;
        for (auto i = 0; i < 10'000; ++i) text += open;
        for (auto oid : {ring, rings, people}) EXPECT_THROW(written(oid, text), ValueError) << open;
    }
    // Each further level would double the text.
    std::string text = "1";
    for (auto i = 0; i < 12; ++i) {
        std::string quoted;
        for (auto character : text) quoted += std::string(character == '"' ? 2 : 1, character);
        text = "(\"" + quoted + "\")";
    }
    EXPECT_THROW(written(ring, text), ValueError);
}

TEST(ValueWriter, GoesOnAfterAnError) {
    auto types = example_types();
    ValueWriter writer;
    std::string out;

    EXPECT_THROW(writer.append(out, types.of(people), R"({"(\"a\",\"{x")"), ValueError);
    out.clear();
    writer.append(out, types.of(people), nested_text);

    EXPECT_EQ(out, written(people, nested_text));
}

// --- anything at all ---

namespace {

// A value as the server prints it, and as JSON.
struct ValueSample {
    std::string text;
    std::string json;
};

class ValueSampleMaker {
public:
    explicit ValueSampleMaker(std::uint64_t seed) : random_(seed) {}

    ValueSample value(std::uint32_t oid) {
        switch (oid) {
            case type::int4: return number();
            case type::text: return text();
            case 1009: return array(type::text);
            case addresses: return array(address);
            case people: return array(person);
            case hstore: return pairs();
            case address:
                return composite({{"number", type::int4}, {"street", 25}, {"tags", 1009}});
            case person: return composite({{"name", 25}, {"homes", addresses}});
            default: ADD_FAILURE() << oid; return {};
        }
    }
    std::mt19937_64& random() { return random_; }

private:
    struct Field {
        const char* name;
        std::uint32_t oid;
    };

    std::size_t below(std::size_t limit) { return random_() % limit; }

    ValueSample number() {
        auto text = std::to_string(static_cast<int>(below(2000)) - 1000);
        return {text, text};
    }

    ValueSample text() {
        constexpr const char* pieces[] = {"a", "NULL", " ",    ",",    "{", "}", "(",
                                          ")", "\"",   "\\",   "é",    "😀", ";", "\n",
                                          "'", "=>",   "\"\"", "\\\"", "\t"};
        ValueSample made{{}, "\""};
        for (auto left = below(6); left > 0; --left) {
            std::string piece = pieces[below(std::size(pieces))];
            made.text += piece;
            for (auto character : piece) {
                if (character == '"' || character == '\\') made.json += '\\';
                if (character == '\n' || character == '\t')
                    made.json += character == '\n' ? "\\n" : "\\t";
                else
                    made.json += character;
            }
        }
        made.json += '"';
        return made;
    }

    ValueSample array(std::uint32_t element) {
        if (below(6) == 0) return {"{}", "[]"};
        std::vector<std::size_t> sizes(1 + below(3));
        for (auto& size : sizes) size = 1 + below(3);
        return dimension(element, sizes, 0);
    }

    ValueSample dimension(std::uint32_t element, const std::vector<std::size_t>& sizes,
                          std::size_t at) {
        ValueSample made{"{", "["};
        for (std::size_t i = 0; i < sizes[at]; ++i) {
            auto is_last = at + 1 == sizes.size();
            auto item = is_last ? array_element(element) : dimension(element, sizes, at + 1);
            (made.text += i > 0 ? "," : "") += item.text;
            (made.json += i > 0 ? "," : "") += item.json;
        }
        return {made.text + '}', made.json + ']'};
    }

    ValueSample array_element(std::uint32_t element) {
        if (below(5) == 0) return {"NULL", "null"};
        auto made = value(element);
        if (made.text.empty() || made.text == "NULL" ||
            made.text.find_first_of("\"\\{}, \t\n") != std::string::npos)
            made.text = quoted(made.text, "\\");
        return made;
    }

    ValueSample composite(const std::vector<Field>& fields) {
        ValueSample made;
        for (const auto& field : fields) {
            made.text += made.text.empty() ? '(' : ',';
            made.json += (made.json.empty() ? "{\"" : ",\"") + std::string(field.name) + "\":";
            auto is_null = below(5) == 0;
            auto item = is_null ? ValueSample{"", "null"} : value(field.oid);
            auto needs_quotes =
                item.text.empty() || item.text.find_first_of("\"\\(), \t\n") != std::string::npos;
            made.text += needs_quotes && !is_null ? quoted(item.text, "") : item.text;
            made.json += item.json;
        }
        return {made.text + ')', made.json + '}'};
    }

    ValueSample pairs() {
        ValueSample made{{}, "{"};
        for (auto left = below(4); left > 0; --left) {
            auto [key, key_json] = text();
            auto is_null = below(4) == 0;
            auto [item, item_json] = text();
            if (!made.text.empty()) made.text += ", ", made.json += ',';
            made.text += quoted(key, "\\") + "=>" + (is_null ? "NULL" : quoted(item, "\\"));
            made.json += key_json + ':' + (is_null ? "null" : item_json);
        }
        made.json += '}';
        return made;
    }

    // Quotes and backslashes are escaped by `escape`, or doubled when it is empty.
    static std::string quoted(const std::string& text, const std::string& escape) {
        std::string made = "\"";
        for (auto character : text) {
            if (character == '"' || character == '\\')
                made += escape.empty() ? std::string(1, character) : escape;
            made += character;
        }
        return made + '"';
    }

    std::mt19937_64 random_;
};

constexpr std::uint32_t sampled[] = {type::text, 1009, address, addresses, person, people, hstore};

}  // namespace

TEST(ValueWriter, WritesWhateverIsNestedAsItShould) {
    auto seed = test_seed();
    ValueSampleMaker samples(seed);
    auto types = example_types();
    ValueWriter writer;
    for (auto round = 0; round < 2000; ++round) {
        for (auto oid : sampled) {
            auto sample = samples.value(oid);
            std::string out;
            writer.append(out, types.of(oid), sample.text);
            ASSERT_EQ(out, sample.json) << sample.text << "\nWALCAST_SEED=" << seed;
        }
    }
}

TEST(ValueWriter, ThrowsNothingElseForDamagedText) {
    ValueSampleMaker samples(test_seed());
    auto types = example_types();
    ValueWriter writer;
    for (auto round = 0; round < 2000; ++round) {
        for (auto oid : sampled) {
            auto text = samples.value(oid).text;
            flip_bits(text, samples.random());
            std::string out;
            try {
                writer.append(out, types.of(oid), text);
            } catch (const ValueError&) {
            }
        }
    }
}

}  // namespace walcast
