#include "agent/doctor/doctor.hpp"

#include "agent/doctor/doctor_postgres.hpp"
#include "agent/doctor/doctor_redis.hpp"

#include <iterator>

namespace walcast {

asio::awaitable<Diagnosis> doctor(const Config& config) {
    auto checking_postgres = check_postgres(config);
    auto postgres = co_await std::move(checking_postgres);
    // After Postgres: meanwhile a position moves on, never back.
    auto checking_redis = check_redis(config);
    auto redis = co_await std::move(checking_redis);
    Diagnosis diagnosis{.findings = std::move(postgres.findings),
                        .is_whole = postgres.is_reached && redis.is_reached};
    std::move(redis.findings.begin(), redis.findings.end(), std::back_inserter(diagnosis.findings));
    check_position(config, redis, postgres.facts, diagnosis.findings);
    co_return diagnosis;
}

}  // namespace walcast
