#include "decoders/pgoutput_streaming.hpp"

#include "decoders/pgoutput.hpp"
#include "tests/support/bytes.hpp"
#include "tests/support/pgoutput_messages.hpp"

#include <gtest/gtest.h>

namespace walcast {

using Whole = PgoutputStreaming::Whole;
using Boundary = PgoutputStreaming::Boundary;
using Part = PgoutputStreaming::Part;
using Abort = PgoutputStreaming::Abort;
using StreamCommit = PgoutputStreaming::Commit;

// The vectors of reference/pgoutput.md, section 3.1, in the order of a stream.
namespace vector {
static const auto stream_start = from_hex("53 00004cbc 01");
static const auto stream_stop = from_hex("45");
static const auto relation = from_hex(
    "52 00004cbc 00004293 7300 6600 66 0002 01 696400 00000017 ffffffff 01 6100 00000019"
    "ffffffff");
static const auto insert = from_hex("49 00004cbc 00004293 4e 0002 74 00000001 37 74 00000001 73");
static const auto sub_insert =
    from_hex("49 00004cbd 00004293 4e 0002 74 00000001 37 74 00000001 73");
static const auto truncate = from_hex("54 00004cbe 00000001 00 00004293");
static const auto message = from_hex("4d 00004cbc 01 00000000088f8de0 707800 00000002 696e");
static const auto parallel_abort = from_hex(
    "41 00004cbc 00004cbd 00000000088f8560"
    "000303c0c337337d");
static const auto abort = from_hex("41 00004cbf 00004cc0");
static const auto commit =
    from_hex("63 00004cbc 00 00000000088f8de0 00000000088f8ef8 000303c0c3373585");
static const auto prepare =
    from_hex("70 00 00000000088f9980 00000000088f9a78 000303c0c371a6a3 00004cc2 673300");
}  // namespace vector

static PgoutputStreaming in_block() {
    PgoutputStreaming streaming;
    streaming.sort(vector::stream_start);
    return streaming;
}

static Part part_of(const std::string& message) {
    return std::get<Part>(in_block().sort(message));
}

TEST(PgoutputStreaming, TakesTheXidOutOfABlocksMessages) {
    auto part = part_of(vector::insert);

    EXPECT_EQ(part.xid, 19644U);
    EXPECT_EQ(part.subxid, 19644U);
    EXPECT_EQ(part.kind, 'I');
    EXPECT_EQ(part.body, from_hex("00004293 4e 0002 74 00000001 37 74 00000001 73"));
}

TEST(PgoutputStreaming, TellsWhichSubtransactionMadeAChange) {
    EXPECT_EQ(part_of(vector::sub_insert).xid, 19644U);
    EXPECT_EQ(part_of(vector::sub_insert).subxid, 19645U);
    EXPECT_EQ(part_of(vector::truncate).subxid, 19646U);
}

TEST(PgoutputStreaming, GivesMessagesAsOfTheTransactionItself) {
    auto part = part_of(vector::message);

    EXPECT_EQ(part.subxid, 19644U);
    EXPECT_EQ(part.body, from_hex("01 00000000088f8de0 707800 00000002 696e"));
}

TEST(PgoutputStreaming, LeavesAloneWhatIsWhole) {
    PgoutputStreaming streaming;
    for (const auto& message :
         {begin_message(), insert_message(1, {text("7")}), commit_message(),
          logical_message(Placement::alone, Lsn{0x900}, "walcast", "{}"), std::string{}})
        EXPECT_TRUE(std::holds_alternative<Whole>(streaming.sort(message)));
}

TEST(PgoutputStreaming, KnowsBlocksByTheirBounds) {
    PgoutputStreaming streaming;
    EXPECT_TRUE(std::holds_alternative<Boundary>(streaming.sort(vector::stream_start)));
    EXPECT_TRUE(std::holds_alternative<Part>(streaming.sort(vector::insert)));
    EXPECT_TRUE(std::holds_alternative<Boundary>(streaming.sort(vector::stream_stop)));
    EXPECT_TRUE(std::holds_alternative<Whole>(streaming.sort(begin_message())));
    EXPECT_THROW(streaming.sort(vector::stream_stop), DecodeError);
}

TEST(PgoutputStreaming, ReadsAbortsOfBothLayouts) {
    PgoutputStreaming streaming;
    auto parallel = std::get<Abort>(streaming.sort(vector::parallel_abort));
    EXPECT_EQ(parallel.xid, 19644U);
    EXPECT_EQ(parallel.subxid, 19645U);
    auto plain = std::get<Abort>(streaming.sort(vector::abort));
    EXPECT_EQ(plain.xid, 19647U);
    EXPECT_EQ(plain.subxid, 19648U);
}

TEST(PgoutputStreaming, RefusesWhatDoesNotBelongIntoABlock) {
    for (const auto& message : {vector::stream_start, vector::commit, vector::abort,
                                vector::prepare, begin_message(), std::string{}})
        EXPECT_THROW(in_block().sort(message), DecodeError);
    EXPECT_THROW(PgoutputStreaming().sort(vector::prepare), DecodeError);
    auto of_another = vector::message;
    of_another[4] = 0;
    EXPECT_THROW(in_block().sort(of_another), DecodeError);
}

TEST(PgoutputStreaming, RefusesMessagesCutAtAnyByte) {
    for (const auto& message : {vector::stream_start, vector::commit, vector::abort}) {
        for (std::size_t size = 1; size < message.size(); ++size)
            EXPECT_THROW(PgoutputStreaming().sort(message.substr(0, size)), DecodeError);
        EXPECT_THROW(PgoutputStreaming().sort(message + 'x'), DecodeError);
    }
    for (std::size_t size = 0; size < 5; ++size)
        EXPECT_THROW(in_block().sort(vector::insert.substr(0, size)), DecodeError);
}

// The table was renamed while a transaction that knows its old name was in progress.
TEST(PgoutputStreaming, TellsWhichDescriptionsAreNewerThanTheTransactionS) {
    auto renamed = Bytes().kind('R').u32(0x4293).string("s2").string("f").kind('f').u16(0).str();
    PgoutputStreaming streaming;
    for (const auto& message : {vector::stream_start, vector::relation, vector::stream_stop})
        streaming.sort(message);
    streaming.sort(renamed);

    auto commit = std::get<StreamCommit>(streaming.sort(vector::commit));

    EXPECT_EQ(commit.newer_relations, std::vector<std::string>{renamed});
}

TEST(PgoutputStreaming, TakesTheTransactionsDescriptionsWhereTheyAreTheLast) {
    auto before = Bytes().kind('R').u32(0x4293).string("s0").string("f").kind('f').u16(0).str();
    PgoutputStreaming streaming;
    streaming.sort(before);
    for (const auto& message : {vector::stream_start, vector::relation, vector::stream_stop})
        streaming.sort(message);

    EXPECT_TRUE(std::get<StreamCommit>(streaming.sort(vector::commit)).newer_relations.empty());
}

// What a position inside a transaction rests on: whole or in progress, it is the same bytes.
TEST(PgoutputStreaming, MakesATransactionInProgressAWholeOne) {
    PgoutputStreaming streaming;
    PgoutputDecoder decoder;
    auto commit = std::get<StreamCommit>(streaming.sort(vector::commit));
    streaming.sort(vector::stream_start);

    auto begin_bytes = commit.begin_message();
    auto begin = std::get<Begin>(decoder.decode(begin_bytes)[0]);
    for (const auto& message : {vector::relation, vector::insert}) {
        auto part = std::get<Part>(streaming.sort(message));
        std::string whole = part.kind + std::string(part.body);
        EXPECT_EQ(decoder.decode(whole).size(), 1U);
    }
    auto commit_bytes = commit.commit_message();
    auto end = std::get<walcast::Commit>(decoder.decode(commit_bytes)[0]);

    EXPECT_EQ(begin.transaction.xid, 19644U);
    EXPECT_EQ(begin.transaction.commit_lsn, Lsn{0x88F8DE0});
    EXPECT_EQ(begin.transaction.commit_time.time_since_epoch().count(),
              0x000303C0C3373585 + 946'684'800'000'000);
    EXPECT_EQ(end.end_lsn, Lsn{0x88F8EF8});
}

}  // namespace walcast
