#pragma once

#include "agent/batch_builder.hpp"
#include "agent/change_stream.hpp"
#include "agent/config.hpp"
#include "agent/heartbeat.hpp"
#include "agent/log.hpp"
#include "agent/metrics.hpp"
#include "agent/numbering.hpp"
#include "agent/recording/recording.hpp"
#include "agent/rules/router.hpp"
#include "agent/rules/rule_book.hpp"
#include "agent/snapshot/snapshot_positions.hpp"
#include "agent/spool.hpp"
#include "decoders/decoder.hpp"
#include "decoders/pgoutput_streaming.hpp"
#include "sinks/sink.hpp"

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace walcast {

// What each change goes through from bytes to batch: it is decoded, numbered, routed and written
// before the next one is looked at. Waits for nothing but answers of the catalog.
class Pipeline {
public:
    struct Settings {
        Plugin plugin = Plugin::pgoutput;
        unsigned format_version = 2;  // Of wal2json.
        bool is_streaming = false;    // Transactions in progress come too.
        Spool::Settings spool = {};
        BadRows bad_rows = BadRows::stop;
        Router::WithoutId without_id = Router::WithoutId::refused;
        BatchBuilder::Limits batches;
        RecordingWriter* recording = nullptr;
        std::string reserved_prefix = "walcast:";  // No event's channel begins so.
        SnapshotPositions* snapshots = nullptr;    // Hears what transactions there are.
    };

    // All but `settings` must outlive the pipeline.
    Pipeline(Settings settings, ChangeStream& stream, RuleBook& rules, Heartbeat& heartbeat,
             Metrics& metrics, Log& log);

    // What the sink holds: what comes after it is written. A transaction that was sent in part goes
    // on by the rules that it began with.
    void begin(const Stored& stored);
    bool has_begun() const { return numbering_.has_value(); }

    // The last transaction that the sink holds has come again, or need not: the server is the one
    // of then. Until it is, nothing is to be confirmed.
    bool is_recognised() const { return numbering_->is_recognised(); }

    // Takes one message of the stream, whose views must live until the next call of anything that
    // takes. Throws DecodeError, SetupError, Gap, SpoolError, NeedsWhole.
    void take(const WalData& data);
    void take(const Keepalive& keepalive);

    // The catalog must be asked before anything else is taken; `limit` is for each question.
    bool has_question() const { return described_.has_value(); }
    asio::awaitable<void> ask(std::chrono::milliseconds limit);

    // A transaction that came in parts is committed: it is taken piece by piece. `give_up` leaves
    // the rest, which comes again.
    bool is_replaying() const { return replay_.has_value(); }
    void replay_next();
    void give_up() { replay_.reset(); }

    // Why nothing more can be taken, once all before it is published.
    std::exception_ptr failure() const { return failure_; }

    bool is_full() const { return builder_.is_full(); }

    // What has been written is worth sending: a transaction on its way is not cut without need.
    bool is_ready() const {
        return !builder_.is_empty() && (has_whole_transaction_ || !numbering_->is_in_transaction());
    }

    // Only the position has moved.
    bool has_idle_progress() const {
        return builder_.is_empty() && !numbering_->is_in_transaction() && has_progress();
    }
    bool has_progress() const { return numbering_->position() != taken_; }

    // What has been written since the last time; `spare` is written into from now on.
    Batch take_batch(Batch spare);

    // No transaction is in flight, and none that was sent in part will come again.
    bool is_between_transactions() const {
        return numbering_ && !numbering_->is_in_transaction() && !numbering_->position().partial;
    }

    // Puts the rules that are due in force. Between transactions only. False where they do not fit
    // a table; then the old ones stay.
    bool take_rules();

    // How far the stream was read.
    Lsn received() const { return received_; }

private:
    struct Replay {
        PgoutputStreaming::Commit commit;
        Spool::Reader reader;
        std::string message = {};  // Of the commit's own.
        std::size_t relations_taken = 0;
    };

    bool is_told_of(const Described& described) const;
    void decode(std::string_view message, Lsn start);
    void handle(const Event& event);
    void sort(const WalData& data);
    void count(const Change& change);
    void tell_snapshots();
    void fail(const SetupError& error);
    void set_aside(const Change& change, SyncId first_id, std::string_view why);
    void add(const Change& change);
    void add(const Truncate& truncate);
    void add(const LogicalMessage& message);
    void warn_of_message(std::string_view what, const LogicalMessage& message);
    void name_events_by(const RuleSet& rules);
    void replace_rules(const RuleSet& rules);
    void put_in_force(std::unique_ptr<const RuleSet> rules, SyncId from);
    void keep_rules_of(const Stored& stored);
    template <typename Work>
    void by_rules(SyncId from, Work work);

    ChangeStream& stream_;
    RuleBook& rules_;
    Heartbeat& heartbeat_;
    Metrics& metrics_;
    Log& log_;
    BadRows bad_rows_;
    RecordingWriter* recording_;
    std::string reserved_prefix_;
    std::optional<Clock::time_point> message_warned_at_;
    SnapshotPositions* snapshots_;
    Router router_;
    BatchBuilder builder_;
    std::unique_ptr<Decoder> decoder_;
    std::optional<PgoutputStreaming> streaming_;
    Spool spool_;
    std::optional<Replay> replay_;
    std::string_view message_;  // Being taken.
    Lsn message_start_;
    std::optional<SyncId> repeated_id_;  // Of the change to be read again.
    // In this transaction: what was asked about as it was described,
    std::vector<Relation> asked_for_;
    std::unordered_set<const Relation*>
        asked_about_;                     // and since a row of it could not be written.
    std::optional<Described> described_;  // What the catalog is to be asked about now.
    std::optional<Numbering> numbering_;
    bool are_rules_noted_ = false;        // Those in force, with a batch that was taken.
    TransactionInfo transaction_;         // The one that began last.
    SyncId first_id_ = 0;                 // Its own, if it takes any.
    bool has_whole_transaction_ = false;  // In the batch being built.
    Position taken_;                      // What the last batch leads to.
    Lsn received_;
    std::exception_ptr failure_;
};

}  // namespace walcast
