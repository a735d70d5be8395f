#include "agent/pipeline.hpp"

#include "agent/concurrency.hpp"
#include "agent/errors.hpp"
#include "agent/logical_messages.hpp"
#include "agent/make_decoder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace walcast {

Pipeline::Pipeline(Settings settings, ChangeStream& stream, RuleBook& rules, Heartbeat& heartbeat,
                   Metrics& metrics, Log& log)
    : stream_(stream),
      rules_(rules),
      heartbeat_(heartbeat),
      metrics_(metrics),
      log_(log),
      bad_rows_(settings.bad_rows),
      recording_(settings.recording),
      reserved_prefix_(std::move(settings.reserved_prefix)),
      snapshots_(settings.snapshots),
      router_(rules.in_force->rules, stream.catalog(), settings.without_id),
      builder_(router_, settings.batches),
      decoder_(make_decoder(settings.plugin, settings.format_version)),
      spool_(std::move(settings.spool)) {
    if (settings.is_streaming) streaming_.emplace();
    name_events_by(*rules.in_force);
}

void Pipeline::begin(const Stored& stored) {
    keep_rules_of(stored);
    if (recording_ != nullptr) recording_->begin(stored.position);
    taken_ = stored.position;
    metrics_.rules = rules_.in_force->rules.size();
    auto position = stored.position;
    // With other options, or of other publications, another transaction may be the last one.
    if (stored.source.fingerprint != stream_.facts().source.fingerprint) position.last.reset();
    numbering_.emplace(std::move(position), stream_.facts().confirmed_lsn);
    if (snapshots_ == nullptr) return;
    std::optional<PgSnapshot> at_start;
    if (const auto& text = stream_.facts().snapshot) at_start = parse_snapshot(*text);
    snapshots_->begin(stream_.facts().conninfo, std::move(at_start));
}

// --- messages ---

void Pipeline::take(const Keepalive& keepalive) {
    if (numbering_->is_in_transaction()) return;
    numbering_->reached(keepalive.wal_end);
    received_ = std::max(received_, keepalive.wal_end);
}

void Pipeline::take(const WalData& data) {
    if (streaming_)
        sort(data);
    else
        decode(data.payload, data.start);
}

void Pipeline::decode(std::string_view message, Lsn start) {
    message_ = message;
    message_start_ = start;
    try {
        for (const auto& event : decoder_->decode(message, start)) handle(event);
    } catch (const DecodeError& error) {
        throw DecodeError(fmt::format("{}, after transaction {} at {} began", error.what(),
                                      transaction_.xid, transaction_.commit_lsn));
    }
}

asio::awaitable<void> Pipeline::ask(std::chrono::milliseconds limit) {
    while (described_) {
        auto described = *std::exchange(described_, std::nullopt);
        const auto& relation = *described.relation;
        if (!described.is_incomplete && is_told_of(described)) co_return;
        auto asking = stream_.describe(relation, transaction_.xid);
        auto table = co_await within(limit, std::move(asking));
        if (!table)
            throw PgError(
                "postgres: no answer about a table that the stream holds, or its transaction is "
                "not visible yet, as with a synchronous standby that is away");
        router_.forget();
        if (described.is_incomplete)
            decoder_->learn(*table);
        else
            asked_for_.push_back(relation);
        if (described.is_incomplete || repeated_id_) decode(message_, message_start_);
    }
}

// A description that comes again, as for each part of a transaction that has changed tables, tells
// no more than the first did: that was answered as of the transaction's end.
bool Pipeline::is_told_of(const Described& described) const {
    const auto& relation = *described.relation;
    if (!described.is_known && described.tells_all && stream_.catalog().knows(relation))
        return true;
    auto is_same = [&](const Relation& asked) { return asked.is_described_as(relation); };
    return !repeated_id_ && std::any_of(asked_for_.begin(), asked_for_.end(), is_same);
}

// --- transactions in progress ---

// Decodes what is whole and keeps what is in progress.
void Pipeline::sort(const WalData& data) {
    auto sorted = streaming_->sort(data.payload);
    if (std::holds_alternative<PgoutputStreaming::Whole>(sorted)) {
        decode(data.payload, data.start);
    } else if (const auto* part = std::get_if<PgoutputStreaming::Part>(&sorted)) {
        spool_.append(part->xid, part->subxid, part->kind, part->body);
    } else if (const auto* abort = std::get_if<PgoutputStreaming::Abort>(&sorted)) {
        spool_.abort(abort->xid, abort->subxid);
    } else if (auto* commit = std::get_if<PgoutputStreaming::Commit>(&sorted)) {
        auto reader = spool_.read(commit->transaction.xid);
        replay_.emplace(
            Replay{.commit = std::move(*commit), .reader = std::move(reader), .message = {}});
        replay_->message = replay_->commit.begin_message();
        decode(replay_->message, {});
    }
}

