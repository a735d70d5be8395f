#pragma once

#include "agent/change_stream.hpp"
#include "agent/config.hpp"
#include "agent/log.hpp"
#include "agent/metrics.hpp"
#include "agent/session.hpp"
#include "agent/snapshot/snapshot_positions.hpp"
#include "sinks/sink.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace walcast {

// Runs sessions one after the other until it is told to stop, or until only a human can help.
class Supervisor {
public:
    // Reads the configuration again. Throws ConfigError.
    using Load = std::function<Config()>;
    // Makes a stream for a session; without `is_streaming` transactions come whole.
    using OpenStream = std::function<std::unique_ptr<ChangeStream>(bool is_streaming)>;

    // All must outlive the supervisor. `batches`: how large they become.
    Supervisor(asio::any_io_executor executor, const Config& config, Load load, OpenStream open,
               Sink& sink, Metrics& metrics, Log& log, BatchBuilder::Limits batches = {});

    // Returns after `stop`. Throws ConfigError, SetupError, DecodeError, Fenced.
    asio::awaitable<void> run();

    void stop();

    // Reads the configuration again, and takes its rules if they are good; many calls in a row
    // are one.
    void reload() { reload_.raise(); }

    // Which sync ids a snapshot has seen, as the session that runs can tell.
    SnapshotPositions& snapshots() { return snapshots_; }
    const std::vector<Rule>& rules_in_force() const { return rules_.in_force->rules; }

private:
    asio::awaitable<void> run_sessions();
    asio::awaitable<void> reload_rules();
    void read_rules();
    asio::awaitable<void> run_session();
    asio::awaitable<void> watch_for_stop(Session& session);

    asio::any_io_executor executor_;
    const Config& config_;
    Load load_;
    OpenStream open_;
    std::string channel_prefix_;  // Of the rules read last.
    RuleBook rules_;
    Sink& sink_;
    Metrics& metrics_;
    Log& log_;
    BatchBuilder::Limits batches_;
    Session::Memory memory_;
    SnapshotPositions snapshots_;
    std::unique_ptr<Session> session_;  // The one that runs.
    bool is_stopping_ = false;
    Signal stop_;
    Signal reload_;
};

}  // namespace walcast
