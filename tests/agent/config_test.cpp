#include "agent/config.hpp"

#include "agent/config_keys.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <ostream>

namespace walcast {

using namespace std::chrono_literals;

// An environment with just these.
static Environment environment_of(std::map<std::string, std::string> variables) {
    return [variables](const std::string& name) -> std::optional<std::string> {
        auto found = variables.find(name);
        if (found == variables.end()) return std::nullopt;
        return found->second;
    };
}

static Config parse(std::string_view text, std::map<std::string, std::string> variables = {}) {
    return parse_config(text, "walcast.toml", environment_of(std::move(variables)));
}

// --- a good file ---

static constexpr std::string_view good = R"(
[source]
url = "postgres://walcast@db/app"
slot = "my_slot"
publication = "my publication"
plugin = "pgoutput"

[redis]
url = "redis://cache:6380/2"
prefix = "app:"
history = { length = 500, age = "7d" }

[[rule]]
table = "public.todos"
model = "Todo"
channels = ["workspace:{workspace_id}", "user:{assignee_id}"]
id = ["workspace_id", "id"]
unroutable = "error"

[[rule]]
table = "tenant_*.notes"
channels = ["all"]
)";

TEST(Config, ReadsHowTheStreamAndItsValuesAreTaken) {
    auto config = parse(R"(
[source]
streaming = true
spool = { directory = "/spool", size = "512MB" }
origin = "none"
bad_rows = "set_aside"
[values]
numbers = "strings"
bytea = "base64"
)");

    EXPECT_TRUE(config.source.is_streaming);
    EXPECT_EQ(config.source.spool.directory, "/spool");
    EXPECT_EQ(config.source.spool.bytes_max, 512U << 20U);
    EXPECT_TRUE(config.source.is_without_origins);
    EXPECT_EQ(config.source.bad_rows, BadRows::set_aside);
    EXPECT_EQ(config.values.numbers, JsonPolicy::Numbers::strings);
    EXPECT_EQ(config.values.bytes, JsonPolicy::Bytes::base64);
}

TEST(Config, ListensOnThisMachineUnlessTold) {
    EXPECT_EQ(parse("").http.listen.text, "127.0.0.1:7654");
    EXPECT_TRUE(parse("[http]\nlisten = \"\"").http.listen.is_off());
    EXPECT_EQ(parse("http = { listen = \"unix:/run/w\" }").http.listen.path, "/run/w");
}

TEST(Config, WantsATokenWhereOthersCanAsk) {
    auto error = error_of<ConfigError>([] { parse("[http]\nlisten = \"0.0.0.0:7654\""); });
    EXPECT_EQ(
        error,
        "walcast.toml: [http] listen = \"0.0.0.0:7654\" can be reached from other machines: it "
        "needs a token, as WALCAST_HTTP_TOKEN or [http] token, for all but /livez and "
        "/readyz");

    auto config =
        parse("[http]\nlisten = \"0.0.0.0:7654\"", {{"WALCAST_HTTP_TOKEN", "0123456789abcdef"}});
    EXPECT_EQ(config.http.token, "0123456789abcdef");
}

TEST(Config, DoesNotRepeatATokenThatWillNotDo) {
    auto error = error_of<ConfigError>([] { parse("[http]\ntoken = \"hunter2\""); });

    EXPECT_EQ(error.find("hunter2"), std::string::npos);
    EXPECT_NE(error.find("16 or more"), std::string::npos);
}

