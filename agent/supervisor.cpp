#include "agent/supervisor.hpp"

#include "agent/backoff.hpp"
#include "agent/errors.hpp"

#include <charconv>
#include <random>

namespace walcast {

using std::chrono::milliseconds;

// How often a standby tries the slot.
static constexpr milliseconds standby_interval{500};

ReplicationStream::Settings stream_settings(const Config& config) {
    return {.conninfo = config.source.url,
            .slot = config.source.slot,
            .publications = {config.source.publication}};
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
    Session session(executor_, stream_settings(config_), config_.rules, Router::WithoutId::refused,
                    sink_, memory_, log_, {});
    co_await run_together(session.run(), watch_for_stop(session));
}

static std::uint32_t oid_of(const UnknownTable& error) {
    std::string_view text = error.what();
    std::uint32_t oid = 0;
    std::from_chars(text.data(), text.data() + text.size(), oid);
    return oid;
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
        } catch (const UnknownTable& error) {
            memory_.not_in_catalog.insert(oid_of(error));
            log_.info("new table oid={}: reading the catalog again", error.what());
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
