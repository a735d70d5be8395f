#pragma once

#include "agent/batch_builder.hpp"
#include "agent/numbering.hpp"
#include "agent/recording/recording.hpp"
#include "agent/rules/router.hpp"
#include "decoders/decoder.hpp"

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// The events of a recording, one after the other, with the catalog as it was known at each. Pure
// but for reading the file; for any rules:
//
//   Replay replay(file);
//   Router router(rules, replay.catalog(), Router::WithoutId::left_out);
//   replay.on_news = [&] { router.forget(); };
//   while (auto step = replay.next())
//       if (const auto* change = std::get_if<Change>(step->event))
//       …router.rules_of(*change->relation)…
class Replay {
public:
    struct Step {
        // A begin, change, truncate, logical message, commit, or step of a prepared transaction.
        const Event* event = nullptr;
        std::string_view message;  // In whose bytes it came.
        Lsn start;                 // What their frame said.
        bool is_last_of_message = false;
        // The session that recorded it had published all that came before: its messages end there.
        bool is_after_cut = false;
    };

    // Reads up to the first frame, so that the catalog is as it was when streaming began. Throws
    // RecordingError, or ConfigError when there is no such file.
    explicit Replay(std::string file, JsonPolicy values = {});

    const RecordingHeader& header() const { return header_; }
    // Where the numbering of the session that recorded it began.
    const Position& beginning() const { return beginning_; }
    const Catalog& catalog() const { return catalog_; }

    // The next event; all of it is valid until the next call. Nothing at the end. Throws
    // RecordingError, where the file is cut short or damaged, and DecodeError.
    std::optional<Step> next();

    // For a change whose row could not be written (ValueError): if the catalog was asked again when
    // it was recorded, takes in what it said, so that the same step may be tried again.
    bool learn_again();

    // Called when the catalog has news: rules must be made ready again.
    std::function<void()> on_news;

private:
    std::optional<RecordingReader::Entry> take_entry();
    bool read();
    void learn(const TableDescription& table);

    RecordingReader reader_;
    std::optional<RecordingReader::Entry> ahead_;  // Read, but not yet due.
    RecordingHeader header_;
    Catalog catalog_;
    Position beginning_;
    std::unique_ptr<Decoder> decoder_;
    std::string message_;
    Lsn start_;
    std::span<const Event> events_;  // Of the message, still to be given.
    bool is_incomplete_ = false;     // It waits for what the catalog said.
    bool is_after_cut_ = false;
};

// What a session made of a recording: the same batches of the same messages, under these rules.
class ReplayedBatches {
public:
    // Both must outlive it.
    ReplayedBatches(Replay& replay, const std::vector<Rule>& rules);

    // The next batch, or nothing at the end; valid until the next call. What ends it, it throws
    // when all that came before has been given: RecordingError, DecodeError, SetupError.
    const Batch* next();

    std::uint64_t rows() const { return rows_; }  // So far.

private:
    void read_batch();
    void take(const Replay::Step& step);
    void add(const Change& change, std::string_view message);

    Replay& replay_;
    Router router_;
    BatchBuilder builder_;
    Numbering numbering_;
    TransactionInfo transaction_;
    std::optional<Replay::Step> step_;  // Read, but of the next batch.
    Batch batch_;
    std::exception_ptr failure_;
    bool has_ended_ = false;
    std::uint64_t rows_ = 0;
};

}  // namespace walcast
