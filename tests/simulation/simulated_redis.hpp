#pragma once

#include "agent/concurrency.hpp"
#include "sinks/sink.hpp"
#include "tests/simulation/simulated_postgres.hpp"
#include "tests/simulation/world.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace walcast {

struct HistoryEntry {
    SyncId id = 0;
    SyncId previous = 0;
    std::string epoch;
    bool is_reset = false;
    bool is_event = false;
    std::string body;
};

// All that Redis holds: sinks/redis_scripts.cpp.
struct RedisState {
    std::string owner;  // Empty: the position is gone.
    Stored stored;      // Without an epoch: there is none.
    SyncId floor = 0;
    std::string resetting;
    std::map<std::string, std::vector<HistoryEntry>> histories;
    std::set<std::string> channels;
    std::set<std::string> channels_resetting;
    char letter_of_partial = 0;  // The checker's: by which rules the unfinished transaction began.
};

struct RedisReply {
    std::string error;
    std::optional<Stored> stored;
    std::string resetting;
    std::uint64_t number = 0;
    bool is_durable = true;
};

// Who must be convinced that all is well.
class Checker;

class SimulatedRedis {
public:
    enum class Durability : std::uint8_t { none, delay, replicas };
    struct Settings {
        Durability durability = Durability::none;
        milliseconds delay{0};  // What is older is never lost.
    };
    // Ways to be worse than Redis is, to see that they are found.
    struct Flaws {
        bool forgets_owners = false;
        bool forgets_positions = false;
        bool halves_batches = false;
    };
    // Changes the state, in one step, or refuses.
    using Command = std::function<RedisReply(RedisState&)>;

    SimulatedRedis(World& world, Settings settings, Flaws flaws)
        : world_(world), settings_(settings), flaws_(flaws) {}

    const RedisState& state() const { return state_; }
    bool is_up() const { return is_up_; }
    const Flaws& flaws() const { return flaws_; }
    void begin_with(const Position& position, const Source& source);

    // Runs a command that came by `link`, and answers it.
    void run(const std::shared_ptr<Link>& link, const Command& command,
             std::function<void(RedisReply)> answer);
    // The same without changing anything.
    void read(const std::shared_ptr<Link>& link, const Command& command,
              std::function<void(RedisReply)> answer);

    void joined(const std::shared_ptr<Link>& link) { links_.push_back(link); }

    // The furthest position that was ever sure to stay.
    Lsn durable_lsn();
    void forget_durable() { durable_lsn_ = {}; }

    // What happens to it. `keep`: of what may be lost, so much percent stays.
    void crash(Clock::duration down, unsigned keep);
    void lose_everything();
    void refuse(Clock::duration time, std::string why);
    void lag(Clock::duration time);  // Of the replica.
    void heal();

    Durability durability() const { return settings_.durability; }
    milliseconds delay() const { return settings_.delay; }

private:
    struct Written {
        Command command;
        Time durable_at;
        Lsn lsn;  // Of the position then.
    };

    World& world_;
    Settings settings_;
    Flaws flaws_;
    RedisState begin_;
    RedisState state_;
    std::vector<Written> journal_;
    std::size_t durable_count_ = 0;
    Lsn durable_lsn_;
    bool is_up_ = true;
    std::uint64_t outage_ = 0;
    Time refuses_until_;
    std::string refusal_;
    Time lags_until_;
    Time answers_at_;  // The last one.
    std::vector<std::weak_ptr<Link>> links_;
};

// A sink that speaks to it, as RedisSink does.
class SimulatedSink final : public Sink {
public:
    SimulatedSink(asio::any_io_executor executor, World& world, SimulatedRedis& redis,
                  SimulatedPostgres& postgres, Checker& checker, Client& client, std::string token);
    ~SimulatedSink() override;

    asio::awaitable<std::optional<Stored>> connect() override;
    asio::awaitable<std::optional<Stored>> take_over() override;
    asio::awaitable<bool> adopt(Source source) override;
    asio::awaitable<void> leave() override;
    asio::awaitable<Position> begin_epoch(Position position, Source source,
                                          std::string reason) override;
    asio::awaitable<void> send(const Batch& batch) override;
    asio::awaitable<bool> accepted() override;

private:
    struct Socket {
        std::deque<RedisReply> replies;
    };
    void write(SimulatedRedis::Command command, bool is_read = false);
    asio::awaitable<RedisReply> reply();
    asio::awaitable<RedisReply> ask(SimulatedRedis::Command command, bool is_read = false);
    asio::awaitable<void> finish_resets();
    SimulatedRedis::Command adopting(Source source);

    World& world_;
    SimulatedRedis& redis_;
    SimulatedPostgres& postgres_;
    Checker& checker_;
    Client& client_;
    std::string token_;
    std::string owner_;
    unsigned takeovers_ = 0;
    Time connected_at_;
    Signal arrived_;
    std::shared_ptr<Link> link_;
    std::shared_ptr<Socket> socket_;
    std::size_t awaited_ = 0;
    std::map<std::string, SyncId> last_ids_;  // Of each channel; forgotten on every reconnect.
};

}  // namespace walcast
