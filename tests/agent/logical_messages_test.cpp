#include "agent/logical_messages.hpp"

#include "tests/support/changes.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/rules.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace walcast {

using Lines = std::vector<std::string>;

// What a transaction says of itself, from message to batch.
class LogicalMessages : public testing::Test {
protected:
    static constexpr TransactionInfo transaction{
        .commit_lsn = Lsn{200}, .xid = 738, .commit_time = {}};

    LogicalMessages() { begin(); }

    void begin() {
        numbering.begin(transaction);
        builder.begin(transaction);
    }
    void commit() {
        auto is_covered = numbering.is_covered();
        numbering.commit(Lsn{300});
        if (!is_covered) builder.end_transaction(numbering.position().sync_id);
    }
    void insert(const char* id, const char* room) {
        auto row = insert_of(notes).with("id", id).with("room", room);
        if (auto first_id = numbering.take(id, 1))
            builder.add(row.change(), *first_id);
        else
            builder.pass_over(row.change());
    }
    // The batch is in, and nothing else is left of this agent: what it has sent comes again.
    void restart() {
        builder.take({});
        numbering = Numbering(numbering.position());
        begin();
    }
    // An update takes two ids; where it only removes a row, the message bears the first.
    void skip_id() { numbering.take("x", 1); }

    std::optional<std::string> say(std::string_view prefix, std::string_view content,
                                   bool is_transactional = true, Lsn lsn = Lsn{250}) {
        LogicalMessage message{
            .is_transactional = is_transactional, .lsn = lsn, .prefix = prefix, .content = content};
        return take_message(message, content, numbering, builder);
    }

    // `kind channels @id annotations | body`, then the receipts.
    Lines lines() {
        auto batch = builder.take({});
        Lines found;
        for (const auto& message : batch.messages) {
            constexpr const char* kinds[] = {"sync", "event", "progress", "reset", "letter"};
            std::string line = kinds[static_cast<std::size_t>(message.kind)];
            for (auto i = message.channels_begin; i < message.channels_end; ++i)
                line += fmt::format(" {}", batch.text(batch.channels[i]));
            auto body = std::string(batch.text(message.body_begin, message.body_end));
            if (message.kind == Message::Kind::sync) body = body.substr(0, body.find(",\"action"));
            line +=
                fmt::format(" @{} {}|{}", message.last_sync_id,
                            batch.text(message.annotations_begin, message.annotations_end), body);
            found.push_back(line);
        }
        for (const auto& receipt : batch.receipts)
            found.push_back(fmt::format("receipt {} {} @{} {}", batch.text(receipt.mutation_id),
                                        receipt.is_rejected ? "rejected" : "committed",
                                        receipt.last_sync_id, batch.text(receipt.reason)));
        return found;
    }

    Relation notes = relation_of("notes").key("id").column("room");
    RouterFixture routers{{rule_for("public.notes").model("Note").id({"id"}).channel("r:{room}")}};
    BatchBuilder builder{routers.router, {.action_bytes = 1000}};
    Numbering numbering{{.epoch = "e", .sync_id = 40, .lsn = Lsn{100}, .partial = std::nullopt}};
};

// --- annotations ---

TEST_F(LogicalMessages, AnnotateEveryMessageOfTheirTransaction) {
    say("walcast", R"({"mutationId":"m","userId":"u1"})");
    insert("1", "a");
    insert("2", "b");
    commit();

    EXPECT_EQ(lines(), (Lines{R"(sync r:a @41 ,"mutationId":"m","userId":"u1"|{"syncId":41)",
                              R"(sync r:b @42 ,"mutationId":"m","userId":"u1"|{"syncId":42)",
                              R"(progress r:a @42 ,"mutationId":"m","userId":"u1"|)",
                              "receipt m committed @42 "}));
}

TEST_F(LogicalMessages, AnnotateNothingOfTheNextTransaction) {
    say("walcast", R"({"mutationId":"m"})");
    commit();
    numbering.begin({.commit_lsn = Lsn{400}, .xid = 739, .commit_time = {}});
    builder.begin({.commit_lsn = Lsn{400}, .xid = 739, .commit_time = {}});
    insert("1", "a");
    numbering.commit(Lsn{500});
    builder.end_transaction(numbering.position().sync_id);

    EXPECT_EQ(lines(), (Lines{R"(sync r:a @41 |{"syncId":41)", "receipt m committed @40 "}));
}

