#pragma once

#include "sinks/envelope.hpp"
#include "sinks/sink.hpp"

#include <memory>
#include <string_view>
#include <vector>

namespace walcast {

// What the outputs of a configuration make of a batch, message by message.
class Outputs {
public:
    explicit Outputs(const std::vector<OutputSettings>& settings);

    // Whether native messages are published on the channels of their own names.
    bool has_native() const { return has_native_; }
    // Whether there is anything else.
    bool has_others() const { return !others_.empty(); }

    // What follows begins anew at a position with this clock, which is the latest commit time of
    // all messages before.
    void begin(Timestamp clock);
    Timestamp clock() const { return clock_; }

    // One batch: `begin_batch`, then each message in order for each of its channels (for none: an
    // empty name), then `end_batch`. Whatever is published stands in `published` in that order.
    void begin_batch(const Batch& batch);
    void wrap(const Batch& batch, const Message& message, std::string_view channel);
    void end_batch(const Batch& batch);
    const Published& published() const { return published_; }

private:
    struct Other {
        std::vector<std::string> models;  // In quotes.
        bool is_told_whole = false;       // Of a model that is among them.
        std::unique_ptr<Envelope> envelope;
    };
    void begin_anew(const Batch& batch);
    void end_transaction();
    void view_actions(const Batch& batch, const Message& message);
    std::span<const ActionView> chosen_by(const Other& other);

    bool has_native_ = false;
    std::vector<Other> others_;
    Timestamp clock_;
    bool has_begun_ = false;
    bool is_in_transaction_ = false;
    TransactionInfo transaction_;
    std::vector<ActionView> actions_;  // Of the message at hand,
    std::vector<ActionView> chosen_;   // and those of them that an output wants.
    Published published_;
};

}  // namespace walcast
