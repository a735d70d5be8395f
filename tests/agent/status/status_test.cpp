#include "agent/status/status_facts.hpp"
#include "agent/status/status_view.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace walcast {

static Config config_of_test() {
    Config config;
    config.source.slot = "walcast";
    return config;
}

static Status healthy() {
    Status status;
    status.postgres.version = "17.2";
    status.postgres.database = "app";
    status.postgres.wal_end = Lsn{0x3000};
    status.postgres.slot = SlotStatus{.plugin = "pgoutput",
                                      .active_pid = "4711",
                                      .wal_status = "reserved",
                                      .restart_lsn = Lsn{0x1000},
                                      .confirmed_lsn = Lsn{0x2000}};
    auto& redis = status.redis;
    redis.version = "7.0.15";
    redis.role = "master";
    redis.eviction = "noeviction";
    redis.stored = Stored{};
    redis.stored->position = {
        .epoch = "k3v9x2m7", .sync_id = 7, .lsn = Lsn{0x2000}, .partial = std::nullopt};
    redis.stored->source.slot = "walcast";
    return status;
}

static std::vector<std::string> checks(const Status& status) {
    std::vector<std::string> found;
    for (const auto& finding : judge(status, config_of_test())) found.emplace_back(finding.check);
    return found;
}

using Checks = std::vector<std::string>;

TEST(Status, FindsNothingWhereAllIsWell) {
    EXPECT_EQ(checks(healthy()), Checks{});
}

TEST(Status, FindsASlotThatIsLostMissingOrUnread) {
    auto status = healthy();
    status.postgres.slot->active_pid = "";
    EXPECT_EQ(checks(status), Checks{"slot-unread"});

    status.postgres.slot->is_synced = true;  // A standby's copy is for later.
    EXPECT_EQ(checks(status), Checks{});

    status.postgres.slot->wal_status = "lost";
    EXPECT_EQ(checks(status), Checks{"slot-lost"});

    status = healthy();
    status.postgres.slot->invalidation_reason = "idle_timeout";
    EXPECT_EQ(checks(status), Checks{"slot-lost"});

    status.postgres.slot.reset();
    EXPECT_EQ(checks(status), Checks{"slot-missing"});
}

TEST(Status, FindsASlotThatWillBeLost) {
    auto status = healthy();
    status.postgres.slot->safe_bytes = 1 << 20;
    EXPECT_EQ(checks(status), Checks{});

    status.postgres.wal_rate = 1024;
    EXPECT_EQ(status.postgres.seconds_until_lost(), 1024);
    EXPECT_EQ(checks(status), Checks{"slot-soon-lost"});

    status.postgres.wal_rate = 100;
    EXPECT_EQ(checks(status), Checks{});

    status.postgres.slot->wal_status = "unreserved";
    status.postgres.slot->safe_bytes = -1;
    EXPECT_EQ(status.postgres.seconds_until_lost(), 0);
    EXPECT_EQ(checks(status), Checks{"slot-soon-lost"});
}

TEST(Status, FindsALagAndOldTransactions) {
    auto status = healthy();
    status.postgres.wal_end = Lsn{0x2000 + (1U << 30U)};
    EXPECT_EQ(checks(status), Checks{});

    status.postgres.wal_end.value += 1;
    EXPECT_EQ(checks(status), Checks{"lag"});

    status = healthy();
    status.postgres.slot->catalog_xmin_age = 100'000'001;
    EXPECT_EQ(checks(status), Checks{"catalog-xmin"});
}

TEST(Status, FindsWhatIsWrongWithAPosition) {
    auto status = healthy();
    status.redis.stored->position.lsn = Lsn{0x1FFF};
    EXPECT_EQ(checks(status), Checks{"gap"});

    status.redis.stored->source.slot = "other";
    EXPECT_EQ(checks(status), Checks{"position-of-another-slot"});

    status = healthy();
    status.redis.resetting = "slot made anew";
    EXPECT_EQ(checks(status), Checks{"reset-unfinished"});

    status = healthy();
    status.redis.stored.reset();
    EXPECT_EQ(checks(status), Checks{"position-missing"});
}

TEST(Status, FindsThatReplicasAreMissing) {
    auto config = config_of_test();
    config.redis.wait_replicas = 1;
    auto findings = judge(healthy(), config);

    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].check, "redis-replicas");
}

