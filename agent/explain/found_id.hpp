#pragma once

#include "decoders/sync_action.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// What a message says of one of its sync ids.
struct FoundAction {
    std::string action;  // Empty for a message that has no actions, as a reset.
    std::string model;   // Empty: all of them.
    std::string model_id;
};

// What histories hold of a sync id.
struct FoundId {
    struct Message {
        std::string channel;
        std::string bytes;
        std::string type;
        std::string epoch;
        std::string reason;  // Of a reset.
        SyncId prev_sync_id = 0;
        SyncId last_sync_id = 0;
        std::vector<FoundAction> actions;  // With this very id.
    };
    std::vector<Message> messages;
    bool is_first_of_update = false;  // The next id is an update, which takes two.

    // Where the agent is; nothing when there is no position.
    struct Reached {
        std::string epoch;
        SyncId sync_id = 0;
        SyncId floor = 0;
    };
    std::optional<Reached> reached;
};

// The actions with this id in a message, or its own fields where it has none. False when it is
// no message. `message` is filled in but for channel and bytes.
bool read_message(std::string_view bytes, SyncId id, FoundId::Message& message);

}  // namespace walcast
