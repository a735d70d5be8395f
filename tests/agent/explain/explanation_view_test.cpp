#include "agent/explain/explanation_view.hpp"

#include "tests/support/rules.hpp"

#include <gtest/gtest.h>

namespace walcast {

using View = ExplanationView;

static bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

static Explanation of_one_message() {
    Explanation explanation;
    explanation.messages.push_back({.channels = {"w:1"}, .body = "b", .bytes = R"({"a":"é"})"});
    return explanation;
}

TEST(ExplanationView, GivesTheBytesAsTheyAre) {
    ExplainedChange change{.action = "insert", .table = "public.todos", .notes = {"n"}};

    EXPECT_EQ(View(View::Form::text, View::Colours::none).show(change, of_one_message()),
              "insert public.todos\n    note: n\nw:1\n    {\"a\":\"é\"}\n");
    EXPECT_EQ(View(View::Form::json, View::Colours::none).show(change, of_one_message()),
              R"({"action":"insert","table":"public.todos","syncId":0,"notes":["n"],"rules":[],)"
              R"("messages":[{"channels":["w:1"],"bytes":"{\"a\":\"é\"}"}]})"
              "\n");
}

TEST(ExplanationView, LetsNothingSteerATerminal) {
    auto explanation = of_one_message();
    explanation.messages[0].channels = {"w:\x1b[31m\n\xC2\x9b"};
    explanation.why_none = "\x1b]0;x\x07";
    ExplainedChange change{.action = "insert", .table = "\x1b[2J", .notes = {"\x1b"}};

    auto text = View(View::Form::text, View::Colours::none).show(change, explanation);

    EXPECT_FALSE(has(text, "\x1b"));
    EXPECT_FALSE(has(text, "\x07"));
    EXPECT_FALSE(has(text, "\xC2\x9b"));
}

TEST(ExplanationView, ColoursOnlyWhenAsked) {
    ExplainedChange change{.action = "insert", .table = "t", .notes = {}};

    EXPECT_TRUE(
        has(View(View::Form::text, View::Colours::ansi).show(change, of_one_message()), "\x1b["));
}

TEST(ExplanationView, MarksWhatDiffers) {
    View view(View::Form::text, View::Colours::none);
    ExplainedChange change{.action = "insert", .table = "t", .notes = {}};
    auto after = of_one_message();
    after.messages[0].body = "c";
    after.messages[0].bytes = "{}";

    EXPECT_EQ(view.show(change, of_one_message(), of_one_message(), "a.toml", "b.toml"),
              "insert t\n    same\n");
    EXPECT_TRUE(has(view.show(change, of_one_message(), after, "a.toml", "b.toml"),
                    "- w:1 {\"a\":\"é\"}\n+ w:1 {}\n"));
    EXPECT_EQ(view.show_summary(1, 2), "3 changes: 1 same, 2 differ\n");
    EXPECT_EQ(view.show_summary(0, 1), "1 change: 0 same, 1 differs\n");
}

// --- sync ids ---

static FoundId::Message found_message(std::string channel) {
    return {.channel = std::move(channel),
            .bytes = "{}",
            .type = "sync",
            .epoch = "e",
            .reason = {},
            .prev_sync_id = 3,
            .last_sync_id = 9,
            .actions = {{.action = "update", .model = "Todo", .model_id = "5"}}};
}

TEST(PossibleRules, GoByModelTableAndChannel) {
    std::vector<Rule> rules{
        rule_for("public.todos").model("Todo").channel("a:{x}").channel("b:{x}"),
        rule_for("public.to*").channel("a:{y}"), rule_for("public.users").channel("a:{z}")};

    EXPECT_EQ(possible_rules(rules, "Todo", "a:1"),
              std::vector<std::string>{"rule:0:1 public.todos, channel \"a:{x}\""});
    EXPECT_EQ(possible_rules(rules, "todos", "a:1"),
              std::vector<std::string>{"rule:0:1 public.to*, channel \"a:{y}\""});
}

TEST(ExplanationView, TellsWhereASyncIdIs) {
    View view(View::Form::text, View::Colours::none);
    std::vector<Rule> rules{rule_for("public.todos").model("Todo").channel("a:{x}")};
    FoundId found;
    found.messages = {found_message("a:1"), found_message("b:1")};

    auto text = view.show(9, found, rules, "control");

    EXPECT_TRUE(has(text, "a:1 epoch e after 3 up to 9\n    update Todo 5\n    by rule:0:1"));
    EXPECT_TRUE(has(text, "no rule as it stands now makes this"));
}

TEST(ExplanationView, TellsWhyASyncIdIsNowhere) {
    View view(View::Form::text, View::Colours::none);
    FoundId found;
    EXPECT_TRUE(has(view.show(9, found, {}, "c"), "no position under this prefix"));

    found.reached = FoundId::Reached{.epoch = "e", .sync_id = 8, .floor = 5};
    EXPECT_TRUE(has(view.show(9, found, {}, "c"), "has not got so far: its position is 8"));
    EXPECT_TRUE(has(view.show(5, found, {}, "c"), "not above the floor, 5"));
    EXPECT_FALSE(has(view.show(6, found, {}, "c"), "floor"));
    EXPECT_TRUE(has(view.show(6, found, {}, "c"), "no rule routed that change"));

    found.is_first_of_update = true;
    EXPECT_TRUE(has(view.show(6, found, {}, "c"), "7 is an update, which takes two ids"));
}

TEST(ReadMessage, TakesTheActionsOfTheIdAlone) {
    FoundId::Message message;

    EXPECT_TRUE(read_message(
        R"({"type":"sync","epoch":"e","prevSyncId":1,"lastSyncId":3,"sync":[)"
        R"({"syncId":2,"action":"delete","modelName":"A","modelId":"1"},)"
        R"({"syncId":3,"action":"insert","modelName":"B","modelId":"x","data":{"j":{"syncId":2}}}]})",
        2, message));

    ASSERT_EQ(message.actions.size(), 1U);
    EXPECT_EQ(message.actions[0].model, "A");
    EXPECT_EQ(message.last_sync_id, 3U);
}

TEST(ReadMessage, TakesAResetAsItIs) {
    FoundId::Message message;

    EXPECT_TRUE(read_message(
        R"({"type":"reset","epoch":"e","prevSyncId":1,"lastSyncId":3,"modelName":"A","reason":"r"})",
        3, message));

    EXPECT_EQ(message.actions.at(0).model, "A");
    EXPECT_EQ(message.reason, "r");
    FoundId::Message other;
    read_message(R"({"type":"agent","epoch":"e","lastSyncId":4})", 3, other);
    EXPECT_TRUE(other.actions.empty());
}

TEST(ReadMessage, RefusesWhatIsNone) {
    FoundId::Message message;

    for (const auto* text : {"", "[]", "x", "{\"sync\":1}", "{\"sync\":[{]}", "{\"type\":"})
        EXPECT_FALSE(read_message(text, 1, message)) << text;
}

}  // namespace walcast
