#include "agent/rules/router.hpp"

#include "agent/errors.hpp"
#include "tests/support/changes.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/rules.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <random>
#include <set>

namespace walcast {

using Lines = std::vector<std::string>;

static Relation todos() {
    return relation_of("todos").key("id").column("workspace").column("assignee").column("title");
}
static Relation full_todos() {
    return relation_of("todos")
        .key("id")
        .column("workspace")
        .column("assignee")
        .column("title")
        .full_identity();
}
static RuleBuilder todo_rule() {
    return rule_for("public.todos").model("Todo").id({"id"}).channel("w:{workspace}");
}

// The routes of a change as text: `insert2 Todo "7" > w:1 u:5`; 1 or 2 is which of an update's ids.
static Lines show(const Routes& routes) {
    Lines lines;
    std::string scratch;
    for (const auto& route : routes.routes) {
        std::string line(name_of(route.action));
        line += route.has_second_id ? "2 " : "1 ";
        line += route.rule->model + ' ';
        append_model_id(line, scratch, *route.rule, *route.row);
        line += " >";
        for (auto i = route.channels_begin; i < route.channels_end; ++i)
            line += ' ' + std::string(routes.channels[i]);
        lines.push_back(line);
    }
    for (const auto& [rule, why] : routes.unroutable) lines.push_back("unroutable " + rule->model);
    return lines;
}

static Lines routed(std::vector<Rule> rules, ChangeBuilder change) {
    RouterFixture fixture(std::move(rules));
    Routes routes;
    auto built = change.change();
    route(fixture.router.rules_of(*built.relation), built, routes);
    return show(routes);
}

// --- inserts and deletes ---

TEST(Route, SendsAnInsertToEachOfItsChannels) {
    auto relation = todos();
    auto rule = todo_rule().channel("u:{assignee}").channel("all");

    auto routes = routed(
        {rule}, insert_of(relation).with("id", "7").with("workspace", "1").with("assignee", "5"));

    EXPECT_EQ(routes, Lines{R"(insert1 Todo "7" > w:1 u:5 all)"});
}

TEST(Route, SkipsAChannelThatReadsANull) {
    auto relation = todos();
    auto rule = todo_rule().channel("u:{assignee}");

    EXPECT_EQ(routed({rule}, insert_of(relation).with("id", "7").with("workspace", "1")),
              Lines{R"(insert1 Todo "7" > w:1)"});
    EXPECT_EQ(routed({rule}, insert_of(relation).with("id", "7")), Lines{});
}

TEST(Route, SkipsAChannelThatReadsANullAmongOthers) {
    auto relation = todos();
    auto rule = rule_for("public.todos").model("Todo").id({"id"}).channel("{workspace}:{assignee}");

    EXPECT_EQ(routed({rule}, insert_of(relation).with("id", "7").with("workspace", "1")), Lines{});
}

TEST(Route, TellsAnEmptyTextFromANull) {
    auto relation = todos();

    EXPECT_EQ(routed({todo_rule()}, insert_of(relation).with("id", "7").with("workspace", "")),
              Lines{R"(insert1 Todo "7" > w:)"});
}

TEST(Route, NamesAChannelOnceWhenTwoTemplatesGiveIt) {
    auto relation = todos();
    auto rule = todo_rule().channel("w:{assignee}");

    EXPECT_EQ(
        routed({rule},
               insert_of(relation).with("id", "7").with("workspace", "1").with("assignee", "1")),
        Lines{R"(insert1 Todo "7" > w:1)"});
}

TEST(Route, EncodesValuesInNamesOfChannels) {
    auto relation = todos();

    EXPECT_EQ(routed({todo_rule()}, insert_of(relation).with("id", "7").with("workspace", "1:x")),
              Lines{R"(insert1 Todo "7" > w:1%3Ax)"});
}

TEST(Route, SendsADeleteWhereTheFullOldRowWas) {
    auto relation = full_todos();
    auto rule = todo_rule().channel("u:{assignee}");

    EXPECT_EQ(routed({rule}, delete_of(relation).with("id", "7").with("workspace", "1")),
              Lines{R"(delete1 Todo "7" > w:1)"});
}

TEST(Route, SendsADeleteByKeyWhereTheKeyTellsTheChannel) {
    auto relation = todos();
    auto rule =
        rule_for("public.todos").model("Todo").id({"id"}).channel("todo:{id}").channel("all");

    EXPECT_EQ(routed({rule}, delete_of(relation).with("id", "7")),
              Lines{R"(delete1 Todo "7" > todo:7 all)"});
}

TEST(Route, CannotRouteADeleteWhoseKeyDoesNotTellTheChannel) {
    auto relation = todos();

    EXPECT_EQ(routed({todo_rule()}, delete_of(relation).with("id", "7")), Lines{"unroutable Todo"});
}

TEST(Route, CannotRouteADeleteWhoseKeyDoesNotTellEveryChannel) {
    auto relation = todos();
    auto rule =
        rule_for("public.todos").model("Todo").id({"id"}).channel("all").channel("w:{workspace}");

    EXPECT_EQ(routed({rule}, delete_of(relation).with("id", "7")), Lines{"unroutable Todo"});
}

TEST(Route, CannotRouteADeleteWhoseKeyDoesNotTellTheId) {
    auto relation = todos();
    auto rule = rule_for("public.todos").model("Todo").id({"title"}).channel("all");

    EXPECT_EQ(routed({rule}, delete_of(relation).with("id", "7")), Lines{"unroutable Todo"});
}

// --- updates that stay ---

TEST(Route, SendsAnUpdateWithoutOldRowWhereTheRowIs) {
    auto relation = todos();

    // It may have been elsewhere.
    EXPECT_EQ(routed({todo_rule()}, update_of(relation).with("id", "7").with("workspace", "1")),
              (Lines{R"(update2 Todo "7" > w:1)", "unroutable Todo"}));
}

TEST(Route, KnowsThatAnUpdateWithoutOldRowLeftTheKeyAlone) {
    Relation relation = relation_of("todos").key("id").key("workspace").column("title");

    EXPECT_EQ(routed({todo_rule()}, update_of(relation).with("id", "7").with("workspace", "1")),
              Lines{R"(update2 Todo "7" > w:1)"});
}

TEST(Route, SendsAnUpdateUnderFullIdentityWhereTheRowStays) {
    auto relation = full_todos();

    EXPECT_EQ(routed({todo_rule()}, update_of(relation)
                                        .with("id", "7")
                                        .with("workspace", "1")
                                        .with("title", "b")
                                        .was("title", "a")),
              Lines{R"(update2 Todo "7" > w:1)"});
}

// A key that is stored out of line comes with every update.
TEST(Route, DoesNotTakeAnOldKeyForAChangeOfId) {
    auto relation = todos();

    EXPECT_EQ(routed({todo_rule()},
                     update_of(relation).with("id", "7").with("workspace", "1").was("id", "7")),
              (Lines{R"(update2 Todo "7" > w:1)", "unroutable Todo"}));
}

TEST(Route, CannotRouteAnUpdateWhoseChannelTheStreamDoesNotCarry) {
    auto relation = todos();

    EXPECT_EQ(routed({todo_rule()}, update_of(relation).with("id", "7").unchanged("workspace")),
              Lines{"unroutable Todo"});
}

// --- moves ---

TEST(Route, RemovesAMovedRowFirstAndInsertsItThen) {
    auto relation = full_todos();

    EXPECT_EQ(
        routed({todo_rule()},
               update_of(relation).with("id", "7").with("workspace", "2").was("workspace", "1")),
        (Lines{R"(delete1 Todo "7" > w:1)", R"(insert2 Todo "7" > w:2)"}));
}

TEST(Route, UpdatesWhereAMovedRowStays) {
    auto relation = full_todos();
    auto rule = todo_rule().channel("u:{assignee}").channel("all");

    EXPECT_EQ(routed({rule}, update_of(relation)
                                 .with("id", "7")
                                 .with("workspace", "1")
                                 .with("assignee", "6")
                                 .was("assignee", "5")),
              (Lines{R"(delete1 Todo "7" > u:5)", R"(update2 Todo "7" > w:1 all)",
                     R"(insert2 Todo "7" > u:6)"}));
}

TEST(Route, RemovesARowFromAChannelWhoseColumnBecomesNull) {
    auto relation = full_todos();

    EXPECT_EQ(
        routed({todo_rule()},
               update_of(relation).with("id", "7").without("workspace").was("workspace", "1")),
        Lines{R"(delete1 Todo "7" > w:1)"});
}

TEST(Route, InsertsARowIntoAChannelWhoseColumnIsNoLongerNull) {
    auto relation = full_todos();

    EXPECT_EQ(
        routed({todo_rule()},
               update_of(relation).with("id", "7").with("workspace", "1").was_null("workspace")),
        Lines{R"(insert2 Todo "7" > w:1)"});
}

// The row goes from one template's channel to the other's, and there from template to template.
TEST(Route, SeesThatARowStaysThoughAnotherTemplateNamesTheChannel) {
    auto relation = full_todos();
    auto rule = rule_for("public.todos")
                    .model("Todo")
                    .id({"id"})
                    .channel("x:{workspace}")
                    .channel("x:{assignee}");

    EXPECT_EQ(routed({rule}, update_of(relation)
                                 .with("id", "7")
                                 .with("workspace", "2")
                                 .with("assignee", "3")
                                 .was("workspace", "1")
                                 .was("assignee", "2")),
              (Lines{R"(delete1 Todo "7" > x:1)", R"(update2 Todo "7" > x:2)",
                     R"(insert2 Todo "7" > x:3)"}));
}

TEST(Route, SeesAMoveByTheKeyAlone) {
    Relation relation = relation_of("todos").key("id").key("workspace").column("title");

    EXPECT_EQ(routed({todo_rule()}, update_of(relation)
                                        .with("id", "7")
                                        .with("workspace", "2")
                                        .was("id", "7")
                                        .was("workspace", "1")),
              (Lines{R"(delete1 Todo "7" > w:1)", R"(insert2 Todo "7" > w:2)"}));
}

// --- changes of id ---

TEST(Route, RemovesTheOldIdAndInsertsTheNewOne) {
    auto relation = todos();

    EXPECT_EQ(routed({todo_rule()},
                     update_of(relation).with("id", "8").with("workspace", "1").was("id", "7")),
              (Lines{R"(delete1 Todo "7" > w:1)", R"(insert2 Todo "8" > w:1)", "unroutable Todo"}));
}

TEST(Route, RemovesTheOldIdWhereItWasAndInsertsTheNewOneWhereItIs) {
    auto relation = full_todos();

    EXPECT_EQ(routed({todo_rule()}, update_of(relation)
                                        .with("id", "8")
                                        .with("workspace", "2")
                                        .was("id", "7")
                                        .was("workspace", "1")),
              (Lines{R"(delete1 Todo "7" > w:1)", R"(insert2 Todo "8" > w:2)"}));
}

TEST(Route, TellsAChangedPartOfACompositeId) {
    Relation relation = relation_of("members").key("team").key("person");
    auto rule = rule_for("public.members").model("Member").id({"team", "person"}).channel("all");

    EXPECT_EQ(routed({rule}, update_of(relation)
                                 .with("team", "1")
                                 .with("person", "3")
                                 .was("team", "1")
                                 .was("person", "2")),
              (Lines{R"(delete1 Member "1,2" > all)", R"(insert2 Member "1,3" > all)"}));
}

// --- what the old row does not tell ---

// Under key identity the old row's other columns are null and mean nothing.
TEST(Route, NeverRemovesAMovedRowUnderAnIdThatTheKeyDoesNotTell) {
    Relation relation = relation_of("todos").column("id").key("workspace").column("title");

    auto routes =
        routed({todo_rule()},
               update_of(relation).with("id", "7").with("workspace", "2").was("workspace", "1"));

    for (const auto& line : routes) EXPECT_FALSE(contains(line, "\"\"")) << line;
}

TEST(Route, NeverRemovesAnIdOfWhichTheKeyTellsAPartOnly) {
    Relation relation = relation_of("members").key("team").column("person");
    auto rule =
        rule_for("public.members").model("Member").id({"team", "person"}).channel("t:{team}");

    auto routes =
        routed({rule}, update_of(relation).with("team", "2").with("person", "3").was("team", "1"));

    for (const auto& line : routes) EXPECT_FALSE(contains(line, "\\\\N")) << line;
}

// An id column stored out of line that an update left alone, and no key or old row that has it.
TEST(Route, NeverNamesAnUpdatedRowByAnIdThatTheStreamDoesNotCarry) {
    Relation relation = relation_of("pages").key("number").column("slug").column("title");
    auto rule = rule_for("public.pages").model("Page").id({"slug"}).channel("all");

    auto routes = routed({rule}, update_of(relation).with("number", "1").unchanged("slug"));

    for (const auto& line : routes) EXPECT_FALSE(contains(line, "\"\"")) << line;
    EXPECT_EQ(routes, Lines{"unroutable Page"});
}

// An update that enters a row filter comes as an insert, and may lack large values.
TEST(Route, CannotRouteAnInsertWhoseChannelTheStreamDoesNotCarry) {
    auto relation = todos();
    auto rule =
        rule_for("public.todos").model("Todo").id({"id"}).channel("all").channel("w:{workspace}");

    EXPECT_EQ(routed({rule}, insert_of(relation).with("id", "7").unchanged("workspace")),
              Lines{"unroutable Todo"});
}

// --- several rules ---

TEST(Route, FollowsEachRuleByItself) {
    auto relation = full_todos();
    auto plain = rule_for("public.todos").model("Todo").id({"id"}).channel("w:{workspace}");
    auto mine = rule_for("public.*").model("Mine").id({"id"}).channel("u:{assignee}");

    EXPECT_EQ(routed({plain, mine}, update_of(relation)
                                        .with("id", "7")
                                        .with("workspace", "1")
                                        .with("assignee", "6")
                                        .was("assignee", "5")),
              (Lines{R"(delete1 Mine "7" > u:5)", R"(update2 Todo "7" > w:1)",
                     R"(insert2 Mine "7" > u:6)"}));
}

TEST(Route, RoutesByOneRuleWhatAnotherCannot) {
    auto relation = todos();
    auto lacking = rule_for("public.todos").model("Todo").id({"id"}).channel("w:{workspace}");
    auto by_key = rule_for("public.todos").model("Item").id({"id"}).channel("i:{id}");

    EXPECT_EQ(routed({lacking, by_key}, delete_of(relation).with("id", "7")),
              (Lines{R"(delete1 Item "7" > i:7)", "unroutable Todo"}));
}

TEST(Route, ForgetsTheChangeBefore) {
    auto relation = todos();
    RouterFixture fixture({todo_rule()});
    auto rules = fixture.router.rules_of(relation);
    Routes routes;
    route(rules, delete_of(relation).with("id", "6").change(), routes);

    auto next = insert_of(relation).with("id", "7").with("workspace", "1");
    route(rules, next.change(), routes);

    EXPECT_EQ(show(routes), Lines{R"(insert1 Todo "7" > w:1)"});
}

// --- all of it at once ---

// Who applies the actions of a channel has exactly the rows of that channel, whatever happens to
// them.
class Subscribers {
public:
    void apply(const Routes& routes) {
        std::string scratch;
        for (const auto& route : routes.routes) {
            std::string id;
            append_model_id(id, scratch, *route.rule, *route.row);
            for (auto i = route.channels_begin; i < route.channels_end; ++i) {
                auto& rows = channels_[std::string(routes.channels[i])];
                auto is_known = rows.contains(id);
                EXPECT_EQ(is_known, route.action != Action::insert) << id;
                if (route.action == Action::remove)
                    rows.erase(id);
                else
                    rows.insert(id);
                if (rows.empty()) channels_.erase(std::string(routes.channels[i]));
            }
        }
    }
    const std::map<std::string, std::set<std::string>>& channels() const { return channels_; }

private:
    std::map<std::string, std::set<std::string>> channels_;
};

struct TodoRow {
    std::string workspace;  // Empty: null.
    std::string assignee;
};

static std::map<std::string, std::set<std::string>> expected_channels(
    const std::map<std::string, TodoRow>& rows) {
    std::map<std::string, std::set<std::string>> channels;
    for (const auto& [id, row] : rows) {
        auto quoted_id = '"' + id + '"';
        channels["all"].insert(quoted_id);
        if (!row.workspace.empty()) channels["x:" + row.workspace].insert(quoted_id);
        if (!row.assignee.empty()) channels["x:" + row.assignee].insert(quoted_id);
    }
    return channels;
}

static void set_row(ChangeBuilder& change, const std::string& id, const TodoRow& row) {
    change.with("id", id);
    if (!row.workspace.empty()) change.with("workspace", row.workspace);
    if (!row.assignee.empty()) change.with("assignee", row.assignee);
}

static void set_old_row(ChangeBuilder& change, const std::string& id, const TodoRow& row) {
    change.was("id", id).was_null("workspace").was_null("assignee");
    if (!row.workspace.empty()) change.was("workspace", row.workspace);
    if (!row.assignee.empty()) change.was("assignee", row.assignee);
}

class EveryIdentity : public testing::TestWithParam<char> {};

TEST_P(EveryIdentity, LeavesEachChannelWithExactlyItsRows) {
    Relation relation =
        relation_of("todos").key("id").key("workspace").key("assignee").column("title");
    relation.replica_identity = GetParam();
    if (GetParam() == 'f') relation.columns[3].is_key = true;
    RouterFixture fixture({rule_for("public.todos")
                               .model("Todo")
                               .id({"id"})
                               .channel("x:{workspace}")
                               .channel("x:{assignee}")
                               .channel("all")});
    auto rules = fixture.router.rules_of(relation);
    std::mt19937 random(1);
    auto any_row = [&] {
        auto any = [&] {
            // An index that identifies holds no nulls.
            auto is_null = GetParam() == 'f' && random() % 4 == 0;
            return std::string(is_null ? "" : std::to_string(random() % 3));
        };
        return TodoRow{any(), any()};
    };
    Subscribers subscribers;
    std::map<std::string, TodoRow> rows;
    Routes routes;

    for (auto i = 0; i < 3000; ++i) {
        auto id = std::to_string(random() % 8);
        auto found = rows.find(id);
        if (found == rows.end()) {
            auto insert = insert_of(relation);
            auto row = any_row();
            set_row(insert, id, row);
            route(rules, insert.change(), routes);
            subscribers.apply(routes);
            rows[id] = row;
        } else if (random() % 4 == 0) {
            auto remove = delete_of(relation);
            set_row(remove, id, found->second);
            route(rules, remove.change(), routes);
            subscribers.apply(routes);
            rows.erase(found);
        } else {
            auto update = update_of(relation);
            auto row = any_row();
            auto new_id = std::to_string(random() % 8);
            if (rows.contains(new_id)) new_id = id;
            set_row(update, new_id, row);
            set_old_row(update, id, found->second);
            route(rules, update.change(), routes);
            subscribers.apply(routes);
            rows.erase(found);
            rows[new_id] = row;
        }
        ASSERT_EQ(subscribers.channels(), expected_channels(rows)) << "after " << i;
    }
}

INSTANTIATE_TEST_SUITE_P(Route, EveryIdentity, testing::Values('f', 'i'));

// --- where and delete_when ---

static Relation notes(char identity) {
    Relation relation =
        relation_of("notes").key("id").column("state").column("deleted_at").column("workspace");
    for (auto& column : relation.columns) column.type_oid = 25;
    if (identity == 'f')
        for (auto& column : relation.columns) column.is_key = true;
    relation.replica_identity = identity;
    return relation;
}
static RuleBuilder open_rule() {
    return rule_for("public.notes").model("Note").id({"id"}).channel("n").where("state = 'open'");
}
static RuleBuilder living_rule() {
    return rule_for("public.notes")
        .model("Note")
        .id({"id"})
        .channel("n")
        .delete_when("deleted_at is not null");
}

TEST(Where, HidesRows) {
    auto relation = notes('f');

    EXPECT_EQ(routed({open_rule()}, insert_of(relation).with("id", "7").with("state", "done")),
              Lines{});
    EXPECT_EQ(routed({open_rule()}, insert_of(relation).with("id", "7")), Lines{});
    EXPECT_EQ(routed({open_rule()}, insert_of(relation).with("id", "7").with("state", "open")),
              Lines{R"(insert1 Note "7" > n)"});
    EXPECT_EQ(routed({open_rule()}, delete_of(relation).with("id", "7").with("state", "done")),
              Lines{});
    EXPECT_EQ(routed({open_rule()}, delete_of(relation).with("id", "7").with("state", "open")),
              Lines{R"(delete1 Note "7" > n)"});
}

TEST(Where, InsertsARowThatEntersAndRemovesOneThatLeaves) {
    auto relation = notes('f');
    auto update = [&](const char* before, const char* after) {
        return routed(
            {open_rule()},
            update_of(relation).with("id", "7").with("state", after).was("state", before));
    };

    EXPECT_EQ(update("done", "open"), Lines{R"(insert2 Note "7" > n)"});
    EXPECT_EQ(update("open", "done"), Lines{R"(delete1 Note "7" > n)"});
    EXPECT_EQ(update("open", "open"), Lines{R"(update2 Note "7" > n)"});
    EXPECT_EQ(update("done", "late"), Lines{});
}

TEST(Where, CannotTellWhetherARowLeftThatTheStreamDoesNotTell) {
    auto relation = notes('d');

    EXPECT_EQ(routed({open_rule()}, update_of(relation).with("id", "7").with("state", "done")),
              Lines{"unroutable Note"});
    EXPECT_EQ(routed({open_rule()}, delete_of(relation).with("id", "7")), Lines{"unroutable Note"});
}

TEST(Where, PutsARowThatIsThereNowWhateverItWas) {
    auto relation = notes('d');

    EXPECT_EQ(routed({open_rule()}, update_of(relation).with("id", "7").with("state", "open")),
              Lines{R"(update2 Note "7" > n)"});
}

TEST(Where, CannotRouteWhatItsUnchangedColumnDecides) {
    auto relation = notes('d');

    EXPECT_EQ(routed({open_rule()}, update_of(relation).with("id", "7").unchanged("state")),
              Lines{"unroutable Note"});
}

TEST(DeleteWhen, RemovesAndBringsBack) {
    auto relation = notes('f');

    EXPECT_EQ(
        routed(
            {living_rule()},
            update_of(relation).with("id", "7").with("deleted_at", "now").was_null("deleted_at")),
        Lines{R"(delete1 Note "7" > n)"});
    EXPECT_EQ(routed({living_rule()}, update_of(relation).with("id", "7").was("deleted_at", "x")),
              Lines{R"(insert2 Note "7" > n)"});
    EXPECT_EQ(routed({living_rule()}, insert_of(relation).with("id", "7").with("deleted_at", "x")),
              Lines{});
    EXPECT_EQ(routed({living_rule()}, delete_of(relation).with("id", "7").with("deleted_at", "x")),
              Lines{});
}

TEST(DeleteWhen, RemovesAgainWhereTheStreamDoesNotTellWhetherThatIsNew) {
    auto relation = notes('d');

    EXPECT_EQ(
        routed({living_rule()}, update_of(relation).with("id", "7").with("deleted_at", "now")),
        Lines{R"(delete1 Note "7" > n)"});
    EXPECT_EQ(routed({living_rule()}, delete_of(relation).with("id", "7")),
              Lines{R"(delete1 Note "7" > n)"});
}

TEST(Operations, LeaveOutWhatIsNotNamed) {
    auto relation = notes('f');
    auto rule = rule_for("public.notes").model("Note").id({"id"}).channel("n").only(Action::insert);

    EXPECT_EQ(routed({rule}, insert_of(relation).with("id", "7")),
              Lines{R"(insert1 Note "7" > n)"});
    EXPECT_EQ(routed({rule}, update_of(relation).with("id", "7")), Lines{});
    EXPECT_EQ(routed({rule}, delete_of(relation).with("id", "7")), Lines{});
}

// --- policies ---

TEST(Route, StopsWhereTheRuleCallsItAnError) {
    auto relation = todos();
    auto rule = todo_rule().unroutable(Unroutable::error);

    auto error = error_of<SetupError>([&] { routed({rule}, delete_of(relation).with("id", "7")); });

    EXPECT_TRUE(contains(error, "a delete of public.todos cannot be routed")) << error;
    EXPECT_TRUE(contains(error, R"(ALTER TABLE "public"."todos" REPLICA IDENTITY FULL)")) << error;
}

TEST(Route, LeavesResetAndSkipToTheCaller) {
    auto relation = todos();

    for (auto policy : {Unroutable::reset, Unroutable::skip}) {
        auto rule = todo_rule().unroutable(policy);
        EXPECT_EQ(routed({rule}, delete_of(relation).with("id", "7")), Lines{"unroutable Todo"});
    }
}

// --- ids ---

static std::string model_id(std::initializer_list<const char*> texts) {
    TableRule rule;
    Tuple row;
    for (const auto* text : texts) {
        rule.id.push_back(row.size());
        row.push_back(text == nullptr ? Value{} : Value{Value::Kind::text, text});
    }
    std::string out;
    std::string scratch = "left over";
    append_model_id(out, scratch, rule, row);
    return out;
}

TEST(ModelId, IsTheTextOfASingleColumn) {
    EXPECT_EQ(model_id({"7"}), R"("7")");
    EXPECT_EQ(model_id({"a,b\\c"}), R"("a,b\\c")");
    EXPECT_EQ(model_id({"say \"hi\"\n"}), R"("say \"hi\"\n")");
}

TEST(ModelId, TellsANullFromAnEmptyText) {
    EXPECT_EQ(model_id({nullptr}), R"("\\N")");
    EXPECT_EQ(model_id({""}), R"("")");
}

TEST(ModelId, JoinsSeveralColumnsByCommas) {
    EXPECT_EQ(model_id({"1", "2", "3"}), R"("1,2,3")");
    EXPECT_EQ(model_id({"", ""}), R"(",")");
}

TEST(ModelId, EscapesCommasAndBackslashesOfSeveralColumns) {
    EXPECT_EQ(model_id({"a,b", "c"}), R"("a\\,b,c")");
    EXPECT_EQ(model_id({"a\\", "c"}), R"("a\\\\,c")");
}

TEST(ModelId, TellsANullFromTheTextThatLooksLikeIt) {
    EXPECT_EQ(model_id({nullptr, "1"}), R"("\\N,1")");
    EXPECT_EQ(model_id({"\\N", "1"}), R"("\\\\N,1")");
    EXPECT_EQ(model_id({"", "1"}), R"(",1")");
}

TEST(ModelId, IsNeverTheSameForTwoDifferentRows) {
    std::vector<const char*> texts{nullptr, "",    ",", "\\", "\\,", ",\\",
                                   "N",     "\\N", "a", "a,", ",a"};
    Lines seen;
    for (const auto* first : texts) {
        for (const auto* second : texts) {
            auto id = model_id({first, second});
            EXPECT_EQ(std::count(seen.begin(), seen.end(), id), 0) << id;
            seen.push_back(id);
        }
    }
}

// --- rules made ready ---

TEST(Router, HasNoRulesForTablesThatNoneNames) {
    Relation relation = relation_of("users").key("id");
    RouterFixture fixture({todo_rule()});

    EXPECT_TRUE(fixture.router.rules_of(relation).empty());
}

TEST(Router, CallsAModelByItsTableUnlessTheRuleSaysOtherwise) {
    Relation relation = relation_of("say \"hi\"").key("id");
    RouterFixture fixture(
        {rule_for("public.*").channel("all"), rule_for("public.*").model("Todo").channel("all")});

    auto rules = fixture.router.rules_of(relation);

    EXPECT_EQ(rules[0].model_json, R"("say \"hi\"")");
    EXPECT_EQ(rules[1].model_json, R"("Todo")");
}

TEST(Router, TakesTheIdFromTheCatalogUnlessTheRuleSaysOtherwise) {
    Relation relation = relation_of("todos").column("title").key("id").full_identity();
    RouterFixture fixture(
        {rule_for("public.*").channel("all"), rule_for("public.*").id({"title"}).channel("all")});
    fixture.catalog.set_primary_key(relation.oid, {"id"});

    auto rules = fixture.router.rules_of(relation);

    EXPECT_EQ(rules[0].id, std::vector<std::size_t>{1});
    EXPECT_EQ(rules[1].id, std::vector<std::size_t>{0});
}

TEST(Router, RefusesTablesWithoutAnId) {
    Relation relation = relation_of("todos").column("id").column("workspace");
    RouterFixture fixture({rule_for("public.todos").channel("w:{workspace}")});

    auto error = error_of<SetupError>([&] { fixture.router.rules_of(relation); });

    EXPECT_TRUE(contains(error, "public.todos has neither a primary key")) << error;
}

TEST(Router, TakesTablesWithoutAnIdWhereThatIsAllowed) {
    Relation relation = relation_of("todos").column("id");
    std::vector<Rule> rules{rule_for("public.todos").channel("all")};
    Catalog catalog;
    Router router(rules, catalog, Router::WithoutId::allowed);

    EXPECT_TRUE(router.rules_of(relation)[0].id.empty());
}

TEST(Router, NamesAColumnThatTheTableDoesNotHave) {
    auto relation = todos();
    for (const Rule& rule :
         {Rule(todo_rule().channel("{colour}")), Rule(todo_rule().id({"colour"}))}) {
        RouterFixture fixture({rule});

        auto error = error_of<SetupError>([&] { fixture.router.rules_of(relation); });

        EXPECT_TRUE(contains(error, "public.todos: no column \"colour\" in the publication"))
            << error;
        EXPECT_TRUE(contains(error, "id, workspace, assignee, title")) << error;
    }
}

TEST(Router, MakesRulesReadyAgainWhenTheirTableChanges) {
    auto relation = todos();
    RouterFixture fixture({todo_rule()});
    EXPECT_EQ(fixture.router.rules_of(relation)[0].row.columns.size(), 4U);

    relation.columns.push_back({.name = "done"});
    relation.generation = 2;

    EXPECT_EQ(fixture.router.rules_of(relation)[0].row.columns.size(), 5U);
}

TEST(Router, TakesOtherRules) {
    auto relation = todos();
    RouterFixture fixture({todo_rule()});
    fixture.router.rules_of(relation);
    std::vector<Rule> others{todo_rule().model("Task")};

    fixture.router.replace_rules(others, [](const Relation&) { return true; });

    EXPECT_EQ(fixture.router.rules_of(relation)[0].rule, others.data());
}

TEST(Router, KeepsItsRulesWhereOthersDoNotFitATableMetBefore) {
    auto relation = todos();
    RouterFixture fixture({todo_rule()});
    fixture.router.rules_of(relation);
    fixture.router.forget();
    std::vector<Rule> others{todo_rule().model("Task"), todo_rule().channel("{colour}")};

    auto error = error_of<SetupError>(
        [&] { fixture.router.replace_rules(others, [](const Relation&) { return true; }); });

    EXPECT_TRUE(contains(error, "public.todos: no column \"colour\"")) << error;
    ASSERT_EQ(fixture.router.rules_of(relation).size(), 1U);
    EXPECT_EQ(fixture.router.rules_of(relation)[0].rule, fixture.rules.data());
}

TEST(Router, FitsOtherRulesToATableMadeAnewAndNotToTheOldOne) {
    auto old_one = todos();
    Relation new_one = relation_of("todos").key("id").column("colour").generation(2);
    RouterFixture fixture({rule_for("public.todos").id({"id"}).channel("todos")});
    fixture.router.rules_of(old_one);
    fixture.router.rules_of(new_one);
    std::vector<Rule> others{rule_for("public.todos").id({"id"}).channel("{colour}")};

    fixture.router.replace_rules(others, [](const Relation&) { return true; });

    EXPECT_EQ(fixture.router.rules_of(new_one)[0].rule, others.data());
}

TEST(Router, StopsWhereAHiddenColumnIsGone) {
    auto relation = todos();
    RouterFixture fixture({rule_for("public.*").id({"id"}).channel("all").exclude({"title"})});
    fixture.router.rules_of(relation);

    relation.columns[3].name = "headline";
    relation.generation = 2;

    for (auto i = 0; i < 2; ++i) {
        auto error = error_of<SetupError>([&] { fixture.router.rules_of(relation); });
        EXPECT_TRUE(contains(error, "column \"title\" is gone, which exclude hides")) << error;
    }
}

TEST(Router, TakesTablesOfAGlobThatLackAHiddenColumn) {
    auto relation = todos();
    RouterFixture fixture({rule_for("public.*").id({"id"}).channel("all").exclude({"password"})});

    EXPECT_EQ(fixture.router.rules_of(relation)[0].row.columns.size(), 4U);
}

TEST(Router, RefusesAHiddenColumnThatLooksMisspelt) {
    auto relation = todos();
    for (const auto* table : {"public.*", "public.todos", "public.[t]odos", "public.tod\\os"}) {
        RouterFixture fixture({rule_for(table).id({"id"}).channel("all").exclude({"titel"})});

        auto error = error_of<SetupError>([&] { fixture.router.rules_of(relation); });

        EXPECT_TRUE(contains(error, "did you mean \"title\"?")) << error;
    }
}

TEST(Router, KnowsWhatCanNameSeveralTables) {
    for (const auto* table : {"public.*", "p?blic.t", "public.t[ab]", "public.t[", "public.t[a"})
        EXPECT_TRUE(Rule(rule_for(table)).has_globs()) << table;
    for (const auto* table : {"public.t", "public.[t]", "public.t\\*", "public.t\\"})
        EXPECT_FALSE(Rule(rule_for(table)).has_globs()) << table;
}

TEST(Router, TellsOfATableThatNoRuleTakesAnyMore) {
    auto relation = todos();
    RouterFixture fixture({todo_rule()});
    fixture.router.rules_of(relation);

    relation.name = "tasks";
    relation.generation = 2;
    fixture.router.rules_of(relation);

    EXPECT_EQ(fixture.router.take_unmatched(), Lines{"public.tasks was=public.todos"});
    EXPECT_TRUE(fixture.router.take_unmatched().empty());
}

TEST(Router, NeedNotFitOtherRulesToATableThatIsGone) {
    auto relation = todos();
    RouterFixture fixture({todo_rule()});
    fixture.router.rules_of(relation);
    std::vector<Rule> others{rule_for("public.*").channel("{colour}")};

    fixture.router.replace_rules(others, [](const Relation&) { return false; });

    EXPECT_THROW(fixture.router.rules_of(relation), SetupError);
}

TEST(Router, FindsAColumnThatHasMoved) {
    auto relation = todos();
    RouterFixture fixture({todo_rule()});
    fixture.router.rules_of(relation);

    std::swap(relation.columns[0], relation.columns[1]);
    relation.generation = 2;

    EXPECT_EQ(fixture.router.rules_of(relation)[0].id, std::vector<std::size_t>{1});
}

TEST(Router, DropsRulesOfATableThatWasRenamed) {
    auto relation = todos();
    RouterFixture fixture({todo_rule()});
    fixture.router.rules_of(relation);

    relation.name = "tasks";
    relation.generation = 2;

    EXPECT_TRUE(fixture.router.rules_of(relation).empty());
}

TEST(Router, KeepsTheRulesOfTablesApart) {
    auto todo = todos();
    Relation user = relation_of("users").oid(16401).key("id");
    RouterFixture fixture({todo_rule(), rule_for("public.users").model("User").channel("all")});

    for (auto i = 0; i < 2; ++i) {
        EXPECT_EQ(fixture.router.rules_of(todo)[0].model, "Todo");
        EXPECT_EQ(fixture.router.rules_of(user)[0].model, "User");
    }
}

// Two generations counted by two decoders may be equal by chance, so a table is known by its
// address; a table whose first description has generation 1 must be made ready too.
TEST(Router, MakesATableReadyOnTheFirstSight) {
    for (std::uint64_t generation : {1U, 2U, 77U}) {
        Relation relation =
            relation_of("todos").key("id").column("workspace").generation(generation);
        RouterFixture fixture({todo_rule()});

        EXPECT_EQ(fixture.router.rules_of(relation).size(), 1U) << generation;
    }
}

}  // namespace walcast
