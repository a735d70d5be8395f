#include "agent/batch_builder.hpp"

#include "agent/errors.hpp"
#include "agent/outbox.hpp"
#include "sinks/native_envelope.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>

namespace walcast {

void BatchBuilder::begin(const TransactionInfo& transaction) {
    close_message();
    transaction_ = transaction;
    models_reset_.clear();
    own_begin_ = batch_.messages.size();
    is_cut_ = false;
    mutations_.clear();
    if (!annotation_.is_empty()) annotation_ = {};
    annotations_ = {};
    forget_ends();
    missed_.clear();
}

Batch BatchBuilder::take(Batch spare) {
    close_message();
    weight_ = published_ = 0;
    is_cut_ = is_cut_ || batch_.messages.size() > own_begin_;
    own_begin_ = 0;
    annotations_ = {};
    spare.clear();
    return std::exchange(batch_, std::move(spare));
}

// --- one change ---

void BatchBuilder::add(const Change& change, SyncId first_id) {
    auto rules = router_.rules_of(*change.relation);
    if (rules.empty()) return;
    auto before = mark();
    try {
        write(rules, change, first_id);
    } catch (...) {
        take_back(before);
        throw;
    }
}

BatchBuilder::Mark BatchBuilder::mark() const {
    return {.bytes = batch_.bytes.size(),
            .messages = batch_.messages.size(),
            .channels = batch_.channels.size(),
            .actions = batch_.actions.size(),
            .extras = batch_.extras.size(),
            .extras_begin = extras_begin_,
            .published = published_,
            .weight = weight_,
            .is_open = is_open_,
            .open = is_open_ ? batch_.messages.back() : Message{}};
}

void BatchBuilder::take_back(const Mark& mark) {
    batch_.bytes.resize(mark.bytes);
    batch_.messages.resize(mark.messages);
    batch_.channels.resize(mark.channels);
    batch_.actions.resize(mark.actions);
    batch_.extras.resize(mark.extras);
    extras_begin_ = mark.extras_begin;
    published_ = mark.published;
    weight_ = mark.weight;
    is_open_ = mark.is_open;
    if (is_open_) batch_.messages.back() = mark.open;
    net_effects_.take_back();
}

void BatchBuilder::write(std::span<const TableRule> rules, const Change& change, SyncId first_id) {
    if (rules.front().outbox) return write_event(rules.front(), change, first_id);
    route(rules, change, routes_);
    if (!routes_.routes.empty()) add_groups(change, first_id);
    if (is_open_) net_effects_.merge(batch_);  // Once nothing of the change can fail.
    if (!routes_.unroutable.empty())
        reset_unroutable(change, first_id + (change.action == Action::update ? 1 : 0));
    if (routes_.channels.has_too_long())
        notice(*change.relation,
               "a channel's name would be above 1,024 bytes: left out, as if its column were null");
    if (is_open_ && open_bytes() >= limits_.message_bytes) close_message();
}

std::size_t BatchBuilder::open_bytes() const {
    return batch_.bytes.size() - batch_.messages.back().body_begin + batch_.extras.size() -
           extras_begin_;
}

// Channels that hear of the same actions get one message, in which those stand by id; a channel
// never gets two messages with one id.
void BatchBuilder::add_groups(const Change& change, SyncId first_id) {
    for (const auto& group : groups_.of(routes_)) {
        if (!is_open_for(group.channels)) {
            close_message();
            open_message(group.channels);
        }
        for (auto r : group.routes) append_action(routes_.routes[r], change, first_id);
    }
}

bool BatchBuilder::is_open_for(const std::vector<std::size_t>& channels) const {
    if (!is_open_) return false;
    const auto& message = batch_.messages.back();
    if (message.channels_end - message.channels_begin != channels.size()) return false;
    for (std::size_t i = 0; i < channels.size(); ++i) {
        const auto& slice = batch_.channels[message.channels_begin + i];
        if (batch_.text(slice) != routes_.channels[channels[i]]) return false;
    }
    return true;
}

void BatchBuilder::open_message(const std::vector<std::size_t>& channels) {
    Message message{.kind = Message::Kind::sync, .transaction = transaction_};
    put_annotations(message);
    message.channels_begin = static_cast<std::uint32_t>(batch_.channels.size());
    for (auto channel : channels) {
        auto begin = batch_.bytes.size();
        batch_.bytes += routes_.channels[channel];
        batch_.channels.push_back({begin, batch_.bytes.size()});
    }
    message.channels_end = static_cast<std::uint32_t>(batch_.channels.size());
    message.body_begin = batch_.bytes.size();
    extras_begin_ = batch_.extras.size();
    net_effects_.clear();
    message.actions_begin = message.actions_end = static_cast<std::uint32_t>(batch_.actions.size());
    batch_.messages.push_back(message);
    is_open_ = true;
}

void BatchBuilder::append_action(const Route& found, const Change& change, SyncId first_id) {
    auto& message = batch_.messages.back();
    auto& out = batch_.bytes;
    if (out.size() > message.body_begin) out += ',';
    auto begin = out.size();
    message.last_sync_id = first_id + (found.has_second_id ? 1 : 0);
    Batch::Action parts{.sync_id = message.last_sync_id, .action = found.action};
    append_action_head(out, message.last_sync_id, found.action, found.rule->model_json);
    parts.id.begin = out.size();
    append_model_id(out, scratch_, *found.rule, *found.row);
    parts.id.end = out.size();
    if (found.action != Action::remove) append_data(found, change, parts);
    if (found.rule->rule->has_metadata) append_metadata();
    out += '}';
    ++counts_.actions;
    if (limits_.outputs > 0) keep_parts(found, change, parts);
    if (found.rule->rule->is_coalescing) note_effect(found, parts, begin);
}

void BatchBuilder::note_effect(const Route& found, const Batch::Action& parts, std::size_t begin) {
    constexpr std::string_view before = "\"action\":\"";
    NetEffects::Written written{
        .begin = begin,
        .end = batch_.bytes.size(),
        .action_name = batch_.bytes.find(before, begin) + before.size(),
        .part = limits_.outputs > 0 ? batch_.actions.size() - 1 : std::string::npos,
        .action = found.action,
        .is_whole = parts.unchanged.end == 0 && parts.omitted.end == 0};
    auto row = found.rule->model_json;
    row += batch_.text(parts.id);
    net_effects_.note(written, std::move(row));
}

// What decides which of two writes is the last one.
void BatchBuilder::append_metadata() {
    auto& out = batch_.bytes;
    out += ",\"metadata\":{\"commitTime\":\"";
    append_timestamp(out, transaction_.commit_time);
    fmt::format_to(std::back_inserter(out), R"(","lsn":"{}","xid":{}}})", transaction_.commit_lsn,
                   transaction_.xid);
}

