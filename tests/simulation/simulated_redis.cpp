#include "tests/simulation/simulated_redis.hpp"

#include "tests/simulation/checker.hpp"

#include <algorithm>

namespace walcast {

void SimulatedRedis::begin_with(const Position& position, const Source& source) {
    begin_.stored.position = position;
    begin_.stored.source = source;
    begin_.floor = position.sync_id;
    begin_.owner = "init";
    state_ = begin_;
    durable_lsn_ = position.lsn;
}

void SimulatedRedis::run(const std::shared_ptr<Link>& link, const Command& command,
                         std::function<void(RedisReply)> answer) {
    if (!is_up_) return;
    RedisReply reply;
    Clock::duration wait{0};
    if (Clock::now() < refuses_until_) {
        reply.error = refusal_;
    } else {
        reply = command(state_);
        if (reply.error.empty()) {
            auto durable_at = Clock::now();
            if (settings_.durability == Durability::delay) durable_at += settings_.delay;
            if (settings_.durability == Durability::replicas) {
                constexpr milliseconds wait_max{100};
                durable_at = std::max<Time>(durable_at, lags_until_) + milliseconds{1};
                wait = std::min<Clock::duration>(durable_at - Clock::now(), wait_max);
                reply.is_durable = durable_at <= Clock::now() + wait;
            }
            journal_.push_back({command, durable_at, state_.stored.position.lsn});
        }
    }
    // In order, and only if it still runs by then.
    answers_at_ = std::max<Time>(answers_at_, Clock::now() + wait);
    World::Action arrived = [answer = std::move(answer), reply = std::move(reply)] {
        answer(reply);
    };
    if (answers_at_ == Clock::now()) return link->to_client(std::move(arrived));
    world_.at(answers_at_, [link, arrived = std::move(arrived)] { link->to_client(arrived); });
}

void SimulatedRedis::read(const std::shared_ptr<Link>& link, const Command& command,
                          std::function<void(RedisReply)> answer) {
    if (!is_up_) return;
    auto reply = command(state_);
    link->to_client([answer = std::move(answer), reply = std::move(reply)]() mutable {
        answer(std::move(reply));
    });
}

Lsn SimulatedRedis::durable_lsn() {
    for (; durable_count_ < journal_.size() && journal_[durable_count_].durable_at <= Clock::now();
         ++durable_count_)
        durable_lsn_ = std::max(durable_lsn_, journal_[durable_count_].lsn);
    return durable_lsn_;
}

void SimulatedRedis::crash(Clock::duration down, unsigned keep) {
    durable_lsn();
    auto sure = settings_.durability == Durability::none ? 0 : durable_count_;
    auto kept = sure + (journal_.size() - sure) * keep / 100;
    if (settings_.durability == Durability::replicas) kept = sure;
    world_.note("redis: down, {} of {} commands kept", kept, journal_.size());
    journal_.resize(kept);
    durable_count_ = std::min(durable_count_, kept);
    state_ = begin_;
    for (auto& written : journal_) {
        written.command(state_);
        // What is on disk, or on the only server left, stays.
        written.durable_at = std::min(written.durable_at, Clock::now());
    }
    is_up_ = false;
    for (auto& weak : links_)
        if (auto link = weak.lock()) link->server_leaves();
    links_.clear();
    world_.after(down, [this, outage = ++outage_] {
        if (outage == outage_) is_up_ = true;
    });
}

void SimulatedRedis::lose_everything() {
    // By hand: no delay and no replica is a promise against that.
    for (const auto& written : journal_) durable_lsn_ = std::max(durable_lsn_, written.lsn);
    begin_ = state_ = {};
    journal_.clear();
    durable_count_ = 0;
    world_.note("redis: emptied");
}

void SimulatedRedis::refuse(Clock::duration time, std::string why) {
    refuses_until_ = Clock::now() + time;
    refusal_ = std::move(why);
}

void SimulatedRedis::lag(Clock::duration time) {
    lags_until_ = std::max<Time>(lags_until_, Clock::now() + time);
}

void SimulatedRedis::heal() {
    ++outage_;
    is_up_ = true;
    refuses_until_ = {};
    lags_until_ = {};
    if (settings_.durability == Durability::replicas)
        for (auto& written : journal_)
            written.durable_at = std::min(written.durable_at, Clock::now());
}

// --- scripts ---

using Command = SimulatedRedis::Command;

static std::string refusal(const RedisState& state, const std::string& owner,
                           const SimulatedRedis::Flaws& flaws) {
    if (state.owner.empty()) return "POSITION is gone";
    if (state.owner != owner && !flaws.forgets_owners) return "FENCED another walcast owns it";
    return {};
}

static RedisReply refused(std::string why) {
    RedisReply reply;
    reply.error = std::move(why);
    return reply;
}

static RedisReply stored_of(const RedisState& state) {
    RedisReply reply;
    if (!state.stored.position.epoch.empty()) reply.stored = state.stored;
    reply.resetting = state.resetting;
    return reply;
}

static SyncId last_of(const RedisState& state, const std::string& channel) {
    auto found = state.histories.find(channel);
    if (found == state.histories.end() || found->second.empty()) return state.floor;
    return found->second.back().id;
}

// What a batch is to one channel: the message, and the id before it where that is known.
struct Target {
    std::string channel;
    const Message* message = nullptr;
    std::optional<SyncId> previous;
};

static std::string commit_refusal(const RedisState& state, const Batch& batch,
                                  const std::vector<Target>& targets,
                                  const SimulatedRedis::Flaws& flaws) {
    const auto& position = state.stored.position;
    auto is_there = position.sync_id == batch.before.sync_id && position.lsn == batch.before.lsn &&
                    position.partial == batch.before.partial;
    if (!is_there && !flaws.forgets_positions)
        return fmt::format("POSITION is at {} {}", position.sync_id, position.lsn);
    std::set<std::string> seen;
    for (const auto& target : targets) {
        if (!seen.insert(target.channel).second) continue;
        auto last = last_of(state, target.channel);
        if (last > (target.previous ? *target.previous : batch.before.sync_id))
            return "CHANNEL " + target.channel + ": who wrote it?";
    }
    return {};
}

SimulatedSink::SimulatedSink(asio::any_io_executor executor, World& world, SimulatedRedis& redis,
                             SimulatedPostgres& postgres, Checker& checker, Client& client,
                             std::string token)
    : world_(world),
      redis_(redis),
      postgres_(postgres),
      checker_(checker),
      client_(client),
      token_(std::move(token)),
      arrived_(executor) {}

SimulatedSink::~SimulatedSink() {
    if (link_) link_->client_leaves();
}

// --- connection ---

void SimulatedSink::write(Command command, bool is_read) {
    ++awaited_;
    link_->to_server([redis = &redis_, link = link_.get(), socket = socket_,
                      command = std::move(command), is_read] {
        std::function<void(RedisReply)> answer = [link, socket](RedisReply reply) {
            socket->replies.push_back(std::move(reply));
            if (link->wake_client) link->wake_client();
        };
        if (is_read)
            redis->read(link->shared_from_this(), command, std::move(answer));
        else
            redis->run(link->shared_from_this(), command, std::move(answer));
    });
}

asio::awaitable<RedisReply> SimulatedSink::reply() {
    while (socket_->replies.empty()) {
        if (link_->has_ended_for_client()) throw SinkError("redis: connection lost");
        co_await arrived_.wait();
    }
    auto reply = std::move(socket_->replies.front());
    socket_->replies.pop_front();
    --awaited_;
    if (reply.error.starts_with("FENCED")) throw Fenced("fenced: another walcast has taken over");
    if (!reply.error.empty()) throw SinkError("redis: " + reply.error);
    co_return reply;
}

asio::awaitable<RedisReply> SimulatedSink::ask(Command command, bool is_read) {
    while (awaited_ > 0) co_await reply();
    write(std::move(command), is_read);
    co_return co_await reply();
}

asio::awaitable<std::optional<Stored>> SimulatedSink::connect() {
    last_ids_.clear();
    awaited_ = 0;
    if (link_) link_->client_leaves();
    connected_at_ = Clock::now();
    Clock::duration time = microseconds{world_.dice.between(40, 1000)};
    do {
        co_await pass(time);
        time =
            std::max<Clock::duration>(client_.redis_blocked_until - Clock::now(), milliseconds{1});
    } while (Clock::now() < client_.redis_blocked_until);
    if (!redis_.is_up()) throw SinkError("redis: connection refused");
    link_ = std::make_shared<Link>(world_);
    socket_ = std::make_shared<Socket>();
    link_->wake_client = [this] { arrived_.raise(); };
    client_.redis = link_;
    redis_.joined(link_);
    Command command = stored_of;
    auto asking = ask(std::move(command), true);
    auto reply = co_await std::move(asking);
    co_return std::move(reply.stored);
}

// --- start ---

asio::awaitable<std::optional<Stored>> SimulatedSink::take_over() {
    owner_ = fmt::format("{}-{}", token_, ++takeovers_);
    if (const auto* holder = postgres_.holder();
        holder != nullptr && holder != &client_ && postgres_.held_since() < connected_at_)
        world_.fail(
            fmt::format("{} takes the sink from {}, which has had the slot since before {} "
                        "connected to the sink",
                        client_.name, holder->name, client_.name));
    Command command = [world = &world_, owner = owner_](RedisState& state) {
        world->note("redis: owner {}", owner);
        state.owner = owner;
        return stored_of(state);
    };
    auto asking = ask(std::move(command));
    auto reply = co_await std::move(asking);
    if (reply.stored && !reply.resetting.empty()) co_await finish_resets();
    co_return std::move(reply.stored);
}

SimulatedRedis::Command SimulatedSink::adopting(Source source) {
    auto flaws = redis_.flaws();
    return [owner = owner_, source = std::move(source), flaws, checker = &checker_,
            view = client_.view, is_first = std::make_shared<bool>(true)](RedisState& state) {
        if (auto why = refusal(state, owner, flaws); !why.empty()) return refused(std::move(why));
        // What is done again after a crash was looked at when it was done.
        if (std::exchange(*is_first, false)) checker->adopted(state, *view);
        if (!source.slot.empty()) state.stored.source = source;
        return RedisReply{};
    };
}

asio::awaitable<bool> SimulatedSink::adopt(Source source) {
    auto asking = ask(adopting(std::move(source)));
    auto reply = co_await std::move(asking);
    co_return reply.is_durable;
}

asio::awaitable<void> SimulatedSink::leave() {
    auto flaws = redis_.flaws();
    Command command = [owner = owner_, flaws](RedisState& state) {
        return refused(refusal(state, owner, flaws));
    };
    auto asking = ask(std::move(command));
    co_await std::move(asking);
}

asio::awaitable<Position> SimulatedSink::begin_epoch(Position position, Source source,
                                                     std::string reason) {
    Command newest = [](RedisState& state) {
        RedisReply reply;
        for (const auto* names : {&state.channels, &state.channels_resetting})
            for (const auto& name : *names)
                reply.number = std::max(reply.number, last_of(state, name));
        return reply;
    };
    auto looking = ask(std::move(newest), true);
    auto found = co_await std::move(looking);
    position.sync_id = std::max(position.sync_id, found.number);
    auto flaws = redis_.flaws();
    Command begin = [owner = owner_, position, source, reason, flaws, checker = &checker_,
                     view = client_.view,
                     is_first = std::make_shared<bool>(true)](RedisState& state) {
        if (auto why = refusal(state, owner, flaws); !why.empty()) return refused(std::move(why));
        if (std::exchange(*is_first, false)) checker->began_epoch(state, position, *view, reason);
        state.stored.position = position;
        state.stored.source = source;
        state.floor = position.sync_id;
        state.resetting = reason;
        state.channels_resetting.merge(state.channels);
        state.channels.clear();
        return RedisReply{};
    };
    auto beginning = ask(std::move(begin));
    co_await std::move(beginning);
    co_await finish_resets();
    co_return position;
}

// Some channels at a time, so that it can be interrupted.
asio::awaitable<void> SimulatedSink::finish_resets() {
    auto flaws = redis_.flaws();
    for (std::uint64_t left = 1; left > 0;) {
        Command command = [owner = owner_, flaws](RedisState& state) {
            if (auto why = refusal(state, owner, flaws); !why.empty())
                return refused(std::move(why));
            HistoryEntry reset;
            reset.id = reset.previous = state.floor;
            reset.epoch = state.stored.position.epoch;
            reset.is_reset = true;
            for (auto count = 0; count < 2 && !state.channels_resetting.empty(); ++count) {
                auto name = *state.channels_resetting.begin();
                state.histories[name] = {reset};
                state.channels.insert(name);
                state.channels_resetting.erase(name);
            }
            RedisReply reply;
            reply.number = state.channels_resetting.size();
            if (reply.number == 0) {
                state.histories["control"] = {reset};
                state.resetting.clear();
            }
            return reply;
        };
        auto resetting = ask(std::move(command));
        auto reply = co_await std::move(resetting);
        left = reply.number;
    }
}

// --- batches ---

static RedisReply commit(RedisState& state, const Batch& batch, const std::vector<Target>& targets,
                         const SimulatedRedis::Flaws& flaws, World& world) {
    auto count = 0U;
    for (const auto& target : targets) {
        if (flaws.halves_batches && ++count > targets.size() / 2) break;
        const auto& message = *target.message;
        HistoryEntry entry;
        entry.id = message.last_sync_id;
        entry.previous = target.previous ? *target.previous : last_of(state, target.channel);
        entry.epoch = batch.before.epoch;
        entry.is_reset = message.kind == Message::Kind::reset;
        entry.is_event = message.kind == Message::Kind::event;
        entry.body = batch.text(message.body_begin, message.body_end);
        auto& history = state.histories[target.channel];
        if (!history.empty() && history.back().id >= entry.id)
            world.fail("XADD fails in the middle of a batch: its id does not rise");
        if (!history.empty() && history.back().id != entry.previous)
            world.fail("prevSyncId is not the last id of " + target.channel);
        if (history.empty() && entry.previous < state.floor)
            world.fail("prevSyncId of the first message is below floor in " + target.channel);
        history.push_back(std::move(entry));
        if (target.channel != "control") state.channels.insert(target.channel);
    }
    state.stored.position = batch.after;
    state.stored.position.epoch = batch.before.epoch;
    if (!batch.rules.empty()) state.stored.rules = batch.rules;
    return {};
}

asio::awaitable<void> SimulatedSink::send(const Batch& batch) {
    auto kept = std::make_shared<const Batch>(batch);
    std::vector<Target> targets;
    std::optional<SyncId> last_reset;  // The control channel's is not remembered.
    for (const auto& message : kept->messages) {
        if (message.kind == Message::Kind::reset) {
            targets.push_back({"control", &message, last_reset});
            last_reset = message.last_sync_id;
        }
        for (auto i = message.channels_begin; i < message.channels_end; ++i) {
            const auto& slice = kept->channels[i];
            Target target{std::string(kept->text(slice.begin, slice.end)), &message, std::nullopt};
            auto known = last_ids_.find(target.channel);
            if (known != last_ids_.end()) target.previous = known->second;
            last_ids_[target.channel] = message.last_sync_id;
            targets.push_back(std::move(target));
        }
    }
    // Of a channel that is not remembered, the second message follows the first one.
    auto flaws = redis_.flaws();
    Command command = [owner = owner_, kept, targets = std::move(targets), flaws,
                       checker = &checker_, world = &world_, client = &client_, view = client_.view,
                       is_first = std::make_shared<bool>(true)](RedisState& state) {
        if (auto why = refusal(state, owner, flaws); !why.empty()) return refused(std::move(why));
        if (auto why = commit_refusal(state, *kept, targets, flaws); !why.empty())
            return refused(std::move(why));
        if (std::exchange(*is_first, false)) {
            world->note("redis: {} commits {} messages, {} {} -> {} {}{}", owner,
                        kept->messages.size(), kept->before.sync_id, kept->before.lsn,
                        kept->after.sync_id, kept->after.lsn,
                        kept->after.partial ? " in the middle of a transaction" : "");
            checker->committed(state, *kept, owner, *view);
        }
        checker->note_letter(state, *kept);
        return commit(state, *kept, targets, flaws, *world);
    };
    write(std::move(command));
    if (world_.dice.is_lucky(10)) {
        Clock::duration time = microseconds{world_.dice.between(1, 3000)};
        co_await pass(time);
    }
}

asio::awaitable<bool> SimulatedSink::accepted() {
    auto reading = reply();
    auto answer = co_await std::move(reading);
    co_return answer.is_durable;
}

}  // namespace walcast
