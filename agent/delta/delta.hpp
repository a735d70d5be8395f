#pragma once

#include "decoders/sync_action.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// What a reader has of some channels, and wants the rest of.
struct DeltaRequest {
    std::vector<std::string> channels;  // The last one is the control channel.
    std::string epoch;
    std::vector<SyncId> after;  // The known id of each channel.
    std::uint64_t messages_max = 500;
};

// What Redis had at one moment above the known ids, as far as a page goes.
struct HistoryPage {
    struct Entry {
        std::size_t channel = 0;  // Its place in the request.
        std::string message;      // As it is in history.
    };
    std::string epoch;  // Of the position; another one than the request's: no entries are read.
    SyncId sync_id = 0;
    SyncId floor = 0;
    std::vector<Entry> entries;  // In the order of their ids over all channels.
    // Of each channel how its first message beyond the page begins; empty: there is none.
    std::vector<std::string> following;
    std::vector<bool> is_gone;  // Listed among those that are kept, and not there; empty: none is.
};

// What a page is worth.
struct Delta {
    enum class Status {
        complete,
        epoch_changed,
        went_back,  // Redis lost what the reader has; it will come again.
        trimmed,    // Messages that the reader lacks may be gone.
        damaged,    // Something else than walcast wrote there.
    };
    Status status = Status::complete;
    std::string detail = {};         // Why it is not provable.
    std::vector<SyncId> after = {};  // Up to where each channel is complete now.
    SyncId last_sync_id = 0;         // Up to where all of them are.
    bool has_more = false;

    bool is_complete() const { return status == Status::complete; }
};

constexpr std::string_view name_of(Delta::Status status) {
    switch (status) {
        case Delta::Status::complete: return "complete";
        case Delta::Status::epoch_changed: return "epoch_changed";
        case Delta::Status::went_back: return "went_back";
        case Delta::Status::trimmed: return "trimmed";
        default: return "damaged";
    }
}

// Whether the page is all that was published on these channels above the known ids (as
// docs/protocol.md has it), and where the next one begins. So a page that is complete follows
// without a hole on the one before it, whatever was added and removed in between.
Delta prove(const DeltaRequest& request, const HistoryPage& page);

// What a reader must know of a message to keep its place. Nothing when it is none of ours. Valid as
// long as the message.
struct MessageHead {
    std::string_view epoch;
    SyncId prev_sync_id = 0;
    SyncId last_sync_id = 0;
};
std::optional<MessageHead> read_message_head(std::string_view message);

}  // namespace walcast
