#include "agent/session.hpp"

#include "agent/backoff.hpp"
#include "agent/concurrency.hpp"
#include "agent/errors.hpp"
#include "agent/random.hpp"
#include "agent/resume.hpp"
#include "agent/table_warnings.hpp"

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace walcast {

using std::chrono::milliseconds;

// Positions of an idle stream are written this often.
static constexpr milliseconds idle_interval{1000};
// Answers to a server that asks again at once.
static constexpr milliseconds answer_interval{10};
// How often we look whether it is time to stop whatever is left.
static constexpr milliseconds stop_interval{100};
// How often we look whether the publication still has the tables that it had.
static constexpr milliseconds tables_interval{60'000};
// A server that stops waits for us; when Redis is away so long, we let it go.
static constexpr milliseconds hold_up_max{5000};

// --- the whole ---

Session::Session(asio::any_io_executor executor, Settings settings,
                 std::unique_ptr<ChangeStream> stream, RuleBook& rules, Sink& sink, Memory& memory,
                 Metrics& metrics, Log& log)
    : executor_(executor),
      stream_(std::move(stream)),
      sink_(sink),
      rules_(rules),
      memory_(memory),
      metrics_(metrics),
      log_(log),
      settings_(std::move(settings)),
      heartbeat_(random_epoch()),
      pipeline_(settings_.pipeline, *stream_, rules, heartbeat_, metrics, log),
      queue_(executor),
      progress_(settings_.confirm_delay),
      started_(executor),
      accepted_(executor),
      report_due_(executor),
      beat_due_(executor) {}

Session::~Session() {
    if (settings_.pipeline.snapshots != nullptr) settings_.pipeline.snapshots->end();
}

asio::awaitable<void> Session::run() {
    auto starting = stream_->start();  // The slot is the lock: take it first.
    auto is_in_time = co_await within(settings_.limits.connect, std::move(starting));
    if (!is_in_time) throw PgError("postgres: no answer while connecting");
    has_started_ = metrics_.is_postgres_connected = true;
    co_await run_together(read(), publish(), report(), beat(),
                          mark());  // Ends with the first error.
    co_await finish();
    if (pipeline_.failure()) std::rethrow_exception(pipeline_.failure());
}

void Session::stop() {
    stopping_since_ = Clock::now();
    started_.raise();
    report_due_.raise();
    accepted_.raise();
    stream_->interrupt();
}

void Session::reload() {
    assert(is_between_transactions());
    accepted_.raise();
    stream_->interrupt();
}

bool Session::is_stop_overdue() const {
    return stopping_since_ && Clock::now() - *stopping_since_ > settings_.limits.stop;
}

// Without the sink nothing more gets in: it comes again with the next start. But what comes before
// a failure is still to be published.
bool Session::is_stop_without_sink() const {
    return stopping_since_ && !is_attached_ && !queue_.is_done() && !pipeline_.failure();
}

// All that was read is in, or the time for it is over.
asio::awaitable<void> Session::finish() {
    if (is_attached_ && !is_stop_overdue()) {
        while (progress_.all_due_at() > Clock::now() && !is_stop_overdue())
            co_await sleep_for(answer_interval);
        try {
            auto leaving = sink_.leave();
            auto has_answered = co_await within(milliseconds{1000}, std::move(leaving));
            if (has_answered) progress_.answered(Clock::now());
        } catch (const SinkError& error) {
            log_.warn("sink lost while leaving error={}", quoted(error.what()));
        }
    }
    auto ending = end_stream();
    co_await within(milliseconds{1000}, std::move(ending));
}

asio::awaitable<void> Session::end_stream() {
    auto reporting = stream_->report(status());
    co_await std::move(reporting);
    auto finishing = stream_->finish();
    co_await std::move(finishing);
}

// --- from Postgres ---

asio::awaitable<void> Session::read() {
    while (!pipeline_.has_begun() && !stopping_since_) co_await started_.wait();
    for (auto is_drained = false; !stopping_since_;) {
        if (is_reload_due()) co_await take_rules();
        if (auto message = stream_->next()) {
            silent_since_.reset();
            if (const auto* data = std::get_if<WalData>(&*message))
                pipeline_.take(*data);
            else
                note(std::get<Keepalive>(*message));
            if (pipeline_.has_question() || pipeline_.is_full()) co_await settle();
            if (pipeline_.is_replaying()) co_await replay();
            if (pipeline_.failure()) stop();
            if (unproved_ && pipeline_.is_recognised()) {
                auto proved = *std::exchange(unproved_, std::nullopt);
                accept(proved.position, proved.is_durable);
            }
            is_drained = false;
        } else if (!is_drained) {
            stream_->receive();
            is_drained = true;
        } else {
            // All that has arrived is handled: what is ready goes out at once.
            if (is_push_due()) co_await push();
            if (!stopping_since_) co_await wait_for_more();
            stream_->receive();
        }
    }
    if (pipeline_.has_begun() && pipeline_.has_progress()) co_await push();
    queue_.close();
    if (queue_.is_done()) co_return;
    for (Signal never(executor_);;) co_await never.wait();  // Until all is published.
}

// What a message has left to do.
asio::awaitable<void> Session::settle() {
    if (pipeline_.has_question()) co_await pipeline_.ask(settings_.limits.connect);
    if (pipeline_.is_full()) co_await push();
}

asio::awaitable<void> Session::replay() {
    for (auto count = 1U; pipeline_.is_replaying(); ++count) {
        if (stopping_since_ || pipeline_.failure()) co_return pipeline_.give_up();
        pipeline_.replay_next();
        co_await settle();
        // Reports and signals have their turn, also where no row is published.
        if (count % 4096 == 0) co_await asio::post(executor_, asio::use_awaitable);
    }
}

// While a batch is on its way what arrives is left in the socket, to be read in one go: waking up
// for each frame costs more than all the rest. A sink that is slow does not keep us from reading
// for long.
asio::awaitable<void> Session::wait_for_more() {
    constexpr milliseconds left_unread_max{20};
    if (is_reload_due()) co_return;
    if (!queue_.is_empty()) {
        co_await accepted_.wait(left_unread_max);
        co_return;
    }
    if (!silent_since_) silent_since_ = Clock::now();
    auto waiting = stream_->wait_readable();
    if (is_idle_push_wanted() || progress_.is_delayed())
        co_await within(idle_interval, std::move(waiting));
    else
        co_await std::move(waiting);
}

void Session::note(const Keepalive& keepalive) {
    pipeline_.take(keepalive);
    if (!keepalive.is_reply_requested) return;
    report_due_.raise();
    if (progress_.confirmed() >= keepalive.wal_end) return;
    if (!asked_) asked_at_ = Clock::now();
    asked_ = keepalive.wal_end;
}

// What moves the position alone, makes what the sink holds durable, or shows that it still does.
bool Session::is_idle_push_wanted() const {
    return pipeline_.has_idle_progress() || progress_.is_waiting_for_durability() ||
           progress_.is_answer_due(Clock::now());
}

// While a batch is on its way the next one grows: the busier the stream, the larger the batches,
// and an idle one is published at once. Progress without messages is written at times only, but at
// once for heartbeats and markers, and for a server that asks, since it may be stopping.
bool Session::is_push_due() const {
    if (!queue_.is_empty()) return false;
    if (pipeline_.is_ready()) return true;
    auto is_asked = asked_ && progress_.confirmed() < *asked_;
    const auto* snapshots = settings_.pipeline.snapshots;
    auto is_awaited =
        heartbeat_.is_back() || (snapshots != nullptr && snapshots->is_sink_awaited());
    auto is_wanted_now = (is_asked || is_awaited) && pipeline_.has_idle_progress();
    return is_wanted_now ||
           (is_idle_push_wanted() && Clock::now() - idle_pushed_at_ >= idle_interval);
}

asio::awaitable<void> Session::push() {
    auto batch = pipeline_.take_batch(queue_.spare());
    idle_pushed_at_ = Clock::now();
    if (!batch.messages.empty())
        metrics_.batch_bytes.observe(static_cast<double>(batch.bytes.size()));
    co_await queue_.push(std::move(batch));
    measure_queue();
}

// --- rules ---

asio::awaitable<void> Session::take_rules() {
    co_await list_tables_again();
    if (rules_.due && pipeline_.take_rules()) warn_of_tables();
}

// What is published may have changed since the start. The stream says nothing of a table that is
// taken out: its changes would be missed in silence.
asio::awaitable<void> Session::list_tables_again() {
    tables_listed_at_ = Clock::now();
    auto before = stream_->facts().published;
    try {
        auto listing = stream_->list_tables();
        co_await within(milliseconds{2000}, std::move(listing));
    } catch (const PgError&) {
        co_return;  // For warnings what was known will do.
    } catch (const SetupError&) {
        co_return;
    }
    for (const auto& table :
         unpublished_tables(rules_.in_force->rules, before, stream_->facts().published))
        log_.warn(
            "table={} was dropped, renamed, or taken out of the publication: its changes are not "
            "sent. `walcast init` adds what the rules name",
            table);
}

void Session::warn_of_tables() {
    const auto& pipeline = settings_.pipeline;
    for (const auto& warning : table_warnings(rules_.in_force->rules, stream_->facts(),
                                              pipeline.plugin, pipeline.format_version))
        log_.warn("{}", warning);
}

// --- to the sink ---

asio::awaitable<void> Session::publish() {
    Backoff backoff({}, Random::bits());
    for (;;) {
        std::string why;
        try {
            co_await attach();
            co_await run_together(send(), receive_answers());
            co_return;
        } catch (const SinkError& error) {
            why = error.what();
        }
        is_attached_ = metrics_.is_redis_connected = false;
        ++metrics_.redis_losses;
        progress_.sink_lost();
        if (std::exchange(was_useful_, false)) backoff.reset();
        auto wait = backoff.next();
        log_.warn("sink lost error={} retry_in={}ms", quoted(why), wait.count());
        co_await sleep_for(wait);
    }
}

template <typename Result>
static Result in_time(std::optional<Result> result) {
    if (!result) throw SinkError("sink: no answer in time");
    return std::move(*result);
}

asio::awaitable<void> Session::attach() {
    sent_at_.clear();
    auto connecting = sink_.connect();
    auto stored = in_time(co_await within(settings_.limits.connect, std::move(connecting)));
    co_await expect_slot_is_ours();
    refuse_older_timeline(stored, stream_->facts());
    auto taking_over = sink_.take_over();
    stored = in_time(co_await within(settings_.limits.accept, std::move(taking_over)));
    if (!pipeline_.has_begun()) {
        co_await begin(std::move(stored));
    } else {
        if (!stored || !queue_.resume_at(stored->position))
            throw PositionMoved(
                "the position in the sink is not one that was written last: beginning again from "
                "there");
        if (stored->position.partial && !settings_.pipeline.batches.model_told_whole.empty())
            throw PositionMoved(
                "an output tells of whole transactions, and the sink was lost inside one: reading "
                "it again");
        auto is_durable = co_await adopt();
        log_.info("sink back sync_id={} lsn={}", stored->position.sync_id, stored->position.lsn);
        accept(stored->position, is_durable);
        stream_->interrupt();  // The reader may have something to push now.
    }
    is_attached_ = metrics_.is_redis_connected = true;
}

asio::awaitable<bool> Session::adopt() {
    auto adopting = sink_.adopt(stream_->facts().source);
    co_return in_time(co_await within(settings_.limits.accept, std::move(adopting)));
}

// A process that was frozen, or waited for the sink, may have lost the slot without having noticed:
// it must not take the sink from whoever has it now.
asio::awaitable<void> Session::expect_slot_is_ours() {
    auto asking = stream_->has_slot();
    auto is_ours = co_await within(settings_.limits.connect, std::move(asking));
    if (!is_ours) throw PgError("postgres: no answer");
    if (*is_ours) co_return;
    // Why the server has let go of us it may have said already, unread.
    if (!pipeline_.has_begun())
        for (stream_->receive(); stream_->next();) continue;
    throw PgError("postgres: the slot is no longer ours");
}

asio::awaitable<void> Session::begin(std::optional<Stored> stored) {
    const auto& facts = stream_->facts();
    if (stored && stored->position.epoch != memory_.epoch) memory_.gap.reset();
    auto find = [&] { return memory_.gap ? memory_.gap : find_gap(stored, facts); };
    // The position may be of whoever has the slot by now, and above what the facts say.
    if (find()) co_await expect_slot_is_ours();
    auto reason = find();
    Stored found;
    if (reason) {
        auto beginning = sink_.begin_epoch(first_of_epoch(stored, facts), facts.source, *reason);
        found.position = in_time(co_await within(settings_.limits.accept, std::move(beginning)));
        found.source = facts.source;
        log_.warn("new epoch={} sync_id={} reason={}", found.position.epoch, found.position.sync_id,
                  quoted(*reason));
        ++metrics_.epochs;
        memory_.gap.reset();
    } else {
        found = std::move(*stored);
    }
    auto is_durable = co_await adopt();
    pipeline_.begin(found);
    warn_of_tables();
    const auto& position = found.position;
    log_.info("streaming slot={} from={} epoch={} sync_id={} rules={}", facts.source.slot,
              position.lsn, position.epoch, position.sync_id, rules_.in_force->rules.size());
    memory_.epoch = position.epoch;
    memory_.is_working = true;
    memory_.is_standby = false;
    ++metrics_.sessions;
    metrics_.state = Metrics::State::active;
    queue_.begin_at(position);
    accept(position, is_durable);
    tables_listed_at_ = Clock::now();
    started_.raise();
    beat_due_.raise();
}

asio::awaitable<void> Session::send() {
    for (;;) {
        const auto* batch = co_await queue_.next_to_send();
        sent_at_.push_back(Clock::now());
        co_await sink_.send(*batch);
    }
}

asio::awaitable<void> Session::receive_answers() {
    for (;;) {
        co_await queue_.wait_for_sent();
        if (queue_.is_done()) co_return;
        auto accepting = sink_.accepted();
        auto is_durable = co_await within(settings_.limits.accept, std::move(accepting));
        if (!is_durable) throw SinkError("sink: a batch was not accepted in time");
        measure(queue_.oldest_sent());
        auto position = queue_.accepted();
        measure_queue();
        was_useful_ = true;
        moved_at_ = Clock::now();
        log_.debug("accepted sync_id={} lsn={}", position.sync_id, position.lsn);
        if (queue_.is_empty()) accepted_.raise();
        accept(position, *is_durable);
    }
}

void Session::measure(const Batch& accepted) {
    auto seconds = [](auto duration) { return std::chrono::duration<double>(duration).count(); };
    ++metrics_.batches;
    metrics_.accepted_at = Clock::now();
    metrics_.batch_seconds.observe(seconds(*metrics_.accepted_at - sent_at_.front()));
    sent_at_.pop_front();
    if (accepted.messages.empty()) return;
    auto lag = Clock::unix_now() - accepted.messages.back().transaction.commit_time;
    metrics_.commit_seconds.observe(std::max(0.0, seconds(lag)));
}

void Session::measure(const ChangeStream::Wal& wal) {
    metrics_.wal_end = wal.end;
    metrics_.slot_retained_bytes = wal.retained_bytes;
    metrics_.slot_safe_bytes = wal.safe_bytes;
}

void Session::measure_queue() {
    metrics_.queue_batches = queue_.size();
    metrics_.queue_bytes = queue_.bytes();
}

// The position is in the sink: Postgres may forget what lies before it, once that is durable.
void Session::accept(const Position& position, bool is_durable) {
    // A server restored from a backup must not forget what would show that it is.
    if (!pipeline_.is_recognised()) {
        unproved_ = Unproved{position, is_durable};
        return;
    }
    if (is_durable == progress_.is_waiting_for_durability()) {
        if (is_durable)
            log_.info("replicas have everything again lsn={}", position.lsn);
        else
            log_.warn(
                "fewer replicas than [redis] wait_replicas have what was published: nothing is "
                "confirmed to Postgres, which keeps its WAL, until they do lsn={}",
                position.lsn);
    }
    progress_.accepted(position.lsn, is_durable, Clock::now());
    if (auto* snapshots = settings_.pipeline.snapshots) snapshots->accepted(position.lsn);
    metrics_.is_durable = is_durable;
    metrics_.sync_id = position.sync_id;
    metrics_.accepted_lsn = position.lsn;
    metrics_.received_lsn = std::max(pipeline_.received(), position.lsn);
    if (heartbeat_.accepted(position.lsn, Clock::now())) {
        ++metrics_.heartbeats_returned;
        metrics_.heartbeat_returned_at = heartbeat_.returned_at();
        metrics_.heartbeat_seconds = std::chrono::duration<double>(heartbeat_.round_trip()).count();
    }
    if (asked_ && progress_.confirmed() >= *asked_) {
        asked_.reset();
        report_due_.raise();
    }
}

// --- status ---

// A server that stops waits until all is confirmed. While the sink stands still that would be for
// as long as it does: then we let go. That it stops is said by a keepalive, or, where that waits
// unread behind rows, by how it answers a new connection.
asio::awaitable<void> Session::let_go_of_stopping_server() {
    auto now = Clock::now();
    auto is_settled = is_attached_ && queue_.is_empty() && !progress_.is_waiting_for_durability();
    if (is_settled) moved_at_ = now;
    if (now - moved_at_ < hold_up_max) co_return;
    if (asked_ && now - asked_at_ > hold_up_max)
        throw PgError(
            "postgres: the server waits for us, probably to stop, while the sink stands still");
    if (now - probed_at_ < hold_up_max) co_return;
    probed_at_ = now;
    auto probing = stream_->is_stopping();
    auto is_stopping = co_await within(milliseconds{500}, std::move(probing));
    if (is_stopping && *is_stopping)
        throw PgError("postgres: the server is stopping while the sink stands still");
}

// A connection may fall silent without an end, as behind a firewall that forgot it: then nothing
// would ever come. The server answers when asked, and drops us after the same time.
void Session::expect_life() {
    auto timeout = stream_->facts().wal_sender_timeout;
    if (timeout.count() == 0 || !silent_since_) return;
    auto silence = Clock::now() - std::max(*silent_since_, answer_asked_at_);
    if (silence > timeout && answer_asked_at_ > *silent_since_)
        throw PgError(fmt::format(
            "postgres: no answer for {} ms (wal_sender_timeout), though the connection stands",
            timeout.count()));
}

StandbyStatus Session::status() {
    auto now = Clock::now();
    metrics_.confirmed_lsn = std::max(progress_.confirmed(), stream_->facts().confirmed_lsn);
    metrics_.received_lsn = std::max(pipeline_.received(), progress_.confirmed());
    // Only a server that has been silent for a while is asked for a sign of life, and once.
    auto timeout = stream_->facts().wal_sender_timeout;
    auto is_asking = timeout.count() > 0 && silent_since_ && now - *silent_since_ > timeout / 3 &&
                     answer_asked_at_ <= *silent_since_;
    if (is_asking) answer_asked_at_ = now;
    return {.received = metrics_.received_lsn,
            .confirmed = progress_.confirmed(),
            .now = std::chrono::time_point_cast<std::chrono::microseconds>(Clock::unix_now()),
            .is_reply_requested = is_asking};
}

asio::awaitable<void> Session::report() {
    auto timeout = stream_->facts().wal_sender_timeout;
    auto interval = timeout.count() > 0 ? std::min(idle_interval, timeout / 3) : idle_interval;
    for (;;) {
        auto reporting = stream_->report(status());
        co_await std::move(reporting);
        co_await sleep_for(answer_interval);
        co_await report_due_.wait(stopping_since_ ? std::min(interval, stop_interval) : interval);
        expect_life();
        if (!stopping_since_) co_await let_go_of_stopping_server();
        if (is_stop_overdue() || is_stop_without_sink()) {
            log_.warn("stopped before the sink had everything; Postgres will send the rest again");
            co_return;
        }
    }
}

// --- heartbeat ---

// Why there was no answer; empty: there was one, and it is measured.
asio::awaitable<std::string> Session::ask(asio::awaitable<ChangeStream::Wal> asking) {
    try {
        auto wal = co_await within(settings_.limits.connect, std::move(asking));
        if (!wal) co_return "postgres: no answer";
        measure(*wal);
        co_return "";
    } catch (const PgError& error) {
        co_return error.what();
    } catch (const SetupError& error) {
        co_return error.what();
    }
}

// A database that is idle, or whose changes are all filtered out, would say nothing of whether we
// still hear it; and what it writes must come through, not only what we say.
asio::awaitable<void> Session::beat() {
    auto interval = settings_.heartbeat;
    auto is_failing = false;
    auto is_late = false;
    while (!pipeline_.has_begun() || interval.count() == 0) co_await beat_due_.wait();
    for (;; co_await sleep_for(interval)) {
        if (Clock::now() - tables_listed_at_ >= tables_interval) co_await list_tables_again();
        auto is_out = heartbeat_.is_out();
        if (is_out) {
            auto age =
                std::chrono::duration_cast<milliseconds>(Clock::now() - *heartbeat_.sent_at());
            if (age > 3 * interval && !std::exchange(is_late, true))
                log_.warn(
                    "heartbeat not back after={}ms confirmed={}: we are that far behind, or its "
                    "messages are kept from us",
                    age.count(), progress_.confirmed());
        } else if (std::exchange(is_late, false)) {
            log_.info("heartbeat back");
        }
        auto asking =
            is_out ? stream_->wal()
                   : stream_->emit(std::string(Heartbeat::prefix), heartbeat_.send(Clock::now()));
        auto answering = ask(std::move(asking));
        auto why = co_await std::move(answering);
        if (is_out) continue;
        if (why.empty()) ++metrics_.heartbeats_sent;
        if (!why.empty()) heartbeat_.failed();
        if (why.empty() == is_failing) {
            is_failing = !why.empty();
            if (is_failing)
                log_.warn("heartbeat not sent error={} retry_in={}ms", quoted(why),
                          interval.count());
            else
                log_.info("heartbeat sent again");
        }
    }
}

// --- markers ---

// For those who ask which sync ids a snapshot has seen.
asio::awaitable<void> Session::mark() {
    auto* snapshots = settings_.pipeline.snapshots;
    if (snapshots == nullptr)
        for (Signal never(executor_);;) co_await never.wait();
    for (;;) {
        auto asked = snapshots->wait_until_asked();
        co_await std::move(asked);
        auto marking =
            stream_->emit(std::string(SnapshotPositions::prefix), snapshots->next_marker());
        auto answering = ask(std::move(marking));
        auto why = co_await std::move(answering);
        if (!why.empty()) snapshots->failed(why);
    }
}

}  // namespace walcast
