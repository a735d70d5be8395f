#include "agent/batch_builder.hpp"

#include "agent/errors.hpp"
#include "tests/support/batches.hpp"
#include "tests/support/changes.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/rules.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace walcast {

using Lines = std::vector<std::string>;
using namespace std::string_literals;

static Relation notes() {
    return relation_of("notes").key("id").column("room").column("body");
}
static Relation full_notes() {
    return relation_of("notes").key("id").column("room").column("body").full_identity();
}
// Whose key tells the channel, too.
static Relation keyed_notes() {
    return relation_of("notes").key("id").key("room", 25).column("body");
}
static RuleBuilder note_rule() {
    return rule_for("public.notes").model("Note").id({"id"}).channel("r:{room}");
}
static ChangeBuilder note(std::string id, std::string room, const Relation& relation) {
    return insert_of(relation).with("id", std::move(id)).with("room", std::move(room));
}
static ChangeBuilder moved_note(const Relation& relation) {
    return update_of(relation).with("id", "7").with("room", "b").was("room", "a");
}

class BuilderFixture {
public:
    explicit BuilderFixture(std::vector<Rule> rules, BatchBuilder::Limits limits = {})
        : routers_(std::move(rules)), builder(routers_.router, limits) {
        builder.begin({.commit_lsn = Lsn{200}, .xid = 738, .commit_time = {}});
    }

    // All that has been written so far.
    Lines lines() { return lines_of(builder.take({})); }

private:
    RouterFixture routers_;

public:
    BatchBuilder builder;
};

// --- runs ---

TEST(BatchBuilder, WritesAnActionWithItsRow) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});

    fixture.builder.add(note("7", "a", relation).with("body", "x").change(), 42);

    EXPECT_EQ(fixture.lines(),
              Lines{R"(r:a @42 {"syncId":42,"action":"insert","modelName":"Note","modelId":"7",)"
                    R"("data":{"id":7,"room":"a","body":"x"}})"});
}

TEST(BatchBuilder, WritesADeleteWithoutData) {
    auto relation = full_notes();
    BuilderFixture fixture({note_rule()});

    fixture.builder.add(delete_of(relation).with("id", "7").with("room", "a").change(), 42);

    EXPECT_EQ(fixture.lines(),
              Lines{R"(r:a @42 {"syncId":42,"action":"delete","modelName":"Note","modelId":"7"})"});
}

TEST(BatchBuilder, GivesAnUpdateItsSecondId) {
    auto relation = keyed_notes();
    BuilderFixture fixture({note_rule()});

    fixture.builder.add(update_of(relation).with("id", "7").with("room", "a").change(), 42);

    auto lines = fixture.lines();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_TRUE(lines[0].starts_with(R"(r:a @43 {"syncId":43,"action":"update",)")) << lines[0];
}

// Only ids and channels, for tests that are not about rows: `a@1 b@2+3`.
static std::string outline(const Batch& batch) {
    std::string out;
    for (const auto& message : batch.messages) {
        if (!out.empty()) out += ' ';
        if (message.kind == Message::Kind::reset) out += "control";
        for (auto i = message.channels_begin; i < message.channels_end; ++i) {
            if (i > message.channels_begin) out += '/';
            out += batch.text(batch.channels[i].begin, batch.channels[i].end);
        }
        if (message.kind == Message::Kind::reset) {
            out += fmt::format("@{}", message.last_sync_id);
            continue;
        }
        auto separator = '@';
        auto body = std::string(batch.text(message.body_begin, message.body_end));
        const std::string key = R"({"syncId":)";
        for (auto at = body.find(key); at != std::string::npos; at = body.find(key, at + 1)) {
            auto id = std::stoull(body.substr(at + key.size()));
            out += std::exchange(separator, '+') + std::to_string(id);
        }
    }
    return out;
}

TEST(BatchBuilder, PutsARunForTheSameChannelsIntoOneMessage) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});

    for (SyncId id = 1; id <= 3; ++id) fixture.builder.add(note("7", "a", relation).change(), id);

    EXPECT_EQ(outline(fixture.builder.take({})), "r:a@1+2+3");
}

TEST(BatchBuilder, BeginsAMessageWhereTheChannelsChange) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});

    SyncId id = 0;
    for (const auto* room : {"a", "a", "b", "a"})
        fixture.builder.add(note("7", room, relation).change(), ++id);

    EXPECT_EQ(outline(fixture.builder.take({})), "r:a@1+2 r:b@3 r:a@4");
}

TEST(BatchBuilder, GoesOnWithARunAfterChangesThatNobodyHearsOf) {
    auto relation = notes();
    Relation other = relation_of("others").oid(16401).key("id");
    BuilderFixture fixture({note_rule()});

    fixture.builder.add(note("7", "a", relation).change(), 1);
    fixture.builder.add(insert_of(other).with("id", "1").change(), 2);
    fixture.builder.add(insert_of(relation).with("id", "8").change(), 3);
    fixture.builder.add(note("9", "a", relation).change(), 4);

    EXPECT_EQ(outline(fixture.builder.take({})), "r:a@1+4");
}

TEST(BatchBuilder, BeginsAMessageWithEachTransaction) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});

    fixture.builder.add(note("7", "a", relation).change(), 1);
    fixture.builder.end_transaction(1);
    fixture.builder.begin({.commit_lsn = Lsn{300}, .xid = 739, .commit_time = {}});
    fixture.builder.add(note("8", "a", relation).change(), 2);

    auto batch = fixture.builder.take({});
    EXPECT_EQ(outline(batch), "r:a@1 r:a@2");
    EXPECT_EQ(batch.messages[0].transaction.xid, 738U);
    EXPECT_EQ(batch.messages[1].transaction.xid, 739U);
    EXPECT_EQ(batch.messages[1].transaction.commit_lsn, Lsn{300});
}

TEST(BatchBuilder, TellsSeveralChannelsTheSameAtOnce) {
    auto relation = notes();
    BuilderFixture fixture({note_rule().channel("all")});

    fixture.builder.add(note("7", "a", relation).change(), 1);
    fixture.builder.add(note("8", "a", relation).change(), 2);

    EXPECT_EQ(outline(fixture.builder.take({})), "r:a/all@1+2");
}

