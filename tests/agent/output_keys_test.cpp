#include "agent/output_keys.hpp"

#include "agent/config_keys.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

namespace walcast {

namespace {

constexpr auto* rule = R"(
[[rule]]
table = "public.todos"
model = "Todo"
channels = ["w:{workspace_id}"]
)";

constexpr auto* lists = R"(
[[rule]]
table = "public.lists"
model = "List"
channels = ["l:{id}"]
)";

Config parse(const std::string& text) {
    return parse_config(text, "walcast.toml", [](const std::string&) { return std::nullopt; });
}

std::vector<OutputSettings> outputs_of(const std::string& text) {
    return parse(text + rule + lists).redis.outputs;
}

// Empty: it is fine.
std::string error_in(const std::string& text) {
    try {
        parse(text);
    } catch (const ConfigError& error) {
        return error.what();
    }
    return {};
}

}  // namespace

TEST(OutputKeys, HaveDefaultsOfEachEnvelope) {
    EXPECT_EQ(outputs_of(""), std::vector<OutputSettings>{});
    EXPECT_EQ(outputs_of("[[output]]\nenvelope = \"native\""), std::vector<OutputSettings>{{}});
    EXPECT_EQ(outputs_of("[[output]]\nenvelope = \"chorus\""),
              (std::vector<OutputSettings>{{.envelope = EnvelopeKind::chorus,
                                            .channel_before = "laravel_database_private-"}}));
    EXPECT_EQ(outputs_of("[[output]]\nenvelope = \"ably\""),
              (std::vector<OutputSettings>{{.envelope = EnvelopeKind::ably}}));
    EXPECT_EQ(outputs_of("[[rule]]\ntable = \"public.action_*\"\nchannels = [\"a:{k}\"]\n"
                         "[[output]]\nenvelope = \"synchrotron\""),
              (std::vector<OutputSettings>{{.envelope = EnvelopeKind::synchrotron}}));
}

TEST(OutputKeys, AreReadWithAllTheirKeys) {
    EXPECT_EQ(outputs_of(R"(
[[output]]
envelope = "ably"
channel = "ably:{channel}:live"
models = ["Todo", "List"]
name = "{action}/{model}"
[[output]]
envelope = "native"
)"),
              (std::vector<OutputSettings>{{.envelope = EnvelopeKind::ably,
                                            .channel_before = "ably:",
                                            .channel_after = ":live",
                                            .models = {"Todo", "List"},
                                            .name = "{action}/{model}"},
                                           {}}));
}

TEST(OutputKeys, SayWhereAndWhatWouldDo) {
    auto refused = [](const std::string& keys) { return error_in("[[output]]\n" + keys + rule); };

    EXPECT_TRUE(contains(refused("envelope = \"abli\""),
                         R"(walcast.toml:2:12: envelope: "abli"; did you mean "ably"? There are)"));
    EXPECT_TRUE(contains(refused("channel = \"x:{channel}\""), "envelope is missing"));
    EXPECT_TRUE(contains(refused("envelope = \"ably\"\nmodel = [\"x\"]"),
                         R"(walcast.toml:3:1: unknown key "model" in [[output]]; did you mean )"
                         R"("models"?)"));
    EXPECT_TRUE(contains(refused("envelope = 7"), "expected a string"));
    EXPECT_TRUE(contains(refused("envelope = \"ably\"\nmodels = []"), "expected a list"));
    EXPECT_TRUE(contains(refused("envelope = \"native\"\nmodels = [\"Todo\"]"), "rules choose"));
    EXPECT_TRUE(contains(refused("envelope = \"chorus\"\nname = \"{model}\""),
                         "only with envelope = \"ably\""));
    EXPECT_TRUE(
        contains(refused("envelope = \"ably\"\nname = \"{table}\""), "in braces there are"));
    EXPECT_TRUE(contains(refused("envelope = \"ably\"\ncorrections = true"),
                         "only with envelope = \"synchrotron\""));
    EXPECT_TRUE(contains(refused("envelope = \"synchrotron\"\ncorrections = 1"), "true or false"));
    EXPECT_TRUE(contains(error_in("output = 7"), "[[output]]"));
}

