#pragma once

#include "decoders/sync_action.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// The form in which one kind of front end expects what it is told (docs/envelopes.md).
enum class EnvelopeKind : std::uint8_t {
    native,
    chorus,       // Laravel Chorus, by Laravel's Redis broadcasting.
    ably,         // Ably LiveSync and its Models SDK.
    synchrotron,  // Its sync log, or corrections.
};

constexpr std::string_view name_of(EnvelopeKind kind) {
    switch (kind) {
        case EnvelopeKind::native: return "native";
        case EnvelopeKind::chorus: return "chorus";
        case EnvelopeKind::ably: return "ably";
        case EnvelopeKind::synchrotron: return "synchrotron";
    }
    return "";
}

// One thing that is published besides the history.
struct OutputSettings {
    EnvelopeKind envelope = EnvelopeKind::native;
    std::string channel_before = {};        // What stands around a channel's name
    std::string channel_after = {};         // to make the Redis channel.
    std::vector<std::string> models = {};   // Only these; empty: all.
    std::string name = "{model}.{action}";  // ably: of an action's message.
    bool has_sequence_ids = false;          // ably: of the outbox, of which alone it tells.
    bool is_correcting = false;             // synchrotron: writes made outside of it.

    bool operator==(const OutputSettings&) const = default;
};

// The texts of a sync action are JSON.
struct ActionView {
    SyncId sync_id = 0;
    unsigned ordinal = 0;  // Among those that one change gave this id.
    Action action = Action::insert;
    DataKind data_kind = DataKind::full;
    std::string_view model = {};      // "Todo"
    std::string_view id = {};         // Its modelId: "7"
    std::string_view key = {};        // The id columns as the data has them: {"id":7}
    std::string_view data = {};       // Empty on a delete.
    std::string_view unchanged = {};  // A list of what the data lacks, or empty.
    std::string_view omitted = {};
    std::string_view reverse = {};  // What takes it back: {"title":"old"}; empty: not known.

    bool is_whole() const {
        return data_kind == DataKind::full && unchanged.empty() && omitted.empty();
    }
};

// What one channel is told at once.
struct ChannelMessage {
    enum class Kind : std::uint8_t { sync, event };
    Kind kind = Kind::sync;
    std::string_view channel = {};
    SyncId last_sync_id = 0;
    Timestamp commit_time = {};         // Of an event outside a transaction the clock's.
    Timestamp clock = {};               // The latest commit time so far: it never goes back.
    std::string_view annotations = {};  // Fields, each after a comma.
    std::span<const ActionView> actions = {};
    std::string_view event = {};  // Fields, each after a comma.
};

// What is to be published on Redis, in order.
class Published {
public:
    // Begins a payload for a Redis channel: what is appended to the result until the next call.
    std::string& add(const OutputSettings& output, std::string_view channel);
    // The message itself, as all its readers get it.
    void add_native(const OutputSettings& output, std::string_view channel);

    std::size_t size() const { return ones_.size(); }
    bool is_native(std::size_t i) const { return ones_[i].is_native; }
    std::string_view channel(std::size_t i) const;
    std::string_view payload(std::size_t i) const;
    void clear();

private:
    struct One {
        std::size_t channel_begin = 0;
        std::size_t payload_begin = 0;
        bool is_native = false;
    };
    std::vector<One> ones_;
    std::string bytes_;
};

// How one kind of front end wants to be told. What it cannot take is not told.
class Envelope {
public:
    virtual ~Envelope() = default;

    virtual void wrap(const ChannelMessage& message, Published& out) = 0;

    // All messages of a transaction have been wrapped.
    virtual void end_transaction(Published& /*out*/) {}

    // What has been wrapped is about to be sent, and does not come again.
    virtual void end_batch(Published& /*out*/) {}

    // Some of the transaction that goes on, or begins, is missing.
    virtual void miss_some(Published& /*out*/) {}

    // Among it are rows of `model_told_whole` for this channel.
    virtual void miss(std::string_view /*channel*/, Published& /*out*/) {}

    // What came so far is of an earlier time: it comes again, or never goes on.
    virtual void forget() {}
};

std::unique_ptr<Envelope> make_envelope(const OutputSettings& output);

// Who hears of its rows hears of all that one transaction has of them at once, or that some is
// missing. Empty: there is none.
constexpr std::string_view model_told_whole(const OutputSettings& output) {
    auto is_log = output.envelope == EnvelopeKind::synchrotron && !output.is_correcting;
    return is_log ? "action_modified_rows" : "";
}

// Its default for `channel`: where a channel's name stands, `{channel}`.
std::string_view default_channel(EnvelopeKind kind);

// What is wrong with a `name` of an Ably output; empty: nothing.
std::string mistake_of_name(std::string_view name);

}  // namespace walcast
