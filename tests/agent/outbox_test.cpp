#include "agent/outbox.hpp"

#include "agent/batch_builder.hpp"
#include "agent/errors.hpp"
#include "tests/support/batches.hpp"
#include "tests/support/changes.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/rules.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace walcast {

using Lines = std::vector<std::string>;

static Rule outbox_rule(OutboxColumns columns = {}) {
    Rule rule = rule_for("public.outbox").only(Action::insert);
    rule.outbox = std::move(columns);
    return rule;
}

// As the Ably database connector has it.
static Relation outbox_table() {
    return relation_of("outbox")
        .key("sequence_id")
        .column("mutation_id", 25)
        .column("channel", 25)
        .column("name", 25)
        .column("rejected", 16)
        .column("data", 3802)
        .column("headers", 3802);
}

class Outbox : public testing::Test {
protected:
    explicit Outbox(std::vector<Rule> rules = {outbox_rule()}) : routers(std::move(rules)) {
        builder.begin({.commit_lsn = Lsn{200}, .xid = 738, .commit_time = {}});
    }

    Lines written(const Change& change) {
        builder.add(change, 41);
        builder.end_transaction(41);
        batch = builder.take({});
        return lines_of(batch);
    }

    // The dead letter that this row becomes.
    std::string letter_of(const Change& change) {
        written(change);
        EXPECT_EQ(batch.messages.size(), 1U);
        const auto& message = batch.messages.at(0);
        EXPECT_EQ(message.kind, Message::Kind::dead_letter);
        return std::string(batch.text(message.body_begin, message.body_end));
    }

    Relation table = outbox_table();
    RouterFixture routers;
    BatchBuilder builder{routers.router, {}};
    Batch batch;
};

TEST_F(Outbox, MakesARowAnEvent) {
    auto row = insert_of(table)
                   .with("sequence_id", "1")
                   .with("mutation_id", "m-1")
                   .with("channel", "posts:1")
                   .with("name", "post.added")
                   .with("rejected", "f")
                   .with("data", R"({"id": 7})")
                   .with("headers", R"({"a": "b"})");

    EXPECT_EQ(written(row.change()),
              Lines{R"(posts:1 @41 "sequenceId":"1","name":"post.added","data":{"id": 7},)"
                    R"("headers":{"a": "b"})"});
    ASSERT_EQ(batch.receipts.size(), 1U);
    EXPECT_FALSE(batch.receipts[0].is_rejected);
    EXPECT_EQ(batch.text(batch.receipts[0].mutation_id), "m-1");
}

// As a column of type json keeps what it was given.
TEST_F(Outbox, TakesHeadersWithBlanksBeforeThem) {
    auto headers = [&](const char* text) {
        auto row = insert_of(table).with("sequence_id", "1").with("channel", "a");
        written(row.with("headers", text).change());
        return batch.messages.at(0).kind;
    };

    EXPECT_EQ(headers(" \r\n\t{\"a\": 1}"), Message::Kind::event);
    EXPECT_EQ(headers(" [1]"), Message::Kind::dead_letter);
}

TEST_F(Outbox, MakesARejectedRowARejection) {
    auto row = insert_of(table)
                   .with("sequence_id", "1")
                   .with("mutation_id", "m-1")
                   .with("channel", "posts:1")
                   .with("rejected", "t");

    EXPECT_EQ(written(row.change()), Lines{R"(posts:1 @41 "sequenceId":"1","rejected":true)"});
    EXPECT_TRUE(batch.receipts.at(0).is_rejected);
}

TEST_F(Outbox, IgnoresThatRowsChangeAndGo) {
    auto update = update_of(table).with("sequence_id", "1").with("channel", "a");
    auto remove = delete_of(table).with("sequence_id", "1");

    EXPECT_EQ(written(update.change()), Lines{});
    EXPECT_EQ(written(remove.change()), Lines{});
}

TEST_F(Outbox, SetsRowsAsideThatNobodyWouldHear) {
    auto row = insert_of(table).with("sequence_id", "1").with("name", "lost");

    auto letter = letter_of(row.change());

    EXPECT_NE(letter.find("it names no channel"), std::string::npos) << letter;
    EXPECT_NE(letter.find("\"name\":\"lost\""), std::string::npos) << letter;
}

class OutboxOfOtherNames : public Outbox {
protected:
    OutboxOfOtherNames()
        : Outbox({rule_for("public.*").model("Row").id({"sequence_id"}).channel("rows"),
                  outbox_rule({.channel = "topic", .data = "body"})}) {}

    Relation other =
        relation_of("outbox").key("sequence_id").column("topic", 25).column("body", 25);
};

TEST_F(OutboxOfOtherNames, TakesColumnsByTheirNamesAndTextAsAString) {
    auto row = insert_of(other).with("sequence_id", "1").with("topic", "t").with("body", "a\"b");

    EXPECT_EQ(written(row.change()), Lines{R"(t @41 "sequenceId":"1","data":"a\"b")"});
}

TEST_F(OutboxOfOtherNames, SetsAsideRowsOfATableThatLacksANamedColumn) {
    auto row = insert_of(table).with("sequence_id", "1").with("channel", "c");

    auto letter = letter_of(row.change());

    EXPECT_NE(letter.find("public.outbox: no column \"topic\""), std::string::npos) << letter;
    EXPECT_NE(letter.find("name another one in [outbox]"), std::string::npos) << letter;
    EXPECT_NE(letter.find(R"("channel":"c")"), std::string::npos) << letter;
    EXPECT_EQ(builder.take_notices().size(), 1U);
    EXPECT_EQ(builder.counts().set_aside, 1U);

    builder.add(row.change(), 42);

    EXPECT_EQ(builder.take_notices().size(), 0U);
    EXPECT_EQ(builder.counts().set_aside, 2U);
}

TEST_F(OutboxOfOtherNames, AreNotTakenWhileTheyDoNotFitTheTable) {
    written(insert_of(other).with("sequence_id", "1").with("topic", "t").change());

    std::vector<Rule> wrong{outbox_rule({.channel = "nope"})};
    auto is_there = [](const Relation&) { return true; };

    EXPECT_THROW(routers.router.replace_rules(wrong, is_there), SetupError);
}

// A column of that name may be anything, unless it is named to be that.
class OutboxOfUuids : public Outbox {
protected:
    explicit OutboxOfUuids(OutboxColumns columns = {})
        : Outbox({outbox_rule(std::move(columns))}) {}

    Relation uuids = relation_of("outbox").key("sequence_id", 2950).column("channel");
    ChangeBuilder row = insert_of(uuids)
                            .with("sequence_id", "7b5e2f0c-8d8f-4c67-9a55-2f4c8d1a0e11")
                            .with("channel", "a");
};

TEST_F(OutboxOfUuids, HasNoSequenceIds) {
    EXPECT_EQ(written(row.change()), Lines{"a @41 "});
}

class OutboxOfNamedUuids : public OutboxOfUuids {
protected:
    OutboxOfNamedUuids() : OutboxOfUuids({.sequence_id = "sequence_id"}) {}
};

TEST_F(OutboxOfNamedUuids, IsSetAside) {
    auto letter = letter_of(row.change());

    EXPECT_NE(letter.find("is no integer"), std::string::npos) << letter;
}

}  // namespace walcast
