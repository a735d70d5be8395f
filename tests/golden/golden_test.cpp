#include "agent/batch_builder.hpp"
#include "agent/config.hpp"
#include "agent/logical_messages.hpp"
#include "agent/numbering.hpp"
#include "agent/recording/mask.hpp"
#include "agent/rules/router.hpp"
#include "decoders/pgoutput.hpp"
#include "decoders/wal2json.hpp"
#include "sinks/native_envelope.hpp"
#include "tests/support/bytes.hpp"
#include "tests/support/random_bytes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>

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

// What the catalog said of each table when the capture was made; by the name in the stream.
class Tables {
public:
    Tables() = default;
    explicit Tables(const Lines& lines) {
        TableDescription* table = nullptr;
        for (const auto& line : lines) {
            auto fields = split(line);
            if (fields[0] == "table") {
                table = &tables_[fields[1] + '.' + fields[2]];
                table->oid = static_cast<std::uint32_t>(std::stoul(fields[3]));
                table->schema = fields[4];
                table->name = fields[5];
                table->replica_identity = fields[6][0];
            } else if (fields[0] == "column") {
                TableDescription::Column column;
                column.name = fields[1];
                column.type_oid = static_cast<std::uint32_t>(std::stoul(fields[2]));
                column.type_modifier = std::stoi(fields[3]);
                column.is_key = fields[4].find('k') != std::string::npos;
                column.is_large = fields[4].find('l') != std::string::npos;
                column.is_generated = fields[4].find('g') != std::string::npos;
                table->columns.push_back(std::move(column));
            } else {
                table->primary_key.push_back(fields[1]);
            }
        }
    }
    TableDescription describe(const Relation& relation) const {
        auto found = tables_.find(relation.schema + '.' + relation.name);
        return found == tables_.end() ? TableDescription{} : found->second;
    }

private:
    static Lines split(const std::string& line) {
        std::istringstream in(line);
        Lines fields;
        for (std::string field; std::getline(in, field, '\t');) fields.push_back(field);
        fields.resize(std::max<std::size_t>(fields.size(), 7));
        return fields;
    }

    std::map<std::string, TableDescription> tables_;
};

// From a stream to messages as a session takes them, but for connections.
class Pipeline {
public:
    Pipeline(const std::vector<Rule>& rules, Position from,
             std::unique_ptr<Decoder> decoder = std::make_unique<PgoutputDecoder>(),
             Tables tables = {})
        : tables_(std::move(tables)),
          router_(rules, catalog_, Router::WithoutId::refused),
          builder_(router_, {}),
          numbering_(std::move(from)),
          decoder_(std::move(decoder)) {}

    void take(std::string_view message, Lsn start = {}) {
        for (const auto& event : decoder_->decode(message, start)) {
            const auto* described = std::get_if<Described>(&event);
            if (described == nullptr) {
                take(event, message);
            } else if (described->is_incomplete) {
                decoder_->learn(tables_.describe(*described->relation));
                return take(message, start);
            }
        }
    }
    // What has been written since the last time.
    Batch take_batch() {
        auto batch = builder_.take({});
        batch.after = numbering_.position();
        return batch;
    }
    const Position& position() const { return numbering_.position(); }

private:
    void take(const Event& event, std::string_view bytes) {
        if (const auto* begin = std::get_if<Begin>(&event)) {
            numbering_.begin(begin->transaction);
            builder_.begin(begin->transaction);
        } else if (const auto* commit = std::get_if<Commit>(&event)) {
            numbering_.commit(commit->end_lsn);
            builder_.end_transaction(numbering_.position().sync_id);
        } else if (const auto* change = std::get_if<Change>(&event)) {
            auto id = numbering_.take(bytes, change->action == Action::update ? 2 : 1);
            if (id) builder_.add(*change, *id);
        } else if (const auto* truncate = std::get_if<Truncate>(&event)) {
            auto count = static_cast<unsigned>(truncate->relations->size());
            if (auto id = numbering_.take(bytes, count)) builder_.add_truncate(*truncate, *id);
        } else if (const auto* message = std::get_if<LogicalMessage>(&event)) {
            take_message(*message, bytes, numbering_, builder_);
        }
    }

