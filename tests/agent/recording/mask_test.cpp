#include "agent/recording/mask.hpp"

#include "decoders/pgoutput.hpp"
#include "tests/support/pgoutput_messages.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

namespace walcast {

class MaskTest : public testing::Test {
protected:
    MaskTest() {
        for (const auto& message : {begin_message(), relation_message(relation)}) {
            EXPECT_EQ(masked(message), message);
            decoder.decode(message);
        }
    }
    std::string masked(std::string_view message) {
        std::string out;
        masker.append_masked(out, message);
        return out;
    }

    const Relation relation = relation_of("todos").key("id").column("title").column("body");
    Masker masker{{1, 2}};
    PgoutputDecoder decoder;
};

TEST_F(MaskTest, KeepsWhatIsNullOrUnchanged) {
    auto message = masked(
        update_message(relation.oid, 'K', {text("17"), null, null}, {text("18"), null, unchanged}));

    auto events = decoder.decode(message);
    const auto& change = std::get<Change>(events[0]);

    EXPECT_EQ(change.old_kind, Change::OldTuple::key);
    EXPECT_EQ((*change.new_tuple)[1].kind, Value::Kind::null);
    EXPECT_EQ((*change.new_tuple)[2].kind, Value::Kind::unchanged);
    EXPECT_NE((*change.old_tuple)[0].text, (*change.new_tuple)[0].text);
}

TEST_F(MaskTest, GivesAKeyTheSameFaceInEveryMessage) {
    auto inserted = masked(insert_message(relation.oid, {text("17"), text("secret"), null}));
    auto deleted = masked(delete_message(relation.oid, 'K', {text("17"), null, null}));

    auto key = std::string((*std::get<Change>(decoder.decode(inserted)[0]).new_tuple)[0].text);

    EXPECT_EQ((*std::get<Change>(decoder.decode(deleted)[0]).old_tuple)[0].text, key);
    EXPECT_EQ(inserted.find("secret"), std::string::npos);
}

TEST_F(MaskTest, MasksWhatLogicalMessagesHold) {
    auto message = masked(logical_message(Placement::in_transaction, Lsn{7}, "walcast",
                                          R"({"mutationId":"secret"})"));

    auto events = decoder.decode(message);
    const auto& logical = std::get<LogicalMessage>(events[0]);

    EXPECT_EQ(logical.prefix, "walcast");
    EXPECT_EQ(logical.lsn, Lsn{7});
    EXPECT_TRUE(logical.content.starts_with(R"({"mutationId":")")) << logical.content;
    EXPECT_EQ(message.find("secret"), std::string::npos);
}

TEST_F(MaskTest, LeavesTheRestAsItIs) {
    for (const auto& message :
         {commit_message(), truncate_message({relation.oid}), origin_message(Lsn{7}, "elsewhere"),
          type_message(7, "public", "mood")})
        EXPECT_EQ(masked(message), message);
}

TEST_F(MaskTest, RefusesWhatItDoesNotKnow) {
    EXPECT_THROW(masked(""), DecodeError);
    EXPECT_THROW(masked("?secret"), DecodeError);
    EXPECT_THROW(masked(insert_message(4711, {text("17")})), DecodeError);
    EXPECT_THROW(masked(insert_message(relation.oid, {text("17")})), DecodeError);
    EXPECT_THROW(masked(insert_message(relation.oid, {Cell{'b', "secret"}, null, null})),
                 DecodeError);
}

TEST_F(MaskTest, AppendsNothingOfAMessageCutAtAnyByte) {
    auto message = insert_message(relation.oid, {text("17"), text("secret"), null});
    for (std::size_t size = 0; size < message.size(); ++size) {
        std::string out;
        try {
            masker.append_masked(out, std::string_view(message).substr(0, size));
        } catch (const DecodeError&) {
        }
        EXPECT_TRUE(out.find("secret") == std::string::npos);
    }
}

}  // namespace walcast