TEST(BatchBuilder, CutsALongRunOnceItIsLongEnough) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()}, {.message_bytes = 200});

    for (SyncId id = 1; id <= 5; ++id)
        fixture.builder.add(note("7", "a", relation).with("body", std::string(30, 'x')).change(),
                            id);

    EXPECT_EQ(outline(fixture.builder.take({})), "r:a@1+2 r:a@3+4 r:a@5");
}

TEST(BatchBuilder, NeverCutsBetweenTheActionsOfOneChange) {
    auto relation = keyed_notes();
    BuilderFixture fixture({note_rule()}, {.message_bytes = 1});

    // A changed id is a delete and an insert on one channel.
    fixture.builder.add(update_of(relation)
                            .with("id", "8")
                            .with("room", "a")
                            .was("id", "7")
                            .was("room", "a")
                            .change(),
                        1);

    EXPECT_EQ(outline(fixture.builder.take({})), "r:a@1+2");
}

// --- moves, and several models ---

TEST(BatchBuilder, TellsTheChannelThatARowLeavesFirst) {
    auto relation = full_notes();
    BuilderFixture fixture({note_rule()});

    fixture.builder.add(moved_note(relation).change(), 1);

    auto lines = fixture.lines();
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_TRUE(lines[0].starts_with(R"(r:a @1 {"syncId":1,"action":"delete")")) << lines[0];
    EXPECT_TRUE(lines[1].starts_with(R"(r:b @2 {"syncId":2,"action":"insert")")) << lines[1];
}

TEST(BatchBuilder, TellsManyChannelsTogetherAndTheTwoThatDifferByThemselves) {
    auto relation =
        relation_of("notes").key("id").column("members", 1007).column("body").full_identity();
    BuilderFixture fixture(
        {rule_for("public.notes").model("Note").id({"id"}).channel("u:{members}")});
    std::string stay;
    for (auto i = 0; i < 500; ++i) stay += std::to_string(i) + ',';

    fixture.builder.add(update_of(relation)
                            .with("id", "7")
                            .with("members", '{' + stay + "600}")
                            .was("members", '{' + stay + "500}")
                            .change(),
                        1);

    auto batch = fixture.builder.take({});
    ASSERT_EQ(batch.messages.size(), 3U);
    auto channels_of = [&](const Message& message) {
        return message.channels_end - message.channels_begin;
    };
    auto lines = lines_of(batch);
    EXPECT_EQ(channels_of(batch.messages[0]), 1U);
    EXPECT_TRUE(lines[0].starts_with(R"(u:500 @1 {"syncId":1,"action":"delete")")) << lines[0];
    EXPECT_EQ(channels_of(batch.messages[1]), 500U);
    EXPECT_NE(lines[1].find(R"(@2 {"syncId":2,"action":"update")"), std::string::npos);
    EXPECT_EQ(channels_of(batch.messages[2]), 1U);
    EXPECT_TRUE(lines[2].starts_with(R"(u:600 @2 {"syncId":2,"action":"insert")")) << lines[2];
}

TEST(BatchBuilder, TellsChannelsThatHearTheSameTogether) {
    auto relation = notes();
    BuilderFixture fixture(
        {note_rule().channel("all"),
         rule_for("public.notes").model("Copy").id({"id"}).channel("r:{room}").channel("all")});

    fixture.builder.add(note("7", "a", relation).change(), 1);

    auto lines = fixture.lines();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_TRUE(lines[0].starts_with("r:a all @1 ")) << lines[0];
    EXPECT_TRUE(contains(lines[0], R"("modelName":"Note")")) << lines[0];
    EXPECT_TRUE(contains(lines[0], R"("modelName":"Copy")")) << lines[0];
}

TEST(BatchBuilder, TellsAChannelOfTwoModelsInOneMessage) {
    auto relation = notes();
    BuilderFixture fixture(
        {note_rule(),
         rule_for("public.notes").model("Copy").id({"id"}).channel("r:{room}").channel("copies")});

    fixture.builder.add(note("7", "a", relation).change(), 1);

    EXPECT_EQ(outline(fixture.builder.take({})), "r:a@1+1 copies@1");
}

static void expect_rising_ids(const Batch& batch, std::map<std::string, SyncId>& last_ids) {
    for (const auto& message : batch.messages) {
        auto channels = message.channels_end - message.channels_begin;
        for (std::uint32_t i = 0; i < std::max(channels, 1U); ++i) {
            std::string channel = "control";
            if (message.kind == Message::Kind::sync) {
                const auto& slice = batch.channels[message.channels_begin + i];
                channel = batch.text(slice.begin, slice.end);
            }
            EXPECT_GT(message.last_sync_id, last_ids[channel])
                << channel << " in " << outline(batch);
            last_ids[channel] = message.last_sync_id;
        }
    }
}

// Whatever the rules and the changes: ids rise on each channel, so none comes twice.
TEST(BatchBuilder, NeverSendsAnIdTwiceOnAChannel) {
    auto relation = full_notes();
    std::mt19937 random(1);
    auto any = [&](std::initializer_list<const char*> of) {
        return std::string(of.begin()[random() % of.size()]);
    };
    for (auto round = 0; round < 300; ++round) {
        std::vector<Rule> rules;
        for (auto i = 0U; i <= random() % 3; ++i) {
            auto rule = rule_for("public.notes").model("Model" + std::to_string(i)).id({"id"});
            for (auto j = 0U; j <= random() % 3; ++j)
                rule.channel(any({"r:{room}", "r:{body}", "all", "r:a", "id:{id}"}));
            rules.push_back(rule);
        }
        BuilderFixture fixture(rules, {.message_bytes = 1 + random() % 400});
        std::map<std::string, SyncId> last_ids;
        SyncId id = 1;
        for (auto i = 0; i < 20; ++i) {
            auto change = update_of(relation)
                              .with("id", any({"1", "2"}))
                              .with("room", any({"a", "b"}))
                              .with("body", any({"a", "b"}))
                              .was("id", any({"1", "2"}))
                              .was("room", any({"a", "b"}))
                              .was("body", any({"a", "b"}));
            fixture.builder.add(change.change(), id);
            id += 2;
            if (random() % 5 == 0) expect_rising_ids(fixture.builder.take({}), last_ids);
        }
        expect_rising_ids(fixture.builder.take({}), last_ids);
    }
}

