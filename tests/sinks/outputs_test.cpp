#include "sinks/outputs.hpp"

#include "tests/support/channel_messages.hpp"

#include <gtest/gtest.h>

namespace walcast {

namespace {

// A batch written by hand.
class BatchWriter {
public:
    BatchWriter& transaction(std::uint32_t xid, Timestamp time = some_time) {
        transaction_ = {.commit_lsn = Lsn{xid}, .xid = xid, .commit_time = time};
        return *this;
    }
    BatchWriter& add(SyncId id, std::string_view model, std::string_view data = "{}") {
        auto& message = begin(Message::Kind::sync, id);
        message.actions_begin = static_cast<std::uint32_t>(batch.actions.size());
        batch.actions.push_back({.sync_id = id,
                                 .model = put(model),
                                 .id = put("\"1\""),
                                 .data = put(data),
                                 .key = {batch.extras.size(), batch.extras.size() + 8}});
        batch.extras += R"({"id":1})";
        message.actions_end = message.actions_begin + 1;
        return *this;
    }
    BatchWriter& add_event(SyncId id, std::string_view fields) {
        auto& message = begin(Message::Kind::event, id);
        auto body = put(fields);
        message.body_begin = body.begin;
        message.body_end = body.end;
        return *this;
    }
    BatchWriter& add(SyncId id, Message::Kind kind) {
        begin(kind, id);
        return *this;
    }

    BatchWriter& miss(std::string_view channel) {
        batch.missed.push_back(put(channel));
        return *this;
    }

    Batch batch;

private:
    Message& begin(Message::Kind kind, SyncId id) {
        auto& message = batch.messages.emplace_back();
        message.kind = kind;
        message.last_sync_id = id;
        message.transaction = transaction_;
        return message;
    }
    Batch::Slice put(std::string_view text) {
        auto begin = batch.bytes.size();
        batch.bytes += text;
        return {begin, batch.bytes.size()};
    }

