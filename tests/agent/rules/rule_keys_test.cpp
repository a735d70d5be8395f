#include "agent/config.hpp"
#include "agent/errors.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

namespace walcast {

namespace {

Rule rule_of(const std::string& keys) {
    auto text = "[[rule]]\ntable = \"public.todos\"\n" + keys;
    auto nothing = [](const std::string&) { return std::nullopt; };
    return parse_config(text, "w.toml", nothing).rules.at(0);
}

std::string refusal_of(const std::string& keys) {
    return error_of<ConfigError>([&] { rule_of(keys); });
}

}  // namespace

TEST(RuleKeys, ReadEachOfThem) {
    auto rule = rule_of(R"(model = "Todo"
channels = ["w:{workspace_id}", "all"]
id = ["tenant", "id"]
where = "a = 1"
delete_when = "deleted_at is not null"
operations = ["delete", "insert"]
exclude = ["note"]
rename = { a = "b", "odd.name" = "c" }
data = "patch"
unroutable = "skip"
ids = "string"
metadata = true
)");

    EXPECT_EQ(rule.table, "public.todos");
    EXPECT_EQ(rule.model, "Todo");
    EXPECT_EQ(rule.channels.size(), 2U);
    EXPECT_EQ(rule.id, (std::vector<std::string>{"tenant", "id"}));
    EXPECT_EQ(rule.where->text, "a = 1");
    EXPECT_EQ(rule.delete_when->text, "deleted_at is not null");
    EXPECT_TRUE(rule.takes(Action::insert));
    EXPECT_FALSE(rule.takes(Action::update));
    EXPECT_TRUE(rule.takes(Action::remove));
    EXPECT_EQ(rule.exclude, std::vector<std::string>{"note"});
    EXPECT_EQ(rule.rename.size(), 2U);
    EXPECT_EQ(rule.data, DataKind::patch);
    EXPECT_EQ(rule.unroutable, Unroutable::skip);
    EXPECT_TRUE(rule.are_ids_strings);
    EXPECT_TRUE(rule.has_metadata);
}

TEST(RuleKeys, HaveDefaults) {
    auto rule = rule_of("channels = [\"all\"]\n");

    EXPECT_TRUE(rule.takes(Action::insert) && rule.takes(Action::update) &&
                rule.takes(Action::remove));
    EXPECT_FALSE(rule.where || rule.delete_when);
    EXPECT_EQ(rule.data, DataKind::full);
    EXPECT_EQ(rule.unroutable, Unroutable::reset);
    EXPECT_FALSE(rule.are_ids_strings);
    EXPECT_FALSE(rule.has_metadata);
}

namespace {

struct WrongKey {
    const char* keys;
    std::vector<const char*> says;
};

class WrongRuleKey : public testing::TestWithParam<WrongKey> {};

}  // namespace

TEST_P(WrongRuleKey, SaysWhereAndWhatWouldDo) {
    auto error = refusal_of(GetParam().keys);

    for (const auto* part : GetParam().says)
        EXPECT_TRUE(contains(error, part)) << part << " in " << error;
}

INSTANTIATE_TEST_SUITE_P(
    Case, WrongRuleKey,
    testing::Values(
        WrongKey{"chanels = [\"a\"]\n",
                 {"w.toml:3:1:", "\"chanels\"", "did you mean \"channels\"?"}},
        WrongKey{"channels = [\"all\"]\nwhen = \"a\"\n",
                 {"w.toml:4:1:", "did you mean \"where\"?"}},
        WrongKey{"channels = \"all\"\n", {"w.toml:3:12:", "expected a list of strings"}},
        WrongKey{"channels = [1]\n", {"w.toml:3:13:", "expected a string"}},
        WrongKey{"channels = []\n", {"w.toml:3:12:", "at least one"}},
        WrongKey{"channels = [\"a\", \"b{c\"]\n", {"w.toml:3:20:", "not closed"}},
        WrongKey{"channels = [\"{a}{b}\"]\n", {"w.toml:3:17:", "write \"{a}:{b}\""}},
        WrongKey{"channels = [\"walcast:{a}\"]\n", {"w.toml:3:14:", "\"walcast:control\""}},
        WrongKey{"model = \"\"\nchannels = [\"a\"]\n", {"w.toml:3:9:", "model"}},
        WrongKey{"channels = [\"a\"]\nwhere = \"a = \"\n", {"w.toml:4:14:", "where"}},
        WrongKey{"channels = [\"a\"]\nwhere = \"a = b\"\n", {"w.toml:4:14:", "single quotes"}},
        WrongKey{"channels = [\"a\"]\ndelete_when = true\n", {"w.toml:4:15:", "delete_when"}},
        WrongKey{"channels = [\"a\"]\noperations = [\"inser\"]\n",
                 {"w.toml:4:16:", "did you mean \"insert\"?"}},
        WrongKey{"channels = [\"a\"]\noperations = []\n", {"w.toml:4:14:", "at least one"}},
        WrongKey{"channels = [\"a\"]\noperations = [\"truncate\"]\n",
                 {"w.toml:4:16:", "\"truncate\""}},
        WrongKey{"channels = [\"a\"]\ndata = \"diff\"\n", {"w.toml:4:", "data", "did you mean"}},
        WrongKey{"channels = [\"a\"]\ndata = \"detla\"\n", {"did you mean \"delta\"?"}},
        WrongKey{"channels = [\"a\"]\nunroutable = \"resett\"\n", {"did you mean \"reset\"?"}},
        WrongKey{"channels = [\"a\"]\nids = \"strings\"\n", {"did you mean \"string\"?"}},
        WrongKey{"channels = [\"a\"]\ncoalesce = 1\n", {"w.toml:4:12:", "true or false"}},
        WrongKey{"channels = [\"a\"]\ncoalesce = true\ndata = \"delta\"\n",
                 {"w.toml:4:12:", "needs data = \"full\""}},
        WrongKey{"channels = [\"a\"]\nmetadata = 1\n", {"w.toml:4:12:", "true or false"}},
        WrongKey{"channels = [\"a\"]\nrename = \"a\"\n", {"w.toml:4:10:", "rename"}},
        WrongKey{"channels = [\"a\"]\nrename = { a = 5 }\n", {"w.toml:4:", "rename: a"}},
        WrongKey{"channels = [\"a\"]\nrename = { a = \"x\", b = \"x\" }\n", {"both be \"x\""}},
        WrongKey{"channels = [\"a\"]\nexclude = [\"x\"]\nrename = { x = \"y\" }\n",
                 {"w.toml:5:", "not part of the data"}},
        WrongKey{"channels = [\"a\"]\ncolumns = [\"x\"]\nrename = { z = \"y\" }\n",
                 {"w.toml:5:", "not part of the data"}},
        WrongKey{"channels = [\"a\"]\ncolumns = [\"x\"]\nexclude = [\"y\"]\n",
                 {"w.toml:5:", "give one of both"}},
        WrongKey{"channels = [\"a\"]\ncolumns = [\"x\", \"y\"]\nrename = { x = \"y\" }\n",
                 {"w.toml:4:", "both be \"y\""}},
        WrongKey{"channels = [\"a\"]\nid = [\"x\"]\nexclude = [\"x\"]\n",
                 {"w.toml:4:", "excluded"}},
        WrongKey{"channels = [\"a\"]\nid = []\n", {"w.toml:4:6:", "at least one"}},
        WrongKey{"model = \"T\"\n", {"w.toml:1:", "channels is missing"}}));

TEST(RuleKeys, NameTheirFirstMistakeFirst) {
    EXPECT_TRUE(contains(refusal_of("dat = 1\nchannel = 2\n"), "w.toml:3:1:"));
    EXPECT_TRUE(contains(refusal_of("channel = 2\ndat = 1\n"), "\"channel\""));
}

}  // namespace walcast
