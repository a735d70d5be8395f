#include "agent/session.hpp"

#include "agent/describe.hpp"
#include "agent/make_decoder.hpp"

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <random>

namespace walcast {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Positions of an idle stream are written this often.
static constexpr milliseconds idle_interval{1000};
// Answers to a server that asks again at once.
static constexpr milliseconds answer_interval{10};
// A server that stops waits for us; when Redis is away so long, we let it go.
static constexpr milliseconds hold_up_max{5000};

// --- the whole ---

Session::Session(asio::any_io_executor executor, Settings settings, RuleBook& rules, Sink& sink,
                 Memory& memory, Log& log)
    : executor_(executor),
      stream_(executor, settings.stream),
      sink_(sink),
      rules_(rules),
      memory_(memory),
      log_(log),
      limits_(settings.limits),
      plugin_(settings.stream.plugin),
      is_without_truncates_(plugin_ == Plugin::wal2json && settings.stream.format_version == 1),
      bad_rows_(settings.bad_rows),
      catalog_reader_(executor, stream_.catalog()),
      router_(rules.in_force->rules, stream_.catalog(), settings.without_id),
      builder_(router_, settings.limits.batches),
      queue_(executor),
      decoder_(make_decoder(settings.stream.plugin, settings.stream.format_version)),
      spool_(std::move(settings.spool)),
      started_(executor),
      accepted_(executor),
      report_due_(executor) {
    if (settings.stream.is_streaming) streaming_.emplace();
    stream_.connection().on_notice = [this](std::string_view line) {
        log_.warn("postgres notice={}", quoted(line));
    };
}

asio::awaitable<void> Session::run() {
    auto starting = stream_.start();  // The slot is the lock: take it first.
    auto is_in_time = co_await within(limits_.connect, std::move(starting));
    if (!is_in_time) throw PgError("postgres: no answer while connecting");
    has_started_ = true;
    co_await run_together(read(), publish(), report());  // Ends with the first error.

    if (is_attached_) {
        auto leaving = sink_.leave();
        co_await within(milliseconds{1000}, std::move(leaving));
    }
    auto reporting = stream_.report(status());
    co_await within(milliseconds{1000}, std::move(reporting));
    auto finishing = stream_.finish();
    co_await within(milliseconds{1000}, std::move(finishing));
    if (failure_) std::rethrow_exception(failure_);
}

void Session::stop() {
    stopping_since_ = steady_clock::now();
    started_.raise();
    report_due_.raise();
    accepted_.raise();
    stream_.interrupt();
}

void Session::reload() {
    assert(is_between_transactions());
    accepted_.raise();
    stream_.interrupt();
}

// --- from Postgres ---

asio::awaitable<void> Session::read() {
    while (!numbering_ && !stopping_since_) co_await started_.wait();
    for (auto is_drained = false; !stopping_since_;) {
        if (is_reload_due()) co_await take_rules();
        if (auto message = stream_.next()) {
            const auto* data = std::get_if<WalData>(&*message);
            if (data == nullptr)
                handle(std::get<Keepalive>(*message));
            else if (!streaming_)
                decode(data->payload, data->start);
            else if (auto commit = sort(*data))
                co_await replay(*commit);
            if (described_) co_await learn(data->payload, data->start);
            if (builder_.is_full()) co_await push();
            is_drained = false;
        } else if (!is_drained) {
            stream_.receive();
            is_drained = true;
        } else {
            // All that has arrived is handled: what is ready goes out at once.
            if (is_push_due()) co_await push();
            if (!stopping_since_) co_await wait_for_more();
            stream_.receive();
        }
    }
    if (numbering_ && numbering_->position() != queued_) co_await push();
    queue_.close();
    if (queue_.is_done()) co_return;
    for (Signal never(executor_);;) co_await never.wait();  // Until all is published.
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
    auto waiting = stream_.wait_readable();
    if (has_idle_progress())
        co_await within(idle_interval, std::move(waiting));
    else
        co_await std::move(waiting);
}

void Session::handle(const Keepalive& keepalive) {
    if (!numbering_->is_in_transaction()) {
        numbering_->reached(keepalive.wal_end);
        received_ = std::max(received_, keepalive.wal_end);
    }
    if (!keepalive.is_reply_requested) return;
    report_due_.raise();
    if (confirmed_ >= keepalive.wal_end) return;
    if (!asked_) asked_at_ = steady_clock::now();
    asked_ = keepalive.wal_end;
}

void Session::decode(std::string_view message, Lsn start) {
    try {
        for (const auto& event : decoder_->decode(message, start)) handle(event, message);
    } catch (const DecodeError& error) {
        throw DecodeError(fmt::format("{}, after transaction {} at {} began", error.what(),
                                      transaction_.xid, transaction_.commit_lsn));
    }
}

// Asks the catalog about a table that is new, or may have changed, before its next row is read.
asio::awaitable<void> Session::learn(std::string_view message, Lsn start) {
    while (described_) {
        auto described = *std::exchange(described_, std::nullopt);
        const auto& relation = *described.relation;
        auto is_told = !described.is_incomplete && !described.is_known && described.tells_all &&
                       stream_.catalog().knows(relation);
        if (is_told) co_return;
        auto asking = catalog_reader_.learn(stream_.connection().conninfo_of_this_server(),
                                            relation, transaction_.xid);
        auto table = co_await within(limits_.connect, std::move(asking));
        if (!table)
            throw PgError(
                "postgres: no answer about a table that the stream holds, or its transaction is "
                "not visible yet, as with a synchronous standby that is away");
        if (stream_.recording() != nullptr) stream_.recording()->describe(*table);
        router_.forget();
        if (described.is_incomplete) decoder_->learn(*table);
        if (described.is_incomplete || repeated_id_) decode(message, start);
    }
}

// --- rules ---

bool Session::is_between_transactions() const {
    return numbering_ && !numbering_->is_in_transaction() && !numbering_->position().partial;
}

asio::awaitable<void> Session::take_rules() {
    co_await list_tables_again();
    if (!rules_.due) co_return;
    auto file = rules_.due->file;
    try {
        put_in_force(std::exchange(rules_.due, nullptr), numbering_->position().sync_id + 1);
    } catch (const SetupError& error) {
        log_.error("rules not reloaded, the old ones stay in force file={} error={}", file,
                   quoted(error.what()));
        co_return;
    }
    warn_of_tables();
}

// Rules need not fit a table that is gone.
void Session::replace_rules(const RuleSet& rules) {
    router_.replace_rules(rules.rules, [this](const Relation& relation) {
        const auto& published = stream_.facts().published;
        return std::any_of(published.begin(), published.end(), [&](const auto& table) {
            return table.schema == relation.schema && table.name == relation.name;
        });
    });
    builder_.forget_rules();
}

// Throws SetupError where the rules do not fit a table; then nothing has changed.
void Session::put_in_force(std::unique_ptr<const RuleSet> rules, SyncId from) {
    replace_rules(*rules);
    rules_.in_force = std::move(rules);
    are_rules_noted_ = false;
    log_.info("rules reloaded file={} rules={} from_sync_id={}", rules_.in_force->file,
              rules_.in_force->rules.size(), from);
}

// A transaction that was sent in part goes on by the rules that it began with, whatever the file
// says by now.
void Session::keep_rules_of(const Stored& stored) {
    const auto& partial = stored.position.partial;
    if (!partial || stored.rules.empty() || stored.rules == rules_.in_force->text) return;
    auto nothing = [](const std::string&) { return std::nullopt; };
    std::unique_ptr<const RuleSet> rules;
    try {
        rules = RuleSet::of(parse_config(stored.rules, "the rules in the position", nothing));
        if (rules->rules.empty()) throw ConfigError("the rules in the position: there are none");
    } catch (const ConfigError& error) {
        log_.warn("transaction {} at {} goes on by other rules than it began with: error={}",
                  partial->xid, partial->commit_lsn, quoted(error.what()));
        return;
    }
    replace_rules(*rules);
    if (!rules_.due) rules_.due = std::move(rules_.in_force);
    rules_.in_force = std::move(rules);
    log_.warn("transaction {} at {} was sent in part: the rules of then stay in force to its end",
              partial->xid, partial->commit_lsn);
}

// Where rules fail that are to be replaced, the new ones are taken in the middle of a transaction:
// otherwise a mistake in them could not be mended there.
template <typename Work>
void Session::by_rules(SyncId from, Work work) {
    try {
        work();
    } catch (const SetupError& error) {
        if (!rules_.due) throw;
        log_.warn("new rules inside transaction {} at {}, since the old ones failed error={}",
                  transaction_.xid, transaction_.commit_lsn, quoted(error.what()));
        put_in_force(std::exchange(rules_.due, nullptr), from);
        work();
    }
}

// What is published may have changed since the start, and rules with it.
asio::awaitable<void> Session::list_tables_again() {
    PgConnection asking(executor_, stream_.connection().conninfo_of_this_server(),
                        PgConnection::Mode::sql);
    try {
        auto opening = asking.open();
        if (!co_await within(milliseconds{1000}, std::move(opening))) co_return;
        auto listing = stream_.list_tables(asking);
        co_await within(milliseconds{1000}, std::move(listing));
    } catch (const PgError&) {
        // For warnings what was known will do.
    } catch (const SetupError&) {
    }
}

// --- transactions in progress ---

// Decodes what is whole and keeps what is in progress; returns the commit of what was.
std::optional<PgoutputStreaming::Commit> Session::sort(const WalData& data) {
    auto sorted = streaming_->sort(data.payload);
    if (std::holds_alternative<PgoutputStreaming::Whole>(sorted))
        decode(data.payload, data.start);
    else if (const auto* part = std::get_if<PgoutputStreaming::Part>(&sorted))
        spool_.append(part->xid, part->subxid, part->kind, part->body);
    else if (const auto* abort = std::get_if<PgoutputStreaming::Abort>(&sorted))
        spool_.abort(abort->xid, abort->subxid);
    else if (const auto* commit = std::get_if<PgoutputStreaming::Commit>(&sorted))
        return *commit;
    return std::nullopt;
}

// Takes a transaction from the spool as if it had been sent whole now.
asio::awaitable<void> Session::replay(PgoutputStreaming::Commit commit) {
    auto beginning = commit.begin_message();
    decode(beginning, {});
    is_replaying_ = true;
    auto xid = commit.transaction.xid;
    auto reader = spool_.read(xid);
    auto count = 0U;
    for (std::string_view message; !stopping_since_ && reader.next(message);) {
        decode(message, {});
        if (described_) co_await learn(message, {});
        if (builder_.is_full()) co_await push();
        // Reports and signals have their turn, also where no row is published.
        if (++count % 4096 == 0) co_await asio::post(executor_, asio::use_awaitable);
    }
    is_replaying_ = false;
    if (stopping_since_) co_return;  // The rest comes again.
    for (const auto& relation : commit.newer_relations) {
        decode(relation, {});
        if (described_) co_await learn(relation, {});
    }
    auto ending = commit.commit_message();
    decode(ending, {});
    spool_.drop(xid);
}

void Session::handle(const Event& event, std::string_view bytes) {
    if (const auto* change = std::get_if<Change>(&event)) {
        add(*change, bytes);
    } else if (const auto* begin = std::get_if<Begin>(&event)) {
        transaction_ = begin->transaction;
        numbering_->begin(transaction_);
        builder_.begin(transaction_);
    } else if (const auto* commit = std::get_if<Commit>(&event)) {
        numbering_->commit(commit->end_lsn);
        builder_.end_transaction();
        received_ = std::max(received_, commit->end_lsn);
        has_whole_transaction_ = !builder_.is_empty();
    } else if (const auto* truncate = std::get_if<Truncate>(&event)) {
        add(*truncate, bytes);
    } else if (const auto* described = std::get_if<Described>(&event)) {
        described_ = *described;
    } else if (const auto* message = std::get_if<LogicalMessage>(&event)) {
        add(*message, bytes);
    } else {
        throw SetupError(fmt::format(
            "postgres: slot \"{}\" sends prepared transactions by themselves (two_phase), and "
            "would not send their rows again once confirmed: `walcast drop` and `walcast init` "
            "make one without",
            stream_.facts().source.slot));
    }
}

void Session::add(const Change& change, std::string_view bytes) {
    auto is_repeated = repeated_id_.has_value();
    auto first_id = is_repeated ? std::exchange(repeated_id_, std::nullopt)
                                : numbering_->take(bytes, change.action == Action::update ? 2 : 1);
    if (!first_id) return;
    try {
        by_rules(*first_id, [&] { builder_.add(change, *first_id); });
    } catch (const ValueError& error) {
        // Perhaps a type has other fields by now, which nothing in the stream tells: asked about
        // once a transaction for each table.
        if (asked_in_ != transaction_.commit_lsn) asked_about_.clear();
        asked_in_ = transaction_.commit_lsn;
        auto is_worth_asking = !is_repeated && asked_about_.insert(change.relation).second;
        if (!is_worth_asking) return set_aside(change, *first_id, error.what(), bytes);
        repeated_id_ = first_id;
        described_ = Described{.relation = change.relation, .is_known = true};
    } catch (const SetupError& error) {
        fail(error);
    }
}

// A change that ends the agent. What came before it is published still, and the position is just
// before it.
void Session::fail(const SetupError& error) {
    numbering_->take_back();
    failure_ = std::make_exception_ptr(error);
    stop();
}

void Session::set_aside(const Change& change, SyncId first_id, std::string_view why,
                        std::string_view bytes) {
    if (bad_rows_ == BadRows::set_aside) return builder_.set_aside(change, first_id, why, bytes);
    fail(SetupError(fmt::format(
        "postgres: a row of {}.{} cannot be written: {}; transaction {} at {}. What it was then "
        "cannot be mended now: [source] bad_rows = \"set_aside\" puts it among the dead letters "
        "and "
        "goes on, with a reset of its model",
        change.relation->schema, change.relation->name, why, transaction_.xid,
        transaction_.commit_lsn)));
}

void Session::add(const Truncate& truncate, std::string_view bytes) {
    auto first_id = numbering_->take(bytes, static_cast<unsigned>(truncate.relations->size()));
    if (!first_id) return;
    by_rules(*first_id, [&] {
        for (const auto* relation : *truncate.relations) router_.rules_of(*relation);
    });
    builder_.add_truncate(truncate, *first_id);
}

void Session::add(const LogicalMessage& message, std::string_view bytes) {
    auto is_event = message.prefix == "walcast:event";
    if (is_event && is_replaying_)
        throw SetupError(fmt::format(
            "postgres: transaction {} at {} was sent in progress and holds a walcast:event, of "
            "which nobody can tell then whether its savepoint was rolled back: events need "
            "[source] streaming = false",
            transaction_.xid, transaction_.commit_lsn));
    std::optional<SyncId> id;
    if (!message.is_transactional) {
        id = numbering_->take_alone(message.lsn, is_event ? 1 : 0);
        received_ = std::max(received_, message.lsn);
    } else if (is_event) {
        id = numbering_->take(bytes, 1);
    }
    if (id)
        log_.warn("event not published, this version only numbers it sync_id={} lsn={}", *id,
                  message.lsn);
}

bool Session::has_idle_progress() const {
    return !numbering_->is_in_transaction() && numbering_->position() != queued_;
}

// While a batch is on its way the next one grows: the busier the stream, the larger the batches,
// and an idle one is published at once. A transaction on its way is not cut without need. Progress
// without messages is written at times only, but at once for a server that asks, since it may be
// stopping.
bool Session::is_push_due() const {
    if (!queue_.is_empty()) return false;
    if (!builder_.is_empty()) return has_whole_transaction_ || !numbering_->is_in_transaction();
    auto is_asked = asked_ && confirmed_ < *asked_;
    return has_idle_progress() &&
           (is_asked || steady_clock::now() - idle_pushed_at_ >= idle_interval);
}

asio::awaitable<void> Session::push() {
    auto batch = builder_.take(queue_.spare());
    batch.before = queued_;
    batch.after = queued_ = numbering_->position();
    if (!std::exchange(are_rules_noted_, true)) batch.rules = rules_.in_force->text;
    if (stream_.recording() != nullptr) stream_.recording()->cut();
    has_whole_transaction_ = false;
    idle_pushed_at_ = steady_clock::now();
    for (const auto& notice : builder_.take_notices()) log_.warn("{}", notice);
    for (const auto& table : router_.take_unmatched())
        log_.warn("table={} is taken by no rule any more", table);
    for (const auto& table : router_.take_without_id())
        log_.warn("table={} has neither a primary key nor a replica identity: not published",
                  table);
    co_await queue_.push(std::move(batch));
}

// --- to the sink ---

asio::awaitable<void> Session::publish() {
    Backoff backoff({}, std::random_device{}());
    for (;;) {
        std::string why;
        try {
            co_await attach();
            co_await run_together(send(), receive_answers());
            co_return;
        } catch (const SinkError& error) {
            why = error.what();
        }
        is_attached_ = false;
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
    auto connecting = sink_.connect();
    auto stored = in_time(co_await within(limits_.connect, std::move(connecting)));
    refuse_older_timeline(stored, stream_.facts());
    if (numbering_) co_await expect_slot_is_ours();
    auto taking_over = sink_.take_over();
    stored = in_time(co_await within(limits_.accept, std::move(taking_over)));
    if (!numbering_) {
        co_await begin(std::move(stored));
    } else {
        if (!stored || !queue_.resume_at(stored->position))
            throw PositionMoved(
                "the position in the sink is not one that was written last: beginning again from "
                "there");
        auto adopting = sink_.adopt(stream_.facts().source);
        auto is_adopted = co_await within(limits_.accept, std::move(adopting));
        if (!is_adopted) throw SinkError("sink: no answer in time");
        log_.info("sink back sync_id={} lsn={}", stored->position.sync_id, stored->position.lsn);
        confirm(stored->position);
    }
    is_attached_ = true;
}

// A process that was frozen may have lost the slot without having noticed: it must not take the
// sink from whoever has it now.
asio::awaitable<void> Session::expect_slot_is_ours() {
    PgConnection asking(executor_, stream_.connection().conninfo_of_this_server(),
                        PgConnection::Mode::sql);
    auto opening = asking.open();
    if (!co_await within(limits_.connect, std::move(opening))) throw PgError("postgres: no answer");
    auto sql = fmt::format("SELECT active_pid FROM pg_replication_slots WHERE slot_name = {}",
                           quote_literal(stream_.facts().source.slot));
    auto rows = co_await asking.query(std::move(sql), "ask who has the slot");
    if (rows.empty() || rows[0][0] != fmt::to_string(stream_.connection().backend_pid()))
        throw PgError("postgres: the slot is no longer ours");
}

asio::awaitable<void> Session::begin(std::optional<Stored> stored) {
    const auto& facts = stream_.facts();
    auto reason = memory_.gap ? memory_.gap : find_gap(stored, facts);
    Position position;
    if (reason) {
        auto beginning = sink_.begin_epoch(first_of_epoch(stored, facts), facts.source, *reason);
        position = co_await std::move(beginning);
        log_.warn("new epoch={} sync_id={} reason={}", position.epoch, position.sync_id,
                  quoted(*reason));
        memory_.gap.reset();
    } else {
        position = stored->position;
        keep_rules_of(*stored);
    }
    auto adopting = sink_.adopt(facts.source);
    auto is_adopted = co_await within(limits_.accept, std::move(adopting));
    if (!is_adopted) throw SinkError("sink: no answer in time");
    warn_of_tables();
    log_.info("streaming slot={} from={} epoch={} sync_id={} rules={}", facts.source.slot,
              position.lsn, position.epoch, position.sync_id, rules_.in_force->rules.size());
    memory_.is_working = true;
    memory_.is_standby = false;
    if (stream_.recording() != nullptr) stream_.recording()->begin(position);
    queued_ = position;
    queue_.begin_at(position);
    confirm(position);
    numbering_.emplace(std::move(position));
    started_.raise();
}

void Session::warn_of_tables() {
    if (is_without_truncates_)
        log_.warn(
            "wal2json's format 1 does not tell of TRUNCATE: [source] format_version = 2 does");
    const auto& rules = rules_.in_force->rules;
    for (const auto& rule : rules)
        for (const auto& [schema, name] : stream_.facts().partial_old_rows)
            if (matches_table(rule, schema, name))
                log_.warn(
                    "table={}.{} has a partition whose replica identity lacks columns of the "
                    "table's own, so its old rows lack them too: ALTER TABLE <partition> REPLICA "
                    "IDENTITY ...; `walcast doctor` names it",
                    schema, name);
    for (const auto& rule : rules) {
        auto is_matched = false;
        for (const auto& table : stream_.facts().published) {
            if (!matches_table(rule, table.schema, table.name)) continue;
            is_matched = true;
            if (!table.has_identity)
                log_.warn(
                    "table={}.{} has no primary key or replica identity: wal2json does not send "
                    "its updates and deletes. ALTER TABLE ... REPLICA IDENTITY FULL",
                    table.schema, table.name);
            if (table.has_floats)
                log_.warn(
                    "table={}.{} has floats or numerics: this wal2json sends NaN and infinities as "
                    "null; 2.6 does not",
                    table.schema, table.name);
        }
        if (is_matched) continue;
        log_.warn("rule table={} line={} matches no table{}", rule.table, rule.line,
                  plugin_ == Plugin::pgoutput
                      ? " of the publication: `walcast init` adds what it names"
                      : "");
    }
}

asio::awaitable<void> Session::send() {
    for (;;) {
        const auto* batch = co_await queue_.next_to_send();
        co_await sink_.send(*batch);
    }
}

asio::awaitable<void> Session::receive_answers() {
    for (;;) {
        co_await queue_.wait_for_sent();
        if (queue_.is_done()) co_return;
        auto accepting = sink_.accepted();
        auto is_in_time = co_await within(limits_.accept, std::move(accepting));
        if (!is_in_time) throw SinkError("sink: a batch was not accepted in time");
        auto position = queue_.accepted();
        was_useful_ = true;
        moved_at_ = steady_clock::now();
        log_.debug("accepted sync_id={} lsn={}", position.sync_id, position.lsn);
        if (queue_.is_empty()) accepted_.raise();
        confirm(position);
    }
}

// The position is in the sink: Postgres may forget what lies before it.
void Session::confirm(const Position& position) {
    confirmed_ = std::max(confirmed_, position.lsn);
    received_ = std::max(received_, confirmed_);
    if (asked_ && confirmed_ >= *asked_) {
        asked_.reset();
        report_due_.raise();
    }
}

// --- status ---

// A server that stops waits until all is confirmed. While the sink stands still that would be for
// as long as it does: then we let go. That it stops is said by a keepalive, or, where that waits
// unread behind rows, by how it answers a new connection.
asio::awaitable<void> Session::let_go_of_stopping_server() {
    auto now = steady_clock::now();
    if (is_attached_ && queue_.is_empty()) moved_at_ = now;
    if (now - moved_at_ < hold_up_max) co_return;
    if (asked_ && now - asked_at_ > hold_up_max)
        throw PgError(
            "postgres: the server waits for us, probably to stop, while the sink stands still");
    if (now - probed_at_ < hold_up_max) co_return;
    probed_at_ = now;
    PgConnection probe(executor_, stream_.connection().conninfo_of_this_server(),
                       PgConnection::Mode::sql);
    std::string answer;
    try {
        auto opening = probe.open();
        co_await within(milliseconds{500}, std::move(opening));
    } catch (const std::runtime_error& error) {
        answer = error.what();
    }
    if (answer.find("shutting down") != std::string::npos)
        throw PgError("postgres: the server is stopping while the sink stands still");
}

StandbyStatus Session::status() const {
    auto now = std::chrono::system_clock::now();
    return {received_, confirmed_, std::chrono::time_point_cast<std::chrono::microseconds>(now)};
}

asio::awaitable<void> Session::report() {
    auto timeout = stream_.facts().wal_sender_timeout;
    auto interval = timeout.count() > 0 ? std::min(idle_interval, timeout / 3) : idle_interval;
    for (;;) {
        auto reporting = stream_.report(status());
        co_await std::move(reporting);
        co_await sleep_for(answer_interval);
        co_await report_due_.wait(interval);
        co_await let_go_of_stopping_server();
        if (stopping_since_ && steady_clock::now() - *stopping_since_ > limits_.stop) {
            log_.warn("stopped before the sink had everything; Postgres will send the rest again");
            co_return;
        }
    }
}

}  // namespace walcast