    Tables tables_;
    Catalog catalog_;  // Empty: rows have the rule's id or the replica identity.
    Router router_;
    BatchBuilder builder_;
    Numbering numbering_;
    std::unique_ptr<Decoder> decoder_;
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
        auto line = channel + '\t';
        append_message(line, batch, message, "golden", last_ids_[channel]);
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
    Pipeline pipeline(rules, beginning);
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

// A capture of wal2json, as messages.
static Lines messages_of(const fs::path& directory, std::string_view file,
                         Wal2jsonDecoder::Format format, const std::vector<Rule>& rules) {
    Position beginning{.epoch = "golden", .sync_id = 0, .lsn = {}, .partial = std::nullopt};
    Pipeline pipeline(rules, beginning, std::make_unique<Wal2jsonDecoder>(format),
                      Tables(read_lines(directory / "tables.txt")));
    for (const auto& line : read_lines(directory / file)) {
        auto tab = line.find('\t');
        pipeline.take(std::string_view(line).substr(tab + 1), *parse_lsn(line.substr(0, tab)));
    }
    Messages messages;
    Lines lines;
    messages.append(pipeline.take_batch(), lines);
    return lines;
}

// wal2json 2.5 has null for these.
static void forget_what_is_no_number(Lines& lines) {
    for (auto& line : lines)
        for (const std::string value : {R"(:"NaN")", R"(:"Infinity")", R"(:"-Infinity")"})
            for (auto at = line.find(value); at != std::string::npos; at = line.find(value, at))
                line.replace(at, value.size(), ":null");
}

TEST_P(Golden, BecomesTheSameFromWal2jsonFormat2) {
    auto expected = read_lines(directory / "messages.jsonl");
    forget_what_is_no_number(expected);

    EXPECT_EQ(messages_of(directory, "wal2json.jsonl", Wal2jsonDecoder::Format::v2, rules),
              expected);
}

// Each action by itself, behind its channel; ids taken out.
static Lines actions_of(const Lines& lines) {
    Lines actions;
    for (const auto& line : lines) {
        auto channel = line.substr(0, line.find('\t') + 1);
        auto open = line.find("\"sync\":[");
        if (open == std::string::npos) {  // A reset or an event.
            auto begin = line.size();
            for (const auto* name : {"mutationId", "modelName", "reason", "name"})
                begin = std::min(begin, line.find(fmt::format("\"{}\":", name)));
            actions.push_back(channel + line.substr(begin));
            continue;
        }
        auto body = line.substr(open + 8, line.size() - open - 10);
        for (std::size_t begin = 0; begin < body.size();) {
            auto end = std::min(body.find(",{\"syncId\":", begin), body.size());
            auto action = body.substr(begin, end - begin);
            actions.push_back(channel + action.substr(action.find(',')));
            begin = end + 1;
        }
    }
    return actions;
}

// Which knows neither truncates, and so other ids after them, nor where a commit record begins.
TEST_P(Golden, BecomesTheSameFromWal2jsonFormat1ButForTruncates) {
    auto expected = read_lines(directory / "messages.jsonl");
    forget_what_is_no_number(expected);
    std::erase_if(expected, [](const std::string& line) {
        return line.find(R"("reason":"truncate")") != std::string::npos;
    });

    auto lines = messages_of(directory, "wal2json1.jsonl", Wal2jsonDecoder::Format::v1, rules);

    EXPECT_EQ(actions_of(lines), actions_of(expected));
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
    Pipeline straight(rules, beginning);
    Lines expected;
    std::vector<Stop> stops{{beginning, 0}};
    for (const auto& message : capture) {
        straight.take(message);
        append_actions(straight.take_batch(), expected);
        if (straight.position() != stops.back().position)
            stops.push_back({straight.position(), expected.size()});
    }

    for (const auto& stop : stops) {
        Pipeline resumed(rules, stop.position);
        Lines lines(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(stop.actions));
        for (const auto& message : capture) resumed.take(message);
        append_actions(resumed.take_batch(), lines);

        EXPECT_EQ(lines, expected) << "stopped at " << stop.position.sync_id;
        EXPECT_EQ(resumed.position(), straight.position());
    }
}

// What a masked message keeps: its length, and of which kind each character is.
static std::string shape_of(std::string line) {
    constexpr std::string_view signs = "!#$%&*+-./:<=>?@^_|~";
    for (auto& c : line) {
        if (c >= '0' && c <= '9') c = '0';
        if (c >= 'a' && c <= 'z') c = 'a';
        if (c >= 'A' && c <= 'Z') c = 'A';
        if (signs.find(c) != std::string_view::npos) c = '.';
        if (static_cast<unsigned char>(c) >= 0x80) c = 'u';
    }
    return line;
}

TEST_P(Golden, KeepsItsShapeMasked) {
    std::vector<Rule> whole(1);
    whole[0].table = "*.*";
    whole[0].channels.push_back(parse_channel_template("all"));
    Masker masker({7, 8});
    Pipeline plain(whole, beginning);
    Pipeline masked(whole, beginning);
    Messages messages;
    Messages masked_messages;
    Lines expected;
    Lines lines;

    for (const auto& message : capture) {
        std::string frame;
        masker.append_masked(frame, message);
        plain.take(message);
        masked.take(frame);
    }
    messages.append(plain.take_batch(), expected);
    masked_messages.append(masked.take_batch(), lines);

    ASSERT_EQ(lines.size(), expected.size());
    // Have more than texts and numbers: a digit of a uuid may become a letter.
    if (GetParam() == "types" || GetParam() == "rules_where") return;
    for (std::size_t i = 0; i < lines.size(); ++i)
        EXPECT_EQ(shape_of(lines[i]), shape_of(expected[i]));
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
    const JsonTypes types;
    ValueWriter writer;

    for (auto i = 0; i < 200; ++i) {
        PgoutputDecoder decoder;
        for (auto message : capture) {
            if (random() % 8 == 0) flip_bits(message, random);
            try {
                for (const auto& event : decoder.decode(message)) {
                    const auto* change = std::get_if<Change>(&event);
                    if (change == nullptr || change->new_tuple == nullptr) continue;
                    std::string out;
                    append_row(out, RowJson(*change->relation, types), *change->new_tuple, 10'000,
                               writer);
                }
            } catch (const DecodeError&) {
                // The next message may find what this one left behind.
            } catch (const ValueError&) {
                // Named, not guessed.
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Case, Golden, testing::ValuesIn(case_names()),
                         [](const auto& tested) { return tested.param; });

}  // namespace walcast
