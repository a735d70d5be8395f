#include "agent/pg_connection.hpp"

#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <map>
#include <stdexcept>

namespace walcast {

static std::map<std::string, std::string> conninfo(const std::string& text) {
    auto parameters = parse_conninfo(text);
    return {parameters.begin(), parameters.end()};
}

TEST(Conninfo, IsReadFromAUrl) {
    auto parameters = conninfo("postgres://walcast:p%40ss@db:5433/app?sslmode=require");

    EXPECT_EQ(parameters["user"], "walcast");
    EXPECT_EQ(parameters["password"], "p@ss");
    EXPECT_EQ(parameters["host"], "db");
    EXPECT_EQ(parameters["port"], "5433");
    EXPECT_EQ(parameters["dbname"], "app");
    EXPECT_EQ(parameters["sslmode"], "require");
}

TEST(Conninfo, IsReadFromKeywords) {
    auto parameters = conninfo("host=/run/postgresql dbname=app");

    EXPECT_EQ(parameters["host"], "/run/postgresql");
    EXPECT_EQ(parameters["dbname"], "app");
    EXPECT_FALSE(parameters.contains("password"));
}

TEST(Conninfo, MayNameSeveralHosts) {
    auto parameters = conninfo("postgres://walcast@a:1,b:2/app");

    EXPECT_EQ(parameters["host"], "a,b");
    EXPECT_EQ(parameters["port"], "1,2");
}

TEST(Conninfo, MayBeEmpty) {
    EXPECT_TRUE(conninfo("").empty());
}

// The ways in which people forget to escape a password.
class LeakyConninfo : public testing::TestWithParam<const char*> {};

TEST_P(LeakyConninfo, IsRefusedWithoutRepeatingItsPassword) {
    auto error = error_of<std::invalid_argument>([] { parse_conninfo(GetParam()); });

    EXPECT_FALSE(contains(error, "secret")) << error;
}

INSTANTIATE_TEST_SUITE_P(
    Conninfo, LeakyConninfo,
    testing::Values("postgres://user:my%zzsecret@localhost/app",
                    "postgres://user:100%secret@localhost/app", "postgres://user:secret@[::1/app",
                    "postgres://user:secret@[::1]x/app", "host=db password=my secret",
                    "postgres://user:p@secret@host/app", "postgres://user:secret/x@host/app",
                    "host=db password=my secret=1", "host=db password='my secret",
                    "postgres://db/app?password=my%zzsecret",
                    "postgres://db/app?pasword=secret&secret"));

TEST(Quoting, DoublesOnlyTheQuote) {
    EXPECT_EQ(quote_identifier("todos"), R"("todos")");
    EXPECT_EQ(quote_identifier(R"(a"b\c'd)"), R"("a""b\c'd")");
    EXPECT_EQ(quote_literal("walcast"), "'walcast'");
    EXPECT_EQ(quote_literal(R"(a"b\c'd)"), R"('a"b\c''d')");
    EXPECT_EQ(quote_literal(""), "''");
}

}  // namespace walcast