TEST(BatchBuilder, SendsWhatEndsWithTheFirstIdBeforeWhatEndsWithTheSecond) {
    auto relation = full_notes();
    BuilderFixture fixture(
        {note_rule(), rule_for("public.notes").model("Copy").id({"id"}).channel("all")});

    fixture.builder.add(moved_note(relation).change(), 1);

    auto shown = outline(fixture.builder.take({}));
    EXPECT_TRUE(shown.starts_with("r:a@1 ")) << shown;
}

// --- unchanged and omitted ---

TEST(BatchBuilder, ListsValuesThatTheStreamDoesNotCarry) {
    auto relation = keyed_notes();
    BuilderFixture fixture({note_rule()});

    fixture.builder.add(
        update_of(relation).with("id", "7").with("room", "a").unchanged("body").change(), 1);

    EXPECT_EQ(fixture.lines(),
              Lines{R"(r:a @2 {"syncId":2,"action":"update","modelName":"Note","modelId":"7",)"
                    R"("data":{"id":7,"room":"a"},"unchanged":["body"]})"});
}

// --- what outputs want ---

// One line for each action's parts: id, ordinal, what it is of, its key, data and reverse.
static Lines parts_of(const Batch& batch) {
    Lines lines;
    for (const auto& parts : batch.actions) {
        auto extra = [&](Batch::Slice slice) {
            return batch.extras.substr(slice.begin, slice.end - slice.begin);
        };
        lines.push_back(fmt::format(
            "{}.{} {} {} {} {} {} {}{} {}", parts.sync_id, parts.ordinal, name_of(parts.action),
            batch.text(parts.model), batch.text(parts.id), extra(parts.key), batch.text(parts.data),
            batch.text(parts.unchanged), batch.text(parts.omitted), extra(parts.reverse)));
    }
    return lines;
}

static constexpr BatchBuilder::Limits with_outputs{.outputs = 1};
static constexpr BatchBuilder::Limits reversible{.outputs = 1, .is_reversible = true};

TEST(BatchBuilder, KeepsNoPartsUnlessOutputsWantThem) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});

    fixture.builder.add(note("7", "a", relation).change(), 42);

    auto batch = fixture.builder.take({});
    EXPECT_TRUE(batch.actions.empty());
    EXPECT_TRUE(batch.extras.empty());
}

TEST(BatchBuilder, KeepsThePartsOfEachAction) {
    auto relation = full_notes();
    BuilderFixture fixture({note_rule()}, with_outputs);

    fixture.builder.add(note("7", "a", relation).with("body", "x").change(), 42);
    fixture.builder.add(delete_of(relation).with("id", "8").with("room", "a").change(), 43);

    auto batch = fixture.builder.take({});
    EXPECT_EQ(parts_of(batch),
              (Lines{R"(42.0 insert "Note" "7" {"id":7} {"id":7,"room":"a","body":"x"}  )",
                     R"(43.0 delete "Note" "8" {"id":8}   )"}));
    ASSERT_EQ(batch.messages.size(), 1U);
    EXPECT_EQ(batch.messages[0].actions_begin, 0U);
    EXPECT_EQ(batch.messages[0].actions_end, 2U);
}

TEST(BatchBuilder, KeepsPartsByMessage) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()}, with_outputs);

    fixture.builder.add(note("7", "a", relation).change(), 42);
    fixture.builder.add(note("8", "b", relation).change(), 43);

    auto batch = fixture.builder.take({});
    ASSERT_EQ(batch.messages.size(), 2U);
    EXPECT_EQ(batch.messages[1].actions_begin, 1U);
    EXPECT_EQ(batch.messages[1].actions_end, 2U);
}

TEST(BatchBuilder, KeepsWhatTheDataLacks) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()}, with_outputs);

    fixture.builder.add(
        update_of(relation).with("id", "7").with("room", "a").unchanged("body").change(), 1);

    EXPECT_EQ(parts_of(fixture.builder.take({})),
              Lines{R"(2.0 update "Note" "7" {"id":7} {"id":7,"room":"a"} ["body"] )"});
}

// Of one change that is two models, each has a place of its own.
TEST(BatchBuilder, CountsTheActionsThatShareAnId) {
    auto relation = notes();
    BuilderFixture fixture({note_rule(), note_rule().model("Second")}, with_outputs);

    fixture.builder.add(note("7", "a", relation).change(), 42);

    auto parts = parts_of(fixture.builder.take({}));
    ASSERT_EQ(parts.size(), 2U);
    EXPECT_TRUE(parts[0].starts_with("42.0 insert \"Note\"")) << parts[0];
    EXPECT_TRUE(parts[1].starts_with("42.1 insert \"Second\"")) << parts[1];
}

TEST(BatchBuilder, KeepsWhatTakesAChangeBack) {
    auto relation = full_notes();
    BuilderFixture fixture({note_rule().data(DataKind::delta)}, reversible);

    fixture.builder.add(update_of(relation)
                            .with("id", "7")
                            .with("room", "a")
                            .with("body", "new")
                            .was("body", "old")
                            .change(),
                        1);
    fixture.builder.add(
        delete_of(relation).with("id", "7").with("room", "a").with("body", "new").change(), 3);

    EXPECT_EQ(parts_of(fixture.builder.take({})),
              (Lines{R"(2.0 update "Note" "7" {"id":7} {"body":"new"}  {"body":"old"})",
                     R"(3.0 delete "Note" "7" {"id":7}   {"id":7,"room":"a","body":"new"})"}));
}

TEST(BatchBuilder, KnowsNothingThatTakesAChangeBackWithoutTheOldRow) {
    auto relation = keyed_notes();
    BuilderFixture fixture({note_rule().data(DataKind::delta)}, reversible);

    fixture.builder.add(update_of(relation).with("id", "7").with("room", "a").change(), 1);
    fixture.builder.add(delete_of(relation).with("id", "7").with("room", "a").change(), 3);

    for (const auto& line : parts_of(fixture.builder.take({})))
        EXPECT_TRUE(line.ends_with(' ')) << line;
}

