#pragma once

#include "agent/change_stream.hpp"
#include "agent/concurrency.hpp"
#include "tests/simulation/world.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace walcast {

struct LoggedChange {
    enum class Kind : std::uint8_t { insert, update, remove, truncate, event };
    Kind kind = Kind::insert;
    std::uint64_t row = 0;  // Unlike any other's: the row's id.
    unsigned room = 0;      // Which decides its channel.

    unsigned ids() const { return kind == Kind::update ? 2 : 1; }
};

// A committed transaction; or a message that is one of its own.
struct LogEntry {
    bool is_transaction = true;
    std::uint32_t xid = 0;
    Lsn start;  // Of its last record: what begins below the confirmed LSN is not sent.
    Lsn end;
    std::vector<LoggedChange> changes;
    std::optional<std::string> heartbeat;
};

// What one line of history has committed, in order. A new timeline has its own.
struct WriteAheadLog {
    std::vector<std::shared_ptr<const LogEntry>> entries;
};

// Who streams, as the server said at the start of streaming.
struct ServerView {
    std::shared_ptr<const WriteAheadLog> log;
    std::string system_id;
    std::uint32_t timeline = 1;
    std::map<std::uint32_t, Lsn> timeline_ends;
    Lsn confirmed;
};

// What an agent's process is to the servers.
struct Client {
    std::string name;
    std::shared_ptr<const ServerView> view;  // What it streams from.
    std::weak_ptr<Link> postgres;
    std::weak_ptr<Link> redis;
    // No packet passes before.
    Time postgres_blocked_until;
    Time redis_blocked_until;
    bool is_frozen = false;
};

// A server with one slot, read by pgoutput: by the rules of
// replication-client.md, sections 6 to 12.
class SimulatedPostgres {
public:
    struct Settings {
        milliseconds wal_sender_timeout{60'000};
        bool is_keepalive_rare = false;
    };

    SimulatedPostgres(World& world, Settings settings);

    // What applications do. Returns what was committed.
    void commit(std::vector<LoggedChange> changes);
    void emit_event(bool is_event);  // Not transactional.
    void write_filler();             // What is not published.

    // What happens to servers.
    void crash(Clock::duration down);
    void stop(Clock::duration down, Clock::duration patience);
    void fail_over(std::uint64_t entries_lost, Clock::duration down);
    void become_another_cluster();
    void move_slot(std::uint64_t entries);
    void recreate_slot();
    void drop_slot(Clock::duration until_made_anew);
    void lend_slot(Clock::duration time, std::uint64_t entries_read);
    void heal();

    bool is_up() const { return state_ == State::up; }
    const std::shared_ptr<WriteAheadLog>& log() const { return log_; }
    Lsn confirmed() const { return slot_.confirmed; }
    Lsn wal_end() const { return wal_end_; }
    ServerView view() const;
    std::string slot_name() const { return "walcast"; }

    // Whose the slot is, and since when.
    const Client* holder() const { return sender_ ? sender_->client : nullptr; }
    Time held_since() const { return slot_.held_since; }

private:
    friend class SimulatedStream;
    enum class State : std::uint8_t { up, stopping, down };

    struct Frame {
        bool is_keepalive = false;
        Lsn lsn;
        bool is_reply_requested = false;
        std::string payload;
    };
    struct Inbox {
        std::deque<Frame> frames;
    };
    // Serves one connection that streams.
    struct Sender {
        const Client* client = nullptr;
        std::shared_ptr<Link> link;
        std::shared_ptr<Inbox> inbox;
        std::shared_ptr<const WriteAheadLog> log;
        std::size_t next_entry = 0;
        std::size_t next_part = 0;  // Of that entry: begin, its changes, commit.
        bool has_described = false;
        std::size_t unread = 0;  // Frames that the client has not taken.
        Time heard_at;
        bool has_asked = false;
        bool is_pump_planned = false;
    };
    struct Slot {
        bool exists = true;
        Lsn confirmed;
        Lsn saved;  // What of it survives a crash.
        Time held_since;
        Time lent_until;
    };

    std::shared_ptr<Sender> serve(const Client& client, std::shared_ptr<Link> link,
                                  std::shared_ptr<Inbox> inbox);
    void plan_pump(const std::shared_ptr<Sender>& sender);
    void pump(Sender& sender);
    std::optional<Frame> next_frame(Sender& sender);
    void send_keepalive(Sender& sender, bool is_reply_requested);
    Lsn sent_up_to(const Sender& sender) const;
    void watch(std::weak_ptr<Sender> watched);
    void heard(Sender& sender, const StandbyStatus& status);
    void end_if_stopped(Sender& sender);
    void end_sender();
    void go_down(Clock::duration down);
    void append(LogEntry entry);
    void add_heartbeat(std::string content);

    World& world_;
    Settings settings_;
    State state_ = State::up;
    std::uint64_t outage_ = 0;
    std::string system_id_ = "7000000000000000001";
    std::uint32_t timeline_ = 1;
    std::map<std::uint32_t, Lsn> timeline_ends_;
    std::shared_ptr<WriteAheadLog> log_ = std::make_shared<WriteAheadLog>();
    Lsn wal_end_{0x1000000};
    std::uint32_t last_xid_ = 700;
    Slot slot_;
    std::shared_ptr<Sender> sender_;
};

// What an agent streams from it.
class SimulatedStream final : public ChangeStream {
public:
    SimulatedStream(asio::any_io_executor executor, World& world, SimulatedPostgres& postgres,
                    Client& client);
    ~SimulatedStream() override;

    asio::awaitable<void> start() override;
    const StreamFacts& facts() const override { return facts_; }
    Catalog& catalog() override { return catalog_; }
    std::optional<StreamMessage> next() override;
    void receive() override;
    asio::awaitable<void> wait_readable() override;
    void interrupt() override;
    asio::awaitable<void> report(StandbyStatus status) override;
    asio::awaitable<void> finish() override;
    asio::awaitable<void> list_tables() override;
    asio::awaitable<TableDescription> describe(Relation relation, std::uint32_t xid) override;
    asio::awaitable<bool> has_slot() override;
    asio::awaitable<bool> is_stopping() override;
    asio::awaitable<Wal> wal() override;
    asio::awaitable<Wal> emit(std::string prefix, std::string content) override;

    // Hears what is confirmed before it is sent.
    std::function<void(Lsn confirmed)> on_confirm;

private:
    asio::awaitable<void> travel();
    void expect_up() const;

    World& world_;
    SimulatedPostgres& postgres_;
    Client& client_;
    StreamFacts facts_;
    Catalog catalog_;
    Signal arrived_;
    std::shared_ptr<Link> link_;
    std::shared_ptr<SimulatedPostgres::Sender> sender_;  // At the other end.
    std::shared_ptr<SimulatedPostgres::Inbox> socket_;
    std::deque<SimulatedPostgres::Frame> received_;
    SimulatedPostgres::Frame current_;
};

}  // namespace walcast
