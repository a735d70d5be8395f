#pragma once

#include "agent/annotation.hpp"
#include "agent/channel_groups.hpp"
#include "agent/net_effects.hpp"
#include "agent/published_event.hpp"
#include "agent/rules/router.hpp"
#include "decoders/event.hpp"
#include "sinks/recent_names.hpp"
#include "sinks/sink.hpp"

#include <functional>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace walcast {

// Writes changes as messages into a batch: each row to its final bytes before the next one is
// looked at.
class BatchBuilder {
public:
    struct Limits {
        std::size_t message_bytes = 256 * 1024;  // A longer run is cut.
        std::size_t action_bytes =
            16 * 1024 * 1024;                  // A larger one goes out without its large columns.
        std::size_t batch_bytes = 512 * 1024;  // Counted once for each channel.
        std::size_t batch_messages = 512;      // Likewise. Redis serves nobody else meanwhile.
        std::size_t dead_letter_bytes =
            16 * 1024 * 1024;  // What is set aside of a larger row is its beginning.
        // Besides the native one: those want actions by themselves, and publish them again.
        std::size_t outputs = 0;
        bool is_reversible = false;     // They want to know what takes a change back.
        bool wants_whole_rows = false;  // One of them does not tell what lacks a column.
        // Of this model one of them must know who heard of what went before a restart.
        std::string_view model_told_whole = {};
    };
    struct Counts {
        std::uint64_t actions = 0;
        std::uint64_t omitted = 0;     // Actions sent without their large columns.
        std::uint64_t unroutable = 0;  // Changes that a rule could not route.
        std::uint64_t set_aside = 0;   // Rows and events among the dead letters.
        std::uint64_t events = 0;
    };

    // `router` must outlive the builder.
    BatchBuilder(Router& router, Limits limits) : router_(router), limits_(limits) {}

    void begin(const TransactionInfo& transaction);

    // Throws ValueError when the row cannot be written, SetupError when a rule says that what
    // cannot be routed is an error; the batch is then as it was before.
    void add(const Change& change, SyncId first_id);

    // Puts such a row, as the `bytes` that it came in, among the dead letters, and resets the
    // models that it concerns.
    void set_aside(const Change& change, SyncId first_id, std::string_view reason,
                   std::string_view bytes);
    void add_truncate(const Truncate& truncate, SyncId first_id);

    // What the transaction says of itself: all of its messages bear it. False where some have gone
    // already. Throws ValueError; then nothing is said.
    bool annotate(Annotation annotation);

    // Throws ValueError where nobody would hear of it; then nothing is written.
    void add_event(PublishedEvent event, SyncId id);

    // The same of what was sent before this builder began, as far as it matters to the
    // transaction's end: receipts are written there, who heard of it is told that it ends, and
    // outputs that tell of whole transactions are told who did.
    void pass_over(const PublishedEvent& event);
    void pass_over(const Change& change);

    // An event that cannot be read, as the `bytes` that it came in.
    void set_aside_event(SyncId id, std::string_view reason, std::string_view bytes);

    // All of it is at or below `last_id`: whoever waits for that is told.
    void end_transaction(SyncId last_id);

    // The router has other rules now: what is told of rules is told anew.
    void forget_rules() { told_.clear(); }

    // What the channels of events are called from here on.
    void name_events(EventChannels channels) { event_channels_ = std::move(channels); }

    bool is_empty() const {
        return batch_.messages.empty() && batch_.receipts.empty() && batch_.missed.empty();
    }
    bool is_full() const {
        return weight_ >= limits_.batch_bytes || batch_.channels.size() + batch_.messages.size() +
                                                         batch_.receipts.size() +
                                                         batch_.missed.size() + published_ >=
                                                     2 * limits_.batch_messages;
    }

    // What has been written since the last time; `spare` is written into from now on.
    Batch take(Batch spare);

    // What an operator should hear of, once for each table.
    std::vector<std::string> take_notices();
    const Counts& counts() const { return counts_; }
    Counts take_counts() { return std::exchange(counts_, {}); }

private:
    struct Told {
        const Rule* rule = nullptr;
        const Relation* relation = nullptr;
        const char* why = nullptr;

