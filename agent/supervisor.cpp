#include "agent/supervisor.hpp"

#include "agent/backoff.hpp"
#include "agent/config_keys.hpp"
#include "agent/errors.hpp"
#include "agent/output_check.hpp"
#include "agent/random.hpp"
#include "agent/resume.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace walcast {

using std::chrono::milliseconds;

// How often a standby tries the slot.
static constexpr milliseconds standby_interval{500};
// A session that lasts so long was worth beginning.
static constexpr milliseconds working_min{1000};
// How soon the configuration is read again after it was read.
static constexpr milliseconds reload_interval{100};

static BatchBuilder::Limits with_outputs(BatchBuilder::Limits limits,
                                         const std::vector<OutputSettings>& outputs) {
    for (const auto& output : outputs) {
        limits.outputs += Outputs({output}).has_others() ? 1 : 0;
        limits.is_reversible = limits.is_reversible || output.is_correcting;
        limits.wants_whole_rows =
            limits.wants_whole_rows || output.envelope == EnvelopeKind::chorus;
        if (auto model = model_told_whole(output); !model.empty()) limits.model_told_whole = model;
    }
    return limits;
}

Supervisor::Supervisor(asio::any_io_executor executor, const Config& config, Load load,
                       OpenStream open, Sink& sink, Metrics& metrics, Log& log,
                       BatchBuilder::Limits batches)
    : executor_(executor),
      config_(config),
      load_(std::move(load)),
      open_(std::move(open)),
      channel_prefix_(config.channel_prefix),
      rules_{.in_force = RuleSet::of(config), .due = nullptr},
      sink_(sink),
      metrics_(metrics),
      log_(log),
      batches_(with_outputs(batches, config.redis.outputs)),
      snapshots_(executor, random_epoch()),
      stop_(executor),
      reload_(executor) {}

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
    const auto& source = config_.source;
    auto is_streaming = source.is_streaming && !memory_.takes_only_whole;
    Session::Settings settings{.pipeline = {.plugin = source.plugin,
                                            .format_version = source.format_version,
                                            .is_streaming = is_streaming,
                                            .spool = source.spool,
                                            .bad_rows = source.bad_rows,
                                            .without_id = Router::without_id_of(source.plugin),
                                            .batches = batches_,
                                            .reserved_prefix = config_.redis.prefix,
                                            .snapshots = &snapshots_},
                               .confirm_delay = config_.confirm_delay,
                               .heartbeat = source.heartbeat,
                               .limits = {}};
    session_ = std::make_unique<Session>(executor_, std::move(settings), open_(is_streaming),
                                         rules_, sink_, memory_, metrics_, log_);
    co_await run_together(session_->run(), watch_for_stop(*session_));
}

// --- rules ---

asio::awaitable<void> Supervisor::reload_rules() {
    for (;;) {
        co_await reload_.wait();
        if (!is_stopping_) read_rules();
        co_await sleep_for(reload_interval);
    }
}

void Supervisor::read_rules() {
    Config config;
    try {
        config = load_();
        // These stay, whatever the file says.
        expect_no_own_names(config, config_.redis.prefix);
        check_outputs(config, config_.redis.outputs);
    } catch (const ConfigError& error) {
        ++metrics_.reloads_failed;
        log_.error("rules not reloaded, the old ones stay in force error={}", quoted(error.what()));
        return;
    }
    auto changed = changed_settings(config_, config);
    if (!changed.empty())
        log_.warn("settings changed that need a restart: {}", fmt::join(changed, ", "));
    if (config.rules_text == rules_.newest().text) {
        log_.info("rules unchanged file={} rules={}", config.file, config.rules.size());
        return;
    }
    if (std::exchange(channel_prefix_, config.channel_prefix) != config.channel_prefix)
        log_.warn("redis.channel_prefix changed: with these rules every channel has another name");
    rules_.due = RuleSet::of(std::move(config));
    if (session_ && session_->is_between_transactions()) return session_->reload();
    log_.info("rules read, to be in force from the next transaction on file={} rules={}",
              rules_.due->file, rules_.due->rules.size());
}

// --- sessions ---

asio::awaitable<void> Supervisor::run() {
    co_await run_together(run_sessions(), reload_rules());
}

asio::awaitable<void> Supervisor::run_sessions() {
    Backoff backoff({}, Random::bits());
    while (!is_stopping_) {
        std::string why;
        milliseconds wait{0};
        auto state = Metrics::State::starting;
        auto* ended_by = &metrics_.sessions_ended_by_postgres;
        memory_.is_working = false;
        auto began_at = Clock::now();
        try {
            co_await run_session();
        } catch (const SlotActive& error) {
            if (!memory_.is_standby)
                log_.info("standby slot={} reason={}", config_.source.slot, quoted(error.what()));
            memory_.is_standby = true;
            state = Metrics::State::standby;
            wait = standby_interval;
        } catch (const SpoolError& error) {
            // The server spills them itself then, and sends them all again.
            memory_.takes_only_whole = true;
            log_.error("{}; until the next start transactions are taken when they commit",
                       error.what());
        } catch (const NeedsWhole& error) {
            memory_.takes_only_whole = true;
            log_.warn(
                "{}; until the next start transactions are taken when they commit. Where they "
                "publish events, [source] streaming = false",
                error.what());
        } catch (const Gap& error) {
            memory_.gap = error.what();
        } catch (const PgError& error) {
            why = error.what();
        } catch (const PositionMoved& error) {
            why = error.what();
            ended_by = &metrics_.sessions_ended_by_redis;
        } catch (const SinkError& error) {
            why = error.what();
            ended_by = &metrics_.sessions_ended_by_redis;
        } catch (const boost::system::system_error& error) {
            why = error.what();
        }
        session_.reset();
        metrics_.is_postgres_connected = metrics_.is_redis_connected = false;
        metrics_.queue_batches = metrics_.queue_bytes = 0;
        metrics_.state = state;
        if (is_stopping_) break;
        if (!why.empty()) {
            ++*ended_by;
            // One that ends as soon as it has begun would do so again.
            auto has_worked = memory_.is_working && Clock::now() - began_at > working_min;
            if (has_worked) backoff.reset();
            wait = backoff.next();
            log_.warn("session ended error={} retry_in={}ms", quoted(why), wait.count());
        }
        auto waiting = stop_.wait();
        if (wait.count() > 0) co_await within(wait, std::move(waiting));
    }
    log_.info("stopped");
}

}  // namespace walcast