TEST_F(LogicalMessages, AnnotateWhatWasWrittenBeforeThemInTheBatch) {
    insert("1", "a");
    auto wrong = say("walcast", R"({"mutationId":"m"})");
    insert("2", "a");
    commit();

    EXPECT_EQ(wrong, std::nullopt);
    EXPECT_EQ(lines(), (Lines{R"(sync r:a @41 ,"mutationId":"m"|{"syncId":41)",
                              R"(sync r:a @42 ,"mutationId":"m"|{"syncId":42)",
                              "receipt m committed @42 "}));
}

TEST_F(LogicalMessages, AreTooLateForWhatHasGone) {
    insert("1", "a");
    lines();
    auto wrong = say("walcast", R"({"mutationId":"m"})");
    commit();

    ASSERT_TRUE(wrong);
    EXPECT_NE(wrong->find("the first statement"), std::string::npos);
    EXPECT_EQ(lines(), Lines{"receipt m committed @41 "});
}

TEST_F(LogicalMessages, AnnotateBatchAfterBatchOfALongTransaction) {
    say("walcast", R"({"mutationId":"m"})");
    insert("1", "a");
    auto first = lines();
    insert("2", "b");
    commit();

    EXPECT_EQ(first, Lines{R"(sync r:a @41 ,"mutationId":"m"|{"syncId":41)"});
    EXPECT_EQ(lines(),
              (Lines{R"(sync r:b @42 ,"mutationId":"m"|{"syncId":42)",
                     R"(progress r:a @42 ,"mutationId":"m"|)", "receipt m committed @42 "}));
}

TEST_F(LogicalMessages, TellTheEndToThoseWhoWaitForIt) {
    say("walcast", R"({"mutationId":"m","channels":["r:a","elsewhere"]})");
    insert("1", "a");
    commit();

    EXPECT_EQ(lines(),
              (Lines{R"(sync r:a @41 ,"mutationId":"m"|{"syncId":41)",
                     R"(progress elsewhere @41 ,"mutationId":"m"|)", "receipt m committed @41 "}));
}

TEST_F(LogicalMessages, TellTheEndWhereItsLastChangeWentElsewhere) {
    say("walcast", R"({"mutationId":"m"})");
    insert("1", "a");
    skip_id();
    commit();

    EXPECT_EQ(lines(),
              (Lines{R"(sync r:a @41 ,"mutationId":"m"|{"syncId":41)",
                     R"(progress r:a @42 ,"mutationId":"m"|)", "receipt m committed @42 "}));
}

TEST_F(LogicalMessages, TellTheEndToThoseWhoHeardBeforeARestart) {
    auto begin_again = [&] {
        say("walcast", R"({"mutationId":"m"})");
        insert("1", "a");
        say("walcast:event", R"({"channel":"e","name":"x"})");
        insert("2", "b");
    };
    begin_again();
    restart();
    begin_again();
    insert("3", "b");
    commit();

    auto found = lines();
    std::sort(found.begin() + 1, found.end());
    EXPECT_EQ(found, (Lines{R"(sync r:b @44 ,"mutationId":"m"|{"syncId":44)",
                            R"(progress e @44 ,"mutationId":"m"|)",
                            R"(progress r:a @44 ,"mutationId":"m"|)", "receipt m committed @44 "}));
}

// They are one command to Redis.
TEST_F(LogicalMessages, TellManyTheEndInFewBytes) {
    auto said = R"("u":")" + std::string(4000, 'x') + '"';
    say("walcast", R"({"mutationId":"m",)" + said + "}");
    for (auto i = 0; i < 300; ++i)
        insert(fmt::format("{}", i).c_str(), fmt::format("{}", i).c_str());
    lines();
    commit();

    auto found = lines();
    ASSERT_EQ(found.size(), 300U);
    for (std::size_t i = 0; i + 1 < found.size(); ++i) {
        EXPECT_TRUE(found[i].starts_with("progress r:")) << found[i];
        EXPECT_TRUE(found[i].ends_with(R"( @340 ,"mutationId":"m"|)")) << found[i];
    }
}

TEST_F(LogicalMessages, TellNoMoreThanAMebibyteOfNamesTheEnd) {
    say("walcast", R"({"mutationId":"m"})");
    std::string room(1000, 'x');
    for (auto i = 0; i < 2000; ++i) {
        insert(fmt::format("{}", i).c_str(), fmt::format("{}{}", room, i).c_str());
        if (builder.is_full()) builder.take({});
    }
    builder.take({});
    commit();

    auto count = lines().size();
    EXPECT_GT(count, 1000U);
    EXPECT_LT(count, 1060U);
}

TEST_F(LogicalMessages, GiveAReceiptWhereNoRowWasRouted) {
    say("walcast", R"({"mutationId":"m"})");
    commit();

    EXPECT_FALSE(builder.is_empty());
    EXPECT_EQ(lines(), Lines{"receipt m committed @40 "});
}