        bool operator==(const Told&) const = default;
    };

    // Where the batch can be taken back to.
    struct Mark {
        std::size_t bytes = 0;
        std::size_t messages = 0;
        std::size_t channels = 0;
        std::size_t actions = 0;
        std::size_t extras = 0;
        std::size_t extras_begin = 0;
        std::size_t published = 0;
        std::size_t weight = 0;
        bool is_open = false;
        Message open;
    };
    Mark mark() const;
    void take_back(const Mark& mark);

    void write_event(const TableRule& outbox, const Change& change, SyncId id);
    void write(std::span<const TableRule> rules, const Change& change, SyncId first_id);
    void add_groups(const Change& change, SyncId first_id);
    void open_message(const std::vector<std::size_t>& channels);
    bool is_open_for(const std::vector<std::size_t>& channels) const;
    void append_action(const Route& found, const Change& change, SyncId first_id);
    void append_data(const Route& found, const Change& change, Batch::Action& parts);
    void append_metadata();
    void note_effect(const Route& found, const Batch::Action& parts, std::size_t begin);
    void put_extras(const Route& found, const Change& change, Batch::Action& parts);
    void keep_parts(const Route& found, const Change& change, Batch::Action parts);
    std::size_t open_bytes() const;
    void close_message();
    Batch::Slice write_bytes(std::string_view text);
    void put_channels(Message& message, std::span<const std::string> channels);
    Batch::Slice write_mutation_id(std::string_view mutation_id);
    Batch::Slice write_annotations(std::string_view mutation_id);
    void put_annotations(Message& message);
    void note_missed(const Route& found);
    bool note_mutation(std::string_view mutation_id, bool is_rejected);
    void check(const PublishedEvent& event, std::string_view mutation_id) const;
    void note_end(const Message& message);
    void note_end(std::string_view channel, SyncId last_id);
    void forget_ends();
    void tell_end(SyncId last_id);
    void add_progress(const std::string& channel, SyncId last_id, Batch::Slice said);
    void add_receipt(std::string_view mutation_id, bool is_rejected, SyncId last_id,
                     std::string_view reason_json);
    void add_letter(std::string_view table, SyncId id, std::string_view reason,
                    std::string_view bytes);
    void add_reset(std::string_view model_json, std::string_view reason, SyncId sync_id);
    void reset_unroutable(const Change& change, SyncId sync_id);
    bool is_told_first(const Rule& rule, const Relation* relation, std::string_view why);
    bool is_first_reset(const std::string& model);
    bool has_rule_that_hides(const Relation& relation);
    void notice(const Relation& relation, std::string_view what);

    Router& router_;
    Limits limits_;
    EventChannels event_channels_;
    Batch batch_;
    std::size_t weight_ = 0;
    std::size_t published_ = 0;     // About what outputs besides the native one make of it.
    bool is_open_ = false;          // The last message may still grow.
    std::size_t extras_begin_ = 0;  // Its own.
    TransactionInfo transaction_;
    Annotation annotation_;      // Of it.
    Batch::Slice annotations_;   // The same as text of the batch, once that is written.
    std::size_t own_begin_ = 0;  // Its first message in the batch.
    bool is_cut_ = false;        // Some of its messages went with an earlier batch.
    // What is said of mutations in it, and whether it rejects them.
    std::map<std::string, bool, std::less<>> mutations_;
    // The last id on each channel that hears of it, where somebody waits for its end.
    std::unordered_map<std::string, SyncId> ends_;
    std::size_t ends_bytes_ = 0;  // Of the names.
    RecentNames missed_;          // Channels that heard of it before this builder began.
    Routes routes_;
    ValueWriter writer_;
    NetEffects net_effects_;
    ChannelGroups groups_;
    std::string scratch_;
    std::vector<std::string> models_reset_;  // In this transaction; once is enough.
    std::vector<std::string> notices_;
    std::unordered_set<std::string> noticed_;
    std::vector<Told> told_;  // Of what could not be routed.
    Counts counts_;
};

}  // namespace walcast