TEST(Status, FindsWhatIsWrongWithRedis) {
    auto found = [](auto change) {
        auto status = healthy();
        change(status.redis);
        return checks(status);
    };

    EXPECT_EQ(found([](RedisStatus& redis) { redis.role = "slave"; }), Checks{"redis-replica"});
    EXPECT_EQ(found([](RedisStatus& redis) { redis.is_loading = true; }), Checks{"redis-loading"});
    EXPECT_EQ(found([](RedisStatus& redis) { redis.is_written = false; }), Checks{"redis-write"});
    EXPECT_EQ(found([](RedisStatus& redis) { redis.is_saved = false; }), Checks{"redis-write"});
    EXPECT_EQ(found([](RedisStatus& redis) { redis.eviction_error = "redis: it evicts"; }),
              Checks{"eviction"});
    EXPECT_EQ(found([](RedisStatus& redis) { redis.dead_letters = 1; }), Checks{"dead-letters"});
    EXPECT_EQ(found([](RedisStatus& redis) { redis.memory = 90, redis.memory_max = 100; }),
              Checks{});
    EXPECT_EQ(found([](RedisStatus& redis) { redis.memory = 91, redis.memory_max = 100; }),
              Checks{"redis-memory"});
}

TEST(Status, ShowsOneSideWhenTheOtherIsDown) {
    auto status = healthy();
    status.redis = {.failed = "redis: connection refused"};
    EXPECT_FALSE(status.is_whole());
    EXPECT_EQ(checks(status), Checks{"redis"});
    auto text = show_text(status, config_of_test(), judge(status, config_of_test()));
    EXPECT_NE(text.find("0/2000, 4.0 kB behind 0/3000"), std::string::npos) << text;
    EXPECT_NE(text.find("redis: error: connection refused"), std::string::npos) << text;

    status = healthy();
    status.postgres = {.failed = "postgres: no answer"};
    EXPECT_EQ(checks(status), Checks{"postgres"});
    text = show_text(status, config_of_test(), judge(status, config_of_test()));
    EXPECT_NE(text.find("epoch k3v9x2m7, sync id 7, LSN 0/2000\n"), std::string::npos) << text;
}

TEST(Status, ShowsNothingThatSteersATerminal) {
    auto status = healthy();
    status.redis.owner = "\x1b[2J";

    auto text = show_text(status, config_of_test(), {});

    EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(Status, IsJsonForPrograms) {
    auto status = healthy();
    status.postgres.slot->is_failover = true;

    EXPECT_EQ(
        show_json(status, config_of_test(), {}),
        R"({"postgres":{"reached":true,"version":"17.2","database":"app","standby":false,)"
        R"("walEnd":"0/3000","walBytesPerSecond":0.0,"slot":{"name":"walcast","plugin":"pgoutput",)"
        R"("activePid":4711,"walStatus":"reserved","confirmedLsn":"0/2000","confirmedLagBytes":4096,)"
        R"("restartLsn":"0/1000","retainedBytes":8192,"catalogXminAge":0,"failover":true}},)"
        R"("redis":{"reached":true,"version":"7.0.15","url":"redis://localhost:6379",)"
        R"("role":"primary","replicas":0,"memoryBytes":0,"memoryMaxBytes":0,)"
        R"("eviction":"noeviction","appendOnlyFile":false,"written":true,"saved":true,)"
        R"("position":{"epoch":"k3v9x2m7","syncId":7,"lsn":"0/2000","partial":false,)"
        R"("lagBytes":4096,"slot":"walcast"},"histories":0,"deadLetters":0},"findings":[]})"
        "\n");
}

TEST(ShownBytes, AreRounded) {
    EXPECT_EQ(shown_bytes(0), "0 B");
    EXPECT_EQ(shown_bytes(1023), "1023 B");
    EXPECT_EQ(shown_bytes(1024), "1.0 kB");
    EXPECT_EQ(shown_bytes((1U << 20U) - 1), "1.0 MB");
    EXPECT_EQ(shown_bytes(std::uint64_t{5} << 40U), "5.0 TB");
}

TEST(ShownSeconds, AreRounded) {
    EXPECT_EQ(shown_seconds(119), "119 s");
    EXPECT_EQ(shown_seconds(180), "3 min");
    EXPECT_EQ(shown_seconds(7200), "2 h");
    EXPECT_EQ(shown_seconds(864000), "10 days");
}

}  // namespace walcast
