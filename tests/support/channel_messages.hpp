#pragma once

#include "sinks/envelope.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace walcast {

using namespace std::chrono_literals;

// 2026-11-21T04:10:24.870123Z
inline constexpr Timestamp some_time =
    std::chrono::sys_days{std::chrono::year{2026} / 11 / 21} + 4h + 10min + 24s + 870123us;

inline ActionView insert_action(SyncId id = 1041) {
    return {.sync_id = id,
            .model = R"("Todo")",
            .id = R"("t1")",
            .key = R"({"id":"t1"})",
            .data = R"({"id":"t1","title":"Buy \"oat\" milk"})"};
}

inline ActionView update_action(SyncId id = 1042) {
    auto action = insert_action(id);
    action.action = Action::update;
    return action;
}

inline ActionView delete_action(SyncId id = 1043) {
    auto action = insert_action(id);
    action.action = Action::remove;
    action.data = {};
    return action;
}

// With the actions that it is a view of.
struct OwnedMessage : ChannelMessage {
    std::vector<ActionView> own;
};

inline OwnedMessage message_of(std::vector<ActionView> actions) {
    OwnedMessage message;
    message.own = std::move(actions);
    message.actions = message.own;
    message.channel = "w:1";
    message.last_sync_id = message.own.back().sync_id;
    message.commit_time = message.clock = some_time;
    return message;
}

inline ChannelMessage event_of(std::string_view fields, SyncId id = 1044) {
    return {.kind = ChannelMessage::Kind::event,
            .channel = "w:1",
            .last_sync_id = id,
            .commit_time = some_time,
            .clock = some_time,
            .event = fields};
}

// `channel payload` of each, `channel =` where it is the native message.
inline std::vector<std::string> lines_of(const Published& published) {
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < published.size(); ++i)
        lines.push_back(std::string(published.channel(i)) + ' ' +
                        (published.is_native(i) ? "=" : std::string(published.payload(i))));
    return lines;
}

using Lines = std::vector<std::string>;

}  // namespace walcast