// Takes a transaction from the spool as if it had been sent whole now.
void Pipeline::replay_next() {
    auto& replay = *replay_;
    if (std::string_view message; replay.reader.next(message)) return decode(message, {});
    if (replay.relations_taken < replay.commit.newer_relations.size())
        return decode(replay.commit.newer_relations[replay.relations_taken++], {});
    replay.message = replay.commit.commit_message();
    decode(replay.message, {});
    spool_.drop(replay.commit.transaction.xid);
    replay_.reset();
}

// --- events ---

void Pipeline::handle(const Event& event) {
    if (const auto* change = std::get_if<Change>(&event)) {
        add(*change);
    } else if (const auto* begin = std::get_if<Begin>(&event)) {
        transaction_ = begin->transaction;
        asked_for_.clear();
        asked_about_.clear();
        numbering_->begin(transaction_);
        first_id_ = numbering_->position().sync_id + 1;
        builder_.begin(transaction_);
    } else if (const auto* commit = std::get_if<Commit>(&event)) {
        auto is_covered = numbering_->is_covered();
        numbering_->commit(commit->end_lsn);
        if (!is_covered) builder_.end_transaction(numbering_->position().sync_id);
        heartbeat_.committed(commit->end_lsn);
        if (snapshots_ != nullptr) tell_snapshots();
        received_ = std::max(received_, commit->end_lsn);
        has_whole_transaction_ = !builder_.is_empty();
        ++metrics_.transactions;
    } else if (const auto* truncate = std::get_if<Truncate>(&event)) {
        add(*truncate);
    } else if (const auto* described = std::get_if<Described>(&event)) {
        described_ = *described;
    } else if (const auto* message = std::get_if<LogicalMessage>(&event)) {
        add(*message);
    } else {
        throw SetupError(fmt::format(
            "postgres: slot \"{}\" sends prepared transactions by themselves (two_phase), and "
            "would not send their rows again once confirmed: `walcast drop` and `walcast init` "
            "make one without",
            stream_.facts().source.slot));
    }
}

// A transaction has ended. One that the position covers says nothing of what comes after it until
// the server is known to be the one of then.
void Pipeline::tell_snapshots() {
    const auto& position = numbering_->position();
    snapshots_->committed(transaction_.xid, first_id_, position.sync_id);
    if (snapshots_->is_marker_heard() && numbering_->is_recognised()) snapshots_->passed(position);
}

void Pipeline::add(const Change& change) {
    auto is_repeated = repeated_id_.has_value();
    auto first_id = is_repeated
                        ? std::exchange(repeated_id_, std::nullopt)
                        : numbering_->take(message_, change.action == Action::update ? 2 : 1);
    if (!first_id) {
        if (!numbering_->is_covered()) builder_.pass_over(change);
        return;
    }
    if (!is_repeated) count(change);
    try {
        by_rules(*first_id, [&] { builder_.add(change, *first_id); });
    } catch (const ValueError& error) {
        // Perhaps a type has other fields by now, which nothing in the stream tells: asked about
        // once a transaction for each table.
        auto is_worth_asking = !is_repeated && asked_about_.insert(change.relation).second;
        if (!is_worth_asking) return set_aside(change, *first_id, error.what());
        repeated_id_ = first_id;
        described_ = Described{.relation = change.relation, .is_known = true};
    } catch (const SetupError& error) {
        fail(error);
    }
}

void Pipeline::count(const Change& change) {
    switch (change.action) {
        case Action::insert: ++metrics_.inserts; break;
        case Action::update: ++metrics_.updates; break;
        case Action::remove: ++metrics_.deletes; break;
    }
}

// A change that ends the agent. What came before it is published still, and the position is just
// before it.
void Pipeline::fail(const SetupError& error) {
    numbering_->take_back();
    failure_ = std::make_exception_ptr(error);
}

void Pipeline::set_aside(const Change& change, SyncId first_id, std::string_view why) {
    if (bad_rows_ == BadRows::set_aside) return builder_.set_aside(change, first_id, why, message_);
    fail(SetupError(fmt::format(
        "postgres: a row of {}.{} cannot be written: {}; transaction {} at {}. What it was then "
        "cannot be mended now: [source] bad_rows = \"set_aside\" puts it among the dead letters "
        "and goes on, with a reset of its model",
        change.relation->schema, change.relation->name, why, transaction_.xid,
        transaction_.commit_lsn)));
}