TEST(Config, RefusesAKeyOfEndlessParts) {
    std::string text;
    for (auto i = 0; i < 100'000; ++i) text += "a.";

    auto error = error_of<ConfigError>([&] { parse(text + "b = 1"); });

    EXPECT_EQ(error, "walcast.toml:1:1: a key of more than 50 parts");
}

TEST(Config, ReadsWal2jsonAndItsFormat) {
    auto config = parse("[source]\nplugin = \"wal2json\"\nformat_version = 1");

    EXPECT_EQ(config.source.plugin, Plugin::wal2json);
    EXPECT_EQ(config.source.format_version, 1U);
}

TEST(Config, ReadsEverythingThatAFileSays) {
    auto config = parse(good);

    EXPECT_EQ(config.source.url, "postgres://walcast@db/app");
    EXPECT_EQ(config.source.slot, "my_slot");
    EXPECT_EQ(config.source.publication, "my publication");
    EXPECT_EQ(config.source.plugin, Plugin::pgoutput);
    EXPECT_EQ(config.redis.address.shown(), "redis://cache:6380");
    EXPECT_EQ(config.redis.address.database, "2");
    EXPECT_EQ(config.redis.prefix, "app:");
    EXPECT_EQ(config.redis.history_length, 500U);
    EXPECT_EQ(config.redis.history_age, 7 * 24h);
    EXPECT_EQ(config.file, "walcast.toml");
}

TEST(Config, ReadsItsRulesInTheirOrder) {
    auto rules = parse(good).rules;

    ASSERT_EQ(rules.size(), 2U);
    EXPECT_EQ(rules[0].table, "public.todos");
    EXPECT_EQ(rules[0].model, "Todo");
    ASSERT_EQ(rules[0].channels.size(), 2U);
    EXPECT_EQ(rules[0].channels[0].parts[1].text, "workspace_id");
    EXPECT_EQ(rules[0].id, (std::vector<std::string>{"workspace_id", "id"}));
    EXPECT_EQ(rules[0].unroutable, Unroutable::error);
    EXPECT_EQ(rules[0].line, 13U);
    EXPECT_EQ(rules[1].table, "tenant_*.notes");
    EXPECT_EQ(rules[1].model, "");
    EXPECT_TRUE(rules[1].id.empty());
    EXPECT_EQ(rules[1].unroutable, Unroutable::reset);
    EXPECT_EQ(rules[1].line, 20U);
}

TEST(Config, HasDefaultsForAllButRules) {
    auto config = parse("");

    EXPECT_EQ(config.source.url, "");
    EXPECT_EQ(config.source.slot, "walcast");
    EXPECT_EQ(config.source.publication, "walcast");
    EXPECT_EQ(config.source.plugin, Plugin::pgoutput);
    EXPECT_EQ(config.redis.address.shown(), "redis://localhost:6379");
    EXPECT_EQ(config.redis.prefix, "walcast:");
    EXPECT_EQ(config.redis.history_length, 1000U);
    EXPECT_EQ(config.redis.history_age, 24h);
    EXPECT_EQ(config.redis.wait_replicas, 0U);
    EXPECT_TRUE(config.rules.empty());
}

TEST(Config, TakesEachPolicyForTheUnroutable) {
    auto policy_of = [](const std::string& name) {
        return parse("[[rule]]\ntable = \"s.t\"\nchannels = [\"a\"]\nunroutable = \"" + name + '"')
            .rules[0]
            .unroutable;
    };

    EXPECT_EQ(policy_of("error"), Unroutable::error);
    EXPECT_EQ(policy_of("reset"), Unroutable::reset);
    EXPECT_EQ(policy_of("skip"), Unroutable::skip);
}

// --- times ---

static std::chrono::seconds age(const std::string& text) {
    return parse("[redis.history]\nage = \"" + text + '"').redis.history_age;
}

TEST(Config, ReadsTimesInEachUnit) {
    EXPECT_EQ(age("90s"), 90s);
    EXPECT_EQ(age("30m"), 30min);
    EXPECT_EQ(age("24h"), 24h);
    EXPECT_EQ(age("7d"), 7 * 24h);
}

TEST(Config, ReadsTheSameTimeWhateverItsUnit) {
    EXPECT_EQ(age("86400s"), 24h);
    EXPECT_EQ(age("100000m"), 100000min);
}

TEST(Config, RefusesTimesThatAreNone) {
    for (const auto* text : {"", "0s", "-1h", "24", "h", "1.5h", "24 h", "1w", "24hours",
                             "99999999999999999999d", "9223372036854775807d"})
        EXPECT_THROW(age(text), ConfigError) << text;
}

// --- the environment ---

TEST(Config, TakesEachKeyFromTheEnvironmentOverTheFile) {
    auto config = parse(good, {{"WALCAST_SOURCE_URL", "postgres://other/db"},
                               {"WALCAST_SOURCE_SLOT", "other"},
                               {"WALCAST_SOURCE_PUBLICATION", "others"},
                               {"WALCAST_SOURCE_PLUGIN", "pgoutput"},
                               {"WALCAST_REDIS_URL", "redis://:secret@other:1/3"},
                               {"WALCAST_REDIS_PREFIX", "o:"},
                               {"WALCAST_REDIS_HISTORY_LENGTH", "7"},
                               {"WALCAST_REDIS_HISTORY_AGE", "1h"}});

    EXPECT_EQ(config.source.url, "postgres://other/db");
    EXPECT_EQ(config.source.slot, "other");
    EXPECT_EQ(config.source.publication, "others");
    EXPECT_EQ(config.redis.address.shown(), "redis://other:1");
    EXPECT_EQ(config.redis.address.password, "secret");
    EXPECT_EQ(config.redis.prefix, "o:");
    EXPECT_EQ(config.redis.history_length, 7U);
    EXPECT_EQ(config.redis.history_age, 1h);
    EXPECT_EQ(config.rules.size(), 2U);
}

TEST(Config, TakesTheEnvironmentWithoutAnyFile) {
    auto config = default_config(environment_of({{"WALCAST_SOURCE_SLOT", "other"}}));

    EXPECT_EQ(config.source.slot, "other");
    EXPECT_EQ(config.file, "");
}

TEST(Config, NamesTheVariableThatIsWrong) {
    auto error = error_of<ConfigError>([] { parse("", {{"WALCAST_REDIS_HISTORY_AGE", "soon"}}); });

    EXPECT_TRUE(error.starts_with("WALCAST_REDIS_HISTORY_AGE: \"soon\": expected a time")) << error;
}

TEST(Config, NeverRepeatsAPassword) {
    const std::string url = "redis://:secret@local host";

    auto in_file = error_of<ConfigError>([&] { parse("[redis]\nurl = \"" + url + '"'); });
    auto in_environment = error_of<ConfigError>([&] { parse("", {{"WALCAST_REDIS_URL", url}}); });

    EXPECT_FALSE(contains(in_file, "secret")) << in_file;
    EXPECT_FALSE(contains(in_environment, "secret")) << in_environment;
}

// --- errors ---

struct WrongFile {
    const char* name;
    const char* text;
    const char* error;

    friend void PrintTo(const WrongFile& shown, std::ostream* out) { *out << shown.name; }
};

class BadConfig : public testing::TestWithParam<WrongFile> {};

TEST_P(BadConfig, SaysWhereAndWhatWouldDo) {
    auto error = error_of<ConfigError>([] { parse(GetParam().text); });

    EXPECT_TRUE(error.starts_with(GetParam().error)) << error;
}

INSTANTIATE_TEST_SUITE_P(
    Config, BadConfig,
    testing::Values(
        WrongFile{"NotToml", "[source\nslot = 1", "walcast.toml:1:8: "},
        WrongFile{"TwiceTheSame", "[source]\nslot = \"a\"\nslot = \"b\"", "walcast.toml:3:"},
        WrongFile{"UnknownSection", "\n[sorce]\nslot = \"a\"",
                  "walcast.toml:2:2: unknown key \"sorce\"; did you mean \"source\"?"},
        WrongFile{"UnknownRuleSection", "[[rules]]\ntable = \"s.t\"",
                  "walcast.toml:1:3: unknown key \"rules\"; did you mean \"rule\"?"},
        WrongFile{"UnknownKeyOfSource", "[source]\n  slott = \"a\"",
                  "walcast.toml:2:3: unknown key \"slott\" in [source]; did you mean \"slot\"?"},
        WrongFile{"UnknownKeyOfRedis", "[redis]\nhistry = { length = 1 }",
                  "walcast.toml:2:1: unknown key \"histry\" in [redis]; did you mean \"history\"?"},
        WrongFile{"UnknownKeyOfHistory", "[redis]\nhistory = { lenght = 1 }",
                  "walcast.toml:2:13: unknown key \"lenght\" in [redis.history]; did you mean "
                  "\"length\"?"},
        WrongFile{"UnknownKeyOfRule", "[[rule]]\ntable = \"s.t\"\nchanels = [\"a\"]",
                  "walcast.toml:3:1: unknown key \"chanels\" in [[rule]]; did you mean "
                  "\"channels\"?"},
        WrongFile{"UnknownKeyBesideTheSections", "slot = \"a\"",
                  "walcast.toml:1:1: unknown key \"slot\"; did you mean "},
        WrongFile{"SectionThatIsNone", "source = \"x\"",
                  "walcast.toml:1:1: source: expected a table"},
        WrongFile{"HistoryThatIsNone", "[redis]\nhistory = 5",
                  "walcast.toml:2:1: redis.history: expected a table"},
        WrongFile{
            "SlotWithCapitals", "[source]\nslot = \"Wal\"",
            "walcast.toml:2:1: source.slot: \"Wal\": a slot's name has 1 to 63 of a-z, 0-9 and _"},
        WrongFile{"EmptySlot", "[source]\nslot = \"\"", "walcast.toml:2:1: source.slot: "},
        WrongFile{"LongSlot",
                  "[source]\nslot = \"a234567890123456789012345678901234567890123456789012345678901"
                  "234\"",
                  "walcast.toml:2:1: source.slot: "},
        WrongFile{"EmptyPublication", "[source]\npublication = \"\"",
                  "walcast.toml:2:1: source.publication: "},
        WrongFile{"UnknownPlugin", "[source]\nplugin = \"test_decoding\"",
                  "walcast.toml:2:1: source.plugin: \"test_decoding\": expected \"pgoutput\" or "
                  "\"wal2json\""},
        WrongFile{"UnknownFormatVersion", "[source]\nformat_version = 3",
                  "walcast.toml:2:1: source.format_version: \"3\": expected 1 or 2"},
        WrongFile{"NoBoolean", "[source]\nstreaming = \"on\"",
                  "walcast.toml:2:1: source.streaming: expected true or false"},
        WrongFile{"RelativeSpool", "[source]\nspool = { directory = \"tmp\" }",
                  "walcast.toml:2:11: source.spool.directory: \"tmp\": expected an absolute path"},
        WrongFile{"SizeWithoutUnit", "[source]\nspool = { size = \"8\" }",
                  "walcast.toml:2:11: source.spool.size: \"8\": expected a size such as \"512MB\" "
                  "or \"8GB\""},
        WrongFile{"UnknownOrigin", "[source]\norigin = \"some\"",
                  "walcast.toml:2:1: source.origin: \"some\": expected \"any\" or \"none\""},
        WrongFile{"UnknownNumbers", "[values]\nnumbers = \"big\"",
                  "walcast.toml:2:1: values.numbers: \"big\": expected \"exact\" or \"strings\" or "
                  "\"numbers\""},
        WrongFile{"StreamingOfWal2json", "[source]\nplugin = \"wal2json\"\nstreaming = true",
                  "walcast.toml: [source] streaming needs plugin = \"pgoutput\""},
        WrongFile{"OriginOfWal2json", "[source]\nplugin = \"wal2json\"\norigin = \"none\"",
                  "walcast.toml: [source] origin = \"none\" needs plugin = \"pgoutput\""},
        WrongFile{"WrongKindOfValue", "[source]\nslot = [1]",
                  "walcast.toml:2:1: source.slot: expected a string"},
        WrongFile{"RedisUrl", "[redis]\nurl = \"http://x\"",
                  "walcast.toml:2:1: redis.url: unknown scheme \"http\""},
        WrongFile{"ZeroLength", "[redis.history]\nlength = 0",
                  "walcast.toml:2:1: redis.history.length: \"0\": expected a number above 0"},
        WrongFile{"NegativeLength", "[redis.history]\nlength = -1",
                  "walcast.toml:2:1: redis.history.length: "},
        WrongFile{"TextForANumber", "[redis.history]\nlength = \"5\"",
                  "walcast.toml:2:1: redis.history.length: expected a number"},
        WrongFile{"NumberForAText", "[redis.history]\nage = 5",
                  "walcast.toml:2:1: redis.history.age: expected a string"},
        WrongFile{"RuleWithSingleBrackets", "[rule]\ntable = \"s.t\"",
                  "walcast.toml:1:2: rule: write [[rule]]"},
        WrongFile{"RuleWithoutTable", "\n[[rule]]\nchannels = [\"a\"]",
                  "walcast.toml:2:1: rule: table is missing"},
        WrongFile{"RuleWithoutChannels", "\n[[rule]]\ntable = \"s.t\"",
                  "walcast.toml:2:1: rule: channels is missing"},
        WrongFile{"RuleWithNoChannels", "[[rule]]\ntable = \"s.t\"\nchannels = []",
                  "walcast.toml:3:12: channels: expected at least one channel"},
        WrongFile{"TableWithoutSchema", "[[rule]]\ntable = \"todos\"\nchannels = [\"a\"]",
                  "walcast.toml:2:9: table: expected schema and table: \"public.todos\""},
        WrongFile{"EmptyModel", "[[rule]]\ntable = \"s.t\"\nmodel = \"\"\nchannels = [\"a\"]",
                  "walcast.toml:3:9: model: expected a string"},
        WrongFile{"ChannelsThatAreNoList", "[[rule]]\ntable = \"s.t\"\nchannels = \"a\"",
                  "walcast.toml:3:12: channels: expected a list of strings"},
        WrongFile{"ChannelThatIsNoString", "[[rule]]\ntable = \"s.t\"\nchannels = [\"a\", 1]",
                  "walcast.toml:3:18: channels: expected a string"},
        WrongFile{"BadTemplate", "[[rule]]\ntable = \"s.t\"\nchannels = [\"a\",\n  \"b:{id\"]",
                  "walcast.toml:4:6: channels: \"b:{id\": the { at 3 is not closed"},
        WrongFile{"NoIdColumns", "[[rule]]\ntable = \"s.t\"\nchannels = [\"a\"]\nid = []",
                  "walcast.toml:4:6: id: expected at least one column"},
        WrongFile{"UnknownPolicy",
                  "[[rule]]\ntable = \"s.t\"\nchannels = [\"a\"]\nunroutable = \"ignore\"",
                  "walcast.toml:4:14: unroutable: \"ignore\"; did you mean "},
        WrongFile{"WrongPredicate",
                  "[[rule]]\ntable = \"s.t\"\nchannels = [\"a\"]\nwhere = \"a = 1 adn b = 2\"",
                  "walcast.toml:4:16: where: "},
        WrongFile{"UnknownOperation",
                  "[[rule]]\ntable = \"s.t\"\nchannels = [\"a\"]\noperations = [\"inserts\"]",
                  "walcast.toml:4:16: operations: \"inserts\"; did you mean \"insert\"?"},
        WrongFile{"UnknownKindOfData",
                  "[[rule]]\ntable = \"s.t\"\nchannels = [\"a\"]\ndata = \"deltas\"",
                  "walcast.toml:4:8: data: \"deltas\"; did you mean \"delta\"?"},
        WrongFile{"ColumnsAndExclude",
                  "[[rule]]\ntable = \"s.t\"\nchannels = [\"a\"]\ncolumns = [\"a\"]\n"
                  "exclude = [\"b\"]",
                  "walcast.toml:5:13: exclude: columns says already"},
        WrongFile{"ColumnTwice",
                  "[[rule]]\ntable = \"s.t\"\nchannels = [\"a\"]\nexclude = [\"b\", \"b\"]",
                  "walcast.toml:4:17: exclude: \"b\" is there twice"},
        WrongFile{"RenameThatIsNoTable",
                  "[[rule]]\ntable = \"s.t\"\nchannels = [\"a\"]\nrename = \"b\"",
                  "walcast.toml:4:10: rename: expected columns and their new names"},
        WrongFile{"RenameToOneName",
                  "[[rule]]\ntable = \"s.t\"\nchannels = [\"a\"]\nrename = { b = \"x\", c = "
                  "\"x\" }",
                  "walcast.toml:4:25: rename: b and c would both be \"x\""},
        WrongFile{
            "RenameOfWhatIsExcluded",
            "[[rule]]\ntable = \"s.t\"\nchannels = [\"a\"]\nexclude = [\"b\"]\nrename = { b = "
            "\"x\" }",
            "walcast.toml:5:12: rename: b is not part of the data"},
        WrongFile{"IdThatIsExcluded",
                  "[[rule]]\ntable = \"s.t\"\nchannels = [\"a\"]\nid = [\"b\"]\nexclude = [\"b\"]",
                  "walcast.toml:4:8: id: b is excluded"},
        WrongFile{"ChannelThatCouldBeControl",
                  "[[rule]]\ntable = \"s.t\"\nchannels = [\"all\", \"walcast:{name}\"]",
                  "walcast.toml:3:21: channels: a row could make \"walcast:control\""},
        WrongFile{"ChannelThatCouldBeAReceipt",
                  "[[rule]]\ntable = \"s.t\"\nchannels = [\"walcast:receipt:{name}\"]",
                  "walcast.toml:3:14: channels: a row could make \"walcast:receipt:\" of "
                  "\"walcast:receipt:{name}\", which is walcast's own by [redis] prefix: begin it "
                  "with other text, as \"rows:walcast:receipt:{name}\""},
        WrongFile{"ChannelThatCouldBeAHistory",
                  "[redis]\nprefix = \"a-\"\n[[rule]]\ntable = \"s.t\"\nchannels = "
                  "[\"{b}log:{c}\"]",
                  "walcast.toml:5:14: channels: a row could make \"a-log:\""},
        WrongFile{"OutputWhoseChannelCouldBeAReceipt",
                  "[[rule]]\ntable = \"s.t\"\nchannels = [\"walcast:receipt\"]\n[[output]]\n"
                  "envelope = \"ably\"\nchannel = \"{channel}:x\"",
                  "walcast.toml: [[output]] 1: channel: a row could make \"walcast:receipt:\" of "
                  "it"},
        WrongFile{"ControlCharacterInAPrefix", "[redis]\nchannel_prefix = \"a\\n\"",
                  "walcast.toml:2:1: redis.channel_prefix: "}),
    [](const auto& tested) { return std::string(tested.param.name); });

// --- files ---

class ConfigFile : public testing::Test {
protected:
    ConfigFile() {
        std::string pattern = testing::TempDir() + "walcast-config-XXXXXX";
        directory = mkdtemp(pattern.data());
    }
    ~ConfigFile() override {
        std::remove(path().c_str());
        std::remove(directory.c_str());
    }
    std::string path() const { return directory + "/given.toml"; }

    std::string directory;
};

TEST_F(ConfigFile, IsReadFromWhereItIsGiven) {
    std::ofstream(path()) << "[source]\nslot = \"mine\"\n";

    auto config = load_config(path(), Presence::required, environment_of({}));

    EXPECT_EQ(config.source.slot, "mine");
    EXPECT_EQ(config.file, path());
}

TEST_F(ConfigFile, IsNamedInItsErrors) {
    std::ofstream(path()) << "slot";

    auto error =
        error_of<ConfigError>([&] { load_config(path(), Presence::required, environment_of({})); });

    EXPECT_TRUE(error.starts_with(path() + ":1:")) << error;
}

TEST_F(ConfigFile, MustBeThereWhenItIsGiven) {
    for (auto presence : {Presence::required, Presence::optional}) {
        auto error =
            error_of<ConfigError>([&] { load_config(path(), presence, environment_of({})); });

        EXPECT_EQ(error, path() + ": cannot be read");
    }
}

TEST_F(ConfigFile, IsNotADirectory) {
    EXPECT_THROW(load_config(directory, Presence::required, environment_of({})), ConfigError);
}

TEST_F(ConfigFile, MayBeEmpty) {
    std::ofstream(path()).flush();

    auto config = load_config(path(), Presence::required, environment_of({}));

    EXPECT_EQ(config.file, path());
}

// --- tables ---

struct Matching {
    const char* pattern;
    const char* schema;
    const char* name;
    bool matches;

    friend void PrintTo(const Matching& shown, std::ostream* out) {
        *out << shown.pattern << ' ' << shown.schema << '.' << shown.name;
    }
};

class MatchesTable : public testing::TestWithParam<Matching> {};

TEST_P(MatchesTable, AsAShellWouldWithinEitherName) {
    const auto& [pattern, schema, name, matches] = GetParam();
    Rule rule;
    rule.table = pattern;

    EXPECT_EQ(matches_table(rule, schema, name), matches)
        << pattern << ' ' << schema << '.' << name;
}

INSTANTIATE_TEST_SUITE_P(Rule, MatchesTable,
                         testing::Values(Matching{"public.todos", "public", "todos", true},
                                         Matching{"public.todos", "public", "todo", false},
                                         Matching{"public.todos", "public", "todos2", false},
                                         Matching{"public.todos", "other", "todos", false},
                                         Matching{"public.todos", "public", "Todos", false},
                                         Matching{"public.*", "public", "todos", true},
                                         Matching{"public.*", "public", "a.b", true},
                                         Matching{"*.todos", "tenant_1", "todos", true},
                                         Matching{"tenant_*.todos", "tenant_1", "todos", true},
                                         Matching{"tenant_*.todos", "tenant", "todos", false},
                                         Matching{"*.*", "public", "todos", true},
                                         Matching{"*.*", "public", ".hidden", true},
                                         Matching{"public.todo?", "public", "todos", true},
                                         Matching{"public.todo?", "public", "todo", false},
                                         // A star does not run from one name into the other.
                                         Matching{"pub*dos", "public", "todos", false},
                                         Matching{"p*.s", "public", "todos", false},
                                         Matching{"public.todos.x", "public", "todos", false}));

// --- two configurations ---

TEST(Config, TellsWhichSettingsDifferAndNotHowTheyAreWritten) {
    auto changed = changed_settings(parse(good), parse(R"(
[source]
url = "postgres://walcast@db/app"
slot = "another_slot"
publication = "my publication"
spool = { size = "8192MB" }
[values]
numbers = "exact"
[redis]
url = "redis://:secret@cache:6380/2"
prefix = "app:"
history = { length = 500, age = "168h" }
)"));

    EXPECT_EQ(changed, (std::vector<std::string_view>{"source.slot", "redis.url"}));
}

TEST(Config, EachSettingIsComparedWithItself) {
    std::map<std::string, std::string> other{{"source.url", "postgres://other"},
                                             {"source.slot", "other"},
                                             {"source.publication", "other"},
                                             {"source.plugin", "wal2json"},
                                             {"source.format_version", "1"},
                                             {"source.streaming", "true"},
                                             {"source.spool.directory", "/other"},
                                             {"source.spool.size", "1GB"},
                                             {"source.origin", "none"},
                                             {"source.bad_rows", "set_aside"},
                                             {"source.heartbeat", "30s"},
                                             {"values.numbers", "strings"},
                                             {"values.bytea", "base64"},
                                             {"redis.url", "redis://other"},
                                             {"redis.prefix", "other:"},
                                             {"redis.history.length", "7"},
                                             {"redis.history.age", "7s"},
                                             {"redis.receipt_age", "7s"},
                                             {"redis.confirm_delay", "2s"},
                                             {"redis.wait_replicas", "1"},
                                             {"http.listen", "127.0.0.1:1"},
                                             {"http.token", "0123456789abcdef"}};
    for (const auto& key : config_keys()) {
        // Replaced with the rules.
        if (key.path == "redis.channel_prefix" || key.path.starts_with("outbox.")) continue;
        Config before;
        Config after;
        key.set(after, other.at(std::string(key.path)));

        EXPECT_EQ(changed_settings(before, after), std::vector<std::string_view>{key.path});
    }
}

TEST(Config, ATimeMayBeOffOrHasAUnit) {
    using std::chrono::milliseconds;
    EXPECT_EQ(parse("[source]\nheartbeat = \"off\"").source.heartbeat, milliseconds{0});
    EXPECT_EQ(parse("[source]\nheartbeat = \"1m\"").source.heartbeat, milliseconds{60'000});
    EXPECT_EQ(parse("[redis]\nconfirm_delay = \"1500ms\"").confirm_delay, milliseconds{1500});
    for (const auto* wrong : {"0s", "2", "-1s", "2 s", "61s", "1y", ""}) {
        auto text = fmt::format("[redis]\nconfirm_delay = \"{}\"", wrong);
        auto error = error_of<ConfigError>([&] { parse(text); });
        EXPECT_TRUE(contains(error, "expected \"off\" or a time")) << wrong << error;
    }
}

TEST(Config, AnOutboxIsARuleOfItsOwn) {
    auto config = parse(
        "[[rule]]\ntable = \"a.b\"\nchannels = [\"c\"]\n"
        "[outbox]\ntable = \"public.outbox\"\nchannel = \"topic\"");

    ASSERT_EQ(config.rules.size(), 2U);
    const auto& rule = config.rules[1];
    EXPECT_EQ(rule.table, "public.outbox");
    ASSERT_TRUE(rule.outbox);
    EXPECT_EQ(rule.outbox->channel, "topic");
    EXPECT_EQ(rule.outbox->data, std::nullopt);
    EXPECT_FALSE(rule.takes(Action::update) || rule.takes(Action::remove));
    EXPECT_EQ(rule.line, 5U);
    EXPECT_EQ(parse(config.rules_text).rules_text, config.rules_text);
    EXPECT_NE(config.rules_text, parse("[[rule]]\ntable = \"a.b\"\nchannels = [\"c\"]").rules_text);
}

TEST(Config, AnOutboxThatCannotBeIsRefused) {
    for (const auto* wrong : {"table = \"outbox\"", "table = \"public.*\"", "channel = \"topic\"",
                              "table = \"a.b\"\nchanel = \"c\""}) {
        auto error = error_of<ConfigError>([&] { parse(fmt::format("[outbox]\n{}", wrong)); });
        EXPECT_FALSE(error.empty()) << wrong;
    }
}

TEST(Config, RulesThatSayTheSameHaveTheSameText) {
    auto text = parse("[[rule]]\ntable = \"a.b\"\nchannels = [\"c:{d}\"]").rules_text;

    EXPECT_EQ(parse("# all\n[[rule]]\nchannels=['c:{d}'] # of d\ntable='a.b'").rules_text, text);
    EXPECT_NE(parse("[[rule]]\ntable = \"a.b\"\nchannels = [\"c:{e}\"]").rules_text, text);
    EXPECT_EQ(parse(text).rules_text, text);
}

TEST(Config, IsCheckedAgainstWalcastsOwnNamesByAnyPrefix) {
    auto config = parse(
        "[redis]\nprefix = \"other:\"\n[[rule]]\ntable = \"a.b\"\nchannels = [\"walcast:{c}\"]");

    auto error = error_of<ConfigError>([&] { expect_no_own_names(config, "walcast:"); });

    EXPECT_TRUE(contains(error, "a row could make \"walcast:control\"")) << error;
}

TEST(Config, OfAFileThatNeverEndsIsRefused) {
    auto error = error_of<ConfigError>([] {
        load_config("/dev/zero", Presence::required,
                    [](const std::string&) { return std::nullopt; });
    });

    EXPECT_EQ(error, "/dev/zero: larger than 4 MiB");
}

TEST(Config, AnotherPrefixOfChannelsMakesOtherRules) {
    std::string rule = "[[rule]]\ntable = \"a.b\"\nchannels = [\"c\"]\n";
    auto config = parse(rule + "[redis]\nchannel_prefix = \"acme:{\"");

    EXPECT_NE(config.rules_text, parse(rule).rules_text);
    EXPECT_EQ(parse(config.rules_text).rules_text, config.rules_text);
    EXPECT_EQ(config.rules[0].channels[0].parts[0].text, "acme:{");
}

}  // namespace walcast