static std::size_t text_bytes(const Tuple& row) {
    std::size_t bytes = 0;
    for (const auto& value : row) bytes += value.text.size();
    return bytes;
}

void BatchBuilder::append_data(const Route& found, const Change& change, Batch::Action& parts) {
    auto& out = batch_.bytes;
    const auto& rule = *found.rule;
    auto is_large = text_bytes(*found.row) > limits_.action_bytes;
    // Whoever keeps the rows of several channels together has just been told to remove it.
    auto is_removed_elsewhere =
        std::any_of(routes_.routes.begin(), routes_.routes.end(), [&](const Route& other) {
            return other.action == Action::remove && other.rule->model == rule.model;
        });
    // What was too large then, or is now, is not in the reader's copy to be changed.
    auto is_update = !is_removed_elsewhere && rule.rule->data != DataKind::full &&
                     found.action == Action::update && change.old_kind == Change::OldTuple::full &&
                     !is_large && text_bytes(*change.old_tuple) <= limits_.action_bytes;
    if (is_update) {
        RowUpdate update{*change.old_tuple, *change.new_tuple, rule.is_old_null_unknown};
        auto is_delta = rule.rule->data == DataKind::delta;
        out += is_delta ? ",\"dataKind\":\"delta\",\"data\":" : ",\"dataKind\":\"patch\",\"data\":";
        parts.data_kind = rule.rule->data;
        parts.data.begin = out.size();
        if (is_delta)
            append_delta(out, rule.row, update, writer_);
        else
            append_patch(out, rule.row, update, writer_);
        parts.data.end = out.size();
        return;
    }
    auto value_bytes_max = is_large ? limits_.action_bytes / found.row->size()
                                    : std::numeric_limits<std::size_t>::max();
    out += ",\"data\":";
    parts.data.begin = out.size();
    auto gaps = append_row(out, rule.row, *found.row, value_bytes_max, writer_);
    parts.data.end = out.size();
    if (gaps.has_unchanged) {
        out += ",\"unchanged\":";
        parts.unchanged.begin = out.size();
        append_unchanged_keys(out, rule.row, *found.row);
        parts.unchanged.end = out.size();
    }
    if (gaps.has_omitted) {
        out += ",\"omitted\":";
        parts.omitted.begin = out.size();
        append_omitted_keys(out, rule.row, *found.row, value_bytes_max);
        parts.omitted.end = out.size();
        ++counts_.omitted;
    }
    if (limits_.wants_whole_rows && (gaps.has_unchanged || gaps.has_omitted))
        notice(*change.relation,
               "has updates without their large columns, which clients that replace whole rows "
               "are not told of: ALTER TABLE ... REPLICA IDENTITY FULL, or exclude those columns");
}