TEST_F(LogicalMessages, OfACoveredTransactionAreDone) {
    numbering = Numbering({.epoch = "e", .sync_id = 40, .lsn = Lsn{900}, .partial = std::nullopt});
    begin();
    say("walcast", R"({"mutationId":"m"})");
    say("walcast:event", R"({"channel":"a"})");
    commit();

    EXPECT_TRUE(builder.is_empty());
}

TEST_F(LogicalMessages, ThatAreWrongAnnotateNothing) {
    auto wrong = say("walcast", R"({"sync":1})");
    insert("1", "a");
    commit();

    ASSERT_TRUE(wrong);
    EXPECT_EQ(lines(), Lines{R"(sync r:a @41 |{"syncId":41)"});
}

TEST_F(LogicalMessages, OutsideATransactionHaveNothingToAnnotate) {
    commit();
    auto wrong = say("walcast", R"({"mutationId":"m"})", false, Lsn{310});

    ASSERT_TRUE(wrong);
    EXPECT_TRUE(builder.is_empty());
    EXPECT_EQ(numbering.position().lsn, Lsn{310});
}

TEST_F(LogicalMessages, OfOtherPrefixesMeanNothing) {
    EXPECT_EQ(say("other", "x"), std::nullopt);
    EXPECT_EQ(say("walcast:events", "x"), std::nullopt);
    commit();
    EXPECT_EQ(say("other", "x", false, Lsn{310}), std::nullopt);

    EXPECT_TRUE(builder.is_empty());
    EXPECT_EQ(numbering.position().sync_id, 40U);
    EXPECT_EQ(numbering.position().lsn, Lsn{310});
}

// --- events ---

TEST_F(LogicalMessages, PublishEventsInTheirPlace) {
    insert("1", "a");
    say("walcast:event", R"({"channel":"r:a","name":"hello","data":[1]})");
    insert("2", "a");
    commit();

    EXPECT_EQ(lines(),
              (Lines{R"(sync r:a @41 |{"syncId":41)", R"(event r:a @42 |"name":"hello","data":[1])",
                     R"(sync r:a @43 |{"syncId":43)"}));
}

TEST_F(LogicalMessages, GiveEventsTheMutationOfTheirTransaction) {
    say("walcast", R"({"mutationId":"m","userId":"u1"})");
    say("walcast:event", R"({"channel":"a","name":"x"})");
    say("walcast:event", R"({"channel":"a","name":"y","mutationId":"n"})");
    commit();

    EXPECT_EQ(lines(), (Lines{R"(event a @41 ,"mutationId":"m","userId":"u1"|"name":"x")",
                              R"(event a @42 ,"mutationId":"n","userId":"u1"|"name":"y")",
                              "receipt m committed @42 ", "receipt n committed @42 "}));
}

TEST_F(LogicalMessages, GiveEventsWhatIsSaidOfTheirTransactionLater) {
    say("walcast", R"({"userId":"u1"})");
    say("walcast:event", R"({"channel":"a","name":"x"})");
    say("walcast:event", R"({"channel":"a","name":"y","mutationId":"n"})");
    say("walcast", R"({"mutationId":"m"})");
    commit();

    EXPECT_EQ(lines(), (Lines{R"(event a @41 ,"mutationId":"m","userId":"u1"|"name":"x")",
                              R"(event a @42 ,"mutationId":"n","userId":"u1"|"name":"y")",
                              "receipt m committed @42 ", "receipt n committed @42 "}));
}

TEST_F(LogicalMessages, RejectWhateverBecomesOfTheTransaction) {
    commit();
    say("walcast:event", R"({"mutationId":"m","rejected":true,"reason":"why","channel":"a"})",
        false, Lsn{310});

    EXPECT_EQ(lines(), (Lines{R"(event a @41 ,"mutationId":"m"|"reason":"why","rejected":true)",
                              R"(receipt m rejected @41 "why")"}));
    EXPECT_EQ(numbering.position().lsn, Lsn{310});
}

TEST_F(LogicalMessages, RejectWithoutAChannelByTheReceiptAlone) {
    commit();
    say("walcast:event", R"({"mutationId":"m","rejected":true})", false, Lsn{310});

    EXPECT_EQ(lines(), Lines{"receipt m rejected @41 "});
}