TEST(OutputKeys, TakeTheIdsOfAnOutbox) {
    const std::string output = "[[output]]\nenvelope = \"ably\"\nids = \"sequence\"\n";
    const std::string outbox = "[outbox]\ntable = \"public.outbox\"\n";

    auto config = parse(output + outbox + rule);

    EXPECT_EQ(
        config.redis.outputs,
        (std::vector<OutputSettings>{{.envelope = EnvelopeKind::ably, .has_sequence_ids = true}}));
    EXPECT_EQ(config.rules.back().outbox->sequence_id, "sequence_id");
    EXPECT_EQ(parse(output + outbox + "sequence_id = \"number\"").rules.back().outbox->sequence_id,
              "number");
    // Otherwise it may be missing.
    EXPECT_EQ(parse("[[output]]\nenvelope = \"ably\"\nids = \"sync\"\n" + outbox)
                  .rules.back()
                  .outbox->sequence_id,
              std::nullopt);
    EXPECT_TRUE(contains(error_in(output + rule), "there is no [outbox]"));
    EXPECT_TRUE(contains(error_in(output + "models = [\"Todo\"]\n" + outbox),
                         "walcast.toml:4:10: models: with ids = \"sequence\" only the outbox"));
    EXPECT_TRUE(contains(error_in(output + "name = \"x\"\n" + outbox), "name: with ids"));
    EXPECT_TRUE(contains(error_in("[[output]]\nenvelope = \"ably\"\nids = \"serial\"\n" + outbox),
                         R"(ids: "serial": expected "sync" or "sequence")"));
    EXPECT_TRUE(contains(error_in("[[output]]\nenvelope = \"native\"\nids = \"sync\"\n"),
                         "only with envelope = \"ably\""));
    // Numbers of the two kinds would be compared with each other.
    EXPECT_TRUE(contains(error_in(output + "[[output]]\nenvelope = \"ably\"\n" + outbox),
                         "same Redis channel"));
}

TEST(OutputKeys, NameModelsThatRulesHave) {
    auto with = [](const std::string& models) {
        return error_in("[[output]]\nenvelope = \"ably\"\nmodels = " + models + rule + lists);
    };

    EXPECT_EQ(with("[\"Todo\"]"), "");
    EXPECT_TRUE(contains(with("[\"Todo\", \"todo\"]"),
                         R"([[output]] 1: models: no rule has the model "todo"; did you mean )"
                         R"("Todo"? There are Todo, List)"))
        << with("[\"todo\"]");
}

TEST(OutputKeys, WantTheModelsThatSynchrotronsLogIsMadeOf) {
    const std::string output = "[[output]]\nenvelope = \"synchrotron\"\n";
    const std::string actions =
        "[[rule]]\ntable = \"public.action_records\"\nchannels = [\"actions\"]\n";
    const std::string rows =
        "[[rule]]\ntable = \"app.rows\"\nmodel = \"action_modified_rows\"\nchannels = "
        "[\"a:{k}\"]\n";

    EXPECT_EQ(error_in(output + actions + rows), "");
    EXPECT_TRUE(contains(error_in(output + rule), "it has no \"action_records\": a [[rule]] with"));
    EXPECT_TRUE(contains(error_in(output + actions), "it has no \"action_modified_rows\""));
    EXPECT_TRUE(contains(error_in(output + "models = [\"action_records\"]\n" + actions + rows),
                         "it has no \"action_modified_rows\""));
}

TEST(OutputKeys, WantTheChannelOnce) {
    for (const auto* wrong :
         {"x", "", "{channel}{channel}", "{chanel}", "{channel}}", "a\\u0007{channel}"})
        EXPECT_NE(error_in("[[output]]\nenvelope = \"ably\"\nchannel = \"" + std::string(wrong) +
                           "\"" + rule),
                  "")
            << wrong;
}

// Its client replaces the record with what it is sent.
TEST(OutputKeys, RefuseChangesWhereChorusTakesThem) {
    auto with = [](const std::string& output) {
        return error_in("[[output]]\nenvelope = \"chorus\"\n" + output + rule +
                        "data = \"delta\"\n" + lists);
    };

    EXPECT_TRUE(contains(with(""), "walcast.toml:8:9: data: Chorus replaces the whole record"))
        << with("");
    EXPECT_EQ(with("models = [\"List\"]"), "");
}

