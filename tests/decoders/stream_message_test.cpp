#include "decoders/stream_message.hpp"

#include "decoders/byte_reader.hpp"
#include "tests/support/bytes.hpp"

#include <gtest/gtest.h>

namespace walcast {

using namespace std::chrono_literals;

static std::string wal_data(std::string_view payload) {
    return Bytes().kind('w').u64(1).u64(2).u64(3).raw(payload).str();
}

static std::string keepalive(std::uint64_t wal_end, std::uint8_t is_reply_requested) {
    return Bytes().kind('k').u64(wal_end).u64(3).u8(is_reply_requested).str();
}

TEST(StreamMessage, GivesThePayloadOfWalDataAsAView) {
    auto frame = wal_data("Bxyz");

    auto message = read_stream_message(frame);

    const auto& data = std::get<WalData>(message);
    EXPECT_EQ(data.payload, "Bxyz");
    EXPECT_EQ(data.payload.data(), frame.data() + 25);
}

TEST(StreamMessage, GivesAnEmptyPayloadWhereThereIsNone) {
    auto message = read_stream_message(wal_data(""));

    EXPECT_EQ(std::get<WalData>(message).payload, "");
}

TEST(StreamMessage, ReadsAKeepalive) {
    auto message = read_stream_message(keepalive(0x16'B374D848, 0));

    const auto& found = std::get<Keepalive>(message);
    EXPECT_EQ(found.wal_end, Lsn{0x16'B374D848});
    EXPECT_FALSE(found.is_reply_requested);
}

TEST(StreamMessage, TellsWhenTheServerWantsAnAnswer) {
    auto message = read_stream_message(keepalive(1, 1));

    EXPECT_TRUE(std::get<Keepalive>(message).is_reply_requested);
}

TEST(StreamMessage, RefusesAHeaderCutAtEveryByte) {
    auto data = wal_data("");
    auto alive = keepalive(1, 1);

    for (std::size_t size = 0; size < data.size(); ++size)
        EXPECT_THROW(read_stream_message(data.substr(0, size)), DecodeError) << size;
    for (std::size_t size = 0; size < alive.size(); ++size)
        EXPECT_THROW(read_stream_message(alive.substr(0, size)), DecodeError) << size;
}

TEST(StreamMessage, RefusesBytesAfterAKeepalive) {
    EXPECT_THROW(read_stream_message(keepalive(1, 1) + "x"), DecodeError);
}

TEST(StreamMessage, RefusesEveryOtherKind) {
    for (auto kind = 0; kind < 256; ++kind) {
        if (kind == 'w' || kind == 'k') continue;
        std::string frame(34, static_cast<char>(kind));
        EXPECT_THROW(read_stream_message(frame), DecodeError) << kind;
    }
}

TEST(StandbyStatus, IsWrittenInItsThirtyFourBytes) {
    StandbyStatus status{.received = Lsn{0x16'B374D848},
                         .confirmed = Lsn{0x16'B3740000},
                         .now = Timestamp{946'684'800s + 1us}};

    auto bytes = write_standby_status(status);

    auto expected =
        from_hex("72 00000016b374d848 00000016b3740000 00000016b3740000 0000000000000001 00");
    EXPECT_EQ(std::string(bytes.data(), bytes.size()), expected);
}

TEST(StandbyStatus, WritesTimesBefore2000AsNegative) {
    StandbyStatus status{.received = {}, .confirmed = {}, .now = Timestamp{946'684'800s - 1us}};

    auto bytes = write_standby_status(status);

    EXPECT_EQ(std::string(bytes.data() + 25, 8), from_hex("ffffffffffffffff"));
}

}  // namespace walcast