TEST_F(LogicalMessages, DoNotCommitWhatTheTransactionItselfRejects) {
    say("walcast", R"({"mutationId":"m"})");
    say("walcast:event", R"({"channel":"a","rejected":true})");
    commit();

    EXPECT_EQ(lines(), (Lines{R"(event a @41 ,"mutationId":"m"|"rejected":true)",
                              "receipt m rejected @41 "}));
}

TEST_F(LogicalMessages, GiveTheReceiptOfAnEventAtTheEndOfItsTransaction) {
    say("walcast:event", R"({"channel":"a","mutationId":"n"})");
    insert("1", "a");
    say("walcast:event", R"({"mutationId":"n"})");
    insert("2", "a");
    auto before = lines();
    commit();

    EXPECT_EQ(before.size(), 3U);
    EXPECT_EQ(lines(), Lines{"receipt n committed @44 "});
}

TEST_F(LogicalMessages, CommitNothingThatAnEventRejectsInTheSameTransaction) {
    say("walcast:event", R"({"mutationId":"m","rejected":true})");
    say("walcast", R"({"mutationId":"m"})");
    say("walcast:event", R"({"mutationId":"n"})");
    say("walcast:event", R"({"mutationId":"n","rejected":true})");
    say("walcast:event", R"({"mutationId":"n"})");
    insert("1", "a");
    commit();

    EXPECT_EQ(lines(), (Lines{R"(sync r:a @45 ,"mutationId":"m"|{"syncId":45)",
                              "receipt m rejected @41 ", "receipt n rejected @43 "}));
}

TEST_F(LogicalMessages, GiveReceiptsAtOnceOfWhatIsAboveAllThatIsKept) {
    constexpr auto kept = 4096;
    for (auto i = 0; i <= kept; ++i)
        say("walcast:event", fmt::format(R"({{"mutationId":"n{}"}})", i));
    auto before = lines();
    commit();

    EXPECT_EQ(before, Lines{"receipt n4096 committed @4137 "});
    auto found = lines();
    ASSERT_EQ(found.size(), std::size_t{kept});
    EXPECT_EQ(found[0], "receipt n0 committed @4137 ");
}

// Of what was sent before a restart only the position is left.
TEST_F(LogicalMessages, GiveReceiptsOfWhatWasSaidBeforeARestart) {
    auto begin_again = [&] {
        say("walcast:event", R"({"mutationId":"n"})");
        say("walcast:event", R"({"mutationId":"r","rejected":true})");
        say("walcast:event", R"({"mutationId":"wrong","rejected":1})");
        say("walcast:event", R"({"mutationId":"large","data":")" + std::string(1000, 'x') + "\"}");
    };
    begin_again();
    restart();
    begin_again();
    insert("1", "a");
    commit();

    EXPECT_EQ(lines(), (Lines{R"(sync r:a @45 |{"syncId":45)", "receipt n committed @45 "}));
}

TEST_F(LogicalMessages, DoNotCommitWhatTheTransactionHasRejectedBeforeARestart) {
    auto begin_again = [&] {
        say("walcast", R"({"mutationId":"m"})");
        say("walcast:event", R"({"channel":"a","rejected":true})");
    };
    begin_again();
    restart();
    begin_again();
    commit();

    EXPECT_EQ(lines(), Lines{R"(progress a @41 ,"mutationId":"m"|)"});
}

TEST_F(LogicalMessages, SetEventsAsideThatCannotBeRead) {
    auto contents = {R"({"channel":"walcast:control"})", R"({"channel":"walcast:receipt:m"})",
                     R"({"name":"nobody"})", R"({"rejected":true,"channel":"a"})", "\xff\n\xfe"};
    SyncId id = 40;
    for (const auto* content : contents) {
        EXPECT_TRUE(say("walcast:event", content)) << content;
        EXPECT_EQ(numbering.position().sync_id, ++id);
    }
    commit();

    auto found = lines();
    ASSERT_EQ(found.size(), contents.size());
    for (const auto& line : found) EXPECT_TRUE(line.starts_with("letter @")) << line;
    EXPECT_NE(found.back().find("\xff\n\xfe"), std::string::npos);
}

TEST_F(LogicalMessages, SetEventsAsideThatAreTooLarge) {
    auto data = std::string(900, 'x');
    auto event = [&](const std::string& channels, const std::string& text) {
        return say("walcast:event", R"({"channel":)" + channels + R"(,"data":")" + text + "\"}");
    };

    EXPECT_EQ(event(R"("a")", data), std::nullopt);
    EXPECT_EQ(event(R"(["a","b","c","d"])", data), std::nullopt);
    EXPECT_TRUE(event(R"(["a","b","c","d","e"])", data));
    EXPECT_TRUE(event(R"("a")", data + data));
}

}  // namespace walcast
