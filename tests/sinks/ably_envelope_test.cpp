#include "sinks/ably_envelope.hpp"

#include "tests/support/channel_messages.hpp"

#include <gtest/gtest.h>

namespace walcast {

static Lines wrapped(const ChannelMessage& message, const std::string& name = "{model}.{action}") {
    OutputSettings output{.envelope = EnvelopeKind::ably, .channel_before = "ably:", .name = name};
    Published published;
    AblyEnvelope(output).wrap(message, published);
    return lines_of(published);
}

// An id and name, the data, and what follows the mutation's id.
static std::string ably(const std::string& id, const std::string& rest, const std::string& mutation,
                        const std::string& more = "") {
    return R"(ably:w:1 {"id":")" + id + R"(",)" + rest +
           R"(,"timestamp":1795234224870,"extras":{"headers":{"x-ably-models-event-uuid":")" +
           mutation + "\"" + more + "}}}";
}

static const std::string row = R"({"id":"t1","title":"Buy \"oat\" milk"})";

TEST(AblyEnvelope, MakesAMessageOfEachActionWithItsOwnId) {
    EXPECT_EQ(wrapped(message_of({insert_action(), update_action(), delete_action()})),
              (Lines{ably("1041", R"("name":"Todo.insert","data":)" + row, "sync:1041"),
                     ably("1042", R"("name":"Todo.update","data":)" + row, "sync:1042"),
                     ably("1043", R"("name":"Todo.delete","data":{"id":"t1"})", "sync:1043")}));
}

// Which the SDK demands of every message.
TEST(AblyEnvelope, BearsTheMutationOfItsTransaction) {
    auto message = message_of({insert_action()});
    message.annotations = R"(,"mutationId":"m-\"71\"","userId":"u1")";

    EXPECT_EQ(wrapped(message),
              Lines{ably("1041", R"("name":"Todo.insert","data":)" + row, R"(m-\"71\")")});
}

// What is merged otherwise has another name; without a row around them changes need its key.
TEST(AblyEnvelope, NamesDeltasAndPatches) {
    auto delta = update_action(1041);
    delta.data_kind = DataKind::delta;
    delta.data = R"({"title":"x"})";
    auto patch = update_action(1042);
    patch.data_kind = DataKind::patch;
    patch.data = R"([{"op":"add","path":"/title","value":"x"}])";

    EXPECT_EQ(
        wrapped(message_of({delta, patch})),
        (Lines{ably("1041", R"("name":"Todo.changed","data":{"id":"t1","changes":{"title":"x"}})",
                    "sync:1041"),
               ably("1042",
                    R"("name":"Todo.patched","data":)"
                    R"([{"op":"add","path":"/title","value":"x"}])",
                    "sync:1042")}));
}

TEST(AblyEnvelope, SaysWhatTheDataLacks) {
    auto action = update_action(1041);
    action.unchanged = R"(["body"])";
    action.omitted = R"(["photo"])";

    EXPECT_EQ(
        wrapped(message_of({action})),
        Lines{ably("1041", R"("name":"Todo.update","data":)" + row, "sync:1041",
                   R"(,"x-walcast-unchanged":"[\"body\"]","x-walcast-omitted":"[\"photo\"]")")});
}

TEST(AblyEnvelope, NamesMessagesByATemplate) {
    auto action = insert_action();
    action.id = R"("a\"b")";

    auto lines = wrapped(message_of({action}), R"(x"{action}/{model}:{id}!)");

    EXPECT_EQ(lines,
              Lines{ably("1041", R"("name":"x\"insert/Todo:a\"b!","data":)" + row, "sync:1041")});
}

TEST(AblyEnvelope, RefusesNamesOfUnknownParts) {
    EXPECT_EQ(mistake_of_name("{model}.{action}.{id}"), "");
    EXPECT_EQ(mistake_of_name("changed"), "");
    for (const auto* wrong : {"", "{modell}", "{", "}", "{model}}", "{}", "{model} {action"})
        EXPECT_NE(mistake_of_name(wrong), "") << wrong;
}

TEST(AblyEnvelope, PassesEventsOnAsTheyAre) {
    auto message =
        event_of(R"(,"name":"note.added","data":{"a":[1]},"headers":{"x-trace":"7","kind":"b"})");
    message.annotations = R"(,"mutationId":"m-72")";

    EXPECT_EQ(wrapped(message), Lines{ably("1044", R"("name":"note.added","data":{"a":[1]})",
                                           "m-72", R"(,"x-trace":"7","kind":"b")")});
}

TEST(AblyEnvelope, RejectsByAHeader) {
    auto message = event_of(R"(,"name":"Todo.update","reason":"no title","rejected":true)");
    message.annotations = R"(,"mutationId":"m-73")";

    EXPECT_EQ(wrapped(message), Lines{ably("1044", R"("name":"Todo.update","data":null)", "m-73",
                                           R"(,"x-ably-models-reject":"true")")});
}

// As the database connector numbers them. What has no such number is not told.
TEST(AblyEnvelope, TakesItsIdsFromTheOutboxWhereItIsToTellOfThatAlone) {
    AblyEnvelope envelope(
        {.envelope = EnvelopeKind::ably, .channel_before = "ably:", .has_sequence_ids = true});
    Published published;
    envelope.wrap(message_of({insert_action()}), published);
    envelope.wrap(event_of(R"(,"name":"note.added","data":1)"), published);
    envelope.wrap(event_of(R"(,"sequenceId":"7","name":"note.added","data":1)"), published);

    EXPECT_EQ(lines_of(published),
              Lines{ably("7", R"("name":"note.added","data":1)", "sync:1044")});
    EXPECT_EQ(wrapped(event_of(R"(,"sequenceId":"7","name":"note.added","data":1)")),
              Lines{ably("1044", R"("name":"note.added","data":1)", "sync:1044")});
}

TEST(AblyEnvelope, TakesTheMutationFromTheHeadersWhereNothingElseTells) {
    auto message = event_of(R"(,"data":1,"headers":{"x-ably-models-event-uuid":"h-1"})");

    EXPECT_EQ(wrapped(message), Lines{ably("1044", R"("data":1)", "h-1")});

    message.annotations = R"(,"mutationId":"m-1")";
    EXPECT_EQ(wrapped(message), Lines{ably("1044", R"("data":1)", "m-1")});

    EXPECT_EQ(wrapped(event_of(R"(,"data":1)")), Lines{ably("1044", R"("data":1)", "sync:1044")});
}

}  // namespace walcast
