#pragma once

#include "sinks/sink.hpp"
#include "tests/simulation/simulated_postgres.hpp"
#include "tests/simulation/simulated_redis.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace walcast {

// Holds each step that changes Redis against what Postgres has committed. Knows nothing of agents:
// what an id must be follows from where its epoch began and from the log.
class Checker {
public:
    explicit Checker(World& world) : world_(world) {}

    void began_with(const Position& position);

    // Each hears what Redis holds just before, and what the one who asks streams from.
    void adopted(const RedisState& state, const ServerView& view);
    void began_epoch(const RedisState& state, const Position& position, const ServerView& view,
                     const std::string& reason);
    void committed(const RedisState& state, const Batch& batch, const std::string& owner,
                   const ServerView& view);

    // By which rules the transaction began that this batch leaves unfinished.
    void note_letter(RedisState& state, const Batch& batch) const;

    // Looks at all histories once more, from their beginning.
    void look_over(const RedisState& state, const WriteAheadLog& log);

    std::uint64_t batches() const { return batches_; }
    std::uint64_t changes() const { return changes_; }
    std::uint64_t epochs() const { return epochs_.size(); }

private:
    struct Expected {
        SyncId id = 0;
        const LoggedChange* change = nullptr;
        const LogEntry* entry = nullptr;
    };
    struct Found {
        SyncId id = 0;
        std::string action;
        std::string row;
    };
    std::optional<std::vector<Expected>> expect(const WriteAheadLog& log, const Position& from,
                                                const Position& to);
    static std::vector<Found> read(std::string_view body);
    void expect_same(const Expected& expected, const Found& found);
    void expect_channels(const Batch& batch, const Message& message, unsigned room);

    World& world_;
    std::map<std::string, Position> epochs_;  // Where each began.
    std::uint64_t batches_ = 0;
    std::uint64_t changes_ = 0;
};

}  // namespace walcast
