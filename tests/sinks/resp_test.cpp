#include "sinks/resp.hpp"

#include "sinks/sink.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace walcast {

// --- commands ---

TEST(Resp, WritesACommandWithItsLengths) {
    std::string out;

    append_command(out, {"SET", "key", "value"});

    EXPECT_EQ(out, "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n");
}

TEST(Resp, WritesAnyBytesOfAnArgument) {
    std::string out;

    append_command(out, {std::string_view("a\0b\r\n%s", 7), ""});

    EXPECT_EQ(out, "*2\r\n$7\r\na" + std::string(1, '\0') + "b\r\n%s\r\n$0\r\n\r\n");
}

TEST(Resp, WritesNumbersAsTheirDigits) {
    std::string out;

    append_argument(out, std::uint64_t{0});
    append_argument(out, std::uint64_t{18446744073709551615U});

    EXPECT_EQ(out, "$1\r\n0\r\n$20\r\n18446744073709551615\r\n");
}

TEST(Resp, AppendsCommandsPieceByPiece) {
    std::string whole;
    std::string pieces;

    append_command(whole, {"ECHO", "12"});
    append_command_head(pieces, 2);
    append_argument(pieces, std::string_view("ECHO"));
    append_argument(pieces, std::uint64_t{12});

    EXPECT_EQ(pieces, whole);
}

TEST(Resp, WritesHeadsOfManyArguments) {
    std::string out;

    append_command_head(out, 12345);

    EXPECT_EQ(out, "*12345\r\n");
}

// --- replies ---

// A reply as text: `["ok",7,nil]`.
static std::string show(const Reply& reply) {
    switch (reply.kind) {
        case Reply::Kind::nil: return "nil";
        case Reply::Kind::status: return "+" + reply.text;
        case Reply::Kind::error: return "-" + reply.text;
        case Reply::Kind::integer: return std::to_string(reply.integer);
        case Reply::Kind::string: return '"' + reply.text + '"';
        case Reply::Kind::array: break;
    }
    std::string out = "[";
    for (const auto& item : reply.items) out += (out.size() > 1 ? "," : "") + show(item);
    return out + "]";
}

static std::vector<std::string> take_all(ReplyParser& parser) {
    std::vector<std::string> replies;
    while (auto reply = parser.next()) replies.push_back(show(*reply));
    return replies;
}

static std::vector<std::string> parse(std::string_view bytes) {
    ReplyParser parser;
    parser.feed(bytes);
    return take_all(parser);
}

using Shown = std::vector<std::string>;

TEST(ReplyParser, ReadsEachKindOfReply) {
    EXPECT_EQ(parse("+OK\r\n"), Shown{"+OK"});
    EXPECT_EQ(parse("-ERR no\r\n"), Shown{"-ERR no"});
    EXPECT_EQ(parse(":-42\r\n"), Shown{"-42"});
    EXPECT_EQ(parse(":9223372036854775807\r\n"), Shown{"9223372036854775807"});
    EXPECT_EQ(parse("$3\r\nabc\r\n"), Shown{R"("abc")"});
    EXPECT_EQ(parse("$0\r\n\r\n"), Shown{R"("")"});
    EXPECT_EQ(parse("$-1\r\n"), Shown{"nil"});
    EXPECT_EQ(parse("*-1\r\n"), Shown{"nil"});
    EXPECT_EQ(parse("*0\r\n"), Shown{"[]"});
}

TEST(ReplyParser, ReadsNestedArrays) {
    EXPECT_EQ(parse("*3\r\n*2\r\n:1\r\n*1\r\n$1\r\nx\r\n$-1\r\n-ERR no\r\n"),
              Shown{R"([[1,["x"]],nil,-ERR no])"});
}

TEST(ReplyParser, ReadsStringsOfAnyBytes) {
    ReplyParser parser;
    parser.feed(std::string_view("$6\r\na\0\r\nb\xff\r\n", 12));

    EXPECT_EQ(parser.next()->text, std::string("a\0\r\nb\xff", 6));
}

TEST(ReplyParser, TellsAnErrorFromOtherReplies) {
    ReplyParser parser;
    parser.feed("-NOAUTH who are you\r\n$3\r\nERR\r\n");

    auto first = parser.next();
    auto second = parser.next();

    EXPECT_TRUE(first->is_error());
    EXPECT_FALSE(second->is_error());
}

TEST(ReplyParser, HasNothingToGiveAtFirst) {
    ReplyParser parser;

    EXPECT_EQ(parser.next(), std::nullopt);
}

static const std::string several =
    "+OK\r\n$5\r\nhello\r\n*2\r\n:17\r\n*1\r\n$2\r\n\r\n\r\n-ERR no\r\n$-1\r\n";
static const Shown several_shown{"+OK", R"("hello")", "[17,[\"\r\n\"]]", "-ERR no", "nil"};

TEST(ReplyParser, GivesRepliesInTheOrderTheyCame) {
    EXPECT_EQ(parse(several), several_shown);
}

TEST(ReplyParser, ReadsTheSameWhereverTheBytesAreSplit) {
    for (std::size_t at = 0; at <= several.size(); ++at) {
        ReplyParser parser;
        parser.feed(std::string_view(several).substr(0, at));
        auto replies = take_all(parser);
        parser.feed(std::string_view(several).substr(at));
        for (auto& reply : take_all(parser)) replies.push_back(std::move(reply));

        EXPECT_EQ(replies, several_shown) << "split at " << at;
    }
}

TEST(ReplyParser, ReadsTheSameByteByByte) {
    ReplyParser parser;
    Shown replies;
    for (auto byte : several) {
        parser.feed({&byte, 1});
        for (auto& reply : take_all(parser)) replies.push_back(std::move(reply));
    }

    EXPECT_EQ(replies, several_shown);
}

TEST(ReplyParser, ReadsRepliesLargerThanItsIdleBuffer) {
    std::string large(300'000, 'x');
    ReplyParser parser;
    parser.feed("$300000\r\n" + large);

    EXPECT_EQ(parser.next(), std::nullopt);
    parser.feed("\r\n+OK\r\n");

    EXPECT_EQ(parser.next()->text, large);
    EXPECT_EQ(parser.next()->text, "OK");
}

TEST(ReplyParser, RefusesBytesThatAreNoReplies) {
    for (const auto* garbage :
         {"HTTP/1.1 400 Bad Request\r\n", "\x16\x03\x01\r\n", "x\r\n", ":x1\r\n", "$x\r\n",
          "*x\r\n", "$-2\r\n", "*-2\r\n", "\r\n", "$3abc\r\n", ":\r\n"}) {
        EXPECT_THROW(parse(garbage), SinkError) << garbage;
    }
}

TEST(ReplyParser, StaysBrokenAfterBytesThatAreNoReplies) {
    ReplyParser parser;
    parser.feed("HTTP/1.1 400 Bad Request\r\n");
    EXPECT_THROW(parser.next(), SinkError);

    parser.feed("+OK\r\n");

    EXPECT_THROW(parser.next(), SinkError);
}

TEST(ReplyParser, MakesNoRoomForAnArrayThatNoReplyIs) {
    auto error = error_of<SinkError>([] { parse("*2\r\n:1\r\n*2147483647\r\n"); });

    EXPECT_TRUE(contains(error, "too large")) << error;
}

// Asked for by nobody: RESP3 needs a HELLO.
TEST(ReplyParser, RefusesResp3) {
    EXPECT_THROW(parse("%1\r\n+a\r\n+b\r\n"), SinkError);
    EXPECT_THROW(parse("_\r\n"), SinkError);
}

}  // namespace walcast
