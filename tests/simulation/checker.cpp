#include "tests/simulation/checker.hpp"

#include <algorithm>
#include <charconv>
#include <set>

namespace walcast {

using Kind = LoggedChange::Kind;

void Checker::began_with(const Position& position) {
    epochs_[position.epoch] = position;
}

// --- continuity ---

static std::shared_ptr<const LogEntry> unfinished_of(const WriteAheadLog& log,
                                                     const Position& position) {
    for (const auto& entry : log.entries)
        if (entry->start == position.partial->commit_lsn && entry->xid == position.partial->xid)
            return entry;
    return nullptr;
}

// Why the server cannot send all that comes after what is stored.
static std::optional<std::string> lost(const Stored& stored, const ServerView& view) {
    const auto& position = stored.position;
    if (position.epoch.empty()) return "there is no position";
    if (stored.source.system_id != view.system_id) return "another cluster";
    if (stored.source.timeline != view.timeline) {
        auto end = view.timeline_ends.find(stored.source.timeline);
        if (end == view.timeline_ends.end() || end->second < position.lsn)
            return "its timeline was left before";
    }
    if (view.confirmed > position.lsn)
        return fmt::format("the slot begins at {}, the position is {}", view.confirmed,
                           position.lsn);
    if (position.partial && !unfinished_of(*view.log, position))
        return "the unfinished transaction is gone";
    return std::nullopt;
}

void Checker::adopted(const RedisState& state, const ServerView& view) {
    if (auto why = lost(state.stored, view))
        world_.fail(fmt::format("epoch {} goes on though continuity was lost: {}",
                                state.stored.position.epoch, *why));
}

void Checker::began_epoch(const RedisState& state, const Position& position, const ServerView& view,
                          const std::string& reason) {
    world_.note("redis: epoch {} from {} at {}: {}", position.epoch, position.sync_id, position.lsn,
                reason);
    if (!lost(state.stored, view))
        world_.fail("a new epoch though continuity was not lost: " + reason);
    if (position.lsn != view.confirmed)
        world_.fail("a new epoch does not begin where the slot does");
    for (const auto& [name, history] : state.histories)
        if (!history.empty() && history.back().id > position.sync_id)
            world_.fail("a new epoch begins below an id in the history of " + name);
    if (!epochs_.emplace(position.epoch, position).second)
        world_.fail("an epoch's name comes again");
}

// --- batches ---

std::optional<std::vector<Checker::Expected>> Checker::expect(const WriteAheadLog& log,
                                                              const Position& from,
                                                              const Position& to) {
    const auto& entries = log.entries;
    auto entry = std::partition_point(entries.begin(), entries.end(),
                                      [&](const auto& each) { return each->end <= from.lsn; });
    std::size_t done = 0;
    if (from.partial) {
        done = from.partial->changes;
        if (entry == entries.end() || (*entry)->start != from.partial->commit_lsn) {
            world_.fail("what comes next in the log is not the unfinished transaction");
            return std::nullopt;
        }
    }
    std::vector<Expected> expected;
    auto id = from.sync_id;
    auto is_partial_found = !to.partial;
    for (; entry != entries.end(); ++entry, done = 0) {
        const auto& changes = (*entry)->changes;
        auto is_whole = (*entry)->end <= to.lsn;
        auto is_part = !is_whole && to.partial && (*entry)->start == to.partial->commit_lsn;
        if (!is_whole && !is_part) break;
        is_partial_found = is_partial_found || is_part;
        auto end = is_whole ? changes.size() : std::min(changes.size(), to.partial->changes);
        for (auto i = done; i < end; ++i) {
            expected.push_back({id + 1, &changes[i], entry->get()});
            id += changes[i].ids();
        }
        if (is_part) break;
    }
    if (!is_partial_found) world_.fail("the position is inside a transaction that is not next");
    if (id != to.sync_id)
        world_.fail(
            fmt::format("the position is at id {}, by the log it would be {}", to.sync_id, id));
    return expected;
}

static std::string text_after(std::string_view body, std::string_view key, std::size_t from) {
    auto at = body.find(key, from);
    if (at == std::string_view::npos) return {};
    at += key.size();
    return std::string(body.substr(at, body.find_first_of("\",", at) - at));
}

std::vector<Checker::Found> Checker::read(std::string_view body) {
    constexpr std::string_view begin = R"({"syncId":)";
    std::vector<Found> found;
    for (auto at = body.find(begin); at != std::string_view::npos; at = body.find(begin, at + 1)) {
        auto id = text_after(body, begin, at);
        Found each;
        std::from_chars(id.data(), id.data() + id.size(), each.id);
        each.action = text_after(body, R"("action":")", at);
        each.row = text_after(body, R"("modelId":")", at);
        found.push_back(std::move(each));
    }
    return found;
}

static std::string shown(const LoggedChange& change, SyncId id) {
    static constexpr const char* names[] = {"insert", "update", "delete", "truncate", "event"};
    auto is_update = change.kind == Kind::update;
    return fmt::format("{} {} of row {}", is_update ? id + 1 : id,
                       names[static_cast<int>(change.kind)], change.row);
}

void Checker::expect_same(const Expected& expected, const Found& found) {
    auto is = fmt::format("{} {} of row {}", found.id, found.action, found.row);
    auto due = shown(*expected.change, expected.id);
    if (is != due) world_.fail(fmt::format("published: {}, committed: {}", is, due));
}

void Checker::expect_channels(const Batch& batch, const Message& message, unsigned room) {
    std::set<std::string> names;
    for (auto i = message.channels_begin; i < message.channels_end; ++i)
        names.emplace(batch.text(batch.channels[i].begin, batch.channels[i].end));
    auto letter = names.empty() ? '?' : names.begin()->front();
    if (names !=
        std::set<std::string>{fmt::format("{}:{}", letter, room), fmt::format("{}:all", letter)})
        world_.fail(fmt::format("a row of room {} goes to {}", room, fmt::join(names, " ")));
}

// The rules of one file say a:, those of the other say b:.
static char letter_of(const Batch& batch, const Message& message) {
    if (message.channels_begin == message.channels_end) return 0;
    return batch.bytes[batch.channels[message.channels_begin].begin];
}

void Checker::committed(const RedisState& state, const Batch& batch, const std::string& owner,
                        const ServerView& view) {
    ++batches_;
    if (state.owner != owner)
        world_.fail(fmt::format("{} writes, but {} has taken over", owner, state.owner));
    if (state.stored.position.epoch != batch.before.epoch)
        world_.fail("a batch of another epoch is taken");
    if (state.stored.position.sync_id != batch.before.sync_id)
        world_.fail("a batch is taken that does not begin where the position is");
    if (!state.resetting.empty()) world_.fail("a batch is taken before all histories are reset");
    auto expected = expect(*view.log, batch.before, batch.after);
    if (!expected) return;
    changes_ += expected->size();
    auto next = expected->begin();
    const LogEntry* entry = nullptr;
    auto letter = batch.before.partial ? state.letter_of_partial : '\0';
    if (letter != 0 && next != expected->end() &&
        next->entry->start == batch.before.partial->commit_lsn)
        entry = next->entry;
    for (const auto& message : batch.messages) {
        auto found = read(batch.text(message.body_begin, message.body_end));
        if (message.kind == Message::Kind::reset) found = {{message.last_sync_id, "truncate", "0"}};
        if (message.kind == Message::Kind::event) found = {{message.last_sync_id, "event", "0"}};
        if (found.empty() || found.back().id != message.last_sync_id)
            world_.fail("lastSyncId is not that of the last action");
        for (const auto& each : found) {
            if (next == expected->end())
                return world_.fail(fmt::format("{} is published, but not committed", each.id));
            expect_same(*next, each);
            if (message.kind == Message::Kind::sync) {
                expect_channels(batch, message, next->change->room);
                auto its = letter_of(batch, message);
                if (next->entry == entry && letter != 0 && its != letter)
                    world_.fail("a transaction is routed by two sets of rules");
                letter = its;
            } else if (next->entry != entry) {
                letter = 0;
            }
            entry = next->entry;
            ++next;
        }
    }
    if (next != expected->end())
        world_.fail("committed, but not published: " + shown(*next->change, next->id));
}

void Checker::note_letter(RedisState& state, const Batch& batch) const {
    const auto& partial = batch.after.partial;
    auto is_same =
        partial && batch.before.partial && partial->commit_lsn == batch.before.partial->commit_lsn;
    if (!is_same) state.letter_of_partial = 0;
    if (!partial) return;
    for (const auto& message : batch.messages)
        if (message.kind == Message::Kind::sync &&
            message.transaction.commit_lsn == partial->commit_lsn && letter_of(batch, message) != 0)
            state.letter_of_partial = letter_of(batch, message);
}

// --- the whole ---

void Checker::look_over(const RedisState& state, const WriteAheadLog& log) {
    const auto& position = state.stored.position;
    auto begin = epochs_.find(position.epoch);
    if (begin == epochs_.end()) return world_.fail("the epoch in Redis never began");
    auto expected = expect(log, begin->second, position);
    if (!expected) return;
    std::map<std::string, std::map<SyncId, std::string>> due;
    for (const auto& each : *expected) {
        auto is_update = each.change->kind == Kind::update;
        auto id = each.id + (is_update ? 1 : 0);
        auto row = fmt::to_string(each.change->row);
        if (each.change->kind == Kind::truncate) {
            due["control"][id] = row;
        } else if (each.change->kind == Kind::event) {
            due["events"][id] = row;
        } else {
            due[fmt::to_string(each.change->room)][id] = row;
            due["all"][id] = row;
        }
    }
    std::map<std::string, std::map<SyncId, std::string>> found;
    for (const auto& [name, history] : state.histories) {
        auto channel = name == "control" ? name : name.substr(2);
        SyncId last = 0;
        for (const auto& entry : history) {
            if (entry.epoch != position.epoch) world_.fail("a history of two epochs: " + name);
            if (entry.id <= last) world_.fail("ids do not rise in " + name);
            if (last != 0 && entry.previous != last) world_.fail("prevSyncId is broken in " + name);
            last = entry.id;
            auto is_first = entry.is_reset && entry.id == begin->second.sync_id;
            if ((entry.is_reset && !is_first) || entry.is_event) found[channel][entry.id] = "0";
            for (const auto& each : read(entry.body))
                if (!found[channel].emplace(each.id, each.row).second)
                    world_.fail(fmt::format("{} twice in {}", each.id, channel));
        }
    }
    if (due == found) return;
    for (const auto& [channel, changes] : due)
        if (found[channel] != changes)
            world_.fail(fmt::format("history of {} has {} changes, not {}", channel,
                                    found[channel].size(), changes.size()));
    world_.fail("histories hold what was not committed");
}

}  // namespace walcast
