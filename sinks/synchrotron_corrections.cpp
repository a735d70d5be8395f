#include "sinks/synchrotron_corrections.hpp"

#include "sinks/json_text.hpp"
#include "sinks/native_envelope.hpp"
#include "sinks/uuid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

namespace walcast {

// Of the audience `user:u1` the channel is `audience:user%3Au1`.
static std::string audience_key(std::string_view channel) {
    constexpr std::string_view before = "audience:";
    if (channel.starts_with(before)) channel.remove_prefix(before.size());
    std::string key;
    for (std::size_t i = 0; i < channel.size(); ++i) {
        auto byte = 0U;
        const auto* digits = channel.data() + i + 1;
        auto is_escape = channel[i] == '%' && i + 2 < channel.size() &&
                         std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2;
        key += is_escape ? static_cast<char>(byte) : channel[i];
        if (is_escape) i += 2;
    }
    return key;
}

// Whether the change can be taken back, as a client does that learns of an older one.
static bool is_reversible(const ActionView& action) {
    auto is_row_whole = action.unchanged.empty() && action.omitted.empty();
    switch (action.action) {
        case Action::insert: return action.is_whole();
        case Action::update:
            return action.data_kind == DataKind::delta && is_row_whole && !action.reverse.empty();
        case Action::remove: return !action.reverse.empty();
    }
    return false;
}

static void append_operation(std::string& out, const ActionView& action) {
    constexpr std::string_view nothing = "{}";
    auto is_removed = action.action == Action::remove;
    auto is_inserted = action.action == Action::insert;
    out += is_removed ? "DELETE" : is_inserted ? "INSERT" : "UPDATE";
    out += "\",\"forward_patches\":";
    out += is_removed ? nothing : action.data;
    out += ",\"reverse_patches\":";
    out += is_inserted ? nothing : action.reverse;
}

void SynchrotronCorrections::wrap(const ChannelMessage& message, Published& out) {
    using namespace std::chrono;
    if (std::none_of(message.actions.begin(), message.actions.end(), is_reversible)) return;
    constexpr auto action_ordinal = 255U;  // Its rows have lower ones.
    std::string id;
    append_uuid(id, message.clock, message.last_sync_id, action_ordinal);
    std::string time;
    append_timestamp(time, floor<milliseconds>(message.clock));
    time.replace(23, 3, "");
    auto& text = out.add(output_, message.channel);
    fmt::format_to(
        std::back_inserter(text),
        R"({{"_tag":"Batch","caughtUp":true,"actions":[{{"id":"{0}","server_ingest_id":null,)"
        R"("_tag":"_InternalCorrectionApply","user_id":null,"client_id":"agent:wal",)"
        R"("transaction_id":{1},"clock":{{"timestamp":{2},"vector":{{"agent:wal":{1}}}}},)"
        R"("clock_time_ms":{2},"clock_counter":{1},"args":{{"timestamp":{2}}},)"
        R"("created_at":"{3}","server_ingested_at":"{3}","synced":true}}],"modifiedRows":[)",
        id, message.last_sync_id, floor<milliseconds>(message.clock).time_since_epoch().count(),
        time);
    auto sequence = 0;
    for (const auto& action : message.actions) {
        if (!is_reversible(action)) continue;
        text += sequence == 0 ? "{\"id\":\"" : ",{\"id\":\"";
        append_uuid(text, message.clock, action.sync_id, action.ordinal);
        text += "\",\"table_name\":";
        text += action.model;
        text += ",\"row_id\":";
        text += action.id;
        fmt::format_to(std::back_inserter(text), R"(,"action_record_id":"{}","audience_key":)", id);
        append_quoted(text, audience_key(message.channel));
        text += ",\"operation\":\"";
        append_operation(text, action);
        fmt::format_to(std::back_inserter(text), R"(,"sequence":{}}})", sequence++);
    }
    text += "]}";
}

}  // namespace walcast
