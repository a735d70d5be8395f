#include "decoders/nested_values.hpp"

#include "decoders/json_string.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace walcast {

using Texts = std::vector<std::string>;

static Texts texts_of(const NestedValues& values) {
    Texts texts;
    for (std::size_t i = 0; i < values.size(); ++i) texts.emplace_back(values[i]);
    return texts;
}

static Texts elements_of(std::string_view text, char delimiter = ',') {
    JsonType array;
    array.delimiter = delimiter;
    NestedValues values;
    values.read_array(array, text);
    return texts_of(values);
}

static Texts scalars_at(std::string_view document, const Texts& keys) {
    NestedValues values;
    values.read_json(document, keys);
    return texts_of(values);
}

// --- arrays ---

TEST(NestedValues, AreTheElementsOfAnArray) {
    EXPECT_EQ(elements_of("{1,2,3}"), (Texts{"1", "2", "3"}));
    EXPECT_EQ(elements_of("{a}"), Texts{"a"});
    EXPECT_EQ(elements_of("{}"), Texts{});
}

TEST(NestedValues, AreWhatQuotesAndBackslashesMean) {
    EXPECT_EQ(elements_of(R"({"a,b","c\"d","e\\f","{g}"," "})"),
              (Texts{" ", "a,b", "c\"d", "e\\f", "{g}"}));
    EXPECT_EQ(elements_of(R"({""})"), Texts{""});
}

TEST(NestedValues, LeaveOutNullsButNotTheTextThatLooksLikeIt) {
    EXPECT_EQ(elements_of("{NULL,a,NULL}"), Texts{"a"});
    EXPECT_EQ(elements_of(R"({"NULL",null})"), (Texts{"NULL", "null"}));
}

TEST(NestedValues, AreThoseOfAllDimensions) {
    EXPECT_EQ(elements_of("{{a,b},{c,d}}"), (Texts{"a", "b", "c", "d"}));
    EXPECT_EQ(elements_of("{{{1}},{{2}}}"), (Texts{"1", "2"}));
    EXPECT_EQ(elements_of("[0:1]={x,y}"), (Texts{"x", "y"}));
    EXPECT_EQ(elements_of("[-1:0][2:2]={{x},{y}}"), (Texts{"x", "y"}));
}

TEST(NestedValues, ArePartedByTheDelimiterOfTheirType) {
    EXPECT_EQ(elements_of("{(1,2),(3,4);(5,6),(7,8)}", ';'), (Texts{"(1,2),(3,4)", "(5,6),(7,8)"}));
}

TEST(NestedValues, AreThereOnceEach) {
    EXPECT_EQ(elements_of("{b,a,b,a}"), (Texts{"a", "b"}));
    EXPECT_EQ(scalars_at(R"({"a":["x",1,"x","1"]})", {"a"}), (Texts{"1", "x"}));
}

TEST(NestedValues, AreReadOnceThoughThereAreMany) {
    std::string text = "{7";
    for (auto i = 0; i < 1'000'000; ++i) text += ",7";
    auto begin = std::chrono::steady_clock::now();

    EXPECT_EQ(elements_of(text + '}'), Texts{"7"});
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds{10});
}

