#include "agent/supervisor.hpp"

#include "agent/backoff.hpp"
#include "agent/errors.hpp"

#include <random>

namespace walcast {

using std::chrono::milliseconds;

// How often a standby tries the slot.
static constexpr milliseconds standby_interval{500};

ReplicationStream::Settings stream_settings(const Config& config) {
    return {.conninfo = config.source.url,
            .slot = config.source.slot,
            .publications = {config.source.publication},
            .plugin = config.source.plugin,
            .format_version = config.source.format_version,
            .is_streaming = config.source.is_streaming,
            .is_without_origins = config.source.is_without_origins,
            .values = config.values};
}

Supervisor::Supervisor(asio::any_io_executor executor, const Config& config, Sink& sink, Log& log)
    : executor_(executor), config_(config), sink_(sink), log_(log), stop_(executor) {}

void Supervisor::stop() {
    is_stopping_ = true;
    stop_.raise();
}

asio::awaitable<void> Supervisor::watch_for_stop(Session& session) {
    while (!is_stopping_) co_await stop_.wait();
    if (!session.has_started()) co_return;  // Its end cancels the session.
    session.stop();
    for (Signal never(executor_);;) co_await never.wait();
}

asio::awaitable<void> Supervisor::run_session() {
    Session::Settings settings{.stream = stream_settings(config_),
                               .spool = config_.source.spool,
                               .bad_rows = config_.source.bad_rows,
                               // wal2json sends every table, whatever was asked of `init`.
                               .without_id = config_.source.plugin == Plugin::wal2json
                                                 ? Router::WithoutId::left_out
                                                 : Router::WithoutId::refused,
                               .limits = {}};
    if (memory_.has_spool_failed) settings.stream.is_streaming = false;
    Session session(executor_, std::move(settings), config_.rules, sink_, memory_, log_);
    co_await run_together(session.run(), watch_for_stop(session));
}

asio::awaitable<void> Supervisor::run() {
    Backoff backoff({}, std::random_device{}());
    while (!is_stopping_) {
        std::string why;
        milliseconds wait{0};
        memory_.is_working = false;
        try {
            co_await run_session();
        } catch (const SlotActive& error) {
            if (!memory_.is_standby)
                log_.info("standby slot={} reason={}", config_.source.slot, quoted(error.what()));
            memory_.is_standby = true;
            wait = standby_interval;
        } catch (const SpoolError& error) {
            // The server spills them itself then, and sends them all again.
            memory_.has_spool_failed = true;
            log_.error("{}; until the next start transactions are taken when they commit",
                       error.what());
        } catch (const Gap& error) {
            memory_.gap = error.what();
        } catch (const PgError& error) {
            why = error.what();
        } catch (const PositionMoved& error) {
            why = error.what();
        } catch (const SinkError& error) {
            why = error.what();
        } catch (const boost::system::system_error& error) {
            why = error.what();
        }
        if (is_stopping_) break;
        if (!why.empty()) {
            if (memory_.is_working) backoff.reset();
            wait = backoff.next();
            log_.warn("session ended error={} retry_in={}ms", quoted(why), wait.count());
        }
        auto waiting = stop_.wait();
        if (wait.count() > 0) co_await within(wait, std::move(waiting));
    }
    log_.info("stopped");
}

}  // namespace walcast
