#include "agent/snapshot/snapshot_json.hpp"

#include "agent/json_members.hpp"
#include "decoders/json_string.hpp"
#include "decoders/utf8.hpp"

#include <fmt/format.h>

namespace walcast {

void append_snapshot_answer(std::string& out, const SnapshotAnswer& answer) {
    out += "\"epoch\":";
    append_json_string(out, answer.epoch);
    out += fmt::format(",\"lastSyncId\":{},\"visible\":[", answer.position.last_sync_id);
    for (const auto& [first, last] : answer.position.visible) {
        if (out.back() != '[') out += ',';
        out += fmt::format("[{},{}]", first, last);
    }
    out += ']';
}

namespace ondemand = simdjson::ondemand;

static bool read_ranges(ondemand::array ranges, std::vector<SyncIdRange>& out) {
    for (auto range : ranges) {
        std::vector<std::uint64_t> ends;
        ondemand::array pair;
        if (range.get_array().get(pair) != simdjson::SUCCESS) return false;
        for (auto end : pair) {
            std::uint64_t id = 0;
            if (end.get_uint64().get(id) != simdjson::SUCCESS) return false;
            ends.push_back(id);
        }
        if (ends.size() != 2) return false;
        out.push_back({ends[0], ends[1]});
    }
    return true;
}

// Calls `see` with each member of an object; false where it is none.
template <typename See>
static bool read_object(std::string_view json, See see) {
    simdjson::padded_string padded(json);
    ondemand::parser parser;
    ondemand::document document;
    ondemand::object object;
    if (parser.iterate(padded).get(document) != simdjson::SUCCESS) return false;
    if (document.get_object().get(object) != simdjson::SUCCESS) return false;
    return for_each_member(object, see);
}

std::optional<SnapshotAnswer> read_snapshot_answer(std::string_view json) {
    SnapshotAnswer answer;
    auto members = 0;
    auto see = [&](std::string_view name, ondemand::value value) {
        ++members;
        if (name == "epoch") {
            std::string_view epoch;
            if (value.get_string().get(epoch) != simdjson::SUCCESS) return false;
            answer.epoch = epoch;
        } else if (name == "lastSyncId") {
            return value.get_uint64().get(answer.position.last_sync_id) == simdjson::SUCCESS;
        } else if (name == "visible") {
            ondemand::array ranges;
            if (value.get_array().get(ranges) != simdjson::SUCCESS) return false;
            return read_ranges(ranges, answer.position.visible);
        } else {
            --members;
        }
        return true;
    };
    if (!read_object(json, see) || members != 3) return std::nullopt;
    return answer;
}

std::string error_json(std::string_view error) {
    std::string json = "{\"error\":";
    append_json_string(json, is_utf8(error) ? error : "what is wrong cannot be said in UTF-8");
    return json + "}\n";
}

std::string read_error(std::string_view json) {
    std::string error;
    read_object(json, [&](std::string_view name, ondemand::value value) {
        std::string_view text;
        if (name == "error" && value.get_string().get(text) == simdjson::SUCCESS) error = text;
        return true;
    });
    return error;
}

}  // namespace walcast
