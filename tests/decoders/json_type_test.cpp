#include "decoders/json_type.hpp"

#include "decoders/value_writer.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <initializer_list>

namespace walcast {

using Kind = TypeDescription::Kind;

static JsonForm form_of(std::uint32_t oid, JsonPolicy policy = {}) {
    return JsonTypes(policy).of(oid).form;
}

static std::string written(const JsonTypes& types, std::uint32_t oid, std::string_view text) {
    std::string out;
    ValueWriter().append(out, types.of(oid), text);
    return out;
}

TEST(JsonTypes, ChooseTheFormOfBuiltInTypes) {
    EXPECT_EQ(form_of(16), JsonForm::boolean);
    for (auto oid : {21U, 23U}) EXPECT_EQ(form_of(oid), JsonForm::number) << oid;
    for (auto oid : {700U, 701U}) EXPECT_EQ(form_of(oid), JsonForm::floating) << oid;
    for (auto oid : {114U, 3802U}) EXPECT_EQ(form_of(oid), JsonForm::json) << oid;
    for (auto oid : {22U, 30U}) EXPECT_EQ(form_of(oid), JsonForm::vector) << oid;
    EXPECT_EQ(form_of(1114), JsonForm::timestamp);
    EXPECT_EQ(form_of(1184), JsonForm::timestamptz);
}

TEST(JsonTypes, AreStringsForTheOtherBuiltInTypes) {
    const JsonTypes types;
    // text, varchar, uuid, date, time, interval, money, "char", oid, xid, xid8, box, int4range.
    for (auto oid :
         {25U, 1043U, 2950U, 1082U, 1083U, 1186U, 790U, 18U, 26U, 28U, 5069U, 603U, 3904U}) {
        EXPECT_TRUE(types.knows(oid)) << oid;
        EXPECT_EQ(types.of(oid).form, JsonForm::string) << oid;
    }
}

TEST(JsonTypes, FollowThePolicy) {
    using enum JsonPolicy::Numbers;
    struct {
        JsonPolicy::Numbers numbers;
        JsonForm int8;
        JsonForm numeric;
    } cases[] = {{exact, JsonForm::exact_integer, JsonForm::exact_numeric},
                 {strings, JsonForm::string, JsonForm::string},
                 {numbers, JsonForm::number, JsonForm::floating}};
    for (const auto& each : cases) {
        JsonPolicy policy{.numbers = each.numbers};
        EXPECT_EQ(form_of(20, policy), each.int8);
        EXPECT_EQ(form_of(1700, policy), each.numeric);
        EXPECT_EQ(form_of(23, policy), JsonForm::number);
        EXPECT_EQ(form_of(701, policy), JsonForm::floating);
    }
    EXPECT_EQ(form_of(17), JsonForm::string);
    EXPECT_EQ(form_of(17, {.bytes = JsonPolicy::Bytes::base64}), JsonForm::base64);
}

TEST(JsonTypes, KnowTheArraysOfBuiltInTypes) {
    const JsonTypes types;
    struct {
        std::uint32_t array_oid;
        std::uint32_t oid;
    } cases[] = {{1000, 16}, {1007, 23}, {1016, 20},  {1231, 1700}, {1009, 25},   {199, 114},
                 {1006, 22}, {1013, 30}, {1020, 603}, {271, 5069},  {6150, 4451}, {1115, 1114}};
    for (auto [array_oid, oid] : cases) {
        const auto& array = types.of(array_oid);
        EXPECT_TRUE(types.knows(array_oid)) << array_oid;
        EXPECT_EQ(array.form, JsonForm::array) << array_oid;
        EXPECT_EQ(array.element, &types.of(oid)) << array_oid;
        EXPECT_EQ(array.delimiter, oid == 603 ? ';' : ',') << array_oid;
    }
}

TEST(JsonTypes, AreStringsWhereNothingIsKnown) {
    JsonTypes types;

    EXPECT_FALSE(types.knows(20000));
    EXPECT_EQ(types.of(20000).form, JsonForm::string);

    types.add({{.oid = 20001, .kind = Kind::array, .of = 20000}});

    EXPECT_TRUE(types.knows(20001));
    EXPECT_FALSE(types.knows(20000));
    EXPECT_EQ(written(types, 20001, "{1}"), R"(["1"])");
}

// A domain over an array of composites of a domain over int4: in whatever order they are told.
TEST(JsonTypes, MayReferToEachOtherInAnyOrder) {
    std::vector<TypeDescription> descriptions{
        {.oid = 20001, .kind = Kind::domain, .of = 20002},
        {.oid = 20002, .kind = Kind::array, .of = 20003},
        {.oid = 20003, .kind = Kind::composite, .fields = {{"n", 20004}, {"h\"", 20005}}},
        {.oid = 20004, .kind = Kind::domain, .of = 23},
        {.oid = 20005, .kind = Kind::hstore}};
    for (std::size_t first = 0; first < descriptions.size(); ++first) {
        for (auto is_at_once : {true, false}) {
            JsonTypes types;
            std::vector<TypeDescription> turned;
            for (std::size_t i = 0; i < descriptions.size(); ++i)
                turned.push_back(descriptions[(first + i) % descriptions.size()]);

            if (is_at_once) types.add(turned);
            for (const auto& each : turned)
                if (!is_at_once) types.add({each});

            EXPECT_EQ(written(types, 20001, R"~({"(1,\"\"\"a\"\"=>\"\"b\"\"\")",NULL})~"),
                      R"([{"n":1,"h\"":{"a":"b"}},null])");
        }
    }
}

