#include "sinks/outputs.hpp"

#include "sinks/json_text.hpp"

#include <algorithm>

namespace walcast {

static bool is_plain_native(const OutputSettings& output) {
    return output.envelope == EnvelopeKind::native && output.channel_before.empty() &&
           output.channel_after.empty();
}

Outputs::Outputs(const std::vector<OutputSettings>& settings) : has_native_(settings.empty()) {
    for (const auto& output : settings) {
        if (is_plain_native(output)) {
            has_native_ = true;
            continue;
        }
        auto& other = others_.emplace_back();
        for (const auto& model : output.models) append_quoted(other.models.emplace_back(), model);
        auto whole = model_told_whole(output);
        auto is_chosen =
            output.models.empty() ||
            std::find(output.models.begin(), output.models.end(), whole) != output.models.end();
        other.is_told_whole = !whole.empty() && is_chosen;
        other.envelope = make_envelope(output);
    }
}

void Outputs::begin(Timestamp clock) {
    clock_ = clock;
    has_begun_ = is_in_transaction_ = false;
}

void Outputs::end_transaction() {
    if (!is_in_transaction_) return;
    is_in_transaction_ = false;
    for (auto& other : others_) other.envelope->end_transaction(published_);
}

void Outputs::begin_batch(const Batch& batch) {
    published_.clear();
    if (!has_begun_) begin_anew(batch);
    for (const auto& channel : batch.missed)
        for (auto& other : others_)
            if (other.is_told_whole) other.envelope->miss(batch.text(channel), published_);
}

void Outputs::begin_anew(const Batch& batch) {
    has_begun_ = true;
    for (auto& other : others_) other.envelope->forget();
    const auto& partial = batch.before.partial;
    if (!partial) return;
    transaction_ = {.commit_lsn = partial->commit_lsn, .xid = partial->xid, .commit_time = {}};
    is_in_transaction_ = true;
    for (auto& other : others_) other.envelope->miss_some(published_);
}

void Outputs::wrap(const Batch& batch, const Message& message, std::string_view channel) {
    auto is_other = message.transaction.commit_lsn != transaction_.commit_lsn ||
                    message.transaction.xid != transaction_.xid;
    if (is_other) end_transaction();
    transaction_ = message.transaction;
    is_in_transaction_ = true;
    // An event may be outside of any.
    auto has_transaction = message.kind != Message::Kind::event || message.transaction.xid != 0;
    if (has_transaction) clock_ = std::max(clock_, message.transaction.commit_time);

    using Kind = Message::Kind;
    if (message.kind == Kind::reset || message.kind == Kind::dead_letter)
        for (auto& other : others_) other.envelope->miss_some(published_);
    // No front end but our own knows what to do with resets and progress.
    if (message.kind != Kind::sync && message.kind != Kind::event) return;
    auto is_event = message.kind == Kind::event;
    ChannelMessage view{
        .kind = is_event ? ChannelMessage::Kind::event : ChannelMessage::Kind::sync,
        .channel = channel,
        .last_sync_id = message.last_sync_id,
        .commit_time = has_transaction ? message.transaction.commit_time : clock_,
        .clock = clock_,
        .annotations = batch.text(message.annotations_begin, message.annotations_end)};
    if (is_event) view.event = batch.text(message.body_begin, message.body_end);
    view_actions(batch, message);
    for (auto& other : others_) {
        view.actions = chosen_by(other);
        if (is_event || !view.actions.empty()) other.envelope->wrap(view, published_);
    }
}

void Outputs::end_batch(const Batch& batch) {
    // The one that goes on may be the next already.
    const auto& partial = batch.after.partial;
    auto goes_on = partial && partial->commit_lsn == transaction_.commit_lsn &&
                   partial->xid == transaction_.xid;
    if (!goes_on) end_transaction();
    for (auto& other : others_) other.envelope->end_batch(published_);
}

void Outputs::view_actions(const Batch& batch, const Message& message) {
    actions_.clear();
    for (auto i = message.actions_begin; i < message.actions_end; ++i) {
        const auto& parts = batch.actions[i];
        auto extra = [&](Batch::Slice slice) {
            return std::string_view(batch.extras).substr(slice.begin, slice.end - slice.begin);
        };
        actions_.push_back({.sync_id = parts.sync_id,
                            .ordinal = parts.ordinal,
                            .action = parts.action,
                            .data_kind = parts.data_kind,
                            .model = batch.text(parts.model),
                            .id = batch.text(parts.id),
                            .key = extra(parts.key),
                            .data = batch.text(parts.data),
                            .unchanged = batch.text(parts.unchanged),
                            .omitted = batch.text(parts.omitted),
                            .reverse = extra(parts.reverse)});
    }
}

std::span<const ActionView> Outputs::chosen_by(const Other& other) {
    if (other.models.empty()) return actions_;
    chosen_.clear();
    for (const auto& action : actions_) {
        auto is_chosen =
            std::find(other.models.begin(), other.models.end(), action.model) != other.models.end();
        if (is_chosen) chosen_.push_back(action);
    }
    return chosen_;
}

}  // namespace walcast
