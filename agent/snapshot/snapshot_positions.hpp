#pragma once

#include "agent/concurrency.hpp"
#include "agent/snapshot/recent_transactions.hpp"
#include "decoders/lsn.hpp"
#include "decoders/sync_action.hpp"
#include "sinks/sink.hpp"

#include <cstdint>
#include <list>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace walcast {

// What is known of a snapshot (docs/protocol.md, "Bootstrap").
struct SnapshotAnswer {
    std::string epoch;
    SnapshotPosition position;
};

// Of this snapshot the position cannot be told; of a later one perhaps.
struct SnapshotRefused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// No position can be told now: no session streams, or it does not get on.
struct NotStreaming : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Tells those who ask which sync ids a snapshot has seen. Lives as long as the agent; sessions
// serve it one after the other. What a snapshot shows had committed before a marker that is written
// after it: when the marker has come through the stream, all of it has been numbered; and when the
// sink has the marker, those ids stay those transactions', also after a failover of the server. One
// marker does for all who asked before it was written.
class SnapshotPositions {
public:
    static constexpr std::string_view prefix = "walcast:marker";

    // `token` is unlike any other's.
    SnapshotPositions(asio::any_io_executor executor, std::string token)
        : executor_(std::move(executor)), token_(std::move(token)), asked_(executor_) {}

    // Throws SnapshotRefused, NotStreaming. Waits for as long as the stream does not get on.
    asio::awaitable<SnapshotAnswer> position_of(PgSnapshot snapshot);

    // How to connect to the server that streams, with the password. Throws NotStreaming.
    const std::string& server() const;

    // What a session tells. `begin`: it streams now, from `server`; `at_start` is its snapshot from
    // when the slot was ours. Nothing where that is no primary.
    void begin(std::string server, std::optional<PgSnapshot> at_start);
    void end();

    // What it does: it waits until somebody asks, and writes the marker for all who do.
    asio::awaitable<void> wait_until_asked();
    std::string next_marker();
    void failed(const std::string& why);  // As far as is known it was not written.

    // What its stream holds.
    void committed(std::uint32_t xid, SyncId first, SyncId last);
    void heard(std::string_view marker);
    bool is_marker_heard() const { return !heard_.empty(); }
    void passed(const Position& position);  // At the end of its transaction.

    // The marker has passed, and only the sink does not have it yet.
    bool is_sink_awaited() const;
    void accepted(Lsn lsn);  // The sink has all up to it.

private:
    struct Question {
        PgSnapshot snapshot;
        std::uint64_t marker = 0;          // The one that it waits for; 0: not written yet.
        std::optional<Lsn> marker_passed;  // It has come, and its transaction ends there.
        std::variant<SnapshotAnswer, SnapshotRefused, NotStreaming> answer;
        bool is_answered = false;
        Signal answered;
    };
    struct Streaming {
        std::string server;
        std::optional<RecentTransactions> transactions;
    };
    void find_answer(Question& question, const Position& position);
    static void give(Question& question);
    static void give_up(Question& question, const std::string& why);
    bool is_anybody_unmarked() const;

    asio::any_io_executor executor_;
    std::string token_;
    std::optional<Streaming> streaming_;
    std::list<Question> questions_;
    std::uint64_t markers_ = 0;
    std::string heard_;
    Signal asked_;
};

}  // namespace walcast
