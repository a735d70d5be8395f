#include "sinks/chorus_envelope.hpp"

#include "tests/support/channel_messages.hpp"

#include <gtest/gtest.h>

namespace walcast {

static const OutputSettings output{.envelope = EnvelopeKind::chorus,
                                   .channel_before = "laravel_database_private-"};

static Lines wrapped(const ChannelMessage& message) {
    Published published;
    ChorusEnvelope(output).wrap(message, published);
    return lines_of(published);
}

// Of 2026-11-21T04:10:24.870Z, and the sync ids 1041 and so on.
static std::string harmonic(const std::string& rest, const std::string& id = "000000041100") {
    return "laravel_database_private-w:1 "
           R"({"event":"harmonic.created","socket":null,"data":{"id":"01a1fc4c-5ae6-7000-8000-)" +
           id + R"(",)" + rest + "}}";
}

TEST(ChorusEnvelope, MakesAHarmonicOfEachActionWithItsDataAsText) {
    EXPECT_EQ(wrapped(message_of({insert_action(), update_action(), delete_action()})),
              (Lines{
                  harmonic(R"("table_name":"Todo","record_id":"t1","operation":"create",)"
                           R"("data":"{\"id\":\"t1\",\"title\":\"Buy \\\"oat\\\" milk\"}",)"
                           R"("user_id":null,"created_at":"2026-11-21 04:10:24")"),
                  harmonic(R"("table_name":"Todo","record_id":"t1","operation":"update",)"
                           R"("data":"{\"id\":\"t1\",\"title\":\"Buy \\\"oat\\\" milk\"}",)"
                           R"("user_id":null,"created_at":"2026-11-21 04:10:24")",
                           "000000041200"),
                  harmonic(R"("table_name":"Todo","record_id":"t1","operation":"delete",)"
                           R"("data":"{\"id\":\"t1\"}",)"
                           R"("user_id":null,"created_at":"2026-11-21 04:10:24")",
                           "000000041300"),
              }));
}

TEST(ChorusEnvelope, NamesTheRecordByAValueOfTheSameTypeAsInTheData) {
    auto removed = delete_action(1041);
    removed.id = R"("7")";
    removed.key = R"({"id":7})";

    EXPECT_EQ(wrapped(message_of({removed})),
              Lines{harmonic(R"("table_name":"Todo","record_id":7,"operation":"delete",)"
                             R"("data":"{\"id\":7}","user_id":null,)"
                             R"("created_at":"2026-11-21 04:10:24")")});
}

TEST(ChorusEnvelope, NamesTheRecordByItsModelIdWhereSeveralColumnsMakeIt) {
    auto removed = delete_action(1041);
    removed.id = R"("7,8")";
    removed.key = R"({"list":7,"place":8})";

    EXPECT_EQ(wrapped(message_of({removed})),
              Lines{harmonic(R"("table_name":"Todo","record_id":"7,8","operation":"delete",)"
                             R"("data":"{\"list\":7,\"place\":8}","user_id":null,)"
                             R"("created_at":"2026-11-21 04:10:24")")});
}

// Its client would lose the fields that are not there.
TEST(ChorusEnvelope, TellsNothingOfARowThatIsNotWhole) {
    auto unchanged = update_action();
    unchanged.unchanged = R"(["body"])";
    auto omitted = insert_action();
    omitted.omitted = R"(["body"])";
    auto delta = update_action();
    delta.data_kind = DataKind::delta;
    auto patch = update_action();
    patch.data_kind = DataKind::patch;

    EXPECT_EQ(wrapped(message_of({unchanged, omitted, delta, patch})), Lines{});
}

TEST(ChorusEnvelope, GivesTwoHarmonicsOfOneChangeTwoIdsInOrder) {
    auto second = insert_action();
    second.ordinal = 1;
    second.model = R"("Item")";

    auto lines = wrapped(message_of({insert_action(), second}));

    ASSERT_EQ(lines.size(), 2U);
    EXPECT_NE(lines[0].find("-000000041100\""), std::string::npos) << lines[0];
    EXPECT_NE(lines[1].find("-000000041101\""), std::string::npos) << lines[1];
}

// The server's clock went back: ids still rise.
TEST(ChorusEnvelope, TakesIdsFromAClockThatDoesNotGoBack) {
    auto message = message_of({insert_action()});
    message.commit_time = some_time - 3600s;

    auto lines = wrapped(message);

    ASSERT_EQ(lines.size(), 1U);
    EXPECT_NE(lines[0].find("\"id\":\"01a1fc4c-5ae6-"), std::string::npos) << lines[0];
    EXPECT_NE(lines[0].find("\"created_at\":\"2026-11-21 03:10:24\""), std::string::npos);
}

TEST(ChorusEnvelope, RejectsAChangeOfOneRecord) {
    EXPECT_EQ(wrapped(event_of(R"(,"data":{"id":"t9","title":""},"reason":"title is required",)"
                               R"("headers":{"table":"todos","recordId":"t9","operation":"update",)"
                               R"("userId":1},"rejected":true)")),
              Lines{harmonic(R"("table_name":"todos","record_id":"t9","operation":"update",)"
                             R"("data":"{\"id\":\"t9\",\"title\":\"\"}","user_id":1,)"
                             R"("created_at":"2026-11-21 04:10:24","rejected":true,)"
                             R"("rejected_reason":"title is required")",
                             "000000041400")});
}

TEST(ChorusEnvelope, FindsTheRejectedRecordInTheDataToo) {
    EXPECT_EQ(wrapped(event_of(R"(,"data":{"table":"todos","recordId":9},"rejected":true)")),
              Lines{harmonic(R"("table_name":"todos","record_id":9,"operation":"create",)"
                             R"("data":"{\"table\":\"todos\",\"recordId\":9}","user_id":null,)"
                             R"("created_at":"2026-11-21 04:10:24","rejected":true,)"
                             R"("rejected_reason":null)",
                             "000000041400")});
}

TEST(ChorusEnvelope, RejectsWithTheRecordsIdWhereThereIsNoData) {
    auto lines =
        wrapped(event_of(R"(,"headers":{"table":"todos","recordId":"t9"},"rejected":true)"));

    ASSERT_EQ(lines.size(), 1U);
    EXPECT_NE(lines[0].find(R"("data":"{\"id\":\"t9\"}")"), std::string::npos) << lines[0];
}

// With nulls there, as its own server sends, the client's change would be pending for ever.
TEST(ChorusEnvelope, TellsNothingOfOtherEvents) {
    EXPECT_EQ(wrapped(event_of(R"(,"name":"typing","data":{"table":"t","recordId":"1"})")),
              Lines{});
    EXPECT_EQ(wrapped(event_of(R"(,"rejected":true)")), Lines{});
    EXPECT_EQ(wrapped(event_of(R"(,"headers":{"table":"todos"},"rejected":true)")), Lines{});
    EXPECT_EQ(wrapped(event_of(R"(,"headers":{"table":7,"recordId":7},"rejected":true)")), Lines{});
}

}  // namespace walcast
