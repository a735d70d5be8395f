#include "agent/resume.hpp"

#include "agent/clock.hpp"
#include "agent/errors.hpp"
#include "agent/numbering.hpp"
#include "agent/random.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace walcast {

void refuse_older_timeline(const std::optional<Stored>& stored, const StreamFacts& facts) {
    if (!stored || stored->source.system_id != facts.source.system_id) return;
    if (stored->source.slot != facts.source.slot)
        throw SetupError(
            fmt::format("the position in the sink is of slot \"{}\", not \"{}\": two agents need "
                        "two [redis] prefixes. If the slot "
                        "has only been renamed, delete the position; clients then get a reset",
                        stored->source.slot, facts.source.slot));
    if (facts.source.timeline < stored->source.timeline)
        throw SetupError(
            fmt::format("postgres: this server is on timeline {}, but the position in the sink is "
                        "of timeline {}: an old primary? "
                        "Point [source] url at the current one",
                        facts.source.timeline, stored->source.timeline));
}

std::optional<std::string> find_gap(const std::optional<Stored>& stored, const StreamFacts& facts) {
    if (!stored) return "no position is stored";
    const auto& position = stored->position;
    if (stored->source.system_id != facts.source.system_id)
        return fmt::format("the database is another one: system {} instead of {}",
                           facts.source.system_id, stored->source.system_id);
    if (stored->source.timeline != facts.source.timeline) {
        auto end = facts.timeline_ends.find(stored->source.timeline);
        if (end == facts.timeline_ends.end() || end->second < position.lsn)
            return fmt::format("timeline {} was left before {}", stored->source.timeline,
                               position.lsn);
        // The commit record is where the new timeline begins, or later: it never happened there.
        if (position.partial && end->second <= position.partial->commit_lsn)
            return fmt::format(
                "timeline {} was left before the commit at {} of a transaction that "
                "was sent in part",
                stored->source.timeline, position.partial->commit_lsn);
    }
    if (facts.confirmed_lsn > position.lsn)
        return fmt::format("slot {} begins at {}, after {}: it was made anew or moved",
                           facts.source.slot, facts.confirmed_lsn, position.lsn);
    if (facts.wal_end < position.lsn)
        return fmt::format("the log ends at {}, before {}: the database was restored",
                           facts.wal_end, position.lsn);
    if (position.partial && stored->source.fingerprint != facts.source.fingerprint)
        return "plugin, options or publications changed in the middle of a transaction";
    return std::nullopt;
}

std::string random_epoch() {
    constexpr std::string_view digits = "0123456789abcdefghijklmnopqrstuvwxyz";
    std::string epoch;
    for (auto i = 0; i < 8; ++i) epoch += digits[Random::bits() % digits.size()];
    return epoch;
}

Position first_of_epoch(const std::optional<Stored>& stored, const StreamFacts& facts) {
    auto now = std::chrono::time_point_cast<std::chrono::microseconds>(Clock::unix_now());
    Position position{.epoch = random_epoch(),
                      .sync_id = stored ? stored->position.sync_id : 0,
                      .lsn = facts.confirmed_lsn,
                      .partial = std::nullopt,
                      .last = none_before(facts.confirmed_lsn)};
    position.sync_id = std::max({position.sync_id, facts.confirmed_lsn.value,
                                 static_cast<SyncId>(now.time_since_epoch().count())});
    return position;
}

}  // namespace walcast