TEST(BatchBuilder, TakesThePartsOfARowBackThatCannotBeWritten) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()}, with_outputs);
    fixture.builder.add(note("7", "a", relation).change(), 42);
    auto bad = note("8", "a", relation).with("body", "\xff");

    EXPECT_THROW(fixture.builder.add(bad.change(), 43), ValueError);
    fixture.builder.add(note("9", "a", relation).change(), 44);

    auto batch = fixture.builder.take({});
    auto parts = parts_of(batch);
    ASSERT_EQ(parts.size(), 2U);
    EXPECT_TRUE(parts[1].starts_with(R"(44.0 insert "Note" "9" {"id":9})")) << parts[1];
    EXPECT_EQ(batch.messages.back().actions_end, 2U);
}

static Lines missed_of(const Batch& batch) {
    Lines lines;
    for (const auto& channel : batch.missed) lines.emplace_back(batch.text(channel));
    return lines;
}

// What comes again after a restart, and was sent before.
TEST(BatchBuilder, TellsWhoHeardOfWhatIsPassedOverWhereOutputsWantToKnow) {
    auto relation = notes();
    Relation full = full_notes();
    auto todos = relation_of("todos").oid(16401).key("id").column("room");
    Relation todo_relation = todos;
    BuilderFixture fixture(
        {note_rule(), rule_for("public.todos").model("Todo").id({"id"}).channel("r:{room}")},
        {.outputs = 1, .model_told_whole = "Note"});

    for (const auto* room : {"a", "b", "a"})
        fixture.builder.pass_over(note("7", room, relation).change());
    fixture.builder.pass_over(note("7", "c", todo_relation).change());
    fixture.builder.pass_over(delete_of(full).with("id", "7").with("room", "d").change());
    EXPECT_FALSE(fixture.builder.is_empty());
    auto batch = fixture.builder.take({});
    fixture.builder.pass_over(note("7", "a", relation).change());
    auto again = fixture.builder.take({});
    fixture.builder.begin({.commit_lsn = Lsn{300}, .xid = 739, .commit_time = {}});
    fixture.builder.pass_over(note("7", "a", relation).change());

    EXPECT_EQ(missed_of(batch), (Lines{"r:a", "r:b"}));
    EXPECT_TRUE(batch.messages.empty());
    EXPECT_EQ(missed_of(again), Lines{});
    EXPECT_EQ(missed_of(fixture.builder.take({})), Lines{"r:a"});
}

TEST(BatchBuilder, IsFullOfManyThatHeardOfWhatIsPassedOver) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()},
                           {.batch_messages = 4, .outputs = 1, .model_told_whole = "Note"});

    for (auto i = 0; i < 7; ++i)
        fixture.builder.pass_over(note("7", std::to_string(i), relation).change());
    EXPECT_FALSE(fixture.builder.is_full());
    fixture.builder.pass_over(note("7", "8", relation).change());

    EXPECT_TRUE(fixture.builder.is_full());
}

TEST(BatchBuilder, PassesOverWhatNobodyWantsToKnow) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()}, {.outputs = 1});

    fixture.builder.pass_over(note("7", "a", relation).change());

    EXPECT_TRUE(fixture.builder.is_empty());
}

TEST(BatchBuilder, WritesIdsAsStringsInTheDataWhereTheRuleSaysSo) {
    auto relation = notes();
    BuilderFixture fixture({note_rule().string_ids().rename("id", "key")}, with_outputs);

    fixture.builder.add(note("7", "a", relation).change(), 42);

    EXPECT_EQ(parts_of(fixture.builder.take({})),
              Lines{R"(42.0 insert "Note" "7" {"key":"7"} {"key":"7","room":"a","body":null}  )"});
}

TEST(BatchBuilder, TellsOfTheTransactionWhereTheRuleSaysSo) {
    auto relation = full_notes();
    BuilderFixture fixture({note_rule().metadata()});

    fixture.builder.add(note("7", "a", relation).change(), 42);
    fixture.builder.add(delete_of(relation).with("id", "7").with("room", "a").change(), 43);

    EXPECT_EQ(
        fixture.lines(),
        Lines{
            R"(r:a @43 {"syncId":42,"action":"insert","modelName":"Note","modelId":"7",)"
            R"("data":{"id":7,"room":"a","body":null},)"
            R"("metadata":{"commitTime":"1970-01-01T00:00:00.000000Z","lsn":"0/C8","xid":738}},)"
            R"({"syncId":43,"action":"delete","modelName":"Note","modelId":"7",)"
            R"("metadata":{"commitTime":"1970-01-01T00:00:00.000000Z","lsn":"0/C8","xid":738}})"});
}

TEST(BatchBuilder, SaysOnceThatWholeRowsAreWanted) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()}, {.outputs = 1, .wants_whole_rows = true});

    for (auto id : {1, 3})
        fixture.builder.add(
            update_of(relation).with("id", "7").with("room", "a").unchanged("body").change(),
            static_cast<SyncId>(id));

    auto notices = fixture.builder.take_notices();
    EXPECT_EQ(std::count_if(notices.begin(), notices.end(),
                            [](const auto& told) { return contains(told, "replace whole rows"); }),
              1);
}

// --- net effects ---

static ChangeBuilder changed(const Relation& relation, std::string id, std::string body) {
    return update_of(relation)
        .with("id", std::move(id))
        .with("room", "a")
        .with("body", std::move(body));
}

// Id, action, model and id, and the last of the data, of each action.
static std::string effects_of(const Batch& batch) {
    std::string told;
    for (const auto& parts : batch.actions) {
        auto data = batch.text(parts.data);
        told += fmt::format("{} {} {}{} {};", parts.sync_id, name_of(parts.action),
                            batch.text(parts.model), batch.text(parts.id),
                            data.substr(std::min(data.size(), data.rfind(':') + 1)));
    }
    return told;
}

// What the parts say once more, as messages do.
static std::string body_of(const Batch& batch) {
    std::string body;
    for (const auto& parts : batch.actions) {
        body += fmt::format(R"({}{{"syncId":{},"action":"{}","modelName":{},"modelId":{})",
                            body.empty() ? "" : ",", parts.sync_id, name_of(parts.action),
                            batch.text(parts.model), batch.text(parts.id));
        if (parts.data.end > 0) body += fmt::format(",\"data\":{}", batch.text(parts.data));
        body += '}';
    }
    return body;
}

