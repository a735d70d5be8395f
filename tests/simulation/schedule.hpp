#pragma once

#include "agent/batch_builder.hpp"
#include "tests/simulation/simulated_postgres.hpp"
#include "tests/simulation/simulated_redis.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace walcast {

// Something that happens at a time: work of the application, or a fault.
struct Step {
    enum class Kind : std::uint8_t {
        commit,
        event,
        message,
        filler,
        kill,
        power_off,
        freeze,
        terminate,
        reload,
        postgres_crash,
        postgres_stop,
        postgres_fail_over,
        postgres_cut,
        postgres_stall,
        another_cluster,
        slot_moved,
        slot_made_anew,
        slot_dropped,
        slot_lent,
        redis_crash,
        redis_emptied,
        redis_cut,
        redis_stall,
        redis_refuses,
        redis_replica_lags,
    };
    static constexpr auto kinds = static_cast<unsigned>(Kind::redis_replica_lags) + 1;

    milliseconds at{0};
    Kind kind = Kind::commit;
    unsigned agent = 0;
    milliseconds time{0};      // How long.
    std::uint64_t amount = 0;  // How much.
    std::vector<LoggedChange> changes = {};
};

// All that decides a run.
struct Schedule {
    std::uint64_t seed = 0;
    unsigned agents = 1;
    bool has_position = true;  // `init` wrote one.
    milliseconds heartbeat{0};
    SimulatedPostgres::Settings postgres;
    SimulatedRedis::Settings redis;
    BatchBuilder::Limits batches;
    milliseconds length{0};  // After that all is mended.
    std::vector<Step> steps;
};

Schedule schedule_of(std::uint64_t seed);

// Lines to read.
std::string shown(const Step& step);
std::string shown(const Schedule& schedule);

// Leaves out whatever the schedule fails without.
Schedule shrink(Schedule schedule, const std::function<bool(const Schedule&)>& fails);

}  // namespace walcast
