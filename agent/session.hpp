#pragma once

#include "agent/batch_queue.hpp"
#include "agent/change_stream.hpp"
#include "agent/clock.hpp"
#include "agent/heartbeat.hpp"
#include "agent/log.hpp"
#include "agent/metrics.hpp"
#include "agent/pipeline.hpp"
#include "agent/progress.hpp"
#include "agent/rules/rule_book.hpp"
#include "sinks/sink.hpp"

#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>

namespace walcast {

// One connected run, from start of replication to the first error. While the sink is away it holds
// the slot, keeps the connection to Postgres alive, and goes on where the sink is when it comes
// back.
class Session {
public:
    // What outlives a session.
    struct Memory {
        bool takes_only_whole = false;   // Transactions: none in progress from now on.
        std::optional<std::string> gap;  // Found while streaming: the next session begins an epoch,
        std::string epoch;               // unless another agent has, after this one.
        bool is_standby = false;
        bool is_working = false;  // This session, or the last one, got as far as streaming.
    };
    struct Limits {
        std::chrono::milliseconds connect{15'000};
        std::chrono::milliseconds accept{
            60'000};                            // A batch; after that the connection is made anew.
        std::chrono::milliseconds stop{6'500};  // Docker kills after 10 s.
    };
    struct Settings {
        Pipeline::Settings pipeline;
        std::chrono::milliseconds confirm_delay{0};  // How long the sink may lose what it accepted.
        std::chrono::milliseconds heartbeat{0};      // 0: none.
        Limits limits;
    };

    // All but `settings` and `stream` must outlive the session.
    Session(asio::any_io_executor executor, Settings settings, std::unique_ptr<ChangeStream> stream,
            RuleBook& rules, Sink& sink, Memory& memory, Metrics& metrics, Log& log);
    ~Session();

    // Ends with the first error, or, after `stop`, when all that was read is in and confirmed.
    asio::awaitable<void> run();

    // Asks a session that has started to end in good order. Before that, cancel `run`.
    void stop();
    bool has_started() const { return has_started_; }

    bool is_between_transactions() const { return pipeline_.is_between_transactions(); }

    // Takes the rules that are due at once; otherwise they wait for the transaction in flight.
    void reload();

private:
    // Postgres' side.
    asio::awaitable<void> read();
    asio::awaitable<void> replay();
    asio::awaitable<void> settle();
    asio::awaitable<void> wait_for_more();
    void note(const Keepalive& keepalive);
    bool is_reload_due() const { return rules_.due && is_between_transactions(); }
    asio::awaitable<void> take_rules();
    asio::awaitable<void> list_tables_again();
    void warn_of_tables();
    asio::awaitable<void> push();
    bool is_push_due() const;
    bool is_idle_push_wanted() const;

    // The sink's side.
    asio::awaitable<void> publish();
    asio::awaitable<void> attach();
    asio::awaitable<void> expect_slot_is_ours();
    asio::awaitable<void> begin(std::optional<Stored> stored);
    asio::awaitable<bool> adopt();
    asio::awaitable<void> send();
    asio::awaitable<void> receive_answers();
    void accept(const Position& position, bool is_durable);
    void measure(const Batch& accepted);
    void measure(const ChangeStream::Wal& wal);
    void measure_queue();

    // Both.
    asio::awaitable<void> report();
    StandbyStatus status();
    void expect_life();
    asio::awaitable<void> let_go_of_stopping_server();
    asio::awaitable<std::string> ask(asio::awaitable<ChangeStream::Wal> asking);
    asio::awaitable<void> beat();
    asio::awaitable<void> mark();
    bool is_stop_without_sink() const;
    asio::awaitable<void> finish();
    asio::awaitable<void> end_stream();
    bool is_stop_overdue() const;

    asio::any_io_executor executor_;
    std::unique_ptr<ChangeStream> stream_;
    Sink& sink_;
    RuleBook& rules_;
    Memory& memory_;
    Metrics& metrics_;
    Log& log_;
    Settings settings_;
    Heartbeat heartbeat_;
    Pipeline pipeline_;
    BatchQueue queue_;
    Progress progress_;
    Signal started_;
    Signal accepted_;  // All that was pushed is in.
    bool has_started_ = false;
    bool is_attached_ = false;
    bool was_useful_ = false;  // This connection to the sink: it has accepted a batch.
    std::deque<Clock::time_point> sent_at_;  // The batches that await their answers.
    Clock::time_point idle_pushed_at_;

    Signal report_due_;
    Signal beat_due_;
    std::optional<Lsn> asked_;  // The server asked for an answer, and has sent up to here.
    Clock::time_point asked_at_;
    std::optional<Clock::time_point> silent_since_;  // We wait, and nothing has come.
    Clock::time_point answer_asked_at_;
    Clock::time_point moved_at_ = Clock::now();  // The sink.
    Clock::time_point probed_at_;
    Clock::time_point tables_listed_at_;
    // Where the sink was at the start, until the server has shown that it is the one of then.
    struct Unproved {
        Position position;
        bool is_durable = false;
    };
    std::optional<Unproved> unproved_;
    std::optional<Clock::time_point> stopping_since_;
};

}  // namespace walcast
