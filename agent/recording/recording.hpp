#pragma once

#include "agent/catalog.hpp"
#include "agent/config.hpp"
#include "agent/recording/mask.hpp"
#include "decoders/event.hpp"
#include "decoders/stream_message.hpp"
#include "sinks/sink.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>

namespace walcast {

// A recording holds all that a session was told, so that it can be told again without a database:
//
//   file  = "walcast recording 1\n" entry...
//   entry = Byte1(kind) Int32(bytes of the body) body Int32(check of all before it)
//
// in the order of the stream: header, what the catalog told, where the numbering begins, and then
// frames, with news of the catalog where they came. Numbers are big-endian; texts end with NUL.

// A file that cannot be written, or is none, is cut short, or is damaged.
struct RecordingError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct RecordingHeader {
    Plugin plugin = Plugin::pgoutput;
    unsigned format_version = 2;  // Of wal2json.
    int server_version = 0;       // As 150018.
    std::string encoding = {};    // Of the database.
    bool is_masked = false;
};

// Here the session closed a batch, and so a message.
struct RecordedCut {};

// Writes a recording while its session goes on. What was written before a cut is in the file when
// `cut` returns, so that a process that is killed leaves all that it has published. Every function
// throws RecordingError when the file does not take it.
class RecordingWriter {
public:
    enum class Masking { none, values };

    // Creates the file, for its owner alone. Throws ConfigError if there is one already.
    RecordingWriter(std::string file, Masking masking);
    // Takes the file away when nothing was begun.
    ~RecordingWriter();
    RecordingWriter(const RecordingWriter&) = delete;
    RecordingWriter& operator=(const RecordingWriter&) = delete;

    void start(RecordingHeader header);
    void note(const CatalogFact& fact);
    void begin(const Position& position);
    void received(const WalData& data);
    void describe(const TableDescription& table);
    void cut();
    // Says that nothing is missing behind.
    void end();

    bool has_begun() const { return has_begun_; }

private:
    void append(char kind);
    void flush();

    std::string file_;
    int descriptor_ = -1;
    std::unique_ptr<Masker> masker_;  // When values are masked.
    bool has_begun_ = false;
    std::string body_;
    std::string buffer_;
};

// Reads a recording from its beginning to its end.
class RecordingReader {
public:
    explicit RecordingReader(std::string file);
    ~RecordingReader();
    RecordingReader(const RecordingReader&) = delete;
    RecordingReader& operator=(const RecordingReader&) = delete;

    using Entry = std::variant<RecordingHeader, CatalogFact, Position, WalData, TableDescription,
                               RecordedCut>;

    // The next entry, whose views are valid until the next call; nothing at the end. Throws
    // RecordingError, with its place in the file, where an entry is cut short or damaged.
    std::optional<Entry> next();

    [[noreturn]] void fail(std::string_view why) const;

private:
    bool read_more();
    bool has(std::size_t bytes);
    Entry read_entry(char kind, std::string_view body) const;

    std::string file_;
    int descriptor_ = -1;
    std::string buffer_;
    std::size_t at_ = 0;       // In the buffer: where the entry to come begins.
    std::uint64_t taken_ = 0;  // Bytes of the file before the buffer.
    std::uint64_t entry_ = 0;  // Where the last entry began in the file.
    bool has_ended_ = false;
};

}  // namespace walcast
