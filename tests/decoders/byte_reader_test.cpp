#include "decoders/byte_reader.hpp"

#include "tests/support/bytes.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace walcast {

TEST(ByteReader, ReadsBigEndianFieldsInOrder) {
    auto bytes = from_hex("fe fedc fedcba98 fedcba9876543210 00000016b374d848");
    ByteReader in(bytes, "test");

    EXPECT_EQ(in.u8(), 0xFE);
    EXPECT_EQ(in.u16(), 0xFEDC);
    EXPECT_EQ(in.u32(), 0xFEDCBA98U);
    EXPECT_EQ(in.u64(), 0xFEDCBA9876543210U);
    EXPECT_EQ(in.lsn(), Lsn{0x16'B374D848});
    EXPECT_TRUE(in.at_end());
}

TEST(ByteReader, ReadsStringsUpToTheirNul) {
    std::string bytes("ab\0\0c", 5);
    ByteReader in(bytes, "test");

    EXPECT_EQ(in.string(), "ab");
    EXPECT_EQ(in.string(), "");
    EXPECT_EQ(in.left(), 1U);
}

TEST(ByteReader, ReadsNoBytesAtTheEnd) {
    ByteReader in("", "test");

    EXPECT_EQ(in.bytes(0), "");
    EXPECT_EQ(in.rest(), "");
    EXPECT_NO_THROW(in.expect_end());
}

TEST(ByteReader, GivesViewsIntoTheMessage) {
    std::string bytes = "abc";
    ByteReader in(bytes, "test");

    EXPECT_EQ(in.bytes(2).data(), bytes.data());
    EXPECT_EQ(in.rest().data(), bytes.data() + 2);
}

TEST(ByteReader, RefusesEachFieldThatIsCutShort) {
    auto reader_of = [](std::size_t size) {
        static const std::string bytes(8, 'x');
        return ByteReader(std::string_view(bytes).substr(0, size), "test");
    };

    EXPECT_THROW(reader_of(0).u8(), DecodeError);
    for (auto size : {0U, 1U}) EXPECT_THROW(reader_of(size).u16(), DecodeError) << size;
    for (auto size : {0U, 1U, 2U, 3U}) EXPECT_THROW(reader_of(size).u32(), DecodeError) << size;
    for (auto size : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U}) {
        EXPECT_THROW(reader_of(size).u64(), DecodeError) << size;
        EXPECT_THROW(reader_of(size).lsn(), DecodeError) << size;
        EXPECT_THROW(reader_of(size).string(), DecodeError) << size;
        EXPECT_THROW(reader_of(size).bytes(size + 1), DecodeError) << size;
    }
}

TEST(ByteReader, RefusesLengthsThatWouldWrapAround) {
    ByteReader in("abc", "test");
    in.u8();

    EXPECT_THROW(in.bytes(0xFFFFFFFFU), DecodeError);
    EXPECT_THROW(in.bytes(std::numeric_limits<std::size_t>::max()), DecodeError);
}

TEST(ByteReader, StaysWhereItIsWhenAReadFails) {
    ByteReader in("ab", "test");

    EXPECT_THROW(in.u32(), DecodeError);

    EXPECT_EQ(in.left(), 2U);
    EXPECT_EQ(in.rest(), "ab");
}

TEST(ByteReader, SaysWhichMessageBrokeAndWhere) {
    ByteReader in("abc", "pgoutput Begin");
    in.u16();

    auto error = error_of<DecodeError>([&] { in.u32(); });

    EXPECT_EQ(error, "pgoutput Begin at byte 2 of 3: cut short");
}

TEST(ByteReader, RefusesBytesAfterTheEnd) {
    ByteReader in("ab", "test");
    in.u8();

    EXPECT_THROW(in.expect_end(), DecodeError);
}

}  // namespace walcast
