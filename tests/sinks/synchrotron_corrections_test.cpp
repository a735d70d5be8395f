#include "sinks/synchrotron_corrections.hpp"

#include "tests/support/channel_messages.hpp"

#include <gtest/gtest.h>

namespace walcast {

static const OutputSettings output{.envelope = EnvelopeKind::synchrotron, .is_correcting = true};

static Lines wrapped(const ChannelMessage& message) {
    Published published;
    SynchrotronCorrections(output).wrap(message, published);
    return lines_of(published);
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
              R"("id":"01a1fc4c-5ae6-7000-8000-0000000412ff","server_ingest_id":null,)"
              R"("_tag":"_InternalCorrectionApply","user_id":null,"client_id":"agent:wal",)"
              R"("transaction_id":1042,)"
              R"("clock":{"timestamp":1795234224870,"vector":{"agent:wal":1042}},)"
              R"("clock_time_ms":1795234224870,"clock_counter":1042,)"
              R"("args":{"timestamp":1795234224870},"created_at":"2026-11-21T04:10:24.870Z",)"
              R"("server_ingested_at":"2026-11-21T04:10:24.870Z","synced":true}],"modifiedRows":[{)"
              R"("id":"01a1fc4c-5ae6-7000-8000-000000041200","table_name":"notes","row_id":"n1",)"
              R"("action_record_id":"01a1fc4c-5ae6-7000-8000-0000000412ff",)"
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
