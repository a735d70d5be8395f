#pragma once

#include "agent/rules/name_index.hpp"
#include "agent/rules/router.hpp"
#include "decoders/event.hpp"
#include "sinks/sink.hpp"

#include <span>
#include <string>
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
    };
    struct Counts {
        std::uint64_t actions = 0;
        std::uint64_t omitted = 0;     // Actions sent without their large columns.
        std::uint64_t unroutable = 0;  // Changes that a rule could not route.
        std::uint64_t set_aside = 0;   // Rows among the dead letters.
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
    void end_transaction() { close_message(); }

    // The router has other rules now: what is told of rules is told anew.
    void forget_rules() { told_.clear(); }

    bool is_empty() const { return batch_.messages.empty(); }
    bool is_full() const {
        return weight_ >= limits_.batch_bytes ||
               batch_.channels.size() + batch_.messages.size() >= 2 * limits_.batch_messages;
    }

    // What has been written since the last time; `spare` is written into from now on.
    Batch take(Batch spare);

    // What an operator should hear of, once for each table.
    std::vector<std::string> take_notices();
    const Counts& counts() const { return counts_; }
    Counts take_counts() { return std::exchange(counts_, {}); }

private:
    struct Hearing {  // What one channel hears.
        std::size_t channel = 0;
        std::vector<std::size_t> routes;
    };

    struct Group {  // Channels that hear of the same routes.
        std::vector<std::size_t> channels;
        std::vector<std::size_t> routes;
    };

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
        std::size_t weight = 0;
        bool is_open = false;
        Message open;
    };
    Mark mark() const;
    void take_back(const Mark& mark);

    void write(std::span<const TableRule> rules, const Change& change, SyncId first_id);
    void add_groups(const Change& change, SyncId first_id);
    Hearing& hearing_of(std::size_t channel);
    Group& new_group();
    Group& group_of(const std::vector<std::size_t>& routes);
    void group_channels();
    void open_message(const std::vector<std::size_t>& channels);
    bool is_open_for(const std::vector<std::size_t>& channels) const;
    void append_action(const Route& found, const Change& change, SyncId first_id);
    void append_data(const Route& found, const Change& change);
    void close_message();
    void add_reset(std::string_view model_json, std::string_view reason, SyncId sync_id);
    void reset_unroutable(const Change& change, SyncId sync_id);
    bool is_told_first(const Rule& rule, const Relation* relation, std::string_view why);
    bool is_first_reset(const std::string& model);
    bool has_rule_that_hides(const Relation& relation);
    void notice(const Relation& relation, std::string_view what);

    Router& router_;
    Limits limits_;
    Batch batch_;
    std::size_t weight_ = 0;
    bool is_open_ = false;  // The last message may still grow.
    TransactionInfo transaction_;
    Routes routes_;
    ValueWriter writer_;
    std::vector<Hearing> heard_;
    std::size_t heard_count_ = 0;
    NameIndex heard_index_;
    std::vector<Group> groups_;
    std::size_t group_count_ = 0;
    std::string scratch_;
    std::vector<std::string> models_reset_;  // In this transaction; once is enough.
    std::vector<std::string> notices_;
    std::unordered_set<std::string> noticed_;
    std::vector<Told> told_;  // Of what could not be routed.
    Counts counts_;
};

}  // namespace walcast