TEST(BatchBuilder, SendsOnlyTheNetEffectOnARowWhereTheRuleSaysSo) {
    auto relation = full_notes();
    BuilderFixture fixture({note_rule().coalescing()}, with_outputs);
    auto& builder = fixture.builder;

    builder.add(note("7", "a", relation).with("body", "1").change(), 1);
    builder.add(note("8", "a", relation).with("body", "x").change(), 2);
    builder.add(changed(relation, "7", "2").change(), 3);
    builder.add(changed(relation, "7", "3").change(), 5);
    builder.add(changed(relation, "9", "y").change(), 7);
    builder.add(delete_of(relation).with("id", "8").with("room", "a").change(), 9);

    auto batch = builder.take({});
    EXPECT_EQ(effects_of(batch),
              R"(6 insert "Note""7" "3"};8 update "Note""9" "y"};9 delete "Note""8" ;)");
    EXPECT_EQ(batch.text(batch.messages[0].body_begin, batch.messages[0].body_end), body_of(batch));
}

TEST(BatchBuilder, MergesWithoutOutputsToo) {
    auto relation = full_notes();
    BuilderFixture fixture({note_rule().coalescing()});

    fixture.builder.add(note("7", "a", relation).change(), 1);
    fixture.builder.add(changed(relation, "7", "2").change(), 2);

    EXPECT_EQ(fixture.lines(),
              Lines{R"(r:a @3 {"syncId":3,"action":"insert","modelName":"Note","modelId":"7",)"
                    R"("data":{"id":7,"room":"a","body":"2"}})"});
}

TEST(BatchBuilder, SendsARowThatCameBackAsAnUpdate) {
    auto relation = full_notes();
    BuilderFixture fixture({note_rule().coalescing()}, with_outputs);

    fixture.builder.add(delete_of(relation).with("id", "7").with("room", "a").change(), 1);
    fixture.builder.add(note("7", "a", relation).with("body", "x").change(), 2);

    EXPECT_EQ(effects_of(fixture.builder.take({})), R"(2 update "Note""7" "x"};)");
}

// The last one does not say all: of the ones before the large column is needed.
TEST(BatchBuilder, SendsBothWhereTheLaterOneLacksColumns) {
    auto relation = notes();
    BuilderFixture fixture({note_rule().coalescing()}, with_outputs);

    fixture.builder.add(note("7", "a", relation).with("body", "1").change(), 1);
    fixture.builder.add(
        update_of(relation).with("id", "7").with("room", "a").unchanged("body").change(), 2);
    fixture.builder.add(changed(relation, "7", "2").change(), 4);

    EXPECT_EQ(effects_of(fixture.builder.take({})),
              R"(1 insert "Note""7" "1"};3 update "Note""7" "a"};5 update "Note""7" "2"};)");
}

TEST(BatchBuilder, MergesOneModelWithoutTheOther) {
    auto relation = full_notes();
    BuilderFixture fixture({note_rule().coalescing(), note_rule().model("Second")}, with_outputs);

    fixture.builder.add(note("7", "a", relation).with("body", "1").change(), 1);
    fixture.builder.add(changed(relation, "7", "2").change(), 2);

    EXPECT_EQ(effects_of(fixture.builder.take({})),
              R"(1 insert "Second""7" "1"};3 insert "Note""7" "2"};3 update "Second""7" "2"};)");
}

TEST(BatchBuilder, MergesNothingOfAnotherMessage) {
    auto relation = full_notes();
    BuilderFixture fixture({note_rule().coalescing()}, with_outputs);
    auto& builder = fixture.builder;

    builder.add(note("7", "a", relation).with("body", "1").change(), 1);
    builder.add(note("8", "b", relation).with("body", "1").change(), 2);
    builder.add(changed(relation, "7", "2").change(), 3);
    EXPECT_EQ(effects_of(builder.take({})),
              R"(1 insert "Note""7" "1"};2 insert "Note""8" "1"};4 update "Note""7" "2"};)");
    builder.add(changed(relation, "7", "3").change(), 5);
    EXPECT_EQ(effects_of(builder.take({})), R"(6 update "Note""7" "3"};)");
}

// Against a plain map of rows, with another rule beside, and rows that cannot be written.
TEST(BatchBuilder, MergesWhateverTheOrder) {
    auto relation = full_notes();
    auto other = relation_of("others").key("id").column("room").column("body").full_identity();
    std::mt19937 random(11);
    for (auto round = 0; round < 200; ++round) {
        BuilderFixture fixture(
            {note_rule().coalescing(), rule_for("public.others").id({"id"}).channel("r:{room}")},
            with_outputs);
        auto& builder = fixture.builder;
        std::map<std::string, std::string> last;
        SyncId id = 1;
        std::size_t others = 0;
        for (auto step = 0; step < 30; ++step, id += 2) {
            auto row = std::to_string(random() % 5);
            auto text = std::to_string(id);
            auto choice = random() % 5;
            if (choice == 0) {
                builder.add(note(row, "a", other).with("body", text).change(), id);
                ++others;
            } else if (choice == 1) {
                auto bad = changed(relation, row, "\xff");
                EXPECT_THROW(builder.add(bad.change(), id), ValueError);
            } else if (choice == 2) {
                builder.add(delete_of(relation).with("id", row).with("room", "a").change(), id);
                last[row] = "";
            } else {
                builder.add(changed(relation, row, text).change(), id);
                last[row] = "\"" + text + "\"}";
            }
        }

        auto batch = builder.take({});
        ASSERT_EQ(batch.messages.size(), 1U);
        const auto& message = batch.messages[0];
        ASSERT_EQ(batch.actions.size(), last.size() + others);
        EXPECT_EQ(message.actions_end, batch.actions.size());
        EXPECT_EQ(batch.text(message.body_begin, message.body_end), body_of(batch));
        for (const auto& parts : batch.actions) {
            if (batch.text(parts.model) != "\"Note\"") continue;
            const auto& text = last.at(std::string(batch.text(parts.id).substr(1, 1)));
            EXPECT_TRUE(batch.text(parts.data).ends_with(text));
            EXPECT_EQ(parts.action == Action::remove, text.empty());
        }
    }
}

// --- delta and patch ---

