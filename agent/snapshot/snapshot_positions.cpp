#include "agent/snapshot/snapshot_positions.hpp"

#include <algorithm>
#include <charconv>

namespace walcast {

static constexpr auto not_streaming = "no stream is read: another agent has the slot, or it begins";

asio::awaitable<SnapshotAnswer> SnapshotPositions::position_of(PgSnapshot snapshot) {
    if (!streaming_) throw NotStreaming(not_streaming);
    if (!streaming_->transactions)
        throw NotStreaming("the server that streams is a standby: only a primary's can be told");
    auto question = questions_.insert(questions_.end(), Question{.snapshot = std::move(snapshot),
                                                                 .marker_passed = {},
                                                                 .answer = {},
                                                                 .answered = Signal(executor_)});
    // However it ends: whoever asks may leave.
    struct Leave {
        std::list<Question>& questions;
        std::list<Question>::iterator question;
        ~Leave() { questions.erase(question); }
    } leave{questions_, question};
    asked_.raise();
    while (!question->is_answered) co_await question->answered.wait();
    if (auto* refused = std::get_if<SnapshotRefused>(&question->answer)) throw *refused;
    if (auto* stopped = std::get_if<NotStreaming>(&question->answer)) throw *stopped;
    co_return std::get<SnapshotAnswer>(question->answer);
}

const std::string& SnapshotPositions::server() const {
    if (!streaming_) throw NotStreaming(not_streaming);
    return streaming_->server;
}

// --- sessions ---

void SnapshotPositions::begin(std::string server, std::optional<PgSnapshot> at_start) {
    streaming_.emplace();
    streaming_->server = std::move(server);
    if (at_start) streaming_->transactions.emplace(*at_start);
}

void SnapshotPositions::end() {
    streaming_.reset();
    heard_.clear();
    for (auto& question : questions_) give_up(question, "the stream ended");
}

bool SnapshotPositions::is_anybody_unmarked() const {
    return std::any_of(questions_.begin(), questions_.end(),
                       [](const Question& question) { return question.marker == 0; });
}

asio::awaitable<void> SnapshotPositions::wait_until_asked() {
    while (!streaming_ || !is_anybody_unmarked()) co_await asked_.wait();
}

std::string SnapshotPositions::next_marker() {
    ++markers_;
    for (auto& question : questions_)
        if (question.marker == 0) question.marker = markers_;
    return token_ + "-" + std::to_string(markers_);
}

void SnapshotPositions::failed(const std::string& why) {
    for (auto& question : questions_)
        if (question.marker == markers_) give_up(question, "no marker was written: " + why);
}

void SnapshotPositions::give_up(Question& question, const std::string& why) {
    if (question.is_answered) return;
    question.answer.emplace<NotStreaming>(why);
    give(question);
}

void SnapshotPositions::give(Question& question) {
    question.is_answered = true;
    question.answered.raise();
}

// --- the stream ---

void SnapshotPositions::committed(std::uint32_t xid, SyncId first, SyncId last) {
    if (streaming_ && streaming_->transactions)
        streaming_->transactions->committed(xid, first, last);
}

void SnapshotPositions::heard(std::string_view marker) {
    if (marker.starts_with(token_)) heard_ = marker.substr(token_.size());
}

void SnapshotPositions::passed(const Position& position) {
    std::uint64_t marker = 0;
    std::from_chars(heard_.data() + 1, heard_.data() + heard_.size(), marker);
    heard_.clear();
    for (auto& question : questions_)
        if (question.marker != 0 && question.marker <= marker && !question.marker_passed)
            find_answer(question, position);
}

void SnapshotPositions::find_answer(Question& question, const Position& position) {
    if (question.is_answered) return;
    question.marker_passed = position.lsn;
    auto found = streaming_->transactions->position_of(question.snapshot, position.sync_id);
    if (auto* seen = std::get_if<SnapshotPosition>(&found)) {
        question.answer = SnapshotAnswer{position.epoch, std::move(*seen)};
    } else {
        question.answer.emplace<SnapshotRefused>(std::get<RecentTransactions::Refusal>(found));
        give(question);
    }
}

bool SnapshotPositions::is_sink_awaited() const {
    return std::any_of(questions_.begin(), questions_.end(), [](const Question& question) {
        return question.marker_passed && !question.is_answered;
    });
}

void SnapshotPositions::accepted(Lsn lsn) {
    for (auto& question : questions_)
        if (question.marker_passed && *question.marker_passed <= lsn && !question.is_answered)
            give(question);
}

}  // namespace walcast
