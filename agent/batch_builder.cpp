#include "agent/batch_builder.hpp"

#include "sinks/native_envelope.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace walcast {

void BatchBuilder::begin(const TransactionInfo& transaction) {
    close_message();
    transaction_ = transaction;
    models_reset_.clear();
}

Batch BatchBuilder::take(Batch spare) {
    close_message();
    weight_ = 0;
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
            .weight = weight_,
            .is_open = is_open_,
            .open = is_open_ ? batch_.messages.back() : Message{}};
}

void BatchBuilder::take_back(const Mark& mark) {
    batch_.bytes.resize(mark.bytes);
    batch_.messages.resize(mark.messages);
    batch_.channels.resize(mark.channels);
    weight_ = mark.weight;
    is_open_ = mark.is_open;
    if (is_open_) batch_.messages.back() = mark.open;
}

void BatchBuilder::write(std::span<const TableRule> rules, const Change& change, SyncId first_id) {
    route(rules, change, routes_);
    if (!routes_.routes.empty()) add_groups(first_id);
    if (!routes_.unroutable.empty())
        reset_unroutable(change, first_id + (change.action == Action::update ? 1 : 0));
    if (change.action == Action::update && change.old_kind != Change::OldTuple::full &&
        rules[0].can_move_unseen)
        notice(*change.relation,
               "an update cannot tell which channel a row leaves: if channel columns ever change, "
               "ALTER TABLE ... REPLICA IDENTITY FULL");
    if (is_open_ &&
        batch_.bytes.size() - batch_.messages.back().body_begin >= limits_.message_bytes)
        close_message();
}

// Channels that hear of the same actions get one message, in which those stand by id; a channel
// never gets two messages with one id.
void BatchBuilder::add_groups(SyncId first_id) {
    group_count_ = 0;
    auto group_of = [&](std::size_t channel) -> Group* {
        for (std::size_t i = 0; i < group_count_; ++i)
            for (auto member : groups_[i].channels)
                if (routes_.name(member) == routes_.name(channel)) return &groups_[i];
        return nullptr;
    };
    auto new_group = [&]() -> Group& {
        if (groups_.size() == group_count_) groups_.emplace_back();
        auto& group = groups_[group_count_++];
        group.channels.clear();
        group.routes.clear();
        return group;
    };
    if (routes_.routes.size() == 1) {
        auto& group = new_group();
        group.routes.push_back(0);
        for (std::size_t i = routes_.routes[0].channels_begin; i < routes_.routes[0].channels_end;
             ++i)
            group.channels.push_back(i);
    } else {
        // First each channel by itself with what it hears,
        for (std::size_t r = 0; r < routes_.routes.size(); ++r) {
            for (std::size_t i = routes_.routes[r].channels_begin;
                 i < routes_.routes[r].channels_end; ++i) {
                auto* group = group_of(i);
                if (group == nullptr) {
                    group = &new_group();
                    group->channels.push_back(i);
                }
                group->routes.push_back(r);
            }
        }
        // then those that hear the same together,
        for (std::size_t i = 0; i < group_count_; ++i) {
            for (auto j = i + 1; j < group_count_;) {
                if (groups_[i].routes != groups_[j].routes) {
                    ++j;
                    continue;
                }
                groups_[i].channels.push_back(groups_[j].channels[0]);
                std::rotate(&groups_[j], &groups_[j] + 1, &groups_[0] + group_count_);
                --group_count_;
            }
        }
        // and what ends with the first id before what ends with the second.
        auto ends_first = [&](const Group& group) {
            return !routes_.routes[group.routes.back()].has_second_id;
        };
        auto* first = groups_.data();
        for (auto* group = groups_.data(); group != groups_.data() + group_count_; ++group)
            if (ends_first(*group)) std::rotate(first++, group, group + 1);
    }
    for (std::size_t i = 0; i < group_count_; ++i) {
        if (!is_open_for(groups_[i].channels)) {
            close_message();
            open_message(groups_[i].channels);
        }
        for (auto r : groups_[i].routes) append_action(routes_.routes[r], first_id);
    }
}

bool BatchBuilder::is_open_for(const std::vector<std::size_t>& channels) const {
    if (!is_open_) return false;
    const auto& message = batch_.messages.back();
    if (message.channels_end - message.channels_begin != channels.size()) return false;
    for (std::size_t i = 0; i < channels.size(); ++i) {
        const auto& slice = batch_.channels[message.channels_begin + i];
        if (batch_.text(slice.begin, slice.end) != routes_.name(channels[i])) return false;
    }
    return true;
}

void BatchBuilder::open_message(const std::vector<std::size_t>& channels) {
    Message message{.kind = Message::Kind::sync, .transaction = transaction_};
    message.channels_begin = static_cast<std::uint32_t>(batch_.channels.size());
    for (auto channel : channels) {
        auto begin = batch_.bytes.size();
        batch_.bytes += routes_.name(channel);
        batch_.channels.push_back({begin, batch_.bytes.size()});
    }
    message.channels_end = static_cast<std::uint32_t>(batch_.channels.size());
    message.body_begin = batch_.bytes.size();
    batch_.messages.push_back(message);
    is_open_ = true;
}