TEST(BatchBuilder, SendsOnlyWhatChanged) {
    auto relation = full_notes();
    for (auto kind : {DataKind::delta, DataKind::patch}) {
        BuilderFixture fixture({note_rule().data(kind)});

        fixture.builder.add(update_of(relation)
                                .with("id", "7")
                                .with("room", "a")
                                .with("body", "new")
                                .was("body", "old")
                                .change(),
                            1);

        const auto* data = kind == DataKind::delta
                               ? R"("dataKind":"delta","data":{"body":"new"}})"
                               : R"("dataKind":"patch","data":[{"op":"add","path":"/body",)"
                                 R"("value":"new"}]})";
        EXPECT_EQ(fixture.lines(),
                  Lines{R"(r:a @2 {"syncId":2,"action":"update","modelName":"Note",)"
                        R"("modelId":"7",)" +
                        std::string(data)});
    }
}

TEST(BatchBuilder, SendsTheWholeRowWhereTheOldOneIsNotTold) {
    auto relation = keyed_notes();
    BuilderFixture fixture({note_rule().data(DataKind::delta)});

    fixture.builder.add(update_of(relation).with("id", "7").with("room", "a").change(), 1);

    EXPECT_EQ(fixture.lines(),
              Lines{R"(r:a @2 {"syncId":2,"action":"update","modelName":"Note","modelId":"7",)"
                    R"("data":{"id":7,"room":"a","body":null}})"});
}

TEST(BatchBuilder, SendsTheWholeRowWhereItEnters) {
    auto relation = full_notes();
    BuilderFixture fixture({note_rule().data(DataKind::patch)});

    fixture.builder.add(moved_note(relation).change(), 1);

    auto lines = fixture.lines();
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_TRUE(lines[1].ends_with(R"("data":{"id":7,"room":"b","body":null}})")) << lines[1];
}

TEST(BatchBuilder, SendsTheWholeRowWhereTheOldOneWasTooLarge) {
    auto relation = full_notes();
    BuilderFixture fixture({note_rule().data(DataKind::delta)}, {.action_bytes = 100});

    fixture.builder.add(update_of(relation)
                            .with("id", "7")
                            .with("room", "a")
                            .with("body", "new")
                            .was("body", std::string(101, 'x'))
                            .change(),
                        1);

    EXPECT_TRUE(contains(fixture.lines().at(0), R"("data":{"id":7,"room":"a","body":"new"}})"));
}

TEST(BatchBuilder, LeavesOutAndRenamesColumns) {
    auto relation = notes();
    BuilderFixture fixture({note_rule().exclude({"body"}).rename("room", "roomName").channel("all"),
                            note_rule().model("Body").columns({"body"})});

    fixture.builder.add(note("7", "a", relation).with("body", "x").change(), 1);

    EXPECT_EQ(fixture.lines(),
              (Lines{R"(r:a @1 {"syncId":1,"action":"insert","modelName":"Note","modelId":"7",)"
                     R"("data":{"id":7,"roomName":"a"}},{"syncId":1,"action":"insert",)"
                     R"("modelName":"Body","modelId":"7","data":{"body":"x"}})",
                     R"(all @1 {"syncId":1,"action":"insert","modelName":"Note","modelId":"7",)"
                     R"("data":{"id":7,"roomName":"a"}})"}));
}

TEST(BatchBuilder, LeavesOutAChannelWhoseNameIsTooLong) {
    auto relation = notes();
    BuilderFixture fixture({note_rule().channel("all")});

    fixture.builder.add(note("7", std::string(2000, 'x'), relation).change(), 1);

    EXPECT_TRUE(fixture.lines().at(0).starts_with("all @1 "));
    EXPECT_EQ(fixture.builder.take_notices().size(), 1U);
}

TEST(BatchBuilder, KeepsNothingOfABadRowWhoseColumnsARuleLeavesOut) {
    auto relation = notes();
    BuilderFixture fixture({note_rule().exclude({"body"})});

    fixture.builder.set_aside(note("7", "a", relation).with("body", "secret").change(), 1,
                              "because of secret", "raw secret");

    auto batch = fixture.builder.take({});
    EXPECT_FALSE(contains(batch.bytes, "secret"));
    EXPECT_EQ(batch.messages[0].kind, Message::Kind::dead_letter);
}

TEST(BatchBuilder, LeavesLargeColumnsOutOfAnActionThatIsTooLarge) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()}, {.action_bytes = 30});

    fixture.builder.add(note("7", "a", relation).with("body", std::string(40, 'x')).change(), 1);

    EXPECT_EQ(fixture.lines(),
              Lines{R"(r:a @1 {"syncId":1,"action":"insert","modelName":"Note","modelId":"7",)"
                    R"("data":{"id":7,"room":"a"},"omitted":["body"]})"});
    EXPECT_EQ(fixture.builder.counts().omitted, 1U);
}

TEST(BatchBuilder, LeavesNothingOutOfAnActionThatJustFits) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()}, {.action_bytes = 30});

    fixture.builder.add(note("7", "a", relation).with("body", std::string(28, 'x')).change(), 1);

    auto lines = fixture.lines();
    EXPECT_FALSE(contains(lines[0], "omitted")) << lines[0];
    EXPECT_EQ(fixture.builder.counts().omitted, 0U);
}

TEST(BatchBuilder, KeepsAnActionBelowItsLimitWhenManyColumnsAreLarge) {
    Relation relation = relation_of("notes").key("id").column("room");
    for (auto i = 0; i < 20; ++i)
        relation.columns.push_back({.name = "c" + std::to_string(i), .type_oid = 25});
    BuilderFixture fixture({note_rule()}, {.action_bytes = 1000});
    auto change = note("7", "a", relation);
    for (auto i = 0; i < 20; ++i) change.with("c" + std::to_string(i), std::string(60, 'x'));

    fixture.builder.add(change.change(), 1);

    auto batch = fixture.builder.take({});
    EXPECT_LT(batch.messages[0].body_end - batch.messages[0].body_begin, 1000U);
}

// --- rows that cannot be written ---

static const std::string not_utf8 = "\xff\xfe";

TEST(BatchBuilder, TakesARowBackThatCannotBeWritten) {
    auto relation = notes();
    BuilderFixture fixture({note_rule(), note_rule().channel("all")});
    BuilderFixture without({note_rule(), note_rule().channel("all")});
    for (auto* builder : {&fixture.builder, &without.builder})
        builder->add(note("7", "a", relation).change(), 42);

    for (const auto* room : {"a", "b"})
        EXPECT_THROW(
            fixture.builder.add(note("8", room, relation).with("body", not_utf8).change(), 43),
            ValueError);

    for (auto* builder : {&fixture.builder, &without.builder})
        builder->add(note("9", "a", relation).change(), 44);
    EXPECT_EQ(fixture.lines(), without.lines());
}