// --- what outputs want ---

void BatchBuilder::keep_parts(const Route& found, const Change& change, Batch::Action parts) {
    auto& message = batch_.messages.back();
    const auto& model = found.rule->model_json;
    constexpr std::string_view between = ",\"modelId\":";
    parts.model.end = parts.id.begin - between.size();
    parts.model.begin = parts.model.end - model.size();
    for (const auto* other = routes_.routes.data(); other != &found; ++other)
        if (other->has_second_id == found.has_second_id) ++parts.ordinal;
    put_extras(found, change, parts);
    batch_.actions.push_back(parts);
    message.actions_end = static_cast<std::uint32_t>(batch_.actions.size());
    published_ += limits_.outputs * (message.channels_end - message.channels_begin);
}

void BatchBuilder::put_extras(const Route& found, const Change& change, Batch::Action& parts) {
    constexpr auto no_limit = std::numeric_limits<std::size_t>::max();
    auto& out = batch_.extras;
    const auto& rule = *found.rule;
    parts.key.begin = out.size();
    append_row(out, rule.key, *found.row, no_limit, writer_);
    parts.key.end = parts.reverse.begin = parts.reverse.end = out.size();
    // Values that one old row tells and another does not take nothing back.
    auto is_known = change.old_kind == Change::OldTuple::full && !rule.is_old_null_unknown;
    if (!limits_.is_reversible || !is_known) return;
    if (found.action == Action::remove)
        append_row(out, rule.row, *found.row, no_limit, writer_);
    else if (parts.data_kind == DataKind::delta)
        append_delta(out, rule.row, {*change.new_tuple, *change.old_tuple}, writer_);
    parts.reverse.end = out.size();
}

void BatchBuilder::close_message() {
    if (!is_open_) return;
    auto& message = batch_.messages.back();
    message.body_end = batch_.bytes.size();
    weight_ +=
        open_bytes() * (message.channels_end - message.channels_begin) * (1 + limits_.outputs);
    is_open_ = false;
    if (!annotation_.mutation_id.empty()) note_end(message);
}

// --- what a transaction says of itself ---

Batch::Slice BatchBuilder::write_bytes(std::string_view text) {
    auto begin = batch_.bytes.size();
    batch_.bytes += text;
    return {begin, batch_.bytes.size()};
}

Batch::Slice BatchBuilder::write_mutation_id(std::string_view mutation_id) {
    auto begin = batch_.bytes.size();
    if (!mutation_id.empty()) {
        batch_.bytes += ",\"mutationId\":";
        append_json_string(batch_.bytes, mutation_id);
    }
    return {begin, batch_.bytes.size()};
}