TEST(OutputKeys, WantChangesWhereCorrectionsAreMadeOfThem) {
    constexpr auto* output = "[[output]]\nenvelope = \"synchrotron\"\ncorrections = true\n";

    EXPECT_TRUE(contains(error_in(std::string(output) + rule), "needs data = \"delta\""));
    EXPECT_EQ(error_in(std::string(output) + rule + "data = \"delta\"\n"), "");
}

TEST(OutputKeys, RefuseTwoModelsOfOneRowOnOneChannelOfAbly) {
    auto with = [](const std::string& output, const std::string& channel) {
        return error_in("[[output]]\nenvelope = \"ably\"\n" + output + rule +
                        "[[rule]]\ntable = \"public.*\"\nmodel = \"Item\"\nchannels = [\"" +
                        channel + "\"]\n");
    };

    EXPECT_TRUE(contains(with("", "w:{other}"), "Ably has one message with one id"));
    EXPECT_EQ(with("", "items:{id}"), "");
    EXPECT_EQ(with("models = [\"Todo\"]", "w:{other}"), "");
}

TEST(OutputKeys, KnowWhichPatternsCouldNameOneTable) {
    auto can_both = [](const std::string& one, const std::string& other) {
        auto rule_of = [](const std::string& table) {
            return "[[rule]]\ntable = \"" + table + "\"\nchannels = [\"w:{id}\"]\n";
        };
        return !error_in("[[output]]\nenvelope = \"ably\"\n" + rule_of(one) + rule_of(other))
                    .empty();
    };

    EXPECT_TRUE(can_both("a_*.t", "*_1.t"));
    EXPECT_TRUE(can_both("*.t_*_x", "public.*_y_x"));
    EXPECT_TRUE(can_both("s.a?c", "s.[a-b]*"));
    EXPECT_TRUE(can_both("s.x[[:alpha:]]y", "s.x?y"));
    EXPECT_FALSE(can_both("a.t", "b.t"));
    EXPECT_FALSE(can_both("a_*.t", "b_*.t"));
    EXPECT_FALSE(can_both("*_a.t", "*_b.t"));
    EXPECT_FALSE(can_both("a.b_*", "a_*.b"));
    EXPECT_FALSE(can_both("s.??", "s.???"));
}

TEST(OutputKeys, RefuseOutputsThatMeetOnOneRedisChannel) {
    auto with = [](const std::string& first, const std::string& second) {
        return error_in("[[output]]\n" + first + "\n[[output]]\n" + second + "\n" + rule + lists);
    };

    EXPECT_TRUE(contains(with("envelope = \"native\"", "envelope = \"ably\""),
                         "[[output]] 2: channel: output 1 could publish on the same"));
    EXPECT_TRUE(contains(with("envelope = \"ably\"\nmodels = [\"Todo\"]",
                              "envelope = \"ably\"\nmodels = [\"List\"]"),
                         "on the same"));
    EXPECT_TRUE(contains(with("envelope = \"ably\"\nchannel = \"w:{channel}\"",
                              "envelope = \"chorus\"\nchannel = \"{channel}w:1\""),
                         "on the same"));
    EXPECT_EQ(with("envelope = \"native\"", "envelope = \"ably\"\nchannel = \"ably:{channel}\""),
              "");
    EXPECT_EQ(with("envelope = \"native\"", "envelope = \"chorus\""), "");
}

TEST(OutputKeys, RefuseTheControlChannel) {
    auto with = [](const std::string& channel, const std::string& name) {
        return error_in("[[output]]\nenvelope = \"ably\"\nchannel = \"" + channel +
                        "\"\n[[rule]]\ntable = \"public.todos\"\nchannels = [\"" + name + "\"]\n");
    };

    EXPECT_TRUE(contains(with("{channel}trol", "walcast:con{name}"), "walcast's own by"));
    for (const auto* before : {"walcast:", "walcast:x", "wal"})
        EXPECT_TRUE(contains(with(before + std::string("{channel}"), "{name}"), "walcast's own"));
    EXPECT_EQ(with("app:{channel}", "{name}"), "");
}

TEST(OutputKeys, AreASettingThatNeedsARestart) {
    auto before = parse(rule);
    auto after = parse(std::string("[[output]]\nenvelope = \"ably\"\n") + rule);

    EXPECT_EQ(changed_settings(before, after), std::vector<std::string_view>{"output"});
    EXPECT_EQ(before.rules_text, after.rules_text);
    EXPECT_TRUE(changed_settings(after, after).empty());
}

}  // namespace walcast
