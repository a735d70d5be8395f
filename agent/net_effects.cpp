#include "agent/net_effects.hpp"

#include <utility>

namespace walcast {

void NetEffects::note(const Written& written, std::string row) {
    actions_.push_back({written, std::move(row)});
}

void NetEffects::clear() {
    actions_.clear();
    if (!latest_.empty())
        latest_ = {};  // Its buckets would be cleared for each message from now on.
    merged_ = 0;
}

// What both together are.
static Action net(Action before, Action after) {
    if (after == Action::remove) return Action::remove;
    if (before == Action::remove) return Action::update;
    return before;
}

void NetEffects::merge(Batch& batch) {
    while (merged_ < actions_.size()) {
        auto& [now, row] = actions_[merged_];
        auto [found, is_first] = latest_.try_emplace(row, merged_);
        auto before = std::exchange(found->second, merged_);
        ++merged_;
        if (is_first) continue;
        if (!now.is_whole) {
            // Both are needed.
            latest_.erase(found);
            continue;
        }
        now.action = net(actions_[before].written.action, now.action);
        auto name = name_of(now.action);
        batch.bytes.replace(now.action_name, name.size(), name);
        if (now.part < batch.actions.size()) batch.actions[now.part].action = now.action;
        take_out(batch, before);
    }
}

void NetEffects::take_out(Batch& batch, std::size_t place) {
    auto gone = actions_[place].written;
    auto length = gone.end + 1 - gone.begin;  // With its comma: another one follows.
    batch.bytes.erase(gone.begin, length);
    take_part_out(batch, gone, length);
    actions_.erase(actions_.begin() + static_cast<std::ptrdiff_t>(place));
    --merged_;
    for (auto i = place; i < actions_.size(); ++i) {
        auto& written = actions_[i].written;
        written.begin -= length;
        written.end -= length;
        written.action_name -= length;
        if (written.part > gone.part) --written.part;
    }
    for (auto& [row, latest] : latest_)
        if (latest > place) --latest;
}

void NetEffects::take_part_out(Batch& batch, const Written& gone, std::size_t length) {
    if (gone.part >= batch.actions.size()) return;
    auto at = batch.actions.begin() + static_cast<std::ptrdiff_t>(gone.part);
    at = batch.actions.erase(at);
    --batch.messages.back().actions_end;
    for (; at != batch.actions.end(); ++at)
        for (auto* slice : {&at->model, &at->id, &at->data, &at->unchanged, &at->omitted}) {
            if (slice->begin == slice->end) continue;
            slice->begin -= length;
            slice->end -= length;
        }
}

}  // namespace walcast