// What the transaction said, as of this mutation.
Batch::Slice BatchBuilder::write_annotations(std::string_view mutation_id) {
    auto begin = write_mutation_id(mutation_id).begin;
    batch_.bytes += annotation_.members;
    return {begin, batch_.bytes.size()};
}

void BatchBuilder::put_annotations(Message& message) {
    if (annotation_.is_empty()) return;
    if (annotations_.begin == annotations_.end)
        annotations_ = write_annotations(annotation_.mutation_id);
    message.annotations_begin = annotations_.begin;
    message.annotations_end = annotations_.end;
}

bool BatchBuilder::annotate(Annotation annotation) {
    annotation.channels = event_channels_.named(std::move(annotation.channels));
    walcast::add(annotation_, std::move(annotation));
    close_message();
    auto before = std::exchange(annotations_, {});
    for (auto i = own_begin_; i < batch_.messages.size(); ++i) {
        auto& message = batch_.messages[i];
        if (message.kind == Message::Kind::dead_letter) continue;
        // An event that says whose it is keeps that.
        auto is_anothers = message.kind == Message::Kind::event &&
                           message.annotations_begin < message.annotations_end &&
                           message.annotations_end != before.end;
        if (!is_anothers) put_annotations(message);
        if (!annotation_.mutation_id.empty()) note_end(message);
    }
    return !is_cut_;
}

// Its buckets would be cleared for each transaction that comes after a large one.
void BatchBuilder::forget_ends() {
    if (!ends_.empty()) ends_ = {};
    ends_bytes_ = 0;
}

void BatchBuilder::note_end(const Message& message) {
    for (auto i = message.channels_begin; i < message.channels_end; ++i)
        note_end(batch_.text(batch_.channels[i]), message.last_sync_id);
}

void BatchBuilder::note_end(std::string_view channel, SyncId last_id) {
    constexpr std::size_t channels_max = 10'000;  // All are told in one step.
    constexpr std::size_t bytes_max = std::size_t{1} << 20U;
    std::string name(channel);
    auto found = ends_.find(name);
    if (found != ends_.end()) {
        found->second = last_id;
    } else if (ends_.size() < channels_max && ends_bytes_ < bytes_max) {
        ends_bytes_ += name.size();
        ends_.emplace(std::move(name), last_id);
    }
}

void BatchBuilder::put_channels(Message& message, std::span<const std::string> channels) {
    message.channels_begin = static_cast<std::uint32_t>(batch_.channels.size());
    for (const auto& channel : channels) batch_.channels.push_back(write_bytes(channel));
    message.channels_end = static_cast<std::uint32_t>(batch_.channels.size());
}

void BatchBuilder::add_event(PublishedEvent event, SyncId id) {
    event.channels = event_channels_.named(std::move(event.channels));
    auto is_of_transaction = event.mutation_id.empty();
    const auto& mutation_id = is_of_transaction ? annotation_.mutation_id : event.mutation_id;
    check(event, mutation_id);
    close_message();
    ++counts_.events;
    if (!event.channels.empty()) {
        Message message{
            .kind = Message::Kind::event, .last_sync_id = id, .transaction = transaction_};
        if (is_of_transaction) {
            put_annotations(message);
        } else {
            auto own = write_annotations(mutation_id);
            message.annotations_begin = own.begin;
            message.annotations_end = own.end;
        }
        put_channels(message, event.channels);
        auto body = write_bytes(event.fields);
        message.body_begin = body.begin;
        message.body_end = body.end;
        weight_ += event.fields.size() * event.channels.size();
        batch_.messages.push_back(message);
        if (!annotation_.mutation_id.empty()) note_end(message);
    }
    if (mutation_id.empty()) return;
    // A mutation is committed with all of the transaction, unless it is rejected here.
    auto is_told_later = note_mutation(mutation_id, event.is_rejected) && !event.is_rejected;
    if (!is_told_later) add_receipt(mutation_id, event.is_rejected, id, event.reason_json);
}