TEST(BatchBuilder, LeavesNothingBehindOfARowThatIsTheFirst) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});

    EXPECT_THROW(fixture.builder.add(note("8", "a", relation).with("body", not_utf8).change(), 43),
                 ValueError);

    EXPECT_TRUE(fixture.builder.is_empty());
    EXPECT_TRUE(fixture.lines().empty());
}

TEST(BatchBuilder, SetsARowAsideWithItsBytesAndResetsItsModelOnceATransaction) {
    auto relation = notes();
    auto bad = note("8", "a", relation).with("body", not_utf8);
    BuilderFixture fixture({note_rule()});

    fixture.builder.set_aside(bad.change(), 43, "column \"body\": not\nUTF-8", "raw\n\0bytes"s);
    fixture.builder.set_aside(bad.change(), 44, "again", "raw");
    auto batch = fixture.builder.take({});

    ASSERT_EQ(batch.messages.size(), 3U);
    const auto& letter = batch.messages[0];
    EXPECT_EQ(letter.kind, Message::Kind::dead_letter);
    EXPECT_EQ(letter.last_sync_id, 43U);
    EXPECT_EQ(batch.text(letter.body_begin, letter.body_end),
              "public.notes\n0/C8\n738\ncolumn \"body\": not UTF-8\nraw\n\0bytes"s);
    EXPECT_EQ(batch.messages[1].kind, Message::Kind::reset);
    EXPECT_EQ(batch.text(batch.messages[1].body_begin, batch.messages[1].body_end),
              R"("modelName":"Note","reason":"bad_row")");
    EXPECT_EQ(batch.messages[2].kind, Message::Kind::dead_letter);
    EXPECT_EQ(fixture.builder.counts().set_aside, 2U);
    EXPECT_EQ(fixture.builder.take_notices().size(), 1U);
}

TEST(BatchBuilder, ResetsEverythingForATableWhoseVeryNamesCannotBeWritten) {
    Relation relation = relation_of("notes").key("id").column("room").column(
        "bo\xff"
        "dy");
    auto bad = note("8", "a", relation);
    BuilderFixture fixture({note_rule()});
    EXPECT_THROW(fixture.builder.add(bad.change(), 43), ValueError);

    fixture.builder.set_aside(bad.change(), 43, "names", "raw");
    auto batch = fixture.builder.take({});

    ASSERT_EQ(batch.messages.size(), 2U);
    EXPECT_EQ(batch.text(batch.messages[1].body_begin, batch.messages[1].body_end),
              R"("reason":"bad_row")");
}

TEST(BatchBuilder, KeepsOnlyTheBeginningOfAGiantRowThatItSetsAside) {
    auto relation = notes();
    auto bad = note("8", "a", relation);
    BuilderFixture fixture({note_rule()}, {.dead_letter_bytes = 10});

    fixture.builder.set_aside(bad.change(), 43, "why", std::string(1000, 'x'));
    auto batch = fixture.builder.take({});

    auto body = batch.text(batch.messages[0].body_begin, batch.messages[0].body_end);
    EXPECT_TRUE(body.ends_with("why\n" + std::string(10, 'x'))) << body;
}

// --- resets ---

TEST(BatchBuilder, MakesATruncateAResetOfTheModel) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});
    std::vector<const Relation*> truncated{&relation};

    fixture.builder.add_truncate({.relations = &truncated}, 5);

    EXPECT_EQ(fixture.lines(), Lines{R"(control @5 "modelName":"Note","reason":"truncate")"});
}

TEST(BatchBuilder, GivesEachTruncatedTableItsIdWhetherRulesNameItOrNot) {
    auto relation = notes();
    Relation other = relation_of("others").oid(16401).key("id");
    BuilderFixture fixture({note_rule()});
    std::vector<const Relation*> truncated{&other, &relation, &relation};

    fixture.builder.add_truncate({.relations = &truncated}, 5);

    EXPECT_EQ(outline(fixture.builder.take({})), "control@6 control@7");
}

// Two messages of the control channel cannot bear one id.
TEST(BatchBuilder, MakesATruncateOfATableOfTwoModelsAResetOfEverything) {
    auto relation = notes();
    BuilderFixture fixture(
        {note_rule(), rule_for("public.notes").model("Copy").id({"id"}).channel("all")});
    std::vector<const Relation*> truncated{&relation};

    fixture.builder.add_truncate({.relations = &truncated}, 5);

    EXPECT_EQ(fixture.lines(), Lines{R"(control @5 "reason":"truncate")"});
}

TEST(BatchBuilder, KeepsActionsAndResetsInTheirOrder) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});
    std::vector<const Relation*> truncated{&relation};

    fixture.builder.add(note("7", "a", relation).change(), 1);
    fixture.builder.add_truncate({.relations = &truncated}, 2);
    fixture.builder.add(note("8", "a", relation).change(), 3);

    EXPECT_EQ(outline(fixture.builder.take({})), "r:a@1 control@2 r:a@3");
}

TEST(BatchBuilder, ResetsAModelForADeleteThatCannotBeRouted) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});

    fixture.builder.add(delete_of(relation).with("id", "7").change(), 5);

    EXPECT_EQ(fixture.lines(), Lines{R"(control @5 "modelName":"Note","reason":"unroutable")"});
    EXPECT_EQ(fixture.builder.counts().unroutable, 1U);
}

TEST(BatchBuilder, ResetsAModelOnceATransaction) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});

    fixture.builder.add(delete_of(relation).with("id", "7").change(), 5);
    fixture.builder.add(delete_of(relation).with("id", "8").change(), 6);
    fixture.builder.end_transaction(1);
    fixture.builder.begin({.commit_lsn = Lsn{300}, .xid = 739, .commit_time = {}});
    fixture.builder.add(delete_of(relation).with("id", "9").change(), 7);

    EXPECT_EQ(outline(fixture.builder.take({})), "control@5 control@7");
    EXPECT_EQ(fixture.builder.counts().unroutable, 3U);
}

