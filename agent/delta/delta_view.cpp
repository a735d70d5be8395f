#include "agent/delta/delta_view.hpp"

#include "decoders/json_string.hpp"

#include <fmt/format.h>

#include <iterator>

namespace walcast {

std::string shown_after(const std::vector<SyncId>& after) {
    return fmt::format("{}", fmt::join(after, ","));
}

void append_entry_json(std::string& out, std::string_view channel, std::string_view message) {
    out += R"({"channel":)";
    append_json_string(out, channel);
    out += R"(,"message":)";
    out += message;
    out += '}';
}

static void append_position(std::string& out, std::string_view epoch, SyncId last_sync_id) {
    out += R"(,"epoch":)";
    append_json_string(out, epoch);
    fmt::format_to(std::back_inserter(out), R"(,"lastSyncId":{})", last_sync_id);
}

std::string delta_json(const DeltaRequest& request, const HistoryPage& page, const Delta& delta) {
    std::string out;
    if (!delta.is_complete()) {
        fmt::format_to(std::back_inserter(out),
                       R"({{"status":"not provable","reason":"{}","detail":)",
                       name_of(delta.status));
        append_json_string(out, delta.detail);
        append_position(out, page.epoch, page.sync_id);
        return out + "}\n";
    }
    std::size_t size = 256;
    for (const auto& entry : page.entries)
        size += entry.message.size() + request.channels[entry.channel].size() + 32;
    out.reserve(size);
    out += R"({"status":"complete")";
    append_position(out, page.epoch, delta.last_sync_id);
    fmt::format_to(std::back_inserter(out), R"(,"more":{},"next":"{}","messages":[)",
                   delta.has_more, shown_after(delta.after));
    auto is_first = true;
    for (const auto& entry : page.entries) {
        if (!is_first) out += ',';
        is_first = false;
        append_entry_json(out, request.channels[entry.channel], entry.message);
    }
    return out + "]}\n";
}

}  // namespace walcast