void BatchBuilder::check(const PublishedEvent& event, std::string_view mutation_id) const {
    if (event.is_rejected && mutation_id.empty()) throw ValueError("a rejection has no mutationId");
    if (event.channels.empty() && mutation_id.empty()) throw ValueError("it names no channel");
    constexpr std::size_t copies_max = 4;  // Of the largest one: it is one command to Redis.
    auto bytes = event.fields.size();
    if (bytes > limits_.action_bytes ||
        bytes * event.channels.size() > copies_max * limits_.action_bytes)
        throw ValueError(
            fmt::format("{} bytes for {} channels are too much", bytes, event.channels.size()));
}

// False where there are too many: all that are kept get their receipts in one step.
bool BatchBuilder::note_mutation(std::string_view mutation_id, bool is_rejected) {
    constexpr std::size_t mutations_max = 4096;
    auto found = mutations_.find(mutation_id);
    if (found == mutations_.end()) {
        if (mutations_.size() >= mutations_max && mutation_id != annotation_.mutation_id)
            return false;
        found = mutations_.emplace(mutation_id, false).first;
    }
    found->second = found->second || is_rejected;
    return true;
}

// Which ids those had is not known any more; below the end, or there is nothing more to tell.
static constexpr SyncId id_passed_over = 0;

void BatchBuilder::pass_over(const PublishedEvent& event) {
    const auto& mutation_id =
        event.mutation_id.empty() ? annotation_.mutation_id : event.mutation_id;
    auto channels = event_channels_.named(event.channels);
    check(event, mutation_id);
    if (!mutation_id.empty()) note_mutation(mutation_id, event.is_rejected);
    if (annotation_.mutation_id.empty()) return;
    for (const auto& channel : channels) note_end(channel, id_passed_over);
}

void BatchBuilder::pass_over(const Change& change) {
    try {
        auto rules = router_.rules_of(*change.relation);
        if (rules.empty()) return;
        if (const auto& outbox = rules.front().outbox) {
            if (change.action == Action::insert)
                pass_over(outbox_event(*outbox, *change.new_tuple));
            return;
        }
        auto is_awaited = !annotation_.mutation_id.empty();
        if (limits_.model_told_whole.empty() && !is_awaited) return;
        route(rules, change, routes_);
        for (const auto& found : routes_.routes) {
            note_missed(found);
            if (!is_awaited) continue;
            for (auto i = found.channels_begin; i < found.channels_end; ++i)
                note_end(routes_.channels[i], id_passed_over);
        }
    } catch (const ValueError&) {
        return;  // It is among the dead letters.
    } catch (const SetupError&) {
        return;  // Rules that do not fit any more stop the agent where something is to be sent.
    }
}

void BatchBuilder::note_missed(const Route& found) {
    if (found.rule->model != limits_.model_told_whole || found.action != Action::insert) return;
    constexpr std::size_t payload_bytes = 100;
    for (auto i = found.channels_begin; i < found.channels_end; ++i) {
        auto channel = routes_.channels[i];
        if (!missed_.add(channel)) continue;
        batch_.missed.push_back(write_bytes(channel));
        weight_ += channel.size() + payload_bytes;
    }
}

void BatchBuilder::write_event(const TableRule& outbox, const Change& change, SyncId id) {
    // Rows are taken away again when the application likes.
    if (change.action != Action::insert) return;
    try {
        add_event(outbox_event(*outbox.outbox, *change.new_tuple), id);
    } catch (const ValueError& error) {
        std::string row;
        append_row(row, outbox.row, *change.new_tuple, limits_.action_bytes, writer_);
        set_aside_event(id, error.what(), row);
        notice(*change.relation,
               fmt::format("has rows that are no events; they go to the dead letters: {}",
                           error.what()));
    }
}

void BatchBuilder::set_aside_event(SyncId id, std::string_view reason, std::string_view bytes) {
    close_message();
    add_letter(PublishedEvent::prefix, id, reason, bytes);
}

void BatchBuilder::end_transaction(SyncId last_id) {
    close_message();
    if (!annotation_.mutation_id.empty()) note_mutation(annotation_.mutation_id, false);
    for (const auto& [mutation_id, is_rejected] : mutations_)
        if (!is_rejected) add_receipt(mutation_id, false, last_id, {});
    mutations_.clear();
    if (annotation_.is_empty()) return;
    tell_end(last_id);
    annotation_ = {};
    forget_ends();
}

