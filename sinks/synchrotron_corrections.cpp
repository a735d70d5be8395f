#include "sinks/synchrotron_corrections.hpp"

#include "sinks/json_text.hpp"
#include "sinks/native_envelope.hpp"
#include "sinks/uuid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <tuple>

namespace walcast {

// Of the audience `user:u1` the channel is `audience:user%3Au1`.
static std::string audience_key(std::string_view channel) {
    constexpr std::string_view before = "audience:";
    if (channel.starts_with(before)) channel.remove_prefix(before.size());
    std::string key;
    for (std::size_t i = 0; i < channel.size(); ++i) {
        auto byte = 0U;
        const auto* digits = channel.data() + i + 1;
        auto is_escape = channel[i] == '%' && i + 2 < channel.size() &&
                         std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2;
        key += is_escape ? static_cast<char>(byte) : channel[i];
        if (is_escape) i += 2;
    }
    return key;
}

// Whether the change can be taken back, as a client does that learns of an older one. Of an update
// that comes with the whole row, since the row leaves another audience, that one may know the rest.
static bool may_be_reversible(const ActionView& action) {
    switch (action.action) {
        case Action::insert: return action.is_whole();
        case Action::update:
            if (action.data_kind == DataKind::full) return action.is_whole();
            return action.data_kind == DataKind::delta && action.unchanged.empty() &&
                   action.omitted.empty() && !action.reverse.empty();
        case Action::remove: return !action.reverse.empty();
    }
    return false;
}

static void append_operation(std::string& out, Action action, std::string_view forward,
                             std::string_view reverse) {
    auto is_removed = action == Action::remove;
    auto is_inserted = action == Action::insert;
    fmt::format_to(std::back_inserter(out),
                   R"(,"operation":"{}","forward_patches":{},"reverse_patches":{})",
                   is_removed    ? "DELETE"
                   : is_inserted ? "INSERT"
                                 : "UPDATE",
                   is_removed ? "{}" : forward, is_inserted ? "{}" : reverse);
}

void SynchrotronCorrections::wrap(const ChannelMessage& message, Published& /*out*/) {
    clock_ = message.clock;
    for (const auto& action : message.actions) {
        if (!may_be_reversible(action)) continue;
        auto is_inserted = action.action == Action::insert;
        rows_.push_back({.audience = audience_of(message.channel),
                         .sync_id = action.sync_id,
                         .action = action.action,
                         .table = std::string(action.model),
                         .row_id = std::string(action.id),
                         .forward = std::string(action.data),
                         .reverse = std::string(is_inserted ? "" : action.reverse)});
    }
}

std::size_t SynchrotronCorrections::audience_of(std::string_view channel) {
    auto [place, is_new] = places_.emplace(channel, channels_.size());
    if (is_new) channels_.emplace_back(channel);
    return place->second;
}

// Messages go by channels; clients take the changes of all their audiences in one order. Of one
// change first what removes the row, last what inserts it.
void SynchrotronCorrections::sort_rows() {
    auto rank = [](Action action) {
        return action == Action::remove ? 0 : action == Action::update ? 1 : 2;
    };
    std::stable_sort(rows_.begin(), rows_.end(), [&](const Row& a, const Row& b) {
        return std::pair(a.sync_id, rank(a.action)) < std::pair(b.sync_id, rank(b.action));
    });
}

// The members of `row`, those that `patches` has as they stand there.
static std::string patched(std::string_view row, std::string_view patches) {
    std::string result = "{";
    for (JsonMembers members(row); members.next();) {
        auto patch = json_member(patches, members.name());
        fmt::format_to(std::back_inserter(result), "{}\"{}\":{}", result.size() > 1 ? "," : "",
                       members.name(), patch.empty() ? members.value() : patch);
    }
    return result + '}';
}

// The old and the new row, where this update makes it leave or enter another audience.
std::optional<SynchrotronCorrections::Moved> SynchrotronCorrections::moved_by(
    const Row& update) const {
    // What leaves by an update has the id before its own.
    auto row = std::lower_bound(rows_.begin(), rows_.end(), update.sync_id - 1,
                                [](const Row& each, SyncId id) { return each.sync_id < id; });
    for (; row != rows_.end() && row->sync_id <= update.sync_id; ++row) {
        if (std::tie(row->table, row->row_id) != std::tie(update.table, update.row_id)) continue;
        if (row->action == Action::remove && update.is_whole())
            return Moved{row->reverse, update.forward};
        if (row->action == Action::insert && !update.is_whole() && row->sync_id == update.sync_id)
            return Moved{patched(row->forward, update.reverse), row->forward};
    }
    return std::nullopt;
}

// A client of two audiences would lose a row that leaves one of them, or that enters one and is
// taken back, were it only patched for the other: there it is deleted and inserted.
void SynchrotronCorrections::replace_updates() {
    std::vector<Row> rows;
    const Row* last = nullptr;  // Its audiences stand side by side.
    std::optional<Moved> moved;
    for (const auto& row : rows_) {
        if (row.action != Action::update) {
            rows.push_back(row);
            continue;
        }
        auto is_same = last != nullptr && std::tie(last->sync_id, last->table, last->row_id) ==
                                              std::tie(row.sync_id, row.table, row.row_id);
        if (!is_same) moved = moved_by(row);
        last = &row;
        if (!moved && row.is_whole()) continue;
        rows.push_back(row);
        if (!moved) continue;
        rows.back().action = Action::remove;
        rows.back().reverse = moved->old_row;
        rows.push_back(row);
        rows.back().action = Action::insert;
        rows.back().forward = moved->new_row;
    }
    rows_ = std::move(rows);
}

static std::string correction(std::string_view id, Timestamp clock, SyncId counter) {
    using namespace std::chrono;
    auto time = floor<milliseconds>(clock);
    std::string at;
    append_timestamp(at, time);
    at.replace(23, 3, "");
    return fmt::format(
        R"({{"id":"{0}","server_ingest_id":null,)"
        R"("_tag":"_InternalCorrectionApply","user_id":null,"client_id":"agent:wal",)"
        R"("transaction_id":{1},"clock":{{"timestamp":{2},"vector":{{"agent:wal":{1}}}}},)"
        R"("clock_time_ms":{2},"clock_counter":{1},"args":{{"timestamp":{2}}},)"
        R"("created_at":"{3}","server_ingested_at":"{3}","synced":true}})",
        id, counter, time.time_since_epoch().count(), at);
}

// By audience. Each has rows of its own, with their own ids: one that comes again is ignored.
std::vector<std::string> SynchrotronCorrections::texts(std::string_view action_id) const {
    std::vector<std::string> texts(channels_.size());
    auto sequence = 0U;
    auto ordinal = 0U;
    SyncId last_id = 0;
    for (const auto& row : rows_) {
        ordinal = row.sync_id == last_id ? ordinal + 1 : 1;
        last_id = row.sync_id;
        auto& text = texts[row.audience];
        text += text.empty() ? "{\"id\":\"" : ",{\"id\":\"";
        append_uuid(text, clock_, row.sync_id, ordinal);
        fmt::format_to(std::back_inserter(text),
                       R"(","table_name":{},"row_id":{},"action_record_id":"{}","audience_key":)",
                       row.table, row.row_id, action_id);
        append_quoted(text, audience_key(channels_[row.audience]));
        append_operation(text, row.action, row.forward, row.reverse);
        fmt::format_to(std::back_inserter(text), R"(,"sequence":{}}})", sequence++);
    }
    return texts;
}

void SynchrotronCorrections::end_transaction(Published& out) {
    sort_rows();
    replace_updates();
    if (!rows_.empty()) tell(out);
    rows_.clear();
    channels_.clear();
    places_.clear();
}

void SynchrotronCorrections::tell(Published& out) const {
    std::string id;  // Its rows have higher ordinals.
    append_uuid(id, clock_, rows_.front().sync_id, 0);
    auto action = correction(id, clock_, rows_.back().sync_id);
    auto rows = texts(id);
    // Whoever is of several audiences must not begin before it has all rows of the action.
    auto is_of_one = std::count(rows.begin(), rows.end(), std::string()) + 1 == std::ssize(rows);
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (!rows[i].empty())
            fmt::format_to(std::back_inserter(out.add(output_, channels_[i])),
                           R"({{"_tag":"Batch","caughtUp":{},"actions":[{}],"modifiedRows":[{}]}})",
                           is_of_one, action, rows[i]);
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (!rows[i].empty() && !is_of_one)
            out.add(output_, channels_[i]) +=
                R"({"_tag":"Batch","caughtUp":true,"actions":[],"modifiedRows":[]})";
}

}  // namespace walcast
