#include "agent/recording/replay.hpp"

#include "agent/errors.hpp"
#include "tests/support/pgoutput_messages.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/rules.hpp"
#include "tests/support/throws.hpp"
#include "tests/support/wal2json_frames.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

namespace walcast {

namespace fs = std::filesystem;

class ReplayTest : public testing::Test {
protected:
    ReplayTest() {
        auto name = (fs::temp_directory_path() / "walcast-replay-test-XXXXXX").string();
        directory = mkdtemp(name.data());
        file = directory + "/a.rec";
        writer.emplace(file, RecordingWriter::Masking::none);
    }
    ~ReplayTest() override { fs::remove_all(directory); }

    void begin(RecordingHeader header = {}) {
        writer->start(std::move(header));
        writer->note(PrimaryKey{relation.oid, {"id"}});
        writer->begin({.epoch = "e", .sync_id = 40, .lsn = Lsn{0x10}, .partial = {}});
    }
    void receive(std::initializer_list<std::string> messages) {
        for (const auto& message : messages) writer->received({Lsn{0x100}, message});
    }
    // Messages of all batches, the batches parted by bars.
    std::string bodies(std::string* failure = nullptr) {
        writer.reset();
        Replay replay(file);
        ReplayedBatches batches(replay, rules);
        std::string found;
        try {
            while (const auto* batch = batches.next()) {
                for (const auto& message : batch->messages)
                    found += std::string(batch->text(message.body_begin, message.body_end)) + '\n';
                found += "|\n";
            }
        } catch (const std::runtime_error& error) {
            if (failure == nullptr) throw;
            *failure = error.what();
        }
        return found;
    }

    const Relation relation = relation_of("todos").key("id").column("title");
    const std::vector<Rule> rules{rule_for("*.*").channel("all")};
    std::string directory;
    std::string file;
    std::optional<RecordingWriter> writer;
};

static std::string inserted(SyncId id, std::string_view row_id, std::string_view data) {
    return R"({"syncId":)" + std::to_string(id) +
           R"(,"action":"insert","modelName":"todos","modelId":")" + std::string(row_id) +
           R"(","data":)" + std::string(data) + "}";
}

TEST_F(ReplayTest, GivesTheEventsWithTheirBytes) {
    auto insert = insert_message(relation.oid, {text("7"), text("a")});
    begin();
    receive({begin_message(), relation_message(relation), insert, commit_message()});
    writer->end();
    writer.reset();

    Replay replay(file);

    EXPECT_EQ(replay.beginning().sync_id, 40U);
    EXPECT_EQ(replay.catalog().primary_key(relation.oid), std::vector<std::string>{"id"});
    EXPECT_TRUE(std::holds_alternative<Begin>(*replay.next()->event));
    auto step = replay.next();
    EXPECT_EQ(std::get<Change>(*step->event).relation->name, "todos");
    EXPECT_EQ(step->message, insert);
    EXPECT_EQ(step->start, Lsn{0x100});
    EXPECT_TRUE(std::holds_alternative<Commit>(*replay.next()->event));
    EXPECT_FALSE(replay.next());
}

TEST_F(ReplayTest, NumbersAndCutsAsTheSessionDid) {
    begin();
    receive({begin_message(), relation_message(relation),
             insert_message(relation.oid, {text("7"), text("a")}),
             insert_message(relation.oid, {text("8"), text("b")})});
    writer->cut();
    receive({insert_message(relation.oid, {text("9"), text("c")}), commit_message()});
    writer->cut();
    writer->cut();
    writer->end();

    EXPECT_EQ(bodies(), inserted(41, "7", R"({"id":7,"title":"a"})") + ',' +
                            inserted(42, "8", R"({"id":8,"title":"b"})") + "\n|\n" +
                            inserted(43, "9", R"({"id":9,"title":"c"})") + "\n|\n");
}

// The type is told after the table, and before its first row.
TEST_F(ReplayTest, LearnsWhereTheSessionLearned) {
    Relation other = relation_of("todos").key("id").column("place", 16500);
    begin();
    receive({begin_message(), relation_message(other)});
    writer->note(std::vector<TypeDescription>{{.oid = 16500,
                                               .kind = TypeDescription::Kind::composite,
                                               .fields = {{"x", 23}, {"y", 23}}}});
    writer->describe({});
    receive({insert_message(other.oid, {text("7"), text("(1,2)")}), commit_message()});
    writer->end();

    EXPECT_EQ(bodies(), inserted(41, "7", R"({"id":7,"place":{"x":1,"y":2}})") + "\n|\n");
}

// A row that could not be written was tried again when the catalog had been asked.
TEST_F(ReplayTest, TriesARowAgainWhereTheSessionDid) {
    Relation other = relation_of("todos").key("id").column("place", 16500);
    auto of_type = [](std::uint32_t type) {
        return std::vector<TypeDescription>{
            {.oid = 16500, .kind = TypeDescription::Kind::composite, .fields = {{"x", type}}}};
    };
    begin();
    receive({begin_message(), relation_message(other)});
    writer->note(of_type(23));
    writer->describe({});
    receive({insert_message(other.oid, {text("7"), text("(word)")})});
    writer->note(of_type(25));
    writer->describe({});
    receive({insert_message(other.oid, {text("8"), text("(other)")}), commit_message()});
    writer->end();

    EXPECT_EQ(bodies(), inserted(41, "7", R"({"id":7,"place":{"x":"word"}})") + ',' +
                            inserted(42, "8", R"({"id":8,"place":{"x":"other"}})") + "\n|\n");
}

TEST_F(ReplayTest, GivesAllThatCameBeforeWhatEndsIt) {
    begin();
    receive({begin_message(), relation_message(relation),
             insert_message(relation.oid, {text("7"), text("a")}),
             insert_message(relation.oid, {text("word"), text("b")}), commit_message()});
    writer->end();
    std::string failure;

    auto found = bodies(&failure);

    EXPECT_EQ(found, inserted(41, "7", R"({"id":7,"title":"a"})") + "\n|\n");
    EXPECT_TRUE(contains(failure, "a row of public.todos cannot be written")) << failure;
}

TEST_F(ReplayTest, GivesAllThatIsInAFileThatIsCutShort) {
    begin();
    receive({begin_message(), relation_message(relation),
             insert_message(relation.oid, {text("7"), text("a")}), commit_message()});
    writer->cut();
    std::string failure;

    EXPECT_EQ(bodies(&failure), inserted(41, "7", R"({"id":7,"title":"a"})") + "\n|\n");
    EXPECT_TRUE(contains(failure, "without the mark of its end")) << failure;
}

TEST_F(ReplayTest, NeedsABeginning) {
    writer->start({});
    writer->begin({});
    writer.reset();
    EXPECT_NO_THROW(Replay replay(file));

    RecordingWriter unbegun(directory + "/b.rec", RecordingWriter::Masking::none);
    EXPECT_THROW(Replay replay(directory + "/b.rec"), RecordingError);
}

// Of its tables wal2json says little: what the catalog said completes the message that asked.
TEST_F(ReplayTest, ReadsWal2json) {
    Row row{text("7"), text("a")};
    begin({.plugin = Plugin::wal2json});
    auto change = wal2json::change_frame(2, relation, nullptr, &row);
    receive({wal2json::begin_frame(2), change});
    writer->describe(wal2json::description_of(relation));
    receive({change});
    writer->end();

    EXPECT_EQ(bodies(), inserted(41, "7", R"({"id":7,"title":"a"})") + ',' +
                            inserted(42, "7", R"({"id":7,"title":"a"})") + "\n|\n");
}

}  // namespace walcast