// All of them are one command, which holds what was said once for each: very many are told only
// whose mutation it is.
void BatchBuilder::tell_end(SyncId last_id) {
    constexpr std::size_t said_bytes_max = std::size_t{1} << 20U;
    for (const auto& channel : annotation_.channels) ends_.try_emplace(channel, 0);
    auto is_short = ends_.size() * annotation_.members.size() > said_bytes_max;
    auto said = is_short ? write_mutation_id(annotation_.mutation_id)
                         : write_annotations(annotation_.mutation_id);
    for (const auto& [channel, end] : ends_)
        if (end < last_id) add_progress(channel, last_id, said);
}

void BatchBuilder::add_progress(const std::string& channel, SyncId last_id, Batch::Slice said) {
    constexpr std::size_t head_bytes = 200;
    Message message{
        .kind = Message::Kind::progress, .last_sync_id = last_id, .transaction = transaction_};
    message.annotations_begin = said.begin;
    message.annotations_end = said.end;
    put_channels(message, {&channel, 1});
    message.body_begin = message.body_end = batch_.bytes.size();
    weight_ += channel.size() + said.end - said.begin + head_bytes;
    batch_.messages.push_back(message);
}

void BatchBuilder::add_receipt(std::string_view mutation_id, bool is_rejected, SyncId last_id,
                               std::string_view reason_json) {
    Batch::Receipt receipt{.mutation_id = write_bytes(mutation_id),
                           .mutation_id_json = {},
                           .is_rejected = is_rejected,
                           .last_sync_id = last_id};
    receipt.mutation_id_json.begin = batch_.bytes.size();
    append_json_string(batch_.bytes, mutation_id);
    receipt.mutation_id_json.end = batch_.bytes.size();
    receipt.reason = write_bytes(reason_json);
    weight_ += receipt.reason.end - receipt.mutation_id.begin;
    batch_.receipts.push_back(receipt);
}

// --- resets ---

void BatchBuilder::add_truncate(const Truncate& truncate, SyncId first_id) {
    for (const auto* relation : *truncate.relations) {
        auto rules = router_.rules_of(*relation);
        auto sync_id = first_id++;
        const TableRule* first = nullptr;
        auto is_one_model = true;
        for (const auto& rule : rules) {
            if (!rule.rule->takes(Action::remove)) continue;
            if (first == nullptr) first = &rule;
            is_one_model = is_one_model && rule.model == first->model;
        }
        if (first == nullptr) continue;
        add_reset(is_one_model ? first->model_json : std::string_view{}, "truncate", sync_id);
    }
}

void BatchBuilder::reset_unroutable(const Change& change, SyncId sync_id) {
    std::string_view model_json;
    auto models = 0;
    for (const auto& [rule, why] : routes_.unroutable) {
        ++counts_.unroutable;
        auto policy = rule->rule->unroutable;
        if (is_told_first(*rule->rule, change.relation, why))
            notice(*change.relation,
                   fmt::format(
                       "rule={} a change cannot be routed: {}; unroutable={}. `walcast doctor` "
                       "has the statement that mends it",
                       rule->rule->place_of("table"), why,
                       policy == Unroutable::reset ? "reset" : "skip"));
        if (policy != Unroutable::reset) continue;
        if (!is_first_reset(rule->model)) continue;
        model_json = rule->model_json;
        ++models;
    }
    // Two messages of the control channel cannot bear one id, so several models become all of them.
    if (models > 0) add_reset(models == 1 ? model_json : std::string_view{}, "unroutable", sync_id);
}

// Whether this is new to the operator; asked for a row, so that nothing is allocated.
bool BatchBuilder::is_told_first(const Rule& rule, const Relation* relation, std::string_view why) {
    Told telling{&rule, relation, why.data()};
    if (std::find(told_.begin(), told_.end(), telling) != told_.end()) return false;
    told_.push_back(telling);
    return true;
}

// Once in a transaction is enough: whoever fetches afresh sees all of it.
bool BatchBuilder::is_first_reset(const std::string& model) {
    auto is_known =
        std::find(models_reset_.begin(), models_reset_.end(), model) != models_reset_.end();
    if (!is_known) models_reset_.push_back(model);
    return !is_known;
}