void Pipeline::add(const Truncate& truncate) {
    auto first_id = numbering_->take(message_, static_cast<unsigned>(truncate.relations->size()));
    if (!first_id) return;
    metrics_.truncates += truncate.relations->size();
    by_rules(*first_id, [&] {
        for (const auto* relation : *truncate.relations) router_.rules_of(*relation);
    });
    builder_.add_truncate(truncate, *first_id);
}

void Pipeline::add(const LogicalMessage& message) {
    if (message.prefix == Heartbeat::prefix) heartbeat_.heard(message.content);
    if (snapshots_ != nullptr && message.prefix == SnapshotPositions::prefix)
        snapshots_->heard(message.content);
    auto is_event = message.prefix == PublishedEvent::prefix;
    if (is_event && replay_ && !numbering_->is_covered())
        throw NeedsWhole(
            fmt::format("transaction {} at {} was sent in progress and holds a walcast:event, of "
                        "which nobody can tell then whether its savepoint was rolled back",
                        transaction_.xid, transaction_.commit_lsn));
    if (auto wrong = take_message(message, message_, *numbering_, builder_)) {
        ++metrics_.messages_wrong;
        warn_of_message(*wrong, message);
    }
    if (!message.is_transactional) {
        received_ = std::max(received_, message.lsn);
        has_whole_transaction_ = !builder_.is_empty();
    }
}

// Applications may be wrong at any rate: a line a second tells of it.
void Pipeline::warn_of_message(std::string_view what, const LogicalMessage& message) {
    auto now = Clock::now();
    if (message_warned_at_ && now - *message_warned_at_ < std::chrono::seconds{1}) return;
    message_warned_at_ = now;
    log_.warn("{} prefix={} xid={} lsn={} messages_wrong={}", what, message.prefix,
              message.is_transactional ? transaction_.xid : 0, message.lsn,
              metrics_.messages_wrong);
}

// --- batches ---

Batch Pipeline::take_batch(Batch spare) {
    auto batch = builder_.take(std::move(spare));
    batch.before = taken_;
    batch.after = taken_ = numbering_->position();
    if (!std::exchange(are_rules_noted_, true)) batch.rules = rules_.in_force->text;
    if (recording_ != nullptr) recording_->cut();
    auto counts = builder_.take_counts();
    metrics_.sync_actions += counts.actions;
    metrics_.omitted += counts.omitted;
    metrics_.unroutable += counts.unroutable;
    metrics_.bad_rows += counts.set_aside;
    metrics_.events += counts.events;
    metrics_.receipts += batch.receipts.size();
    metrics_.messages += batch.channels.size();
    metrics_.spool_bytes = spool_.bytes();
    has_whole_transaction_ = false;
    for (const auto& notice : builder_.take_notices()) log_.warn("{}", notice);
    for (const auto& table : router_.take_unmatched())
        log_.warn("table={} is taken by no rule any more", table);
    for (const auto& table : router_.take_without_id())
        log_.warn("table={} has neither a primary key nor a replica identity: not published",
                  table);
    return batch;
}

// --- rules ---

bool Pipeline::take_rules() {
    assert(is_between_transactions());
    auto file = rules_.due->file;
    try {
        put_in_force(std::exchange(rules_.due, nullptr), numbering_->position().sync_id + 1);
    } catch (const SetupError& error) {
        ++metrics_.reloads_failed;
        log_.error("rules not reloaded, the old ones stay in force file={} error={}", file,
                   quoted(error.what()));
        return false;
    }
    return true;
}

// Rules need not fit a table that is gone.
void Pipeline::replace_rules(const RuleSet& rules) {
    router_.replace_rules(rules.rules, [this](const Relation& relation) {
        const auto& published = stream_.facts().published;
        return std::any_of(published.begin(), published.end(), [&](const auto& table) {
            return table.schema == relation.schema && table.name == relation.name;
        });
    });
    builder_.forget_rules();
    name_events_by(rules);
}

void Pipeline::name_events_by(const RuleSet& rules) {
    builder_.name_events({.prefix = rules.channel_prefix, .reserved = reserved_prefix_});
}

// Throws SetupError where the rules do not fit a table; then nothing has changed.
void Pipeline::put_in_force(std::unique_ptr<const RuleSet> rules, SyncId from) {
    replace_rules(*rules);
    rules_.in_force = std::move(rules);
    are_rules_noted_ = false;
    ++metrics_.reloads;
    metrics_.rules = rules_.in_force->rules.size();
    log_.info("rules reloaded file={} rules={} from_sync_id={}", rules_.in_force->file,
              rules_.in_force->rules.size(), from);
}

// A transaction that was sent in part goes on by the rules that it began with, whatever the file
// says by now.
void Pipeline::keep_rules_of(const Stored& stored) {
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
void Pipeline::by_rules(SyncId from, Work work) {
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

}  // namespace walcast
