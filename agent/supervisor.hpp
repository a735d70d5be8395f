#pragma once

#include "agent/config.hpp"
#include "agent/log.hpp"
#include "agent/session.hpp"
#include "sinks/sink.hpp"

namespace walcast {

// Runs sessions one after the other until it is told to stop, or until only a human can help.
class Supervisor {
public:
    // All must outlive the supervisor.
    Supervisor(asio::any_io_executor executor, const Config& config, Sink& sink, Log& log);

    // Returns after `stop`. Throws ConfigError, SetupError, DecodeError, Fenced.
    asio::awaitable<void> run();

    void stop();

private:
    asio::awaitable<void> run_session();
    asio::awaitable<void> watch_for_stop(Session& session);

    asio::any_io_executor executor_;
    const Config& config_;
    Sink& sink_;
    Log& log_;
    Session::Memory memory_;
    bool is_stopping_ = false;
    Signal stop_;
};

// The stream that the configuration names.
ReplicationStream::Settings stream_settings(const Config& config);

}  // namespace walcast