// --- dead letters ---

// Whether what a rule leaves out of its data could be in the row's raw bytes.
bool BatchBuilder::has_rule_that_hides(const Relation& relation) {
    try {
        auto rules = router_.rules_of(relation);
        return std::any_of(rules.begin(), rules.end(),
                           [](const TableRule& rule) { return rule.leaves_columns_out; });
    } catch (const ValueError&) {
        return true;  // Its very names cannot be written.
    }
}

void BatchBuilder::set_aside(const Change& change, SyncId first_id, std::string_view reason,
                             std::string_view bytes) {
    close_message();
    const auto& relation = *change.relation;
    auto sync_id = first_id + (change.action == Action::update ? 1 : 0);
    auto is_kept = !has_rule_that_hides(relation);
    add_letter(fmt::format("{}.{}", relation.schema, relation.name), sync_id,
               is_kept ? reason
                       : "a value cannot be written; neither it nor the row are kept here, since a "
                         "rule leaves columns of the table out",
               is_kept ? bytes : std::string_view{});
    notice(relation,
           "has rows that cannot be written; they go to the dead letters, and clients "
           "fetch the model afresh");

    std::string_view model_json;
    auto models = 0;
    try {
        for (const auto& rule : router_.rules_of(relation)) {
            if (!is_first_reset(rule.model)) continue;
            model_json = rule.model_json;
            ++models;
        }
    } catch (const ValueError&) {
        models = is_first_reset("") ? 2 : 0;  // Its very names cannot be written: everything.
    }
    if (models > 0) add_reset(models == 1 ? model_json : std::string_view{}, "bad_row", sync_id);
}

void BatchBuilder::add_letter(std::string_view table, SyncId id, std::string_view reason,
                              std::string_view bytes) {
    Message letter{
        .kind = Message::Kind::dead_letter, .last_sync_id = id, .transaction = transaction_};
    letter.body_begin = batch_.bytes.size();
    // Five fields with a line end after each but the last, which may hold any bytes.
    auto append_line = [&](std::string_view text) {
        for (auto character : text) batch_.bytes += character == '\n' ? ' ' : character;
        batch_.bytes += '\n';
    };
    append_line(table);
    append_line(fmt::to_string(transaction_.commit_lsn));
    append_line(fmt::to_string(transaction_.xid));
    append_line(reason);
    batch_.bytes += bytes.substr(0, limits_.dead_letter_bytes);
    letter.body_end = batch_.bytes.size();
    weight_ += letter.body_end - letter.body_begin;
    batch_.messages.push_back(letter);
    ++counts_.set_aside;
}

void BatchBuilder::add_reset(std::string_view model_json, std::string_view reason, SyncId sync_id) {
    close_message();
    Message message{
        .kind = Message::Kind::reset, .last_sync_id = sync_id, .transaction = transaction_};
    put_annotations(message);
    message.body_begin = batch_.bytes.size();
    if (!model_json.empty()) {
        batch_.bytes += "\"modelName\":";
        batch_.bytes += model_json;
        batch_.bytes += ',';
    }
    batch_.bytes += "\"reason\":";
    append_json_string(batch_.bytes, reason);
    message.body_end = batch_.bytes.size();
    weight_ += message.body_end - message.body_begin;
    batch_.messages.push_back(message);
}

// --- notices ---

void BatchBuilder::notice(const Relation& relation, std::string_view what) {
    // Told once: looked up without allocating for a row, by table first.
    if (!noticed_.empty()) {
        scratch_ = relation.schema;
        scratch_ += '.';
        scratch_ += relation.name;
        scratch_ += what;
        if (noticed_.contains(scratch_)) return;
    }
    noticed_.insert(fmt::format("{}.{}{}", relation.schema, relation.name, what));
    notices_.push_back(fmt::format("table={}.{} {}", relation.schema, relation.name, what));
}

std::vector<std::string> BatchBuilder::take_notices() {
    return std::exchange(notices_, {});
}

}  // namespace walcast
