#include "agent/explain/explanation.hpp"

#include "agent/explain/verdict.hpp"
#include "tests/support/changes.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/rules.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace walcast {

using Lines = std::vector<std::string>;

static Relation todos() {
    return relation_of("todos")
        .key("id")
        .column("workspace")
        .column("status")
        .column("meta", type::jsonb)
        .column("note");
}
static Relation full_todos() {
    auto relation = todos();
    relation.replica_identity = 'f';
    for (auto& column : relation.columns) column.is_key = true;
    return relation;
}
static RuleBuilder todo_rule() {
    return rule_for("public.todos").model("Todo").id({"id"}).channel("w:{workspace}");
}

static Explanation explained(const std::vector<Rule>& rules, ChangeBuilder change) {
    Catalog catalog;
    Explainer explainer(rules, catalog, Router::WithoutId::refused, "walcast:control");
    return explainer.explain(change.change(), {}, "e", 7);
}

// The sentences of the only rule.
static Lines why(const Rule& rule, ChangeBuilder change) {
    return explained({rule}, std::move(change)).rules.at(0).why;
}

static bool has(const Lines& lines, const std::string& line) {
    return std::find(lines.begin(), lines.end(), line) != lines.end();
}

// --- what is sent ---

TEST(Explainer, TellsWhatIsSentAndItsBytes) {
    auto relation = todos();
    std::vector<Rule> rules{todo_rule().channel("all").columns({"id"})};

    auto explanation = explained(rules, insert_of(relation).with("id", "5").with("workspace", "1"));

    const auto& sent = explanation.rules.at(0).sent.at(0);
    EXPECT_EQ(sent.action, Action::insert);
    EXPECT_EQ(sent.sync_id, 7U);
    EXPECT_EQ(sent.model_id, R"("5")");
    EXPECT_EQ(sent.channels, (Lines{"w:1", "all"}));
    EXPECT_EQ(explanation.messages.at(0).channels, (Lines{"w:1", "all"}));
    EXPECT_EQ(explanation.messages.at(0).bytes,
              R"({"type":"sync","epoch":"e","prevSyncId":6,"lastSyncId":7,"lsn":"0/0","xid":0,)"
              R"("commitTime":"1970-01-01T00:00:00.000000Z","sync":[{"syncId":7,"action":"insert",)"
              R"("modelName":"Todo","modelId":"5","data":{"id":5}}]})");
}

TEST(Explainer, GivesBothIdsOfAnUpdateThatMovesARow) {
    auto relation = full_todos();
    std::vector<Rule> rules{todo_rule()};

    auto explanation = explained(
        rules, update_of(relation).with("id", "5").with("workspace", "2").was("workspace", "1"));

    const auto& sent = explanation.rules.at(0).sent;
    ASSERT_EQ(sent.size(), 2U);
    EXPECT_EQ(sent[0].action, Action::remove);
    EXPECT_EQ(sent[0].sync_id, 7U);
    EXPECT_EQ(sent[0].channels, Lines{"w:1"});
    EXPECT_EQ(sent[1].action, Action::insert);
    EXPECT_EQ(sent[1].sync_id, 8U);
}

TEST(Explainer, PutsResetsOnTheControlChannel) {
    auto relation = todos();

    auto explanation = explained({todo_rule()}, delete_of(relation).with("id", "5"));

    EXPECT_TRUE(explanation.rules.at(0).is_unroutable);
    EXPECT_EQ(explanation.messages.at(0).channels, Lines{"walcast:control"});
}

// --- why not ---

TEST(Explainer, NamesTheNearestRuleWhereNoneNamesTheTable) {
    auto relation = todos();
    std::vector<Rule> rules{rule_for("public.users").channel("u"),
                            rule_for("public.todo").channel("t")};
    rules[1].file = "walcast.toml";
    rules[1].line = 9;

    auto explanation = explained(rules, insert_of(relation).with("id", "5"));

    EXPECT_EQ(explanation.why_none,
              "no rule names public.todos; the nearest is public.todo, walcast.toml:9:1");
    EXPECT_TRUE(explanation.messages.empty());
}