void BatchBuilder::append_action(const Route& found, SyncId first_id) {
    auto& message = batch_.messages.back();
    auto& out = batch_.bytes;
    if (out.size() > message.body_begin) out += ',';
    message.last_sync_id = first_id + (found.has_second_id ? 1 : 0);
    append_action_head(out, message.last_sync_id, found.action, found.rule->model_json);
    append_model_id(out, scratch_, *found.rule, *found.row);
    if (found.action != Action::remove) append_data(found);
    out += '}';
    ++counts_.actions;
}

void BatchBuilder::append_data(const Route& found) {
    auto& out = batch_.bytes;
    std::size_t row_bytes = 0;
    for (const auto& value : *found.row) row_bytes += value.text.size();
    auto value_bytes_max = row_bytes <= limits_.action_bytes
                               ? std::numeric_limits<std::size_t>::max()
                               : limits_.action_bytes / found.row->size();
    out += ",\"data\":";
    auto gaps = append_row(out, found.rule->row, *found.row, value_bytes_max, writer_);
    if (gaps.has_unchanged) {
        out += ",\"unchanged\":";
        append_unchanged_keys(out, found.rule->row, *found.row);
    }
    if (gaps.has_omitted) {
        out += ",\"omitted\":";
        append_omitted_keys(out, found.rule->row, *found.row, value_bytes_max);
        ++counts_.omitted;
    }
}

void BatchBuilder::close_message() {
    if (!is_open_) return;
    auto& message = batch_.messages.back();
    message.body_end = batch_.bytes.size();
    weight_ +=
        (message.body_end - message.body_begin) * (message.channels_end - message.channels_begin);
    is_open_ = false;
}

// --- resets ---

void BatchBuilder::add_truncate(const Truncate& truncate, SyncId first_id) {
    for (const auto* relation : *truncate.relations) {
        auto rules = router_.rules_of(*relation);
        auto sync_id = first_id++;
        if (rules.empty()) continue;
        auto is_one_model = std::all_of(rules.begin(), rules.end(), [&](const TableRule& rule) {
            return rule.model == rules[0].model;
        });
        add_reset(is_one_model ? rules[0].model_json : std::string_view{}, "truncate", sync_id);
    }
}

void BatchBuilder::reset_unroutable(const Change& change, SyncId sync_id) {
    std::string_view model_json;
    auto models = 0;
    for (const auto* rule : routes_.unroutable) {
        ++counts_.unroutable;
        notice(*change.relation,
               fmt::format("a change cannot be routed, since the replica identity lacks a column "
                           "of its channels or id; "
                           "unroutable={}: ALTER TABLE ... REPLICA IDENTITY FULL",
                           rule->rule->unroutable == Unroutable::reset ? "reset" : "skip"));
        if (rule->rule->unroutable != Unroutable::reset) continue;
        if (!is_first_reset(rule->model)) continue;
        model_json = rule->model_json;
        ++models;
    }
    // Two messages of the control channel cannot bear one id, so several models become all of them.
    if (models > 0) add_reset(models == 1 ? model_json : std::string_view{}, "unroutable", sync_id);
}

// Once in a transaction is enough: whoever fetches afresh sees all of it.
bool BatchBuilder::is_first_reset(const std::string& model) {
    auto is_known =
        std::find(models_reset_.begin(), models_reset_.end(), model) != models_reset_.end();
    if (!is_known) models_reset_.push_back(model);
    return !is_known;
}

// --- dead letters ---

void BatchBuilder::set_aside(const Change& change, SyncId first_id, std::string_view reason,
                             std::string_view bytes) {
    close_message();
    const auto& relation = *change.relation;
    auto sync_id = first_id + (change.action == Action::update ? 1 : 0);
    Message letter{
        .kind = Message::Kind::dead_letter, .last_sync_id = sync_id, .transaction = transaction_};
    letter.body_begin = batch_.bytes.size();
    // Five fields with a line end after each but the last, which may hold any bytes.
    auto append_line = [&](std::string_view text) {
        for (auto character : text) batch_.bytes += character == '\n' ? ' ' : character;
        batch_.bytes += '\n';
    };
    append_line(fmt::format("{}.{}", relation.schema, relation.name));
    append_line(fmt::to_string(transaction_.commit_lsn));
    append_line(fmt::to_string(transaction_.xid));
    append_line(reason);
    batch_.bytes += bytes.substr(0, limits_.dead_letter_bytes);
    letter.body_end = batch_.bytes.size();
    weight_ += letter.body_end - letter.body_begin;
    batch_.messages.push_back(letter);
    ++counts_.set_aside;
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

void BatchBuilder::add_reset(std::string_view model_json, std::string_view reason, SyncId sync_id) {
    close_message();
    Message message{
        .kind = Message::Kind::reset, .last_sync_id = sync_id, .transaction = transaction_};
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
