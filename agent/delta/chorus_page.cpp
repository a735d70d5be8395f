#include "agent/delta/chorus_page.hpp"

#include "agent/rules/sql_time.hpp"
#include "decoders/json_string.hpp"
#include "sinks/chorus_envelope.hpp"
#include "sinks/json_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>
#include <vector>

namespace walcast {

// Above all harmonics of its sync id.
static constexpr unsigned ordinal_max = 255;

static SyncId number_of(std::string_view text) {
    SyncId number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

// The beginning of every page.
static std::string page_head(const UuidParts& latest) {
    std::string out = R"({"latest_harmonic_id":")";
    append_uuid(out, latest.clock, latest.sync_id, latest.ordinal);
    return out + '"';
}

ChorusPage::ChorusPage(Request request, WriteKey write_key)
    : request_(std::move(request)), write_key_(std::move(write_key)), clock_(request_.after.clock) {
    append_quoted(model_, request_.model);
}

void ChorusPage::refuse(std::string_view reason, std::string detail) {
    if (!refusal_) refusal_ = Refusal{reason, std::move(detail)};
}

// As messages have it, which count from 1970; Postgres' own times from 2000.
static Timestamp time_of(std::string_view commit_time) {
    constexpr Timestamp first = std::chrono::sys_days{std::chrono::year{2000} / 1 / 1};
    return first + std::chrono::microseconds{read_timestamptz(bare(commit_time)).value_or(0)};
}

void ChorusPage::add(std::string_view message) {
    if (refusal_) return;
    std::string_view type;
    std::string_view reset_model;
    std::string_view actions;
    Timestamp commit_time;
    SyncId last_sync_id = 0;
    for (JsonMembers members(message); members.next();) {
        auto name = members.name();
        if (name == "type") type = members.value();
        if (name == "lastSyncId") last_sync_id = number_of(members.value());
        if (name == "commitTime") commit_time = time_of(members.value());
        if (name == "modelName") reset_model = members.value();
        if (name == "sync") actions = members.value();
    }
    if (request_.until && last_sync_id > request_.until->sync_id && type != R"("sync")") return;
    if (type == R"("reset")" && (reset_model.empty() || reset_model == model_))
        return refuse("reset", fmt::format("{} was reset at {}, after {}", request_.model,
                                           last_sync_id, request_.after.sync_id));
    if (type != R"("sync")") return;
    clock_ = std::max(clock_, commit_time);
    for (JsonElements found(actions); found.next();) add_action(found.value(), commit_time);
}

void ChorusPage::add_action(std::string_view action, Timestamp commit_time) {
    Change change;
    change.clock = clock_;
    change.commit_time = commit_time;
    std::string_view model;
    std::string_view id;
    std::string_view data;
    auto is_omitted = false;
    for (JsonMembers members(action); members.next();) {
        auto name = members.name();
        auto value = members.value();
        if (name == "syncId") change.sync_id = number_of(value);
        if (name == "action") change.is_removed = value == R"("delete")";
        if (name == "modelName") model = value;
        if (name == "modelId") id = value;
        if (name == "data") data = value;
        if (name == "unchanged" || name == "dataKind") change.is_whole = false;
        if (name == "omitted") is_omitted = true;
    }
    // The cursor may lie in the midst of a message.
    auto is_heard = change.sync_id <= request_.after.sync_id;
    auto is_later = request_.until && change.sync_id > request_.until->sync_id;
    // A row that is too large is not told live either, nor in a first load.
    if (model != model_ || is_heard || is_later || is_omitted) return;
    auto [place, is_new] = changes_.try_emplace(std::string(id));
    auto& kept = place->second;
    // Messages of several histories may cover each other.
    if (!is_new && kept.sync_id > change.sync_id) return;
    bytes_ = bytes_ - kept.data.size() + data.size() + (is_new ? id.size() + sizeof(Change) : 0);
    kept = std::move(change);
    kept.data = data;
    if (bytes_ > request_.bytes_max)
        refuse("too_large",
               fmt::format("more than {} MiB of {} have changed after {}",
                           request_.bytes_max >> 20U, request_.model, request_.after.sync_id));
}

// Each by the encoder of live ones.
void ChorusPage::append_harmonics(std::string& out) {
    std::vector<std::pair<std::string_view, const Change*>> in_order;
    for (const auto& [id, change] : changes_) in_order.emplace_back(id, &change);
    std::sort(in_order.begin(), in_order.end(), [](const auto& a, const auto& b) {
        return std::tie(a.second->sync_id, a.first) < std::tie(b.second->sync_id, b.first);
    });
    Timestamp clock = request_.after.clock;
    SyncId before = 0;
    unsigned ordinal = 0;
    for (const auto& [id, change] : in_order) {
        ordinal = change->sync_id == before ? std::min(ordinal + 1, ordinal_max) : 0;
        before = change->sync_id;
        clock = std::max(clock, change->clock);
        std::string key;
        write_key_(key, unquoted(id));
        ChannelMessage message{.commit_time = change->commit_time, .clock = clock};
        ActionView action{.sync_id = change->sync_id,
                          .ordinal = ordinal,
                          .action = change->is_removed ? Action::remove : Action::update,
                          .model = model_,
                          .id = id,
                          .key = key,
                          .data = change->data};
        if (out.back() != '[') out += ',';
        append_harmonic(out, message, action);
    }
}

std::string ChorusPage::finish(SyncId last_sync_id, Timestamp clock) {
    for (const auto& [id, change] : changes_)
        if (!change.is_whole && !change.is_removed)
            refuse("incomplete",
                   fmt::format("the last update of {} {} lacks columns, which its client would "
                               "lose: REPLICA IDENTITY FULL mends it",
                               request_.model, id));
    if (refusal_) return {};
    // Live harmonics above this bear a clock that is as late at least.
    UuidParts latest{std::max(clock, clock_), last_sync_id, ordinal_max};
    const auto& until = request_.until;
    if (until && until->sync_id <= last_sync_id)
        latest = until->sync_id > request_.after.sync_id ? *until : request_.after;
    auto out = page_head(latest) + R"(,"harmonics":[)";
    try {
        append_harmonics(out);
    } catch (const ValueError& error) {
        refuse("incomplete",
               fmt::format("an id of {} cannot be read: {}", request_.model, error.what()));
        return {};
    }
    return out + "]}\n";
}

// --- a first load ---

void ChorusRecords::append(std::string& out, std::string_view line) {
    std::string_view type;
    std::string_view data;
    SyncId last_sync_id = 0;
    auto is_omitted = false;
    for (JsonMembers members(line); members.next();) {
        auto name = members.name();
        if (name == "type") type = members.value();
        if (name == "lastSyncId") last_sync_id = number_of(members.value());
        if (name == "data") data = members.value();
        if (name == "omitted") is_omitted = true;
    }
    if (type == R"("bootstrap")") {
        out += page_head(until_ ? *until_ : UuidParts{{}, last_sync_id, ordinal_max});
        out += R"(,"records":[)";
    } else if (type == R"("end")") {
        out += "]}\n";
    } else if (type.empty() && !is_omitted) {
        if (!std::exchange(is_first_, false)) out += ',';
        out += data;
    }
}

void ChorusRecords::rewrite(std::string& lines) {
    std::string out;
    std::string_view rest = lines;
    while (!rest.empty()) {
        auto line = rest.substr(0, rest.find('\n'));
        append(out, line);
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
    lines = std::move(out);
}

}  // namespace walcast
