#include "agent/snapshot/pg_snapshot.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace walcast {

bool PgSnapshot::shows(std::uint64_t xid) const {
    return xid < xmin || (xid < xmax && !std::binary_search(running.begin(), running.end(), xid));
}

// The number up to `end`, which is taken off too; at the end of the text no `end` is needed.
static std::uint64_t take_xid(std::string_view& text, char end) {
    std::uint64_t xid = 0;
    auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), xid);
    auto size = static_cast<std::size_t>(stop - text.data());
    auto is_ended = size == text.size() ? end != ':' : text[size] == end;
    if (error != std::errc{} || !is_ended)
        throw std::invalid_argument(
            "not a snapshot: give what `SELECT pg_current_snapshot()` says, as \"738:741:739\"");
    text.remove_prefix(std::min(size + 1, text.size()));
    return xid;
}

PgSnapshot parse_snapshot(std::string_view text) {
    PgSnapshot snapshot;
    snapshot.xmin = take_xid(text, ':');
    snapshot.xmax = take_xid(text, ':');
    auto is_sound = snapshot.xmin > 0 && snapshot.xmin <= snapshot.xmax;
    while (is_sound && !text.empty()) {
        auto is_last = text.find(',') == std::string_view::npos;
        auto xid = take_xid(text, ',');
        auto least = snapshot.running.empty() ? snapshot.xmin : snapshot.running.back() + 1;
        is_sound = xid >= least && xid < snapshot.xmax && is_last == text.empty();
        snapshot.running.push_back(xid);
    }
    if (!is_sound) throw std::invalid_argument("not a snapshot: its transactions do not rise");
    return snapshot;
}

}  // namespace walcast
