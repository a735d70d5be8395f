#pragma once

#include "agent/batch_builder.hpp"
#include "agent/catalog.hpp"
#include "agent/rules/router.hpp"
#include "agent/rules/rule.hpp"
#include "decoders/event.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// What the agent would make of a change, and why: told rule by rule, and as the messages that would
// be published.
struct Explanation {
    struct Sent {
        Action action = Action::insert;
        SyncId sync_id = 0;
        std::string model_id;  // As JSON.
        std::vector<std::string> channels;
    };
    struct OfRule {
        const Rule* rule = nullptr;
        std::string model;
        std::vector<std::string> why;  // A sentence each.
        std::vector<Sent> sent;
        bool is_unroutable = false;
    };
    struct Message {
        std::vector<std::string> channels;
        std::string body;   // Without what depends on epoch, place in the history and transaction.
        std::string bytes;  // Whole.
    };
    std::vector<OfRule> rules;   // That name the table.
    std::string why_none;        // Where there are none.
    std::string failure;         // What would stop the agent.
    bool has_bad_value = false;  // That is: a value that cannot be written.
    std::vector<Message> messages;
};

// Explains changes under some rules. What would be published is asked of Router and BatchBuilder
// themselves.
class Explainer {
public:
    // Rules and catalog must outlive it. `control` is the channel of resets.
    Explainer(const std::vector<Rule>& rules, const Catalog& catalog, Router::WithoutId without_id,
              std::string control);

    // Ids count from `first_id`. Each change is told as if it were the only one of its transaction.
    Explanation explain(const Change& change, const TransactionInfo& transaction,
                        std::string_view epoch, SyncId first_id);
    Explanation explain(const Truncate& truncate, const TransactionInfo& transaction,
                        std::string_view epoch, SyncId first_id);

    // The catalog has news.
    void forget() { router_.forget(); }

private:
    std::string why_no_rule(const Relation& relation) const;
    void take_messages(Explanation& explanation, BatchBuilder& builder, std::string_view epoch,
                       SyncId first_id) const;

    const std::vector<Rule>& rules_;
    const Catalog& catalog_;
    Router router_;
    std::string control_;
};

// Channels that hear something else under other rules.
struct Difference {
    std::vector<std::string> gained;   // They hear something that they did not.
    std::vector<std::string> lost;     // They hear nothing any more.
    std::vector<std::string> changed;  // They hear something else.
    bool is_failure_other = false;     // What would stop the agent differs.

    bool is_none() const {
        return gained.empty() && lost.empty() && changed.empty() && !is_failure_other;
    }
};

Difference difference(const Explanation& before, const Explanation& after);

}  // namespace walcast
