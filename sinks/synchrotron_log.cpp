#include "sinks/synchrotron_log.hpp"

#include "sinks/json_text.hpp"

#include <algorithm>

namespace walcast {

void SynchrotronLog::wrap(const ChannelMessage& message, Published& out) {
    // Retention deletes old rows: only what is new goes out.
    auto is_new = [](const ActionView& action, std::string_view model) {
        return action.action == Action::insert && bare(action.model) == model;
    };
    auto has_rows = false;
    for (const auto& action : message.actions) {
        auto is_action = is_new(action, "action_records");
        auto is_row = is_new(action, "action_modified_rows");
        has_rows = has_rows || is_row;
        if (is_missing_some_) continue;
        if (is_action) keep_action(action);
        if (is_row) keep_row(message.channel, action);
        if ((is_action || is_row) && (!action.is_whole() || bytes_ > bytes_max)) miss_some(out);
    }
    if (is_missing_some_ && has_rows) wake_once(message.channel, out);
}

void SynchrotronLog::keep_action(const ActionView& action) {
    auto is_first = places_.emplace(json_member(action.data, "id"), actions_.size()).second;
    if (!is_first) return;
    auto& text = actions_.emplace_back(action.data);
    if (json_member(text, "synced").empty()) {
        text.pop_back();
        text += ",\"synced\":1}";
    }
    bytes_ += text.size();
}

void SynchrotronLog::keep_row(std::string_view channel, const ActionView& action) {
    constexpr std::size_t audience_bytes = 300;
    auto [place, is_new] = audience_places_.emplace(channel, audiences_.size());
    if (is_new) {
        audiences_.push_back({.channel = std::string(channel), .rows = {}, .actions = {}});
        bytes_ += 2 * channel.size() + audience_bytes;
    }
    auto& audience = audiences_[place->second];
    if (!audience.rows.empty()) audience.rows += ',';
    audience.rows += action.data;
    bytes_ += action.data.size() + 1;
    auto id = json_member(action.data, "action_record_id");
    if (!audience.actions.empty() && audience.actions.back() == id) return;
    audience.actions.emplace_back(id);
    bytes_ += id.size() + sizeof(std::string);
}

void SynchrotronLog::wake(std::string_view channel, Published& out) const {
    out.add(output_, channel) += R"({"_tag":"Wakeup","caughtUp":true})";
}

// The transaction is committed: what is fetched at any time from now on has all of it.
void SynchrotronLog::wake_once(std::string_view channel, Published& out) {
    if (woken_.add(channel)) wake(channel, out);
}

// False where the audience was told to fetch instead.
bool SynchrotronLog::tell(const Audience& audience, Published& out) const {
    std::vector<std::size_t> places;
    for (const auto& id : audience.actions) {
        auto found = places_.find(id);
        if (found == places_.end()) {
            wake(audience.channel, out);
            return false;
        }
        places.push_back(found->second);
    }
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    auto& text = out.add(output_, audience.channel);
    // Whoever is of several audiences must not begin before it has all rows of an action.
    text += audiences_.size() == 1 ? R"({"_tag":"Batch","caughtUp":true,"actions":[)"
                                   : R"({"_tag":"Batch","caughtUp":false,"actions":[)";
    for (auto place : places) {
        if (place != places.front()) text += ',';
        text += actions_[place];
    }
    text += "],\"modifiedRows\":[";
    text += audience.rows;
    text += "]}";
    return true;
}

void SynchrotronLog::end_transaction(Published& out) {
    std::vector<std::string_view> told;
    for (const auto& audience : audiences_)
        if (tell(audience, out)) told.push_back(audience.channel);
    if (audiences_.size() > 1)
        for (auto channel : told)
            out.add(output_, channel) +=
                R"({"_tag":"Batch","caughtUp":true,"actions":[],"modifiedRows":[]})";
    forget();
}

void SynchrotronLog::miss_some(Published& out) {
    for (const auto& audience : audiences_) wake_once(audience.channel, out);
    drop();
    is_missing_some_ = true;
}

void SynchrotronLog::forget() {
    drop();
    woken_.clear();
    is_missing_some_ = false;
}

void SynchrotronLog::drop() {
    bytes_ = 0;
    actions_.clear();
    places_.clear();
    audiences_.clear();
    audience_places_.clear();
}

}  // namespace walcast