    TransactionInfo transaction_{.commit_lsn = Lsn{1}, .xid = 1, .commit_time = some_time};
};

Lines wrapped(Outputs& outputs, const Batch& batch) {
    outputs.begin_batch(batch);
    for (const auto& message : batch.messages) outputs.wrap(batch, message, "w:1");
    outputs.end_batch(batch);
    return lines_of(outputs.published());
}

Lines wrapped(Outputs& outputs, const BatchWriter& writer) {
    return wrapped(outputs, writer.batch);
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

const OutputSettings native{};
const OutputSettings ably{.envelope = EnvelopeKind::ably, .channel_before = "ably:"};
const OutputSettings chorus{.envelope = EnvelopeKind::chorus, .channel_before = "chorus:"};
const OutputSettings synchrotron{.envelope = EnvelopeKind::synchrotron};

constexpr auto* action_record = R"("action_records")";
constexpr auto* modified_row = R"("action_modified_rows")";

}  // namespace

TEST(Outputs, AreNativeWhereNothingIsSaid) {
    EXPECT_TRUE(Outputs({}).has_native());
    EXPECT_FALSE(Outputs({}).has_others());
    EXPECT_TRUE(Outputs({native}).has_native());
    EXPECT_FALSE(Outputs({native}).has_others());
    EXPECT_FALSE(Outputs({ably}).has_native());
    EXPECT_TRUE(Outputs({ably}).has_others());
    EXPECT_TRUE(Outputs({ably, native}).has_native());
}

TEST(Outputs, TellEachOfThemInOrder) {
    Outputs outputs({native, ably, {.channel_before = "copy:"}});

    auto lines = wrapped(outputs, BatchWriter().add(1, R"("Todo")").add(2, R"("Todo")"));

    ASSERT_EQ(lines.size(), 4U);
    EXPECT_TRUE(lines[0].starts_with(R"(ably:w:1 {"id":"1",)")) << lines[0];
    EXPECT_EQ(lines[1], "copy:w:1 =");
    EXPECT_TRUE(lines[2].starts_with(R"(ably:w:1 {"id":"2",)")) << lines[2];
    EXPECT_EQ(lines[3], "copy:w:1 =");
}

TEST(Outputs, TellOnlyOfTheirModels) {
    auto of_lists = ably;
    of_lists.models = {"List", "a\"b"};
    Outputs outputs({of_lists});

    auto lines =
        wrapped(outputs, BatchWriter().add(1, R"("Todo")").add(2, R"("List")").add(3, R"("a\"b")"));

    ASSERT_EQ(lines.size(), 2U);
    EXPECT_TRUE(contains(lines[0], R"("id":"2")"));
    EXPECT_TRUE(contains(lines[1], R"("id":"3")"));
}

TEST(Outputs, TellOfEventsWhateverTheirModels) {
    auto of_lists = ably;
    of_lists.models = {"List"};
    Outputs outputs({of_lists});

    EXPECT_EQ(wrapped(outputs, BatchWriter().add_event(4, R"(,"name":"x")")).size(), 1U);
}

// Of those no front end but our own knows what to do.
TEST(Outputs, TellNothingOfResetsAndProgress) {
    Outputs outputs({ably, chorus, synchrotron});
    using Kind = Message::Kind;

    EXPECT_EQ(
        wrapped(outputs,
                BatchWriter().add(1, Kind::reset).add(2, Kind::progress).add(3, Kind::dead_letter)),
        Lines{});
}

TEST(Outputs, KeepAClockThatDoesNotGoBack) {
    Outputs outputs({chorus});
    outputs.begin(some_time - 1h);

    auto lines = wrapped(outputs, BatchWriter()
                                      .add(1, R"("T")")
                                      .transaction(2, some_time - 2h)
                                      .add(2, R"("T")")
                                      .transaction(3, some_time + 1ms)
                                      .add(3, R"("T")"));

    ASSERT_EQ(lines.size(), 3U);
    EXPECT_TRUE(contains(lines[0], R"("id":"01a1fc4c-5ae6-7000-8000-000000000100")")) << lines[0];
    EXPECT_TRUE(contains(lines[1], R"("id":"01a1fc4c-5ae6-7000-8000-000000000200")")) << lines[1];
    EXPECT_TRUE(contains(lines[1], "\"created_at\":\"2026-11-21 02:10:24\"")) << lines[1];
    EXPECT_TRUE(contains(lines[2], R"("id":"01a1fc4c-5ae7-7000-8000-000000000300")")) << lines[2];
    EXPECT_EQ(outputs.clock(), some_time + 1ms);
}

// A start on a position goes on from the clock that stands there.
TEST(Outputs, GoOnFromAClock) {
    Outputs outputs({chorus});
    outputs.begin(some_time + 1ms);

    auto lines = wrapped(outputs, BatchWriter().add(1, R"("T")"));

    EXPECT_TRUE(contains(lines.at(0), R"("id":"01a1fc4c-5ae7-7000)")) << lines[0];
}

TEST(Outputs, GiveAnEventOutsideTransactionsTheClocksTime) {
    Outputs outputs({ably});
    outputs.begin(some_time);

    auto lines = wrapped(outputs, BatchWriter().transaction(0, {}).add_event(1, R"(,"name":"x")"));

    EXPECT_TRUE(contains(lines.at(0), R"("timestamp":1795234224870)")) << lines[0];
    EXPECT_EQ(outputs.clock(), some_time);
}

// --- transactions ---

TEST(Outputs, EndATransactionWhereTheNextBegins) {
    Outputs outputs({synchrotron});

    auto lines = wrapped(outputs, BatchWriter()
                                      .add(1, action_record, R"({"id":"a","synced":1})")
                                      .add(2, modified_row, R"({"action_record_id":"a"})")
                                      .transaction(2)
                                      .add(3, R"("Todo")"));

    EXPECT_EQ(lines,
              Lines{R"(w:1 {"_tag":"Batch","caughtUp":true,"actions":[{"id":"a","synced":1}],)"
                    R"("modifiedRows":[{"action_record_id":"a"}]})"});
}

TEST(Outputs, EndATransactionWithTheBatchThatHoldsItsEnd) {
    Outputs outputs({synchrotron});
    BatchWriter first;
    first.add(1, action_record, R"({"id":"a","synced":1})");
    first.batch.after.partial = PartialTransaction{.commit_lsn = Lsn{1}, .xid = 1};
    BatchWriter second;
    second.add(2, modified_row, R"({"action_record_id":"a"})");
    second.batch.before.partial = first.batch.after.partial;

    EXPECT_EQ(wrapped(outputs, first), Lines{});
    auto lines = wrapped(outputs, second);

    ASSERT_EQ(lines.size(), 1U);
    EXPECT_TRUE(contains(lines[0], R"("_tag":"Batch")")) << lines[0];
}

// A restart would begin behind the batch, and nobody can fetch corrections.
TEST(Outputs, KeepNoCorrectionsBackAtTheEndOfABatch) {
    Outputs outputs({{.envelope = EnvelopeKind::synchrotron, .is_correcting = true}});
    BatchWriter first;
    first.add(1, R"("notes")", R"({"id":1})").add(2, R"("notes")", R"({"id":2})");
    first.batch.after.partial = PartialTransaction{.commit_lsn = Lsn{1}, .xid = 1};
    BatchWriter second;
    second.add(3, R"("notes")", R"({"id":3})");
    second.batch.before.partial = first.batch.after.partial;
    second.transaction(2).add(4, R"("notes")", R"({"id":4})");

    EXPECT_EQ(wrapped(outputs, first).size(), 1U);
    EXPECT_EQ(wrapped(outputs, second).size(), 2U);
    outputs.begin({});
    EXPECT_EQ(wrapped(outputs, second).size(), 2U);
}

// A batch that holds nothing for them may still hold a transaction's end.
TEST(Outputs, EndATransactionWithABatchOfNothing) {
    Outputs outputs({synchrotron});
    BatchWriter first;
    first.add(1, action_record, R"({"id":"a"})")
        .add(2, modified_row, R"({"action_record_id":"a"})");
    first.batch.after.partial = PartialTransaction{.commit_lsn = Lsn{1}, .xid = 1};
    Batch second;
    second.before.partial = first.batch.after.partial;

    EXPECT_EQ(wrapped(outputs, first), Lines{});
    EXPECT_EQ(wrapped(outputs, second).size(), 1U);
}

// The next transaction may have begun, and hold nothing that anybody hears of so far.
TEST(Outputs, EndATransactionWithItsBatchWhateverHasBegunByThen) {
    Outputs outputs({synchrotron});
    BatchWriter writer;
    writer.add(1, action_record, R"({"id":"a"})")
        .add(2, modified_row, R"({"action_record_id":"a"})");
    writer.batch.after.partial = PartialTransaction{.commit_lsn = Lsn{2}, .xid = 2};

    EXPECT_EQ(wrapped(outputs, writer).size(), 1U);
}

TEST(Outputs, KnowThatSomeIsMissingOfATransactionBegunBefore) {
    Outputs outputs({synchrotron});
    BatchWriter writer;
    writer.batch.before.partial = PartialTransaction{.commit_lsn = Lsn{1}, .xid = 1};
    writer.add(1, action_record, R"({"id":"a"})")
        .add(2, modified_row, R"({"action_record_id":"a"})")
        .transaction(2)
        .add(3, action_record, R"({"id":"b"})")
        .add(4, modified_row, R"({"action_record_id":"b"})");

    auto lines = wrapped(outputs, writer);

    ASSERT_EQ(lines.size(), 2U);
    EXPECT_TRUE(contains(lines[0], "Wakeup")) << lines[0];
    EXPECT_TRUE(contains(lines[1], "Batch")) << lines[1];
}

// What was sent before a restart is passed over then; who heard of it is told by the agent.
TEST(Outputs, HaveThoseFetchWhoHeardOfATransactionBeforeARestart) {
    auto of_todos = synchrotron;
    of_todos.channel_before = "todos:";
    of_todos.models = {"Todo"};
    Outputs outputs({synchrotron, of_todos, ably});
    BatchWriter first;
    first.batch.before.partial = PartialTransaction{.commit_lsn = Lsn{1}, .xid = 1};
    first.batch.after.partial = first.batch.before.partial;
    first.miss("w:2").miss("w:3");
    BatchWriter second;
    second.batch.before.partial = first.batch.before.partial;
    second.miss("w:3").add(1, action_record, R"({"id":"a"})");

    EXPECT_EQ(wrapped(outputs, first), (Lines{R"(w:2 {"_tag":"Wakeup","caughtUp":true})",
                                              R"(w:3 {"_tag":"Wakeup","caughtUp":true})"}));
    auto lines = wrapped(outputs, second);

    ASSERT_EQ(lines.size(), 1U);  // Once is enough; what is left has no audience.
    EXPECT_TRUE(lines[0].starts_with("ably:")) << lines[0];
}

// After a reconnect the same batches come again, as far as they are not in.
TEST(Outputs, ForgetWhatTheyKnewWhenTheyBeginAnew) {
    Outputs outputs({synchrotron});
    BatchWriter first;
    first.add(1, action_record, R"({"id":"a"})")
        .add(2, modified_row, R"({"action_record_id":"a"})");
    first.batch.after.partial = PartialTransaction{.commit_lsn = Lsn{1}, .xid = 1};
    wrapped(outputs, first);

    outputs.begin({});
    EXPECT_EQ(wrapped(outputs, first), Lines{});
    Batch second;
    second.before.partial = first.batch.after.partial;
    EXPECT_EQ(wrapped(outputs, second).size(), 1U);

    outputs.begin({});
    EXPECT_EQ(wrapped(outputs, second), Lines{});
}

TEST(Outputs, KnowThatSomeIsMissingAfterARowThatCouldNotBeWritten) {
    Outputs outputs({synchrotron});

    auto lines = wrapped(outputs, BatchWriter()
                                      .add(1, Message::Kind::dead_letter)
                                      .add(2, action_record, R"({"id":"a"})")
                                      .add(3, modified_row, R"({"action_record_id":"a"})"));

    ASSERT_EQ(lines.size(), 1U);
    EXPECT_TRUE(contains(lines[0], "Wakeup")) << lines[0];
}

}  // namespace walcast
