#include "agent/batch_builder.hpp"
#include "agent/config.hpp"
#include "agent/numbering.hpp"
#include "agent/router.hpp"
#include "decoders/pgoutput.hpp"
#include "sinks/native_envelope.hpp"
#include "tests/support/bytes.hpp"
#include "tests/support/random_bytes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <unordered_set>

// Captures of a real server, and the messages that they must become. tests/golden/record.py makes
// the captures; WALCAST_ACCEPT=1 writes the messages anew, for a reader of the diff to judge.

namespace walcast {

namespace fs = std::filesystem;

using Lines = std::vector<std::string>;

static Lines read_lines(const fs::path& path) {
    std::ifstream in(path);
    EXPECT_TRUE(in) << path;
    Lines lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

static void write_lines(const fs::path& path, const Lines& lines) {
    std::ofstream out(path);
    for (const auto& line : lines) out << line << '\n';
}

static std::vector<Rule> read_rules(const fs::path& path) {
    std::ifstream in(path);
    std::string text(std::istreambuf_iterator<char>(in), {});
    auto nothing = [](const std::string&) { return std::nullopt; };
    return parse_config(text, path, nothing).rules;
}

// From a stream to messages as a session takes them, but for connections.
class Pipeline {
public:
    Pipeline(const std::vector<Rule>& rules, const Lines& capture, Position from)
        : not_in_catalog_(relations_in(capture)),
          router_(rules, catalog_, not_in_catalog_, Router::WithoutId::refused),
          builder_(router_, {}),
          numbering_(std::move(from)) {}

    void take(std::string_view message) {
        for (const auto& event : decoder_.decode(message)) take(event, message);
    }
    // What has been written since the last time.
    Batch take_batch() {
        auto batch = builder_.take({});
        batch.after = numbering_.position();
        return batch;
    }
    const Position& position() const { return numbering_.position(); }

private:
    // The stream alone tells no primary keys: rows have the rule's id or the replica identity.
    static std::unordered_set<std::uint32_t> relations_in(const Lines& capture) {
        std::unordered_set<std::uint32_t> oids;
        for (const auto& message : capture)
            if (message.starts_with('R')) oids.insert(ByteReader(message.substr(1), "R").u32());
        return oids;
    }

    void take(const Event& event, std::string_view bytes) {
        if (const auto* begin = std::get_if<Begin>(&event)) {
            numbering_.begin(begin->transaction);
            builder_.begin(begin->transaction);
        } else if (const auto* commit = std::get_if<Commit>(&event)) {
            numbering_.commit(commit->end_lsn);
            builder_.end_transaction();
        } else if (const auto* change = std::get_if<Change>(&event)) {
            auto id = numbering_.take(bytes, change->action == Action::update ? 2 : 1);
            if (id) builder_.add(*change, *id);
        } else if (const auto* truncate = std::get_if<Truncate>(&event)) {
            auto count = static_cast<unsigned>(truncate->relations->size());
            if (auto id = numbering_.take(bytes, count)) builder_.add_truncate(*truncate, *id);
        } else {
            const auto& message = std::get<LogicalMessage>(event);
            auto is_event = message.prefix == "walcast:event";
            if (!message.is_transactional)
                numbering_.take_alone(message.lsn, is_event ? 1 : 0);
            else if (is_event)
                numbering_.take(bytes, 1);
        }
    }

    Catalog catalog_;
    std::unordered_set<std::uint32_t> not_in_catalog_;
    Router router_;
    BatchBuilder builder_;
    Numbering numbering_;
    PgoutputDecoder decoder_;
};

// A batch as `channel TAB message`, a line for each channel of each message.
class Messages {
public:
    void append(const Batch& batch, Lines& lines) {
        for (const auto& message : batch.messages) {
            auto is_reset = message.kind == Message::Kind::reset;
            if (is_reset) lines.push_back(line_of(batch, message, "control"));
            for (auto i = message.channels_begin; i < message.channels_end; ++i) {
                const auto& name = batch.channels[i];
                lines.push_back(
                    line_of(batch, message, std::string(batch.text(name.begin, name.end))));
            }
        }
    }

private:
    std::string line_of(const Batch& batch, const Message& message, const std::string& channel) {
        auto is_sync = message.kind == Message::Kind::sync;
        auto line = channel + '\t';
        append_message_head(line, is_sync ? sync_type : reset_type, "golden", last_ids_[channel],
                            message.last_sync_id, message.transaction);
        line += is_sync ? sync_open : ",";
        line += batch.text(message.body_begin, message.body_end);
        line += is_sync ? sync_close : "}";
        last_ids_[channel] = message.last_sync_id;
        return line;
    }

    std::map<std::string, SyncId> last_ids_;
};

// --- the cases ---

static Lines case_names() {
    Lines names;
    for (const auto& entry : fs::directory_iterator(GOLDEN_DIR))
        if (fs::exists(entry.path() / "changes.sql")) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

class Golden : public testing::TestWithParam<std::string> {
protected:
    Golden() {
        for (const auto& line : read_lines(directory / "pgoutput.hex"))
            capture.push_back(from_hex(line));
    }

    fs::path directory = fs::path(GOLDEN_DIR) / GetParam();
    std::vector<Rule> rules = read_rules(directory / "rules.toml");
    Lines capture;
    Position beginning{.epoch = "golden", .sync_id = 0, .lsn = {}, .partial = std::nullopt};
};

TEST_P(Golden, BecomesItsMessages) {
    Pipeline pipeline(rules, capture, beginning);
    Messages messages;
    Lines lines;

    for (const auto& message : capture) pipeline.take(message);
    messages.append(pipeline.take_batch(), lines);

    if (std::getenv("WALCAST_ACCEPT") != nullptr) write_lines(directory / "messages.jsonl", lines);
    auto expected = read_lines(directory / "messages.jsonl");
    EXPECT_EQ(lines.size(), expected.size());
    for (std::size_t i = 0; i < std::min(lines.size(), expected.size()); ++i)
        EXPECT_EQ(lines[i], expected[i]) << "line " << i + 1;
}

// Every action with its channels, as it would be applied: messages may be cut differently, and what
// cannot be routed resets its model once a transaction, so after a stop inside once more.
static void append_actions(const Batch& batch, Lines& lines) {
    for (const auto& message : batch.messages) {
        std::string channels;
        for (auto i = message.channels_begin; i < message.channels_end; ++i)
            channels +=
                std::string(batch.text(batch.channels[i].begin, batch.channels[i].end)) + ' ';
        std::string body(batch.text(message.body_begin, message.body_end));
        if (body.ends_with(R"("reason":"unroutable")")) continue;
        for (std::size_t begin = 0; begin < body.size();) {
            auto end = std::min(body.find(",{\"syncId\":", begin), body.size());
            lines.push_back(channels + body.substr(begin, end - begin));
            begin = end + 1;
        }
    }
}

TEST_P(Golden, GoesOnAfterEachOfItsChangesAsIfItHadNeverStopped) {
    struct Stop {
        Position position;
        std::size_t actions;  // Done until then.
    };
    Pipeline straight(rules, capture, beginning);
    Lines expected;
    std::vector<Stop> stops{{beginning, 0}};
    for (const auto& message : capture) {
        straight.take(message);
        append_actions(straight.take_batch(), expected);
        if (straight.position() != stops.back().position)
            stops.push_back({straight.position(), expected.size()});
    }

    for (const auto& stop : stops) {
        Pipeline resumed(rules, capture, stop.position);
        Lines lines(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(stop.actions));
        for (const auto& message : capture) resumed.take(message);
        append_actions(resumed.take_batch(), lines);

        EXPECT_EQ(lines, expected) << "stopped at " << stop.position.sync_id;
        EXPECT_EQ(resumed.position(), straight.position());
    }
}

TEST_P(Golden, IsRefusedWhereAMessageIsCutAtAnyByte) {
    PgoutputDecoder decoder;
    for (const auto& message : capture) {
        auto step =
            std::max<std::size_t>(1, message.size() / 300);  // Large values are cut at some.
        for (std::size_t size = 0; size < message.size(); size += step)
            ASSERT_THROW(decoder.decode(std::string_view(message).substr(0, size)), DecodeError)
                << "cut to " << size << " of " << message.size();
        ASSERT_THROW(decoder.decode(message + '\0'), DecodeError);
        decoder.decode(message);
    }
}

TEST_P(Golden, ThrowsNothingButDecodeErrorWhateverItsBytes) {
    auto seed = test_seed();
    RecordProperty("seed", std::to_string(seed));
    SCOPED_TRACE("WALCAST_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);

    for (auto i = 0; i < 200; ++i) {
        PgoutputDecoder decoder;
        for (auto message : capture) {
            if (random() % 8 == 0) flip_bits(message, random);
            try {
                for (const auto& event : decoder.decode(message)) {
                    const auto* change = std::get_if<Change>(&event);
                    if (change == nullptr || change->new_tuple == nullptr) continue;
                    std::string out;
                    append_row(out, RowJson(*change->relation), *change->new_tuple, 10'000);
                }
            } catch (const DecodeError&) {
                // The next message may find what this one left behind.
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Case, Golden, testing::ValuesIn(case_names()),
                         [](const auto& tested) { return tested.param; });

}  // namespace walcast
