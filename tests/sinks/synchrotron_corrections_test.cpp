#include "sinks/synchrotron_corrections.hpp"

#include "tests/support/channel_messages.hpp"

#include <gtest/gtest.h>

namespace walcast {

static const OutputSettings output{.envelope = EnvelopeKind::synchrotron, .is_correcting = true};

// What comes of messages of one transaction.
template <typename... Messages>
static Lines wrapped(const Messages&... messages) {
    Published published;
    SynchrotronCorrections corrections(output);
    (corrections.wrap(messages, published), ...);
    corrections.end_transaction(published);
    corrections.end_batch(published);
    return lines_of(published);
}

static bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

static OwnedMessage for_audience(std::string_view audience, std::vector<ActionView> actions) {
    auto message = message_of(std::move(actions));
    message.channel = audience;
    return message;
}

static ActionView note(Action action, SyncId id) {
    return {.sync_id = id,
            .action = action,
            .model = R"("notes")",
            .id = R"("n1")",
            .key = R"({"id":"n1"})"};
}

static ActionView edited(SyncId id = 1042) {
    auto action = note(Action::update, id);
    action.data_kind = DataKind::delta;
    action.data = R"({"title":"edited"})";
    action.reverse = R"({"title":"from psql"})";
    return action;
}

TEST(SynchrotronCorrections, PatchesWhatChangedAndHowToTakeItBack) {
    auto message = message_of({edited()});
    message.channel = "audience:user%3Au1";

    EXPECT_EQ(
        wrapped(message),
        Lines{R"(audience:user%3Au1 {"_tag":"Batch","caughtUp":true,"actions":[{)"
              R"("id":"01a1fc4c-5ae6-7000-8000-000000041200","server_ingest_id":null,)"
              R"("_tag":"_InternalCorrectionApply","user_id":null,"client_id":"agent:wal",)"
              R"("transaction_id":1042,)"
              R"("clock":{"timestamp":1795234224870,"vector":{"agent:wal":1042}},)"
              R"("clock_time_ms":1795234224870,"clock_counter":1042,)"
              R"("args":{"timestamp":1795234224870},"created_at":"2026-11-21T04:10:24.870Z",)"
              R"("server_ingested_at":"2026-11-21T04:10:24.870Z","synced":true}],"modifiedRows":[{)"
              R"("id":"01a1fc4c-5ae6-7000-8000-000000041201","table_name":"notes","row_id":"n1",)"
              R"("action_record_id":"01a1fc4c-5ae6-7000-8000-000000041200",)"
              R"("audience_key":"user:u1","operation":"UPDATE",)"
              R"("forward_patches":{"title":"edited"},"reverse_patches":{"title":"from psql"},)"
              R"("sequence":0}]})"});
}

TEST(SynchrotronCorrections, InsertsAndDeletesWholeRows) {
    auto made = note(Action::insert, 1041);
    made.data = R"({"id":"n1","title":"x"})";
    auto removed = note(Action::remove, 1043);
    removed.reverse = R"({"id":"n1","title":"y"})";

    auto lines = wrapped(message_of({made, removed}));

    ASSERT_EQ(lines.size(), 1U);
    EXPECT_NE(lines[0].find(R"("operation":"INSERT","forward_patches":{"id":"n1","title":"x"},)"
                            R"("reverse_patches":{},"sequence":0})"),
              std::string::npos)
        << lines[0];
    EXPECT_NE(lines[0].find(R"("operation":"DELETE","forward_patches":{},)"
                            R"("reverse_patches":{"id":"n1","title":"y"},"sequence":1})"),
              std::string::npos)
        << lines[0];
}

// A server whose clock went back must not have its writes replayed before earlier ones.
TEST(SynchrotronCorrections, TakeTheirTimeFromAClockThatDoesNotGoBack) {
    auto message = message_of({edited()});
    message.commit_time = some_time - 3600s;

    auto lines = wrapped(message);

    ASSERT_EQ(lines.size(), 1U);
    EXPECT_NE(lines[0].find(R"("clock_time_ms":1795234224870)"), std::string::npos) << lines[0];
}

TEST(SynchrotronCorrections, TellNothingThatCannotBeTakenBack) {
    auto full = note(Action::update, 1041);
    full.data = R"({"id":"n1"})";
    auto unknown = edited();
    unknown.reverse = {};
    auto removed = note(Action::remove, 1043);
    auto partly = note(Action::insert, 1044);
    partly.data = "{}";
    partly.omitted = R"(["body"])";

    EXPECT_EQ(wrapped(message_of({full, unknown, removed, partly})), Lines{});
    EXPECT_EQ(wrapped(event_of(R"(,"name":"x")")), Lines{});
    EXPECT_EQ(wrapped(message_of({full}), message_of({edited()})).size(), 1U);
}

TEST(SynchrotronCorrections, AreOneForATransaction) {
    auto lines = wrapped(message_of({edited(1042)}), message_of({edited(1044), edited(1046)}));

    ASSERT_EQ(lines.size(), 1U);
    EXPECT_TRUE(contains(lines[0], R"("actions":[{"id":"01a1fc4c-5ae6-7000-8000-000000041200",)"));
    EXPECT_TRUE(contains(lines[0], R"("clock_counter":1046,)")) << lines[0];
    for (const auto* last : {R"("sequence":0},{)", R"("sequence":1},{)", R"("sequence":2}]})"})
        EXPECT_TRUE(contains(lines[0], last)) << lines[0];
}

// What a batch has carried does not come again, and an agent that goes on in the midst of the
// transaction begins with the rest.
TEST(SynchrotronCorrections, AreSeveralForATransactionOfSeveralBatches) {
    Published published;
    SynchrotronCorrections corrections(output);
    corrections.wrap(message_of({edited(1042), edited(1044)}), published);
    corrections.end_batch(published);
    corrections.wrap(message_of({edited(1046)}), published);
    corrections.end_transaction(published);

    auto lines = lines_of(published);

    ASSERT_EQ(lines.size(), 2U);
    EXPECT_TRUE(contains(lines[0], R"("clock_counter":1044,)")) << lines[0];
    EXPECT_TRUE(contains(lines[1], R"("clock_counter":1046,)")) << lines[1];
    EXPECT_EQ(lines[1], wrapped(message_of({edited(1046)})).at(0));
}

// A client of both has one action with the rows of both, by the order of the changes.
TEST(SynchrotronCorrections, TellEachAudienceOfTheSameActionWithRowsOfItsOwn) {
    auto lines = wrapped(for_audience("audience:a", {edited(1042), edited(1044)}),
                         for_audience("audience:b", {edited(1042), edited(1044)}));

    ASSERT_EQ(lines.size(), 4U);
    auto expect_rows = [&](const std::string& line, const std::string& audience, int first) {
        EXPECT_TRUE(line.starts_with("audience:" + audience +
                                     R"( {"_tag":"Batch","caughtUp":false)"
                                     R"(,"actions":[{"id":"01a1fc4c-5ae6-7000-8000-000000041200")"))
            << line;
        for (const auto* change : {"412", "414"}) {
            EXPECT_TRUE(contains(line, R"({"id":"01a1fc4c-5ae6-7000-8000-0000000)" +
                                           std::string(change) + "0" + std::to_string(first) +
                                           "\",\"table_name\""))
                << line;
            auto sequence = first - 1 + (change == std::string("414") ? 2 : 0);
            EXPECT_TRUE(contains(line, "\"sequence\":" + std::to_string(sequence) + '}')) << line;
        }
    };
    expect_rows(lines[0], "a", 1);
    expect_rows(lines[1], "b", 2);
    const auto* end = R"({"_tag":"Batch","caughtUp":true,"actions":[],"modifiedRows":[]})";
    EXPECT_EQ(lines[2], std::string("audience:a ") + end);
    EXPECT_EQ(lines[3], std::string("audience:b ") + end);
}