TEST(JsonTypes, SayWhichTypeADomainIsMadeOf) {
    JsonTypes types;
    types.add({{.oid = 20001, .kind = Kind::domain, .of = 20002},
               {.oid = 20002, .kind = Kind::domain, .of = 1082},
               {.oid = 20003, .kind = Kind::domain, .of = 20004},
               {.oid = 20004, .kind = Kind::enumeration},
               {.oid = 20005}});

    EXPECT_EQ(types.of(20001).oid, 1082U);
    EXPECT_EQ(types.of(20003).oid, 20004U);
    EXPECT_TRUE(types.of(20003).is_enum);
    EXPECT_FALSE(types.of(20005).is_enum);
    EXPECT_EQ(types.of(1000).oid, 1000U);
    EXPECT_EQ(types.of(30000).oid, 0U);
    EXPECT_EQ(written(types, 20003, "ok"), R"("ok")");
}

TEST(JsonTypes, KeepReferencesWhenATypeIsAddedAgain) {
    JsonTypes types;
    types.add({{.oid = 20001, .kind = Kind::domain, .of = 20002},
               {.oid = 20002, .kind = Kind::composite, .fields = {{"a", 23}}},
               {.oid = 20003, .kind = Kind::array, .of = 20001}});
    const auto& domain = types.of(20001);

    types.add({{.oid = 20002, .kind = Kind::composite, .fields = {{"a", 23}, {"b", 25}}}});

    EXPECT_EQ(&types.of(20001), &domain);
    EXPECT_EQ(written(types, 20001, "(1,x)"), R"({"a":1,"b":"x"})");
    EXPECT_EQ(written(types, 20003, R"~({"(1,x)"})~"), R"([{"a":1,"b":"x"}])");
}

TEST(JsonTypes, MayBecomeAnotherKind) {
    JsonTypes types;
    types.add({{.oid = 20001, .kind = Kind::domain, .of = 23}});
    types.add({{.oid = 20001}});

    EXPECT_EQ(written(types, 20001, "1"), R"("1")");
}

TEST(JsonTypes, LeaveBuiltInTypesAsTheyAre) {
    JsonTypes types;

    types.add({{.oid = 23}, {.oid = 1007, .kind = Kind::array, .of = 25}});

    EXPECT_EQ(written(types, 1007, "{1}"), "[1]");
}

TEST(JsonTypes, AreStringsForDomainsInARing) {
    JsonTypes types;

    types.add({{.oid = 20001, .kind = Kind::domain, .of = 20001},
               {.oid = 20002, .kind = Kind::domain, .of = 20003},
               {.oid = 20003, .kind = Kind::domain, .of = 20002},
               {.oid = 20004, .kind = Kind::domain, .of = 20002}});

    for (auto oid : {20001U, 20002U, 20003U, 20004U}) EXPECT_EQ(written(types, oid, "1"), R"("1")");
}

TEST(JsonTypes, RefuseNamesOfFieldsThatAreNotUtf8) {
    JsonTypes types;

    EXPECT_EQ(error_of<ValueError>([&] {
                  types.add({{.oid = 20001, .kind = Kind::composite, .fields = {{"a\xff", 23}}}});
              }),
              "not UTF-8 at byte 1");
}

}  // namespace walcast