TEST(Explainer, TellsOfAnOperationThatIsNotTaken) {
    auto relation = todos();

    EXPECT_EQ(why(todo_rule().only(Action::remove), insert_of(relation).with("id", "5")),
              Lines{R"(operations does not have "insert")"});
}

TEST(Explainer, NamesThePartOfWhereThatDecides) {
    auto relation = todos();
    auto rule = todo_rule().where("id > 3 and (status = 'open' or note is null)");

    EXPECT_EQ(
        why(rule, insert_of(relation).with("id", "5").with("status", "done").with("note", "x")),
        Lines{"where \"id > 3 and (status = 'open' or note is null)\" is false of the row, "
              "since \"status = 'open'\" is false: status is 'done'; \"note is null\" is "
              "false: note is 'x'"});
    EXPECT_EQ(why(todo_rule().where("status = 'open'"), insert_of(relation).with("id", "5")),
              Lines{"where \"status = 'open'\" is null of the row, since status is null"});
}

TEST(Explainer, TellsThatDeleteWhenIsTrue) {
    auto relation = todos();

    EXPECT_EQ(why(todo_rule().delete_when("status = 'gone'"),
                  insert_of(relation).with("id", "5").with("status", "gone")),
              Lines{"delete_when \"status = 'gone'\" is true of the row, since status is 'gone'"});
}

TEST(Explainer, ShowsNoValueThatTheRuleLeavesOut) {
    auto relation = todos();
    auto change = insert_of(relation).with("id", "5").with("note", "secret");
    std::vector<Rule> rules{todo_rule().where("note = 'x'").exclude({"note"}),
                            todo_rule().where("note = 'x'").columns({"id"})};

    auto explanation = explained(rules, change);

    for (const auto& rule : explanation.rules)
        EXPECT_EQ(rule.why,
                  Lines{"where \"note = 'x'\" is false of the row, since note is (excluded)"});
}

TEST(Explainer, CutsLongValuesBetweenCharacters) {
    auto relation = todos();
    std::string text(59, 'a');

    auto lines = why(todo_rule().where("status = 'x'"),
                     insert_of(relation).with("id", "5").with("status", text + "éé"));

    EXPECT_EQ(lines,
              Lines{"where \"status = 'x'\" is false of the row, since status is '" + text + "…'"});
}

TEST(Explainer, TellsWhyAChannelDoesNotExist) {
    auto relation = relation_of("todos")
                        .key("id")
                        .column("workspace")
                        .column("tags", 1009)  // text[]
                        .column("meta", type::jsonb);
    Relation todos = relation;
    Rule rule = todo_rule().channel("tag:{tags}").channel("team:{meta.team.id}");

    EXPECT_EQ(why(rule, insert_of(todos).with("id", "5").with("tags", "{NULL}").with("meta", "{}")),
              (Lines{R"(channel "w:{workspace}" does not exist for the row: workspace is null)",
                     R"(channel "tag:{tags}" does not exist for the row: tags has no element)",
                     R"(channel "team:{meta.team.id}" does not exist for the row: meta has no )"
                     R"(value under team.id)"}));
    EXPECT_EQ(why(todo_rule(),
                  insert_of(todos).with("id", "5").with("workspace", std::string(1100, 'x'))),
              Lines{R"(channel "w:{workspace}" does not exist for the row: its name would be )"
                    R"(longer than 1024 bytes)"});
}

TEST(Explainer, TellsWhichColumnTheReplicaIdentityLacks) {
    auto relation = todos();

    auto lines = why(todo_rule().where("status = 'open'"), delete_of(relation).with("id", "5"));

    EXPECT_TRUE(has(lines,
                    "where \"status = 'open'\" is not known of the row, since status is not part "
                    "of the replica identity"));
    EXPECT_TRUE(has(lines,
                    "channel \"w:{workspace}\" is not known of the row: workspace is not part of "
                    "the replica identity"));
    EXPECT_TRUE(has(lines,
                    "it cannot be routed: the replica identity lacks a column of its channels, id "
                    "or where; unroutable = \"reset\": clients fetch the model afresh"));
}

