#include "tests/simulation/simulated_postgres.hpp"

#include "agent/errors.hpp"
#include "agent/heartbeat.hpp"
#include "tests/support/pgoutput_messages.hpp"
#include "tests/support/relations.hpp"

#include <algorithm>

namespace walcast {

static constexpr std::size_t unread_max = 48;  // What sockets hold.
static constexpr std::uint32_t items_oid = 16400;

// REPLICA IDENTITY FULL: each row is told of with the channel that it was in, and the catalog is
// asked about the table on each connection.
static const Relation& items() {
    static const Relation relation =
        relation_of("items").oid(items_oid).key("id", type::int8).column("room").full_identity();
    return relation;
}

SimulatedPostgres::SimulatedPostgres(World& world, Settings settings)
    : world_(world), settings_(settings) {
    slot_.confirmed = slot_.saved = wal_end_;
}

ServerView SimulatedPostgres::view() const {
    return {.log = log_,
            .system_id = system_id_,
            .timeline = timeline_,
            .timeline_ends = timeline_ends_,
            .confirmed = slot_.confirmed};
}

// --- what is written ---

void SimulatedPostgres::append(LogEntry entry) {
    if (state_ != State::up) return;  // The application has to wait.
    wal_end_.value += 8 * world_.dice.between(1, 6);
    entry.start = wal_end_;
    wal_end_.value += 48;
    entry.end = wal_end_;
    log_->entries.push_back(std::make_shared<const LogEntry>(std::move(entry)));
    if (world_.is_traced()) {
        const auto& added = *log_->entries.back();
        world_.note("postgres: {} xid={} {}..{} changes={}{}",
                    added.is_transaction ? "commit" : "message", added.xid, added.start, added.end,
                    added.changes.size(), added.heartbeat ? " heartbeat" : "");
    }
    if (sender_) plan_pump(sender_);
}

void SimulatedPostgres::write_filler() {
    if (state_ != State::up) return;
    wal_end_.value += 8 * world_.dice.between(1, 40);
    if (sender_) plan_pump(sender_);
}

void SimulatedPostgres::commit(std::vector<LoggedChange> changes) {
    LogEntry entry;
    entry.xid = ++last_xid_;
    entry.changes = std::move(changes);
    append(std::move(entry));
}

void SimulatedPostgres::emit_event(bool is_event) {
    LogEntry entry;
    entry.is_transaction = false;
    if (is_event) entry.changes.push_back({.kind = LoggedChange::Kind::event});
    append(std::move(entry));
}

void SimulatedPostgres::add_heartbeat(std::string content) {
    LogEntry entry;
    entry.xid = ++last_xid_;
    entry.heartbeat = std::move(content);
    append(std::move(entry));
}

// --- what is sent ---

std::shared_ptr<SimulatedPostgres::Sender> SimulatedPostgres::serve(const Client& client,
                                                                    std::shared_ptr<Link> link,
                                                                    std::shared_ptr<Inbox> inbox) {
    sender_ = std::make_shared<Sender>();
    sender_->client = &client;
    sender_->link = std::move(link);
    sender_->inbox = std::move(inbox);
    sender_->log = log_;
    sender_->heard_at = slot_.held_since = Clock::now();
    const auto& entries = log_->entries;
    while (sender_->next_entry < entries.size() &&
           entries[sender_->next_entry]->start < slot_.confirmed)
        ++sender_->next_entry;
    std::weak_ptr<Sender> weak = sender_;
    sender_->link->on_end_for_server = [this, weak] {
        if (auto ended = weak.lock(); ended && ended == sender_) sender_.reset();
    };
    world_.note("postgres: {} streams from {}", client.name, slot_.confirmed);
    plan_pump(sender_);
    watch(sender_);
    return sender_;
}

void SimulatedPostgres::plan_pump(const std::shared_ptr<Sender>& sender) {
    if (std::exchange(sender->is_pump_planned, true)) return;
    std::weak_ptr<Sender> weak = sender;
    world_.after(microseconds{world_.dice.between(1, 300)}, [this, weak] {
        auto pumped = weak.lock();
        if (!pumped || pumped != sender_) return;
        pumped->is_pump_planned = false;
        pump(*pumped);
    });
}

void SimulatedPostgres::pump(Sender& sender) {
    if (sender.unread >= unread_max) return;
    std::vector<Frame> frames;
    auto wanted = world_.dice.is_lucky(30) ? world_.dice.between(1, 4) : std::uint64_t{16};
    while (frames.size() < wanted) {
        auto frame = next_frame(sender);
        if (!frame) break;
        frames.push_back(std::move(*frame));
    }
    auto is_caught_up = frames.size() < wanted;
    if (!frames.empty()) {
        sender.unread += frames.size();
        sender.link->to_client(
            [link = sender.link.get(), inbox = sender.inbox, frames = std::move(frames)]() mutable {
                for (auto& frame : frames) inbox->frames.push_back(std::move(frame));
                if (link->wake_client) link->wake_client();
            });
    }
    if (!is_caught_up) return plan_pump(sender_);
    if (world_.dice.is_lucky(settings_.is_keepalive_rare ? 10 : 50)) send_keepalive(sender, false);
    end_if_stopped(sender);
}

static constexpr std::string_view event_content = R"({"channel":"-:events"})";

static std::string change_message(const LoggedChange& change) {
    Row row{text(fmt::to_string(change.row)), text(fmt::to_string(change.room))};
    switch (change.kind) {
        case LoggedChange::Kind::insert: return insert_message(items_oid, row);
        case LoggedChange::Kind::update: return update_message(items_oid, 'O', row, row);
        case LoggedChange::Kind::remove: return delete_message(items_oid, 'O', row);
        case LoggedChange::Kind::truncate: return truncate_message({items_oid});
        case LoggedChange::Kind::event: break;
    }
    return logical_message(Placement::in_transaction, Lsn{}, "walcast:event", event_content);
}

std::optional<SimulatedPostgres::Frame> SimulatedPostgres::next_frame(Sender& sender) {
    if (sender.next_entry == sender.log->entries.size()) return std::nullopt;
    const auto& entry = *sender.log->entries[sender.next_entry];
    Frame frame;
    frame.lsn = entry.start;
    if (!entry.is_transaction) {
        ++sender.next_entry;
        auto prefix = entry.changes.empty() ? "other" : "walcast:event";
        frame.payload = logical_message(Placement::alone, entry.end, prefix, event_content);
        return frame;
    }
    auto part = sender.next_part++;
    auto bodies = entry.changes.size() + (entry.heartbeat ? 1 : 0);
    if (part == 0) {
        frame.payload = begin_message(entry.start, entry.xid);
    } else if (part > bodies) {
        frame.payload = commit_message(entry.start, entry.end);
        sender.next_part = 0;
        ++sender.next_entry;
    } else if (part > entry.changes.size()) {
        frame.payload = logical_message(Placement::in_transaction, entry.start, Heartbeat::prefix,
                                        *entry.heartbeat);
    } else if (!sender.has_described && entry.changes[part - 1].kind != LoggedChange::Kind::event) {
        sender.has_described = true;
        --sender.next_part;
        frame.payload = relation_message(items());
    } else {
        frame.payload = change_message(entry.changes[part - 1]);
    }
    return frame;
}

Lsn SimulatedPostgres::sent_up_to(const Sender& sender) const {
    const auto& entries = sender.log->entries;
    if (sender.next_entry == entries.size()) return wal_end_;
    return entries[sender.next_entry]->start;
}

void SimulatedPostgres::send_keepalive(Sender& sender, bool is_reply_requested) {
    Frame frame;
    frame.is_keepalive = true;
    frame.lsn = sent_up_to(sender);
    frame.is_reply_requested = is_reply_requested;
    ++sender.unread;
    sender.link->to_client([link = sender.link.get(), inbox = sender.inbox, frame] {
        inbox->frames.push_back(frame);
        if (link->wake_client) link->wake_client();
    });
}

// A client that says nothing for half the time is asked, and dropped after the whole.
void SimulatedPostgres::watch(std::weak_ptr<Sender> watched) {
    auto timeout = settings_.wal_sender_timeout;
    auto sender = watched.lock();
    if (timeout.count() == 0 || !sender || sender != sender_) return;
    auto silence = Clock::now() - sender->heard_at;
    if (silence >= timeout) {
        world_.note("postgres: drops {} by wal_sender_timeout", sender->client->name);
        return end_sender();
    }
    if (silence < timeout / 2) sender->has_asked = false;
    if (silence >= timeout / 2 && !std::exchange(sender->has_asked, true))
        send_keepalive(*sender, true);
    auto next = sender->heard_at + (silence >= timeout / 2 ? timeout : timeout / 2);
    world_.at(next, [this, watched] { watch(watched); });
}

void SimulatedPostgres::heard(Sender& sender, const StandbyStatus& status) {
    sender.heard_at = Clock::now();
    if (status.confirmed.value > 0 && status.confirmed != slot_.confirmed) {
        slot_.confirmed = status.confirmed;
        world_.note("postgres: {} confirms {}", sender.client->name, slot_.confirmed);
    }
    if (world_.dice.is_lucky(25)) slot_.saved = slot_.confirmed;
    if (status.is_reply_requested) send_keepalive(sender, false);
    end_if_stopped(sender);
}

// A server that stops waits until all that it has sent is confirmed.
void SimulatedPostgres::end_if_stopped(Sender& sender) {
    if (state_ != State::stopping) return;
    if (sender.next_entry < sender.log->entries.size()) return;
    if (slot_.confirmed >= wal_end_) return end_sender();
    send_keepalive(sender, true);
}

void SimulatedPostgres::end_sender() {
    if (!sender_) return;
    auto link = sender_->link;
    sender_.reset();
    link->server_leaves();
}

// --- what happens to servers ---

void SimulatedPostgres::go_down(Clock::duration down) {
    state_ = State::down;
    end_sender();
    world_.after(down, [this, outage = ++outage_] {
        if (outage != outage_) return;
        state_ = State::up;
        world_.note("postgres: up timeline={} confirmed={}", timeline_, slot_.confirmed);
    });
}

void SimulatedPostgres::crash(Clock::duration down) {
    slot_.confirmed = slot_.saved;
    go_down(down);
}

void SimulatedPostgres::stop(Clock::duration down, Clock::duration patience) {
    if (state_ != State::up) return;
    state_ = State::stopping;
    auto begun = outage_;
    auto finish = std::make_shared<World::Action>();
    auto deadline = Clock::now() + patience;
    *finish = [this, begun, down, deadline, weak = std::weak_ptr(finish)] {
        if (begun != outage_) return;
        if (sender_ && Clock::now() < deadline)
            return world_.after(milliseconds{20}, [again = weak.lock()] { (*again)(); });
        world_.note("postgres: stopped{}", sender_ ? ", its sender killed" : "");
        slot_.saved = slot_.confirmed;
        go_down(down);
    };
    if (sender_) end_if_stopped(*sender_);
    (*finish)();
}

// To a standby that lacks the last entries, and whose slot may lag.
void SimulatedPostgres::fail_over(std::uint64_t entries_lost, Clock::duration down) {
    auto promoted = std::make_shared<WriteAheadLog>(*log_);
    auto& entries = promoted->entries;
    auto switched_at = wal_end_;
    for (; entries_lost > 0 && !entries.empty(); --entries_lost) {
        switched_at = entries.back()->start;
        entries.pop_back();
    }
    log_ = std::move(promoted);
    timeline_ends_[timeline_++] = switched_at;
    for (auto& [timeline, end] : timeline_ends_) end = std::min(end, switched_at);
    wal_end_ = switched_at;
    slot_.confirmed = slot_.saved = std::min(slot_.saved, switched_at);
    world_.note("postgres: timeline {} from {}", timeline_, switched_at);
    go_down(down);
    wal_end_.value += 24;
}

void SimulatedPostgres::become_another_cluster() {
    system_id_.back() = static_cast<char>(system_id_.back() + 1);
    timeline_ = 1;
    timeline_ends_.clear();
    log_ = std::make_shared<WriteAheadLog>();
    wal_end_.value = world_.dice.is_lucky(50) ? wal_end_.value + 4096 : 0x900000;
    slot_.confirmed = slot_.saved = wal_end_;
    go_down(milliseconds{50});
}

void SimulatedPostgres::move_slot(std::uint64_t entries) {
    end_sender();
    for (const auto& entry : log_->entries) {
        if (entries == 0) break;
        if (entry->end <= slot_.confirmed) continue;
        slot_.confirmed = entry->end;
        --entries;
    }
    slot_.saved = slot_.confirmed;
    world_.note("postgres: slot moved to {}", slot_.confirmed);
}

void SimulatedPostgres::recreate_slot() {
    end_sender();
    slot_.confirmed = slot_.saved = wal_end_;
    world_.note("postgres: slot made anew at {}", slot_.confirmed);
}

void SimulatedPostgres::drop_slot(Clock::duration until_made_anew) {
    end_sender();
    slot_.exists = false;
    world_.after(until_made_anew, [this] {
        if (slot_.exists) return;
        slot_.exists = true;
        recreate_slot();
    });
}

void SimulatedPostgres::lend_slot(Clock::duration time, std::uint64_t entries_read) {
    end_sender();
    slot_.lent_until = Clock::now() + time;
    world_.at(slot_.lent_until, [this, entries_read] {
        if (!sender_) move_slot(entries_read);
    });
}

void SimulatedPostgres::heal() {
    if (state_ != State::up) ++outage_;
    if (state_ == State::stopping) end_sender();
    state_ = State::up;
    slot_.lent_until = {};
    if (!slot_.exists) {
        slot_.exists = true;
        recreate_slot();
    }
}

// --- a client's end ---

SimulatedStream::SimulatedStream(asio::any_io_executor executor, World& world,
                                 SimulatedPostgres& postgres, Client& client)
    : world_(world), postgres_(postgres), client_(client), arrived_(executor) {}

SimulatedStream::~SimulatedStream() {
    if (link_) link_->client_leaves();
}

// A packet to the server or from it.
asio::awaitable<void> SimulatedStream::travel() {
    Clock::duration time = microseconds{world_.dice.between(20, 600)};
    co_await pass(time);
    while (Clock::now() < client_.postgres_blocked_until) {
        time = client_.postgres_blocked_until - Clock::now();
        co_await pass(time);
    }
}

void SimulatedStream::expect_up() const {
    if (postgres_.state_ == SimulatedPostgres::State::down)
        throw PgError("postgres: connection refused");
    if (postgres_.state_ == SimulatedPostgres::State::stopping)
        throw PgError("postgres: the database system is shutting down");
}

asio::awaitable<void> SimulatedStream::start() {
    co_await travel();
    expect_up();
    co_await travel();
    co_await travel();
    expect_up();
    const auto& slot = postgres_.slot_;
    if (!slot.exists) throw SetupError("postgres: slot \"walcast\" does not exist");
    if (postgres_.sender_ || Clock::now() < slot.lent_until)
        throw SlotActive("postgres: slot \"walcast\" is active");
    auto view = postgres_.view();
    facts_.source = {.system_id = view.system_id,
                     .timeline = view.timeline,
                     .slot = postgres_.slot_name(),
                     .fingerprint = "pgoutput/1 messages publications=walcast"};
    facts_.confirmed_lsn = view.confirmed;
    facts_.wal_end = postgres_.wal_end_;
    facts_.timeline_ends = view.timeline_ends;
    facts_.wal_sender_timeout = postgres_.settings_.wal_sender_timeout;
    facts_.encoding = "UTF8";
    facts_.published.push_back({"public", "items"});
    catalog_.set_primary_key(items_oid, {"id"});
    client_.view = std::make_shared<const ServerView>(std::move(view));
    link_ = std::make_shared<Link>(world_);
    link_->stall_until(client_.postgres_blocked_until);
    link_->wake_client = [this] { arrived_.raise(); };
    client_.postgres = link_;
    socket_ = std::make_shared<SimulatedPostgres::Inbox>();
    sender_ = postgres_.serve(client_, link_, socket_);
    co_await travel();
}

std::optional<StreamMessage> SimulatedStream::next() {
    if (received_.empty()) return std::nullopt;
    current_ = std::move(received_.front());
    received_.pop_front();
    if (current_.is_keepalive)
        return Keepalive{.wal_end = current_.lsn,
                         .is_reply_requested = current_.is_reply_requested};
    return WalData{.start = current_.lsn, .payload = current_.payload};
}

void SimulatedStream::receive() {
    auto taken = socket_->frames.size();
    if (taken == 0 && link_->has_ended_for_client()) throw PgError("postgres: connection lost");
    std::move(socket_->frames.begin(), socket_->frames.end(), std::back_inserter(received_));
    socket_->frames.clear();
    auto was_full = sender_->unread >= unread_max;
    sender_->unread -= std::min(sender_->unread, taken);
    if (was_full && sender_ == postgres_.sender_) postgres_.plan_pump(sender_);
}

asio::awaitable<void> SimulatedStream::wait_readable() {
    if (socket_->frames.empty() && !link_->has_ended_for_client()) co_await arrived_.wait();
}

void SimulatedStream::interrupt() {
    arrived_.raise();
}

asio::awaitable<void> SimulatedStream::report(StandbyStatus status) {
    if (link_->has_ended_for_client()) throw PgError("postgres: connection lost");
    if (on_confirm) on_confirm(status.confirmed);
    // Weak: the sender has the link, and the link has what is on its way.
    link_->to_server([postgres = &postgres_, weak = std::weak_ptr(sender_), status] {
        auto sender = weak.lock();
        if (sender && sender == postgres->sender_) postgres->heard(*sender, status);
    });
    co_return;
}

asio::awaitable<void> SimulatedStream::finish() {
    link_->to_server([postgres = &postgres_, weak = std::weak_ptr(sender_)] {
        auto sender = weak.lock();
        if (sender && sender == postgres->sender_) postgres->end_sender();
    });
    while (!link_->has_ended_for_client()) co_await arrived_.wait();
}

asio::awaitable<void> SimulatedStream::list_tables() {
    co_await travel();
    expect_up();
    co_await travel();
}

asio::awaitable<TableDescription> SimulatedStream::describe(Relation relation, std::uint32_t) {
    co_await travel();
    expect_up();
    TableDescription table;
    table.oid = relation.oid;
    table.schema = relation.schema;
    table.name = relation.name;
    table.replica_identity = relation.replica_identity;
    for (const auto& column : relation.columns) {
        TableDescription::Column described;
        static_cast<Column&>(described) = column;
        table.columns.push_back(std::move(described));
    }
    table.primary_key = {"id"};
    co_await travel();
    co_return table;
}

asio::awaitable<bool> SimulatedStream::has_slot() {
    co_await travel();
    expect_up();
    auto is_ours = sender_ == postgres_.sender_;
    if (is_ours) {
        facts_.confirmed_lsn = postgres_.slot_.confirmed;
        facts_.wal_end = postgres_.wal_end_;
    }
    co_await travel();
    co_return is_ours;
}

asio::awaitable<bool> SimulatedStream::is_stopping() {
    co_await travel();
    auto is_stopping = postgres_.state_ == SimulatedPostgres::State::stopping;
    co_await travel();
    co_return is_stopping;
}

asio::awaitable<ChangeStream::Wal> SimulatedStream::wal() {
    co_await travel();
    expect_up();
    Wal wal{.end = postgres_.wal_end()};
    co_await travel();
    co_return wal;
}

asio::awaitable<ChangeStream::Wal> SimulatedStream::emit(std::string, std::string content) {
    co_await travel();
    expect_up();
    postgres_.add_heartbeat(std::move(content));
    Wal wal{.end = postgres_.wal_end()};
    co_await travel();
    co_return wal;
}

}  // namespace walcast
