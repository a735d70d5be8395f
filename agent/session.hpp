#pragma once

#include "agent/backoff.hpp"
#include "agent/batch_builder.hpp"
#include "agent/batch_queue.hpp"
#include "agent/config.hpp"
#include "agent/describe.hpp"
#include "agent/log.hpp"
#include "agent/numbering.hpp"
#include "agent/replication_stream.hpp"
#include "agent/resume.hpp"
#include "agent/rules/router.hpp"
#include "agent/rules/rule_book.hpp"
#include "agent/spool.hpp"
#include "decoders/decoder.hpp"
#include "decoders/pgoutput_streaming.hpp"
#include "sinks/sink.hpp"

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>

namespace walcast {

// One connected run, from start of replication to the first error. While Redis is away it holds the
// slot, keeps the connection to Postgres alive, and goes on where Redis is when it comes back.
class Session {
public:
    // What outlives a session.
    struct Memory {
        bool has_spool_failed = false;   // Transactions come whole from now on.
        std::optional<std::string> gap;  // Found while streaming: the next session begins an epoch.
        bool is_standby = false;
        bool is_working = false;  // This session, or the last one, got as far as streaming.
    };
    struct Limits {
        std::chrono::milliseconds connect{15'000};
        std::chrono::milliseconds accept{
            60'000};                            // A batch; after that the connection is made anew.
        std::chrono::milliseconds stop{8'000};  // Docker kills after 10 s.
        BatchBuilder::Limits batches;
    };

    // What makes a session, beside where it runs.
    struct Settings {
        ReplicationStream::Settings stream;
        Spool::Settings spool = {};
        BadRows bad_rows = BadRows::stop;
        Router::WithoutId without_id = Router::WithoutId::refused;
        Limits limits;
    };

    // All but `settings` must outlive the session.
    Session(asio::any_io_executor executor, Settings settings, RuleBook& rules, Sink& sink,
            Memory& memory, Log& log);

    // Ends with the first error, or, after `stop`, when all that was read is in and confirmed.
    asio::awaitable<void> run();

    // Asks a session that has started to end in good order. Before that, cancel `run`.
    void stop();
    bool has_started() const { return has_started_; }

    // No transaction is in flight, and none that was sent in part will come again.
    bool is_between_transactions() const;

    // Takes the rules that are due at once; otherwise they wait for the transaction in flight.
    void reload();

private:
    // Postgres' side.
    asio::awaitable<void> read();
    asio::awaitable<void> wait_for_more();
    void handle(const Keepalive& keepalive);
    void decode(std::string_view message, Lsn start);
    void handle(const Event& event, std::string_view bytes);
    std::optional<PgoutputStreaming::Commit> sort(const WalData& data);
    asio::awaitable<void> replay(PgoutputStreaming::Commit commit);
    asio::awaitable<void> learn(std::string_view message, Lsn start);
    void fail(const SetupError& error);
    void set_aside(const Change& change, SyncId first_id, std::string_view why,
                   std::string_view bytes);
    void add(const Change& change, std::string_view bytes);
    void add(const Truncate& truncate, std::string_view bytes);
    void add(const LogicalMessage& message, std::string_view bytes);
    asio::awaitable<void> push();
    bool is_push_due() const;
    bool has_idle_progress() const;

    // The sink's side.
    asio::awaitable<void> publish();
    asio::awaitable<void> attach();
    asio::awaitable<void> expect_slot_is_ours();
    asio::awaitable<void> begin(std::optional<Stored> stored);
    asio::awaitable<void> send();
    asio::awaitable<void> receive_answers();
    void confirm(const Position& position);
    void warn_of_tables();

    // Rules.
    bool is_reload_due() const { return rules_.due && is_between_transactions(); }
    asio::awaitable<void> take_rules();
    void replace_rules(const RuleSet& rules);
    void put_in_force(std::unique_ptr<const RuleSet> rules, SyncId from);
    void keep_rules_of(const Stored& stored);
    template <typename Work>
    void by_rules(SyncId from, Work work);
    asio::awaitable<void> list_tables_again();

    StandbyStatus status() const;
    asio::awaitable<void> report();
    asio::awaitable<void> let_go_of_stopping_server();

    asio::any_io_executor executor_;
    ReplicationStream stream_;
    Sink& sink_;
    RuleBook& rules_;
    Memory& memory_;
    Log& log_;
    Limits limits_;
    Plugin plugin_;
    bool is_without_truncates_;
    BadRows bad_rows_;
    CatalogReader catalog_reader_;
    Router router_;
    BatchBuilder builder_;
    BatchQueue queue_;
    std::unique_ptr<Decoder> decoder_;
    std::optional<PgoutputStreaming> streaming_;  // When transactions in progress come too.
    Spool spool_;
    bool is_replaying_ = false;                        // A transaction from the spool.
    std::optional<SyncId> repeated_id_;                // Of the change to be read again.
    Lsn asked_in_;                                     // The transaction in which
    std::unordered_set<const Relation*> asked_about_;  // these were asked about.
    std::optional<Described> described_;               // What the catalog is to be asked about now.
    std::optional<Numbering> numbering_;
    bool are_rules_noted_ = false;  // Those in force, with a batch that was pushed.
    TransactionInfo transaction_;   // The one that began last.
    Position queued_;               // What the last batch pushed leads to.
    Signal started_;
    Signal accepted_;  // All that was pushed is in.
    bool has_started_ = false;
    bool is_attached_ = false;
    bool was_useful_ = false;             // This connection to the sink: it has accepted a batch.
    bool has_whole_transaction_ = false;  // In the batch being built.
    std::chrono::steady_clock::time_point idle_pushed_at_;

    Lsn received_;
    Lsn confirmed_;
    Signal report_due_;
    std::optional<Lsn> asked_;  // The server asked for an answer, and has sent up to here.
    std::chrono::steady_clock::time_point asked_at_;
    std::chrono::steady_clock::time_point moved_at_ =
        std::chrono::steady_clock::now();  // The sink.
    std::chrono::steady_clock::time_point probed_at_;
    std::optional<std::chrono::steady_clock::time_point> stopping_since_;
    std::exception_ptr failure_;  // Thrown when all is published that came before it.
};

}  // namespace walcast