static std::string operations(std::string_view line) {
    std::string found;
    for (auto at = line.find("\"operation\""); at != std::string_view::npos;
         at = line.find("\"operation\"", at + 1)) {
        auto end = line.find(",\"sequence\":", at);
        found += line.substr(at + 12, end - at - 12 + 13);
    }
    return found;
}

// The other's patch would find no row at a client of both.
TEST(SynchrotronCorrections, PutARowBackThatLeavesAnotherAudience) {
    auto removed = note(Action::remove, 1041);
    removed.reverse = R"({"id":"n1","title":"from psql","n":1})";

    auto kept = note(Action::update, 1042);  // As a row comes that leaves another channel.
    kept.data = R"({"id":"n1","title":"edited","n":1})";

    auto lines = wrapped(for_audience("audience:b", {kept}), for_audience("audience:a", {removed}));

    ASSERT_EQ(lines.size(), 4U);
    EXPECT_EQ(operations(lines[1]), R"("DELETE","forward_patches":{},"reverse_patches":)"
                                    R"({"id":"n1","title":"from psql","n":1},"sequence":0)");
    EXPECT_EQ(operations(lines[0]),
              R"("DELETE","forward_patches":{},"reverse_patches":)"
              R"({"id":"n1","title":"from psql","n":1},"sequence":1)"
              R"("INSERT","forward_patches":{"id":"n1","title":"edited","n":1},)"
              R"("reverse_patches":{},"sequence":2)");
}

// Taken back, the insert would delete the row at a client of both.
TEST(SynchrotronCorrections, PutARowBackThatEntersAnotherAudience) {
    auto made = note(Action::insert, 1042);
    made.data = R"({"id":"n1","title":"edited","n":1})";

    auto lines = wrapped(for_audience("audience:a", {made}),
                         for_audience("audience:b", {edited(1042), edited(1044)}));

    ASSERT_EQ(lines.size(), 4U);
    EXPECT_EQ(operations(lines[0]),
              R"("INSERT","forward_patches":{"id":"n1","title":"edited","n":1},)"
              R"("reverse_patches":{},"sequence":2)");
    EXPECT_EQ(operations(lines[1]),
              R"("DELETE","forward_patches":{},"reverse_patches":)"
              R"({"id":"n1","title":"from psql","n":1},"sequence":0)"
              R"("INSERT","forward_patches":{"id":"n1","title":"edited","n":1},)"
              R"("reverse_patches":{},"sequence":1)"
              R"("UPDATE","forward_patches":{"title":"edited"},"reverse_patches":)"
              R"({"title":"from psql"},"sequence":3)");
}

TEST(SynchrotronCorrections, NameTheAudienceAsItsColumnDoes) {
    for (const auto& [channel, key] : std::vector<std::pair<std::string, std::string>>{
             {"audience:a", "a"}, {"other", "other"}, {"audience:a%2Fb%", "a/b%"}}) {
        auto message = message_of({edited()});
        message.channel = channel;

        auto lines = wrapped(message);

        ASSERT_EQ(lines.size(), 1U);
        EXPECT_NE(lines[0].find("\"audience_key\":\"" + key + "\""), std::string::npos) << lines[0];
    }
}

}  // namespace walcast
