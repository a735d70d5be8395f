#include "agent/recording/replay.hpp"

#include "agent/errors.hpp"
#include "agent/logical_messages.hpp"
#include "agent/make_decoder.hpp"

#include <fmt/format.h>

#include <utility>

namespace walcast {

// --- events ---

Replay::Replay(std::string file, JsonPolicy values) : reader_(std::move(file)), catalog_(values) {
    auto first = reader_.next();
    const auto* header = first ? std::get_if<RecordingHeader>(&*first) : nullptr;
    if (header == nullptr) reader_.fail("no header");
    header_ = *header;
    decoder_ = make_decoder(header_.plugin, header_.format_version);
    for (;;) {
        auto entry = reader_.next();
        if (!entry) reader_.fail("no stream was begun");
        if (const auto* position = std::get_if<Position>(&*entry)) {
            beginning_ = *position;
            return;
        }
        if (const auto* fact = std::get_if<CatalogFact>(&*entry)) catalog_.note(*fact);
    }
}

std::optional<Replay::Step> Replay::next() {
    for (;;) {
        while (events_.empty())
            if (!read()) return std::nullopt;
        const auto& event = events_.front();
        events_ = events_.subspan(1);
        if (const auto* described = std::get_if<Described>(&event)) {
            is_incomplete_ = described->is_incomplete;
            continue;
        }
        return Step{.event = &event,
                    .message = message_,
                    .start = start_,
                    .is_last_of_message = events_.empty(),
                    .is_after_cut = std::exchange(is_after_cut_, false)};
    }
}

std::optional<RecordingReader::Entry> Replay::take_entry() {
    if (ahead_) return std::exchange(ahead_, std::nullopt);
    return reader_.next();
}

// Takes in one entry. False at the end.
bool Replay::read() {
    auto entry = take_entry();
    if (!entry) return false;
    if (const auto* frame = std::get_if<WalData>(&*entry)) {
        if (is_incomplete_) reader_.fail("what the catalog said of a table is missing");
        message_ = frame->payload;  // What the catalog said may be read before its events are done.
        start_ = frame->start;
        events_ = decoder_->decode(message_, start_);
    } else if (const auto* fact = std::get_if<CatalogFact>(&*entry)) {
        catalog_.note(*fact);
        if (on_news) on_news();
    } else if (const auto* table = std::get_if<TableDescription>(&*entry)) {
        learn(*table);
    } else if (std::holds_alternative<RecordedCut>(*entry)) {
        is_after_cut_ = true;
    } else {
        reader_.fail("out of place");
    }
    return true;
}

void Replay::learn(const TableDescription& table) {
    if (on_news) on_news();
    if (!std::exchange(is_incomplete_, false)) return;
    decoder_->learn(table);
    events_ = decoder_->decode(message_, start_);
}

bool Replay::learn_again() {
    for (auto has_learned = false;;) {
        auto entry = take_entry();
        const auto* fact = entry ? std::get_if<CatalogFact>(&*entry) : nullptr;
        if (fact != nullptr) catalog_.note(*fact);
        auto is_table = entry && std::holds_alternative<TableDescription>(*entry);
        has_learned = has_learned || fact != nullptr || is_table;
        if (fact != nullptr) continue;
        if (!is_table) ahead_ = std::move(entry);
        if (has_learned && on_news) on_news();
        return has_learned;
    }
}

// --- batches ---

ReplayedBatches::ReplayedBatches(Replay& replay, const std::vector<Rule>& rules)
    : replay_(replay),
      router_(rules, replay.catalog(), Router::WithoutId::allowed),
      builder_(router_, {}),
      numbering_(replay.beginning()) {
    replay_.on_news = [this] { router_.forget(); };
}

const Batch* ReplayedBatches::next() {
    while (!has_ended_) {
        batch_.before = numbering_.position();
        try {
            read_batch();
        } catch (const std::runtime_error&) {
            failure_ = std::current_exception();  // Thrown when what came before has been given.
            has_ended_ = true;
        }
        auto before = std::move(batch_.before);
        batch_ = builder_.take(std::move(batch_));
        batch_.before = std::move(before);
        batch_.after = numbering_.position();
        if (!batch_.messages.empty()) return &batch_;
    }
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    return nullptr;
}

void ReplayedBatches::read_batch() {
    for (;;) {
        if (!step_) step_ = replay_.next();
        if (!step_) {
            has_ended_ = true;
            return;
        }
        if (std::exchange(step_->is_after_cut, false)) return;
        auto step = *std::exchange(step_, std::nullopt);
        take(step);
        if (step.is_last_of_message && builder_.is_full()) return;
    }
}

void ReplayedBatches::take(const Replay::Step& step) {
    const auto& event = *step.event;
    if (const auto* change = std::get_if<Change>(&event)) {
        add(*change, step.message);
    } else if (const auto* begin = std::get_if<Begin>(&event)) {
        transaction_ = begin->transaction;
        numbering_.begin(transaction_);
        builder_.begin(transaction_);
    } else if (const auto* commit = std::get_if<Commit>(&event)) {
        numbering_.commit(commit->end_lsn);
        builder_.end_transaction(numbering_.position().sync_id);
    } else if (const auto* truncate = std::get_if<Truncate>(&event)) {
        auto count = static_cast<unsigned>(truncate->relations->size());
        if (auto id = numbering_.take(step.message, count)) builder_.add_truncate(*truncate, *id);
    } else if (const auto* message = std::get_if<LogicalMessage>(&event)) {
        take_message(*message, step.message, numbering_, builder_);
    } else {
        throw SetupError("recording: it holds prepared transactions by themselves (two_phase)");
    }
}

void ReplayedBatches::add(const Change& change, std::string_view message) {
    auto id = numbering_.take(message, change.action == Action::update ? 2 : 1);
    if (!id) return;
    try {
        try {
            builder_.add(change, *id);
        } catch (const ValueError&) {
            if (!replay_.learn_again()) throw;
            builder_.add(change, *id);
        }
    } catch (const ValueError& error) {
        numbering_.take_back();
        throw SetupError(
            fmt::format("recording: a row of {}.{} cannot be written: {}; transaction "
                        "{} at {}",
                        change.relation->schema, change.relation->name, error.what(),
                        transaction_.xid, transaction_.commit_lsn));
    }
    ++rows_;
}

}  // namespace walcast