// A reset drops all that a client knows up to its id: a later one covers what came in between.
TEST(BatchBuilder, ResetsWithTheSecondIdOfAnUpdateThatCannotBeRouted) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});

    fixture.builder.add(update_of(relation).with("id", "7").unchanged("room").change(), 5);

    EXPECT_EQ(outline(fixture.builder.take({})), "control@6");
}

TEST(BatchBuilder, ResetsEverythingWhenTwoModelsCannotBeRouted) {
    auto relation = notes();
    BuilderFixture fixture(
        {note_rule(), rule_for("public.notes").model("Copy").id({"id"}).channel("c:{room}")});

    fixture.builder.add(delete_of(relation).with("id", "7").change(), 5);

    EXPECT_EQ(fixture.lines(), Lines{R"(control @5 "reason":"unroutable")"});
}

TEST(BatchBuilder, SkipsWhatTheRuleSaysButCountsIt) {
    auto relation = notes();
    BuilderFixture fixture({note_rule().unroutable(Unroutable::skip)});

    fixture.builder.add(delete_of(relation).with("id", "7").change(), 5);

    EXPECT_TRUE(fixture.builder.is_empty());
    EXPECT_EQ(fixture.builder.counts().unroutable, 1U);
}

// --- notices ---

TEST(BatchBuilder, NoticesWhatCannotBeRoutedOnceATable) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});

    for (SyncId id = 5; id < 8; ++id)
        fixture.builder.add(delete_of(relation).with("id", "7").change(), id);

    auto notices = fixture.builder.take_notices();
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_TRUE(contains(notices[0], "table=public.notes")) << notices[0];
    EXPECT_TRUE(contains(notices[0], "`walcast doctor` has the statement")) << notices[0];
    EXPECT_TRUE(fixture.builder.take_notices().empty());
}

TEST(BatchBuilder, NoticesUpdatesThatMayMoveARowUnseen) {
    auto by_key = notes();
    BuilderFixture unseen({note_rule()});
    unseen.builder.add(update_of(by_key).with("id", "7").with("room", "a").change(), 1);
    EXPECT_EQ(unseen.builder.take_notices().size(), 1U);

    auto by_full = full_notes();
    BuilderFixture seen({note_rule()});
    seen.builder.add(moved_note(by_full).change(), 1);
    EXPECT_TRUE(seen.builder.take_notices().empty());
}

// --- batches ---

TEST(BatchBuilder, IsEmptyUntilSomebodyShouldHearOfAChange) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});
    EXPECT_TRUE(fixture.builder.is_empty());

    fixture.builder.add(insert_of(relation).with("id", "7").change(), 1);
    EXPECT_TRUE(fixture.builder.is_empty());

    fixture.builder.add(note("7", "a", relation).change(), 2);
    EXPECT_FALSE(fixture.builder.is_empty());
}

TEST(BatchBuilder, WritesIntoTheSpareBatchFromThenOn) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});
    Batch spare;
    spare.bytes = "left over";
    spare.messages.resize(3);
    spare.channels.resize(3);

    fixture.builder.take(std::move(spare));
    fixture.builder.add(note("7", "a", relation).change(), 1);

    EXPECT_EQ(outline(fixture.builder.take({})), "r:a@1");
}

TEST(BatchBuilder, GoesOnInANewMessageAfterABatchWasTaken) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()});
    fixture.builder.add(note("7", "a", relation).change(), 1);

    EXPECT_EQ(outline(fixture.builder.take({})), "r:a@1");
    fixture.builder.add(note("8", "a", relation).change(), 2);

    auto batch = fixture.builder.take({});
    EXPECT_EQ(outline(batch), "r:a@2");
    EXPECT_EQ(batch.messages[0].transaction.xid, 738U);
}

TEST(BatchBuilder, IsFullOnceItsMessagesWeighEnoughForAllTheirChannels) {
    auto relation = notes();
    BatchBuilder::Limits limits{.message_bytes = 1, .batch_bytes = 1000};
    BuilderFixture one({rule_for("public.notes").id({"id"}).channel("a")}, limits);
    BuilderFixture three(
        {rule_for("public.notes").id({"id"}).channel("a").channel("b").channel("c")}, limits);

    auto change = note("7", "a", relation).with("body", std::string(300, 'x'));
    one.builder.add(change.change(), 1);
    three.builder.add(change.change(), 1);

    EXPECT_FALSE(one.builder.is_full());
    EXPECT_TRUE(three.builder.is_full());
}

// A delete says little, and what takes it back is the row.
TEST(BatchBuilder, WeighsWhatTakesAChangeBackToo) {
    auto relation = full_notes();
    BuilderFixture fixture(
        {note_rule()},
        {.message_bytes = 1000, .batch_bytes = 4000, .outputs = 1, .is_reversible = true});
    auto remove = [&](SyncId id) {
        auto row = delete_of(relation).with("id", "7").with("room", "a");
        fixture.builder.add(row.with("body", std::string(600, 'x')).change(), id);
    };

    remove(1);
    remove(2);
    EXPECT_FALSE(fixture.builder.is_full());
    remove(3);
    remove(4);

    EXPECT_TRUE(fixture.builder.is_full());
    EXPECT_EQ(outline(fixture.builder.take({})), "r:a@1+2 r:a@3+4");
}

TEST(BatchBuilder, IsFullOnceItHasEnoughMessages) {
    auto relation = notes();
    BuilderFixture fixture({note_rule()}, {.batch_messages = 3});

    SyncId id = 0;
    for (const auto* room : {"a", "b"})
        fixture.builder.add(note("7", room, relation).change(), ++id);
    EXPECT_FALSE(fixture.builder.is_full());
    fixture.builder.add(note("7", "a", relation).change(), 3);

    EXPECT_TRUE(fixture.builder.is_full());
    fixture.builder.take({});
    EXPECT_FALSE(fixture.builder.is_full());
}

TEST(BatchBuilder, CountsActions) {
    auto relation = full_notes();
    BuilderFixture fixture({note_rule()});

    fixture.builder.add(moved_note(relation).change(), 1);
    fixture.builder.add(note("8", "a", relation).change(), 3);

    EXPECT_EQ(fixture.builder.counts().actions, 3U);
}

}  // namespace walcast
