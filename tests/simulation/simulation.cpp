#include "tests/simulation/simulation.hpp"

#include "agent/config.hpp"
#include "agent/errors.hpp"
#include "agent/supervisor.hpp"
#include "tests/simulation/checker.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <memory>

namespace walcast {
namespace {

// What a stop may take: Docker kills after so long.
constexpr seconds stop_max{10};
// What coming to rest may take once all is mended. A connection that fell silent is given up after
// a minute, by either end.
constexpr seconds rest_max{240};
// More would be a loop that does not wait.
constexpr std::uint64_t turns_max = 400'000;

// Two files of rules; the channels tell which one routed a change.
const Config& config_of(char letter) {
    auto parse = [](char name) {
        constexpr const char* text =
            "[[rule]]\ntable = \"public.items\"\nmodel = \"Item\"\n"
            "channels = [\"{0}:{{room}}\", \"{0}:all\"]\n";
        auto nothing = [](const std::string&) { return std::nullopt; };
        return parse_config(fmt::format(fmt::runtime(text), name), std::string(1, name) + ".toml",
                            nothing);
    };
    static const auto a = parse('a');
    static const auto b = parse('b');
    return letter == 'a' ? a : b;
}

class Loop : public asio::io_context {
public:
    Loop() : asio::io_context(1) {}
    using asio::execution_context::shutdown;
};

// One run of the program, from its start to its end, whatever that is.
class Process {
public:
    Process(const Schedule& schedule, World& world, SimulatedPostgres& postgres,
            SimulatedRedis& redis, Checker& checker, Client& client, unsigned number,
            const char& rules)
        : config_(config_of(rules)),
          log_(world.is_traced() ? LogLevel::info : LogLevel::error,
               [&world, &client](LogLevel, const std::string& line) {
                   world.note("{}: {}", client.name, line);
               }),
          sink_(loop_.get_executor(), world, redis, postgres, checker, client,
                fmt::format("{}.{}", client.name, number)) {
        config_.source.heartbeat = schedule.heartbeat;
        config_.confirm_delay = redis.delay();
        auto open = [this, &world, &postgres, &redis, &client](bool) {
            auto stream =
                std::make_unique<SimulatedStream>(loop_.get_executor(), world, postgres, client);
            stream->on_confirm = [&world, &redis](Lsn confirmed) {
                if (confirmed > redis.durable_lsn())
                    world.fail(fmt::format("{} is confirmed, but only {} is sure to stay in Redis",
                                           confirmed, redis.durable_lsn()));
            };
            return stream;
        };
        auto load = [&rules] { return config_of(rules); };
        supervisor_ = std::make_unique<Supervisor>(loop_.get_executor(), config_, load, open, sink_,
                                                   metrics_, log_, schedule.batches);
        asio::co_spawn(loop_, supervisor_->run(), [this](std::exception_ptr error) {
            has_ended_ = true;
            error_ = error;
        });
    }
    ~Process() { loop_.shutdown(); }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    // Goes on until it waits.
    void go_on(World& world) {
        loop_.restart();
        loop_.poll();
        wakes_at_ = has_ended_ ? std::nullopt : world.next_timer();
    }

    void stop() {
        supervisor_->stop();
        stop_due_ = Clock::now() + stop_max;
    }
    void reload() { supervisor_->reload(); }

    bool has_ended() const { return has_ended_; }
    std::exception_ptr error() const { return error_; }
    std::optional<Time> wakes_at() const { return wakes_at_; }
    bool is_stop_overdue() const { return stop_due_ && Clock::now() > *stop_due_; }
    bool is_stopping() const { return stop_due_.has_value(); }

private:
    Loop loop_;
    Config config_;
    Log log_;
    Metrics metrics_;
    SimulatedSink sink_;
    std::unique_ptr<Supervisor> supervisor_;
    bool has_ended_ = false;
    std::exception_ptr error_;
    std::optional<Time> wakes_at_;
    std::optional<Time> stop_due_;
};

// A machine on which the program is started again whenever it ends.
struct Agent {
    Client client;
    std::unique_ptr<Process> process;
    unsigned starts = 0;
    char rules = 'a';
    bool is_to_stop = false;  // SIGTERM, as soon as it is not frozen.
};

class Simulation {
public:
    Simulation(const Schedule& schedule, bool is_traced, SimulatedRedis::Flaws flaws)
        : schedule_(schedule),
          world_(schedule.seed, is_traced),
          checker_(world_),
          postgres_(world_, schedule.postgres),
          redis_(world_, schedule.redis, flaws),
          agents_(schedule.agents) {}

    Outcome run();

private:
    void start(Agent& agent);
    void happen(const Step& step);
    void turn();
    void look_at(Agent& agent);
    void run_until(const std::function<bool()>& is_done, Clock::duration limit,
                   std::string_view what);
    void mend();
    void tick();
    bool is_at_rest();
    void expect_rest();

