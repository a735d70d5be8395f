#include "sinks/chorus_envelope.hpp"

#include "sinks/json_text.hpp"
#include "sinks/native_envelope.hpp"
#include "sinks/uuid.hpp"

namespace walcast {

static std::string_view operation_of(Action action) {
    switch (action) {
        case Action::insert: return "create";
        case Action::update: return "update";
        case Action::remove: return "delete";
    }
    return "";
}

// 2026-11-21 04:10:24
static void append_time(std::string& out, Timestamp time) {
    auto begin = out.size();
    append_timestamp(out, time);
    out[begin + 10] = ' ';
    out.resize(begin + 19);
}

// The client removes the record with this key, which is compared with its type: that of the id
// column in the data. Several columns have no common type but the modelId's.
static std::string_view record_id(const ActionView& action) {
    JsonMembers members(action.key);
    if (!members.next()) return action.id;
    auto value = members.value();
    return members.next() ? action.id : value;
}

static void append_head(std::string& out, const ChannelMessage& message, SyncId sync_id,
                        unsigned ordinal) {
    out += R"({"id":")";
    append_uuid(out, message.clock, sync_id, ordinal);
    out += R"(","table_name":)";
}

void append_harmonic(std::string& out, const ChannelMessage& message, const ActionView& action) {
    append_head(out, message, action.sync_id, action.ordinal);
    out += action.model;
    out += ",\"record_id\":";
    out += record_id(action);
    out += ",\"operation\":\"";
    out += operation_of(action.action);
    out += "\",\"data\":";
    append_quoted(out, action.action == Action::remove ? action.key : action.data);
    out += ",\"user_id\":null,\"created_at\":\"";
    append_time(out, message.commit_time);
    out += "\"}";
}

std::string& ChorusEnvelope::begin(const ChannelMessage& message, Published& out) const {
    auto& text = out.add(output_, message.channel);
    text += R"({"event":"harmonic.created","socket":null,"data":)";
    return text;
}

void ChorusEnvelope::wrap_action(const ChannelMessage& message, const ActionView& action,
                                 Published& out) const {
    if (action.action != Action::remove && !action.is_whole()) return;
    auto& text = begin(message, out);
    append_harmonic(text, message, action);
    text += '}';
}

// Without table and record the client would leave its own change pending for ever.
void ChorusEnvelope::wrap_rejection(const ChannelMessage& message, Published& out) const {
    auto data = json_member(message.event, "data");
    auto headers = json_member(message.event, "headers");
    auto find = [&](std::string_view name) {
        auto value = json_member(headers, name);
        return value.empty() && data.starts_with('{') ? json_member(data, name) : value;
    };
    auto table = find("table");
    auto record = find("recordId");
    if (!table.starts_with('"') || record.empty()) return;
    auto& text = begin(message, out);
    append_head(text, message, message.last_sync_id, 0);
    text += table;
    text += ",\"record_id\":";
    text += record;
    auto operation = find("operation");
    text += ",\"operation\":";
    text += operation.starts_with('"') ? operation : "\"create\"";
    text += ",\"data\":";
    if (data.empty() || data == "null") {
        std::string key = "{\"id\":";
        key += record;
        key += '}';
        append_quoted(text, key);
    } else {
        append_quoted(text, data);
    }
    auto user = find("userId");
    text += ",\"user_id\":";
    text += user.empty() ? "null" : user;
    text += ",\"created_at\":\"";
    append_time(text, message.commit_time);
    text += "\",\"rejected\":true,\"rejected_reason\":";
    auto reason = json_member(message.event, "reason");
    text += reason.empty() ? "null" : reason;
    text += "}}";
}

void ChorusEnvelope::wrap(const ChannelMessage& message, Published& out) {
    for (const auto& action : message.actions) wrap_action(message, action, out);
    auto is_rejection = message.kind == ChannelMessage::Kind::event &&
                        json_member(message.event, "rejected") == "true";
    if (is_rejection) wrap_rejection(message, out);
}

}  // namespace walcast