TEST(NestedValues, RefuseWhatIsNoArray) {
    for (const auto* text :
         {"{", "{a", R"({"a)", R"({"a\)", "{a}b", "{{a}", "[0:1]", "[", "", "{a}}"})
        EXPECT_NE(error_of<ValueError>([&] { elements_of(text); }), "") << text;
}

// --- documents ---

TEST(NestedValues, AreWhatADocumentHasUnderItsKeys) {
    EXPECT_EQ(scalars_at(R"({"team":"a","other":{"team":"b"}})", {"team"}), Texts{"a"});
    EXPECT_EQ(scalars_at(R"({"team":"a","other":{"team":"b"}})", {"other", "team"}), Texts{"b"});
    EXPECT_EQ(scalars_at(R"( { "a.b" : { "" : 5 } } )", {"a.b", ""}), Texts{"5"});
}

TEST(NestedValues, AreNothingWhereADocumentHasNothing) {
    for (const auto* document :
         {"{}", R"({"b":1})", R"({"a":null})", R"({"a":{}})", R"({"a":[]})", R"({"a":{"a":1}})",
          R"([{"a":1}])", "[]", "1", "\"a\"", "null", R"({"A":1})", R"({"a":[null,{"a":1},[2]]})"})
        EXPECT_EQ(scalars_at(document, {"a"}), Texts{}) << document;
    EXPECT_EQ(scalars_at(R"({"a":[{"b":1}]})", {"a", "b"}), Texts{});
    EXPECT_EQ(scalars_at(R"({"a":["x"]})", {"a", "0"}), Texts{});
}

TEST(NestedValues, AreStringsAsTheyMeanAndAllElseAsItIsWritten) {
    EXPECT_EQ(scalars_at(R"({"a":"q\u0041\"\n\\é"})", {"a"}), Texts{"qA\"\n\\é"});
    EXPECT_EQ(scalars_at(R"({"a":"\ud83d\ude00"})", {"a"}), Texts{"😀"});
    EXPECT_EQ(scalars_at(R"({"a":"x\u0000y"})", {"a"}), Texts{std::string("x\0y", 3)});
    EXPECT_EQ(scalars_at(R"({"a": 1.50 ,"b":1})", {"a"}), Texts{"1.50"});
    EXPECT_EQ(scalars_at(R"({"a":12345678901234567890123})", {"a"}),
              Texts{"12345678901234567890123"});
    EXPECT_EQ(scalars_at(R"({"a":1e400})", {"a"}), Texts{"1e400"});
    EXPECT_EQ(scalars_at(R"({"a":true})", {"a"}), Texts{"true"});
    EXPECT_EQ(scalars_at(R"({"a":[false , 2 ]})", {"a"}), (Texts{"2", "false"}));
    EXPECT_EQ(scalars_at(R"({"a":""})", {"a"}), Texts{""});
}

TEST(NestedValues, AreHalfAPairOfSurrogatesAsItIsWritten) {
    EXPECT_EQ(scalars_at(R"({"a":"\ud800x"})", {"a"}), Texts{R"(\ud800x)"});
    EXPECT_EQ(scalars_at(R"({"\ud800":1,"a":2})", {"a"}), Texts{"2"});
}

TEST(NestedValues, AreThoseOfTheLastOfTheSameKeys) {
    EXPECT_EQ(scalars_at(R"({"a":1,"a":2})", {"a"}), Texts{"2"});
    EXPECT_EQ(scalars_at(R"({"a":[1,2],"a":null})", {"a"}), Texts{});
    EXPECT_EQ(scalars_at(R"({"a":{"b":1},"a":{"c":2}})", {"a", "b"}), Texts{});
    EXPECT_EQ(scalars_at(R"({"a":1,"\u0061":2})", {"a"}), Texts{"2"});
}

TEST(NestedValues, AreFoundWhateverLiesDeepBeside) {
    std::string deep(1500, '[');
    deep += std::string(1500, ']');

    EXPECT_EQ(scalars_at(R"({"z":)" + deep + R"(,"a":1})", {"a"}), Texts{"1"});
    EXPECT_EQ(scalars_at(R"({"a":)" + deep + "}", {"a"}), Texts{});
}

TEST(NestedValues, RefuseABrokenDocument) {
    for (const auto* document :
         {"{", R"({"a":)", R"({"a":"x)", R"({"a" 1})", "", "{\"a\":\"\xff\"}"})
        EXPECT_NE(error_of<ValueError>([&] { scalars_at(document, {"a"}); }), "") << document;
}

TEST(NestedValues, NeverRepeatABrokenDocument) {
    EXPECT_EQ(error_of<ValueError>([] { scalars_at(R"({"secret)", {"a"}); }),
              "not a JSON document");
}

TEST(NestedValues, ForgetTheValueBefore) {
    NestedValues values;
    values.read_json(R"({"a":[1,2,3]})", Texts{"a"});
    values.read_json(R"({"a":4})", Texts{"a"});
    EXPECT_EQ(texts_of(values), Texts{"4"});

    values.read_json("{}", Texts{"a"});
    EXPECT_EQ(values.size(), 0U);
}

}  // namespace walcast
