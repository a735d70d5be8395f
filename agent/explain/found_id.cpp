#include "agent/explain/found_id.hpp"

#include "agent/json_members.hpp"

#include <simdjson.h>

#include <utility>

namespace walcast {

namespace json = simdjson::ondemand;

static bool read_text(json::value value, std::string& out) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return false;
    out = text;
    return true;
}

static bool read_actions(json::value value, SyncId id, std::vector<FoundAction>& actions) {
    json::array items;
    if (value.get(items) != simdjson::SUCCESS) return false;
    for (auto item : items) {
        json::object object;
        if (item.get(object) != simdjson::SUCCESS) return false;
        FoundAction found;
        SyncId its_id = 0;
        auto is_whole = for_each_member(object, [&](std::string_view name, json::value member) {
            if (name == "syncId") return member.get(its_id) == simdjson::SUCCESS;
            if (name == "action") return read_text(member, found.action);
            if (name == "modelName") return read_text(member, found.model);
            if (name == "modelId") return read_text(member, found.model_id);
            return true;
        });
        if (!is_whole) return false;
        if (its_id == id) actions.push_back(std::move(found));
    }
    return true;
}

bool read_message(std::string_view bytes, SyncId id, FoundId::Message& message) {
    simdjson::padded_string text(bytes);
    json::parser parser;
    json::document document;
    json::object object;
    if (parser.iterate(text).get(document) != simdjson::SUCCESS ||
        document.get_object().get(object) != simdjson::SUCCESS)
        return false;
    FoundAction whole;
    auto has_actions = false;
    auto is_read = for_each_member(object, [&](std::string_view name, json::value value) {
        if (name == "type") return read_text(value, message.type);
        if (name == "epoch") return read_text(value, message.epoch);
        if (name == "reason") return read_text(value, message.reason);
        if (name == "prevSyncId") return value.get(message.prev_sync_id) == simdjson::SUCCESS;
        if (name == "lastSyncId") return value.get(message.last_sync_id) == simdjson::SUCCESS;
        if (name == "modelName") return read_text(value, whole.model);
        if (name != "sync") return true;
        has_actions = true;
        return read_actions(value, id, message.actions);
    });
    if (is_read && !has_actions && message.last_sync_id == id)
        message.actions.push_back(std::move(whole));
    return is_read;
}

}  // namespace walcast
