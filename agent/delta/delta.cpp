#include "agent/delta/delta.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace walcast {

// --- heads ---

namespace {

// Every message begins with the same members in the same order, so that looking at them costs
// nothing, whatever follows.
class HeadReader {
public:
    explicit HeadReader(std::string_view text) : rest_(text) {}

    void expect(std::string_view text) {
        if (!rest_.starts_with(text)) is_broken_ = true;
        if (!is_broken_) rest_.remove_prefix(text.size());
    }
    std::string_view word() {
        auto end = rest_.find('"');
        if (end == std::string_view::npos) is_broken_ = true;
        auto found = rest_.substr(0, end);
        rest_.remove_prefix(found.size());
        return found;
    }
    SyncId number() {
        SyncId found = 0;
        auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), found);
        if (error != std::errc{}) is_broken_ = true;
        rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
        return found;
    }
    bool is_broken() const { return is_broken_; }

private:
    std::string_view rest_;
    bool is_broken_ = false;
};

}  // namespace

std::optional<MessageHead> read_message_head(std::string_view message) {
    HeadReader in(message);
    MessageHead head;
    in.expect(R"({"type":")");
    in.word();
    in.expect(R"(","epoch":")");
    head.epoch = in.word();
    in.expect(R"(","prevSyncId":)");
    head.prev_sync_id = in.number();
    in.expect(R"(,"lastSyncId":)");
    head.last_sync_id = in.number();
    if (in.is_broken()) return std::nullopt;
    return head;
}

// --- the proof ---

namespace {

using Status = Delta::Status;

class Proof {
public:
    Proof(const DeltaRequest& request, const HistoryPage& page)
        : request_(request), page_(page), known_(request.after) {}

    Delta result();

private:
    bool is_refused(Status status, std::string detail) {
        delta_.status = status;
        delta_.detail = std::move(detail);
        return true;
    }
    bool is_of_another_lineage();
    bool is_broken_by(std::size_t channel, std::string_view message, SyncId& last_sync_id);
    bool has_broken_page();
    bool has_broken_rest(std::size_t channel);

    const DeltaRequest& request_;
    const HistoryPage& page_;
    std::vector<SyncId> known_;  // Up to where each channel is complete.
    Delta delta_;
};

bool Proof::is_of_another_lineage() {
    if (page_.epoch != request_.epoch)
        return is_refused(Status::epoch_changed,
                          fmt::format("the epoch is {}, not {}", page_.epoch, request_.epoch));
    auto largest = *std::max_element(known_.begin(), known_.end());
    if (largest > page_.sync_id)
        return is_refused(Status::went_back,
                          fmt::format("the position is at {}, below {}: Redis has lost what was "
                                      "published since",
                                      page_.sync_id, largest));
    return false;
}

// Whether this message does not follow on what is known of its channel.
bool Proof::is_broken_by(std::size_t channel, std::string_view message, SyncId& last_sync_id) {
    const auto& name = request_.channels[channel];
    auto head = read_message_head(message);
    if (!head || head->last_sync_id <= known_[channel] || head->epoch != page_.epoch)
        return is_refused(Status::damaged,
                          fmt::format("the history of {} holds, above {}, what is no message of "
                                      "this epoch",
                                      name, known_[channel]));
    if (head->prev_sync_id > known_[channel])
        return is_refused(Status::trimmed, fmt::format("the history of {} does not reach back to "
                                                       "{}: it begins after {}",
                                                       name, known_[channel], head->prev_sync_id));
    last_sync_id = head->last_sync_id;
    return false;
}

bool Proof::has_broken_page() {
    for (const auto& entry : page_.entries) {
        SyncId last_sync_id = 0;
        if (is_broken_by(entry.channel, entry.message, last_sync_id)) return true;
        known_[entry.channel] = last_sync_id;
    }
    return false;
}

// What lies beyond the page is the next one's; that nothing is missing before it shows only now.
bool Proof::has_broken_rest(std::size_t channel) {
    const auto& following = page_.following[channel];
    if (!following.empty()) {
        SyncId last_sync_id = 0;
        if (is_broken_by(channel, following, last_sync_id)) return true;
        delta_.has_more = true;
        known_[channel] = last_sync_id - 1;
        return false;
    }
    auto has_none = known_[channel] == request_.after[channel];
    auto is_gone = channel < page_.is_gone.size() && page_.is_gone[channel];
    if (has_none && is_gone && known_[channel] < page_.sync_id)
        return is_refused(Status::trimmed,
                          fmt::format("the history of {} is gone, though walcast has not removed "
                                      "it, and what it had above {} with it",
                                      request_.channels[channel], known_[channel]));
    if (has_none && known_[channel] < page_.floor)
        return is_refused(Status::trimmed,
                          fmt::format("the history of {} has nothing above {}, and what it had up "
                                      "to {} may have been removed",
                                      request_.channels[channel], known_[channel], page_.floor));
    known_[channel] = page_.sync_id;
    return false;
}

Delta Proof::result() {
    if (is_of_another_lineage() || has_broken_page()) return std::move(delta_);
    for (std::size_t channel = 0; channel < known_.size(); ++channel)
        if (has_broken_rest(channel)) return std::move(delta_);
    delta_.last_sync_id = *std::min_element(known_.begin(), known_.end());
    delta_.after = std::move(known_);
    return std::move(delta_);
}

}  // namespace

Delta prove(const DeltaRequest& request, const HistoryPage& page) {
    return Proof(request, page).result();
}

}  // namespace walcast