    const Schedule& schedule_;
    World world_;
    Checker checker_;
    SimulatedPostgres postgres_;
    SimulatedRedis redis_;
    std::vector<Agent> agents_;
    std::uint64_t turns_ = 0;
    Lsn rest_lsn_;
    bool is_ending_ = false;
};

void Simulation::start(Agent& agent) {
    if (agent.process || is_ending_) return;
    agent.process = std::make_unique<Process>(schedule_, world_, postgres_, redis_, checker_,
                                              agent.client, ++agent.starts, agent.rules);
    world_.note("{}: started", agent.client.name);
}

// --- faults ---

void Simulation::happen(const Step& step) {
    using Kind = Step::Kind;
    if (step.kind >= Kind::kill) world_.note("== {}", shown(step));
    auto& agent = agents_[step.agent];
    auto& client = agent.client;
    // Without a timeout neither end ever notices that the other one is gone without a word.
    auto is_silence_noticed = schedule_.postgres.wal_sender_timeout.count() > 0;
    switch (step.kind) {
        case Kind::commit: return postgres_.commit(step.changes);
        case Kind::event: return postgres_.emit_event(true);
        case Kind::message: return postgres_.emit_event(false);
        case Kind::filler: return postgres_.write_filler();
        case Kind::power_off:
            for (const auto& link : {client.postgres.lock(), client.redis.lock()})
                if (link && is_silence_noticed) link->client_vanishes();
            [[fallthrough]];
        case Kind::kill:
            // What it had sent is on its way, and may take its time.
            if (auto link = client.redis.lock(); link && step.amount > 50)
                link->stall_until(Clock::now() + step.time);
            agent.process.reset();
            client.is_frozen = false;
            agent.is_to_stop = false;
            world_.after(step.time, [this, &agent] { start(agent); });
            return;
        case Kind::freeze:
            client.is_frozen = true;
            world_.after(step.time, [&client] { client.is_frozen = false; });
            return;
        case Kind::terminate: agent.is_to_stop = true; return;
        case Kind::reload:
            agent.rules = agent.rules == 'a' ? 'b' : 'a';
            if (agent.process) agent.process->reload();
            return;
        case Kind::postgres_crash: return postgres_.crash(step.time);
        case Kind::postgres_stop: return postgres_.stop(step.time, seconds{60});
        case Kind::postgres_fail_over:
            return postgres_.fail_over(step.amount > 50 ? step.amount % 4 : 0, step.time);
        case Kind::postgres_cut:
            if (auto link = client.postgres.lock()) link->break_off();
            return;
        case Kind::postgres_stall:
            client.postgres_blocked_until = Clock::now() + step.time;
            if (auto link = client.postgres.lock())
                link->stall_until(step.amount > 80 && is_silence_noticed
                                      ? Time::max()
                                      : client.postgres_blocked_until);
            return;
        case Kind::another_cluster: return postgres_.become_another_cluster();
        case Kind::slot_moved: return postgres_.move_slot(step.amount % 4);
        case Kind::slot_made_anew: return postgres_.recreate_slot();
        case Kind::slot_dropped: return postgres_.drop_slot(step.time);
        case Kind::slot_lent: return postgres_.lend_slot(step.time, step.amount % 3);
        case Kind::redis_crash: return redis_.crash(step.time, static_cast<unsigned>(step.amount));
        case Kind::redis_emptied: return redis_.lose_everything();
        case Kind::redis_cut:
            if (auto link = client.redis.lock()) link->break_off();
            return;
        case Kind::redis_stall:
            client.redis_blocked_until = Clock::now() + step.time;
            if (auto link = client.redis.lock())
                link->stall_until(step.amount > 80 ? Time::max() : client.redis_blocked_until);
            return;
        case Kind::redis_refuses:
            return redis_.refuse(step.time, step.amount > 50 ? "OOM" : "READONLY");
        case Kind::redis_replica_lags: return redis_.lag(step.time);
    }
}

void Simulation::mend() {
    world_.note("== all is mended");
    postgres_.heal();
    redis_.heal();
    for (auto& agent : agents_) {
        agent.client.is_frozen = false;
        agent.client.postgres_blocked_until = agent.client.redis_blocked_until = {};
        start(agent);
    }
}

// --- agents ---

// What ended by itself must have had a reason that only a human can mend; it is started again.
void Simulation::look_at(Agent& agent) {
    if (agent.process->is_stop_overdue())
        world_.fail(agent.client.name + " does not end after SIGTERM");
    if (!agent.process->has_ended()) return;
    auto why = std::string("ended");
    auto is_fine = agent.process->is_stopping();
    if (agent.process->error()) {
        try {
            std::rethrow_exception(agent.process->error());
        } catch (const Fenced& error) {
            why = error.what();
            is_fine = true;
        } catch (const SetupError& error) {
            why = error.what();
            is_fine = true;
        } catch (const std::exception& error) {
            why = error.what();
            is_fine = false;
        }
    }
    world_.note("{}: {}", agent.client.name, why);
    if (!is_fine) world_.fail(fmt::format("{} ends: {}", agent.client.name, why));
    agent.process.reset();
    world_.after(milliseconds{500}, [this, &agent] { start(agent); });
}

void Simulation::turn() {
    if (++turns_ > turns_max) return world_.fail("there is no end to what happens");
    auto next = world_.next();
    for (auto& agent : agents_) {
        if (!agent.process || agent.client.is_frozen) continue;
        if (std::exchange(agent.is_to_stop, false)) agent.process->stop();
        agent.process->go_on(world_);
        auto wakes_at = agent.process->wakes_at();
        if (wakes_at && (!next || *wakes_at < *next)) next = wakes_at;
        look_at(agent);
    }
    // What they did may happen before that.
    if (auto planned = world_.next(); planned && (!next || *planned < *next)) next = planned;
    if (!next) return world_.fail("nothing will ever happen");
    world_.move_to(std::max(*next, Clock::now()));
    world_.let_happen();
}

void Simulation::run_until(const std::function<bool()>& is_done, Clock::duration limit,
                           std::string_view what) {
    auto end = Clock::now() + limit;
    while (!world_.failure && !is_done()) {
        turn();
        if (Clock::now() > end) world_.fail(std::string(what));
    }
}

// --- the end ---

// All that Postgres held for us is in Redis, and confirmed.
bool Simulation::is_at_rest() {
    const auto& state = redis_.state();
    const auto& stored = state.stored;
    auto view = postgres_.view();
    if (!postgres_.is_up() || stored.position.epoch.empty() || !state.resetting.empty())
        return false;
    if (stored.source.system_id != view.system_id || stored.source.timeline != view.timeline)
        return false;
    if (stored.position.partial) return false;
    return stored.position.lsn >= rest_lsn_ && view.confirmed >= rest_lsn_;
}

// A server writes something now and then, though nobody works.
void Simulation::tick() {
    postgres_.write_filler();
    world_.after(seconds{5}, [this] { tick(); });
}

void Simulation::expect_rest() {
    const auto& entries = postgres_.log()->entries;
    rest_lsn_ = entries.empty() ? Lsn{} : entries.back()->end;
    run_until([this] { return is_at_rest(); }, rest_max, "it does not come to rest");
    if (!world_.failure) checker_.look_over(redis_.state(), *postgres_.log());
}

Outcome Simulation::run() {
    for (std::size_t i = 0; i < agents_.size(); ++i)
        agents_[i].client.name = fmt::format("agent {}", i + 1);
    if (schedule_.has_position) {
        auto view = postgres_.view();
        Position first{.epoch = "first", .sync_id = 0, .lsn = view.confirmed, .partial = {}};
        redis_.begin_with(first, {.system_id = view.system_id,
                                  .timeline = view.timeline,
                                  .slot = postgres_.slot_name(),
                                  .fingerprint = "pgoutput/1 messages publications=walcast"});
        checker_.began_with(first);
    }
    for (auto& agent : agents_) {
        milliseconds later{world_.dice.below(300)};
        world_.after(later, [this, &agent] { start(agent); });
    }
    for (const auto& step : schedule_.steps) world_.after(step.at, [this, &step] { happen(step); });
    auto is_over = [this] { return world_.age() >= schedule_.length; };
    world_.after(schedule_.length, [this] { mend(); });
    tick();
    run_until(is_over, schedule_.length + seconds{1}, "time stands still");
    expect_rest();
    // Whoever is at rest still works.
    postgres_.commit({{.kind = LoggedChange::Kind::insert, .row = 1'000'000, .room = 1}});
    expect_rest();
    is_ending_ = true;
    for (auto& agent : agents_)
        if (agent.process) agent.is_to_stop = true;
    auto have_ended = [this] {
        return std::none_of(agents_.begin(), agents_.end(),
                            [](const Agent& agent) { return agent.process != nullptr; });
    };
    run_until(have_ended, stop_max + seconds{1}, "agents do not end");
    if (!world_.failure) checker_.look_over(redis_.state(), *postgres_.log());
    return {.failure = world_.failure,
            .trace = std::move(world_.trace),
            .batches = checker_.batches(),
            .changes = checker_.changes(),
            .epochs = checker_.epochs(),
            .turns = turns_};
}

}  // namespace

Outcome simulate(const Schedule& schedule, bool is_traced, SimulatedRedis::Flaws flaws) {
    return Simulation(schedule, is_traced, flaws).run();
}

}  // namespace walcast
