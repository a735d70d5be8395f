#include "agent/recording/recording.hpp"

#include "agent/errors.hpp"
#include "tests/support/pgoutput_messages.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

namespace walcast {

namespace fs = std::filesystem;
using Masking = RecordingWriter::Masking;

class RecordingTest : public testing::Test {
protected:
    RecordingTest() {
        auto name = (fs::temp_directory_path() / "walcast-recording-test-XXXXXX").string();
        directory = mkdtemp(name.data());
        file = directory + "/a.rec";
    }
    ~RecordingTest() override { fs::remove_all(directory); }

    static std::string bytes_of(const std::string& name) {
        std::ifstream in(name, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    static void write(const std::string& name, std::string_view bytes) {
        std::ofstream(name, std::ios::binary) << bytes;
    }

    // One entry of each kind.
    void write_all(Masking masking = Masking::none) const {
        RecordingWriter writer(file, masking);
        writer.start({.server_version = 150018, .encoding = "UTF8"});
        writer.note(PrimaryKey{16400, {"workspace", "id"}});
        writer.note(PartialOldRows{16401});
        writer.note(types);
        writer.begin({.epoch = "k3v9x2m7", .sync_id = 7, .lsn = Lsn{0x100}, .partial = {}});
        writer.received({Lsn{0x200}, begin_message()});
        writer.describe(table);
        writer.cut();
        writer.received({Lsn{0x300}, commit_message()});
        writer.end();
    }
    // How many whole entries there are, and what ends it.
    static std::size_t read_all(const std::string& name, std::string& error) {
        std::size_t count = 0;
        try {
            RecordingReader reader(name);
            while (reader.next()) ++count;
        } catch (const RecordingError& failed) {
            error = failed.what();
        }
        return count;
    }

    const std::vector<TypeDescription> types{{.oid = 16500,
                                              .kind = TypeDescription::Kind::composite,
                                              .fields = {{"count", 23}, {"label", 25}}},
                                             {.oid = 16501,
                                              .kind = TypeDescription::Kind::array,
                                              .of = 16500,
                                              .delimiter = ';',
                                              .fields = {}}};
    TableDescription table = [] {
        TableDescription described;
        described.oid = 16400;
        described.schema = "public";
        described.name = "todos";
        described.replica_identity = 'f';
        described.columns.emplace_back();
        described.columns[0].name = "id";
        described.columns[0].type_oid = 23;
        described.columns[0].type_modifier = -1;
        described.columns[0].is_key = true;
        described.columns[0].is_generated = true;
        described.primary_key = {"id"};
        described.full_root_oid = 16402;
        return described;
    }();
    std::string directory;
    std::string file;
};

TEST_F(RecordingTest, GivesBackWhatWasRecorded) {
    write_all();
    RecordingReader reader(file);
    auto next = [&]<typename Kind>(Kind /*of*/) { return std::get<Kind>(*reader.next()); };

    auto header = next(RecordingHeader{});
    EXPECT_EQ(header.plugin, Plugin::pgoutput);
    EXPECT_EQ(header.server_version, 150018);
    EXPECT_EQ(header.encoding, "UTF8");
    EXPECT_FALSE(header.is_masked);
    auto key = std::get<PrimaryKey>(next(CatalogFact{}));
    EXPECT_EQ(key.oid, 16400U);
    EXPECT_EQ(key.columns, (std::vector<std::string>{"workspace", "id"}));
    EXPECT_EQ(std::get<PartialOldRows>(next(CatalogFact{})).oid, 16401U);
    auto read_types = std::get<std::vector<TypeDescription>>(next(CatalogFact{}));
    ASSERT_EQ(read_types.size(), 2U);
    EXPECT_EQ(read_types[0].fields[1].name, "label");
    EXPECT_EQ(read_types[1].of, 16500U);
    EXPECT_EQ(read_types[1].delimiter, ';');
    auto position = next(Position{});
    EXPECT_EQ(position.epoch, "k3v9x2m7");
    EXPECT_EQ(position.sync_id, 7U);
    EXPECT_EQ(position.lsn, Lsn{0x100});
    auto frame = next(WalData{});
    EXPECT_EQ(frame.start, Lsn{0x200});
    EXPECT_EQ(frame.payload, begin_message());
    auto described = next(TableDescription{});
    EXPECT_EQ(described.name, "todos");
    EXPECT_EQ(described.replica_identity, 'f');
    EXPECT_EQ(described.full_root_oid, 16402U);
    EXPECT_EQ(described.primary_key, table.primary_key);
    ASSERT_EQ(described.columns.size(), 1U);
    EXPECT_TRUE(described.columns[0].is_key && described.columns[0].is_generated);
    EXPECT_EQ(described.columns[0].type_modifier, -1);
    next(RecordedCut{});
    EXPECT_EQ(next(WalData{}).payload, commit_message());
    EXPECT_FALSE(reader.next());
    EXPECT_FALSE(reader.next());
}

TEST_F(RecordingTest, IsForItsOwnerAlone) {
    write_all();

    struct stat found {};
    ASSERT_EQ(::stat(file.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777U, 0600U);
}

TEST_F(RecordingTest, NeverWritesOverAFile) {
    write(file, "precious");

    auto error = error_of<ConfigError>([&] { RecordingWriter writer(file, Masking::none); });

    EXPECT_TRUE(contains(error, file) && contains(error, "already")) << error;
    EXPECT_EQ(bytes_of(file), "precious");
}

TEST_F(RecordingTest, LeavesNoFileWhenNothingWasBegun) {
    {
        RecordingWriter writer(file, Masking::none);
        writer.start({});
        EXPECT_TRUE(fs::exists(file));
    }

    EXPECT_FALSE(fs::exists(file));
}

TEST_F(RecordingTest, HasInTheFileWhatCameBeforeACut) {
    RecordingWriter writer(file, Masking::none);
    writer.start({});
    writer.begin({});
    writer.received({Lsn{1}, "message"});
    writer.cut();

    std::string error;
    EXPECT_EQ(read_all(file, error), 4U);
    EXPECT_TRUE(contains(error, "without the mark of its end")) << error;
}

TEST_F(RecordingTest, IsReadableUpToWhereItIsCut) {
    write_all();
    auto bytes = bytes_of(file);
    auto cut = directory + "/cut.rec";
    std::size_t last = 0;
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        write(cut, std::string_view(bytes).substr(0, size));
        std::string error;
        auto count = read_all(cut, error);

        EXPECT_TRUE(contains(error, cut)) << size;
        EXPECT_GE(count, last);
        last = count;
    }
    EXPECT_EQ(last, 9U);
}

TEST_F(RecordingTest, SaysWhereItIsDamaged) {
    write_all();
    auto bytes = bytes_of(file);
    auto damaged = directory + "/damaged.rec";
    for (std::size_t place = 20; place < bytes.size(); ++place) {
        for (auto bit : {0x01, 0x80}) {
            auto flipped = bytes;
            flipped[place] = static_cast<char>(flipped[place] ^ bit);
            write(damaged, flipped);
            std::string error;
            read_all(damaged, error);

            EXPECT_TRUE(contains(error, "at byte")) << place << error;
        }
    }
}

TEST_F(RecordingTest, SaysWhatIsNoRecording) {
    std::string error;

    write(file, "");
    read_all(file, error);
    EXPECT_TRUE(contains(error, "not a recording")) << error;
    write(file, "walcast recording 9\n");
    read_all(file, error);
    EXPECT_TRUE(contains(error, "another version")) << error;
    error = error_of<ConfigError>([&] { RecordingReader reader(directory + "/missing"); });
    EXPECT_TRUE(contains(error, "missing: No such file")) << error;
    fs::remove(file);
    write_all();
    write(directory + "/more.rec", bytes_of(file) + "x");
    read_all(directory + "/more.rec", error);
    EXPECT_TRUE(contains(error, "behind the mark")) << error;
}

TEST_F(RecordingTest, SaysWhenTheDiskIsFull) {
    RecordingWriter writer(file, Masking::none);
    writer.start({});
    writer.begin({});
    auto descriptor_limit = [&] { writer.received({Lsn{1}, std::string(1'000'000, 'x')}); };
    struct rlimit before {};
    getrlimit(RLIMIT_FSIZE, &before);
    auto limited = before;
    limited.rlim_cur = 200'000;
    auto* handler = std::signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limited);

    auto error = error_of<RecordingError>(descriptor_limit);

    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    EXPECT_TRUE(contains(error, file) && contains(error, "File too large")) << error;
}

TEST_F(RecordingTest, TakesEntriesLargerThanItsBuffers) {
    std::string large(3'000'000, 'x');
    {
        RecordingWriter writer(file, Masking::none);
        writer.start({});
        writer.begin({});
        for (auto i = 0; i < 3; ++i) writer.received({Lsn{1}, large});
        writer.end();
    }
    RecordingReader reader(file);
    reader.next();
    reader.next();
    for (auto i = 0; i < 3; ++i) EXPECT_EQ(std::get<WalData>(*reader.next()).payload, large);
    EXPECT_FALSE(reader.next());
}

TEST_F(RecordingTest, MasksWhatItWrites) {
    auto relation = relation_of("todos").key("id").column("title");
    {
        RecordingWriter writer(file, Masking::values);
        writer.start({});
        writer.begin({});
        writer.received({Lsn{1}, begin_message()});
        writer.received({Lsn{1}, relation_message(relation)});
        writer.received({Lsn{1}, insert_message(16400, {text("17"), text("a secret")})});
        writer.end();
    }

    EXPECT_EQ(bytes_of(file).find("a secret"), std::string::npos);
    RecordingReader reader(file);
    EXPECT_TRUE(std::get<RecordingHeader>(*reader.next()).is_masked);
}

TEST_F(RecordingTest, MasksNoWal2json) {
    RecordingWriter writer(file, Masking::values);

    auto error = error_of<ConfigError>([&] { writer.start({.plugin = Plugin::wal2json}); });

    EXPECT_TRUE(contains(error, "pgoutput") && contains(error, "wal2json")) << error;
}

}  // namespace walcast