TEST(Explainer, TellsOfALargeValueThatDidNotChange) {
    auto relation = todos();

    auto lines = why(todo_rule().where("note = 'x'"),
                     update_of(relation).with("id", "5").with("workspace", "1").unchanged("note"));

    EXPECT_TRUE(has(lines,
                    "where \"note = 'x'\" is not known of the new row, since note is large and "
                    "did not change, so the stream leaves it out"));
}

TEST(Explainer, TellsWhatWouldStopTheAgent) {
    auto relation = todos();

    auto unroutable =
        explained({todo_rule().unroutable(Unroutable::error)}, delete_of(relation).with("id", "5"));
    auto misfit =
        explained({todo_rule().where("workspac = '1'")}, insert_of(relation).with("id", "5"));

    EXPECT_TRUE(unroutable.failure.starts_with("the agent would stop: ")) << unroutable.failure;
    EXPECT_TRUE(unroutable.messages.empty());
    EXPECT_NE(misfit.failure.find("did you mean workspace?"), std::string::npos) << misfit.failure;
}

// --- two rule files ---

TEST(Difference, TellsChannelsGainedLostAndChanged) {
    auto relation = todos();
    auto change = insert_of(relation).with("id", "5").with("workspace", "1");
    auto before = explained({todo_rule().channel("a").channel("b")}, change);
    auto after = explained(
        {todo_rule().columns({"id"}), rule_for("public.*").id({"id"}).channel("c")}, change);

    auto found = difference(before, after);

    EXPECT_EQ(found.lost, (Lines{"a", "b"}));
    EXPECT_EQ(found.gained, Lines{"c"});
    EXPECT_EQ(found.changed, Lines{"w:1"});
    EXPECT_FALSE(found.is_none());
    EXPECT_TRUE(difference(before, before).is_none());
}

// --- predicates as text ---

TEST(Verdict, WritesConditionsAsSql) {
    for (std::string text :
         {"a = 1", "a <> 'it''s'", "a in (1, 2)", "a not in (1, 2)", "a < 1", "a >= 1", "a <= 1",
          "a > 1", "a between 1 and 2", "a not between 1 and 2", "a like 'x%'", "a not like 'x%'",
          "a is null", "a is not null", "a is true", "a is not false", "a", "\"A b\" = true"})
        EXPECT_EQ(to_sql(parse_predicate(text).nodes[0].condition), text);
}

TEST(Verdict, TellsWhatDecides) {
    auto relation = full_todos();
    struct Case {
        std::string predicate;
        std::string truth;
        Lines deciders;
    };
    std::vector<Case> cases{{"id = 5 and status = 'x'", "false", {"status = 'x'"}},
                            {"id = 5 and note = 'x'", "null", {"note = 'x'"}},
                            {"id = 5 and not status = 'x'", "true", {"id = 5", "status = 'x'"}},
                            {"id = 1 or status = 'open'", "true", {"status = 'open'"}},
                            {"id = 1 or note = 'x' or status = 'x'", "null", {"note = 'x'"}},
                            {"not (id = 5 or note = 'x')", "false", {"id = 5"}}};
    for (const auto& [text, truth, deciders] : cases) {
        auto builder = insert_of(relation).with("id", "5").with("status", "open");
        auto change = builder.change();
        Catalog catalog;

        auto verdict =
            judge(parse_predicate(text), relation, catalog.types(), KnownRow::after(change));

        Lines conditions;
        for (const auto& decider : verdict.deciders) conditions.push_back(decider.condition);
        EXPECT_EQ(name_of(verdict.truth), truth) << text;
        EXPECT_EQ(conditions, deciders) << text;
    }
}

}  // namespace walcast
