#include "agent/doctor/doctor_redis.hpp"

#include "agent/concurrency.hpp"
#include "agent/errors.hpp"
#include "agent/resume.hpp"
#include "sinks/redis_position.hpp"
#include "sinks/redis_scripts.hpp"
#include "sinks/redis_sink.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace walcast {

namespace {

using Level = Finding::Level;
using Where = Mend::Where;

std::string without_side(std::string_view what) {
    constexpr std::string_view side = "redis: ";
    return std::string(what.starts_with(side) ? what.substr(side.size()) : what);
}

Finding finding_of(Level level, std::string_view check, std::string_view what,
                   std::vector<std::string> shell = {}) {
    Finding finding{.level = level, .check = check, .place = "redis", .what = without_side(what)};
    if (!shell.empty()) finding.mends = {{.where = Where::shell, .lines = std::move(shell)}};
    return finding;
}

// For each channel, whether this user may not publish on it (1), nor append to its history (2).
constexpr std::string_view forbidden_channels = R"(
local found = {}
if not redis.acl_check_cmd then return found end
for i = 2, #ARGV do
  local may_not = 0
  if not redis.acl_check_cmd('PUBLISH', ARGV[i], '') then may_not = 1 end
  if not redis.acl_check_cmd('XADD', ARGV[1] .. ARGV[i], '1-0', 'm', '') then may_not = may_not + 2 end
  found[#found + 1] = may_not
end
return found
)";

// As a pattern of an ACL that stands for nothing else.
std::string literal_pattern(std::string_view text) {
    std::string pattern;
    for (auto c : text) {
        if (std::string_view("*?[]\\").find(c) != std::string_view::npos) pattern += '\\';
        pattern += c;
    }
    return pattern;
}

// The checks of one server.
class RedisCheck {
public:
    RedisCheck(asio::any_io_executor executor, const Config& config, RedisDiagnosis& diagnosis)
        : settings_(config.redis),
          rules_(config.rules),
          diagnosis_(diagnosis),
          connection_(std::move(executor), config.redis.address) {}

    asio::awaitable<void> run();

private:
    void check_info(std::string_view info);
    asio::awaitable<void> check_permissions();
    asio::awaitable<void> check_channels();
    asio::awaitable<void> read_position();
    void add(Finding finding) { diagnosis_.findings.push_back(std::move(finding)); }

    const RedisSettings& settings_;
    const std::vector<Rule>& rules_;
    RedisDiagnosis& diagnosis_;
    RedisConnection connection_;
    bool has_permission_checks_ = false;
};

std::uint64_t connected_replicas(std::string_view info) {
    return std::strtoull(std::string(info_field(info, "connected_slaves:")).c_str(), nullptr, 10);
}

void RedisCheck::check_info(std::string_view info) {
    auto version = std::string(info_field(info, "redis_version:"));
    char* rest = nullptr;
    auto major = std::strtol(version.c_str(), &rest, 10);
    auto minor = *rest == '.' ? std::strtol(rest + 1, nullptr, 10) : 0;
    has_permission_checks_ = major >= 7;
    if (major < 6 || (major == 6 && minor < 2))
        add(finding_of(Level::error, "redis-version",
                       fmt::format("version {} is too old: walcast needs 6.2 or later", version)));
    try {
        expect_no_eviction(info);
    } catch (const SinkError& error) {
        add(finding_of(Level::error, "eviction", error.what(),
                       {"redis-cli CONFIG SET maxmemory-policy noeviction"}));
    }
    if (info_field(info, "cluster_enabled:") == "1")
        add(finding_of(Level::error, "redis-cluster",
                       "this is a Redis Cluster, which is not supported: use a single primary"));
    if (info_field(info, "role:") == "slave")
        add(finding_of(
            Level::error, "redis-replica",
            fmt::format("this is a replica: point [redis] url at the primary, {}:{}",
                        info_field(info, "master_host:"), info_field(info, "master_port:"))));
    else if (info_field(info, "aof_enabled:") == "0")
        add(finding_of(Level::warning, "no-append-only-file",
                       "appendonly is no: a Redis that ends comes back without what it took since "
                       "its last snapshot. What Postgres no longer has by then becomes a new "
                       "epoch, and all clients fetch afresh",
                       {"redis-cli CONFIG SET appendonly yes", "redis-cli CONFIG REWRITE"}));
    if (connected_replicas(info) < settings_.wait_replicas)
        add(finding_of(Level::error, "redis-replicas",
                       fmt::format("connected replicas: {}, fewer than wait_replicas = {}: nothing "
                                   "is confirmed to Postgres, which keeps its WAL meanwhile",
                                   connected_replicas(info), settings_.wait_replicas)));
}

// What the agent asks when it takes over, but for taking over. Redis sees to it that nothing is
// written.
asio::awaitable<void> RedisCheck::check_permissions() {
    std::string command;
    append_command(command,
                   {"EVAL_RO", redis_scripts::take_over, "1", settings_.prefix + "position", "",
                    settings_.prefix, settings_.wait_replicas > 0 ? "WAIT" : ""});
    co_await connection_.write(command);
    auto reply = co_await connection_.read();
    if (!reply.is_error()) {
        co_await check_channels();
        co_return;
    }
    std::string what;
    try {
        throw_redis_error("check what is permitted", reply.text);
    } catch (const SinkError& error) {
        what = error.what();
    }
    add(finding_of(Level::error, "redis-permissions", what));
}

// One channel of each template and its history, and what outputs make of it.
asio::awaitable<void> RedisCheck::check_channels() {
    auto history = settings_.prefix + "log:";
    std::vector<std::string> channels;
    std::vector<std::string> patterns;
    for (const auto& rule : rules_)
        for (const auto& channel : rule.channels) {
            std::string name;
            std::string pattern;
            for (const auto& part : channel.parts) {
                name += part.is_column ? "x" : part.text;
                pattern += part.is_column ? "*" : literal_pattern(part.text);
            }
            if (std::find(patterns.begin(), patterns.end(), pattern) != patterns.end()) continue;
            channels.push_back(std::move(name));
            patterns.push_back(std::move(pattern));
        }
    if (channels.empty()) co_return;
    constexpr auto publish = 1U;
    constexpr auto append = 2U;
    std::vector<unsigned> needed(channels.size(),
                                 append | (settings_.outputs.empty() ? publish : 0U));
    auto count = channels.size();
    for (const auto& output : settings_.outputs)
        for (std::size_t i = 0; i < count; ++i) {
            channels.push_back(output.channel_before + channels[i] + output.channel_after);
            patterns.push_back(literal_pattern(output.channel_before) + patterns[i] +
                               literal_pattern(output.channel_after));
            needed.push_back(publish);
        }
    std::string command;
    append_command_head(command, 4 + channels.size());
    append_argument(command, "EVAL_RO");
    append_argument(command, forbidden_channels);
    append_argument(command, "0");
    append_argument(command, history);
    for (const auto& channel : channels) append_argument(command, channel);
    auto reply = co_await connection_.ask(std::move(command));
    std::vector<std::string> names;
    auto command_line =
        "redis-cli ACL SETUSER " +
        shell_quoted(settings_.address.user.empty() ? "default" : settings_.address.user);
    for (std::size_t i = 0; i < reply.items.size() && i < channels.size(); ++i) {
        auto may_not = static_cast<unsigned>(reply.items[i].integer) & needed[i];
        if (may_not == 0) continue;
        names.push_back(channels[i]);
        if ((may_not & publish) != 0) command_line += ' ' + shell_quoted("&" + patterns[i]);
        if ((may_not & append) != 0)
            command_line += ' ' + shell_quoted("~" + literal_pattern(history) + patterns[i]);
    }
    if (names.empty()) co_return;
    std::vector<std::string> mend(1, command_line);
    add(finding_of(Level::error, "redis-permissions",
                   fmt::format("this user may not PUBLISH on channels such as {}, or not XADD to "
                               "their histories {}*: the agent gets NOPERM again and again",
                               enumerate(names), history),
                   std::move(mend)));
}

asio::awaitable<void> RedisCheck::read_position() {
    std::string command;
    append_command(command, {"HGETALL", settings_.prefix + "position"});
    try {
        auto reply = co_await connection_.ask(std::move(command));
        diagnosis_.stored = read_stored(reply);
        diagnosis_.is_asked = true;
    } catch (const SinkError& error) {
        diagnosis_.findings.push_back(finding_of(
            Level::error, "position",
            fmt::format("{}position: {}", settings_.prefix, without_side(error.what()))));
    }
}

asio::awaitable<void> RedisCheck::run() {
    co_await connection_.open();
    std::string command;
    append_command(command, {"INFO"});
    co_await connection_.write(command);
    auto info = co_await connection_.read();
    diagnosis_.is_reached = true;
    if (info.is_error())
        add(finding_of(Level::warning, "redis-info",
                       fmt::format("INFO: {}: whether this Redis evicts, persists or replicates "
                                   "cannot be told",
                                   info.text)));
    else
        check_info(info.text);
    if (has_permission_checks_) co_await check_permissions();
    co_await read_position();
}

}  // namespace

asio::awaitable<RedisDiagnosis> check_redis(const Config& config) {
    constexpr std::chrono::seconds limit{15};
    auto executor = co_await asio::this_coro::executor;
    RedisDiagnosis diagnosis;
    RedisCheck check(executor, config, diagnosis);
    std::string failed;
    try {
        auto running = check.run();
        if (!co_await within(limit, std::move(running)))
            failed =
                config.redis.address.is_tls
                    ? "no answer in time: does it speak TLS there? Redis without it says nothing"
                    : "no answer in time";
    } catch (const SinkError& error) {
        failed = error.what();
    }
    if (!failed.empty()) {
        diagnosis.is_reached = false;
        diagnosis.findings.push_back(finding_of(Level::error, "redis", failed));
    }
    co_return diagnosis;
}

void check_position(const Config& config, const RedisDiagnosis& redis,
                    const std::optional<StreamFacts>& facts, Findings& findings) {
    if (!redis.is_asked || !facts) return;
    try {
        refuse_older_timeline(redis.stored, *facts);
    } catch (const SetupError& error) {
        findings.push_back(finding_of(Level::error, "position", error.what()));
        if (redis.stored->source.slot != config.source.slot)
            findings.back().mends = {
                {.where = Where::config, .lines = {"[redis] prefix = \"another:\""}}};
        return;
    }
    // Where a later timeline was left is not asked.
    if (redis.stored && redis.stored->source.timeline != facts->source.timeline &&
        redis.stored->source.system_id == facts->source.system_id)
        return;
    auto same_stream = *facts;
    if (redis.stored) same_stream.source.fingerprint = redis.stored->source.fingerprint;
    auto gap = find_gap(redis.stored, same_stream);
    if (!gap) return;
    findings.push_back(finding_of(
        Level::warning, "position",
        fmt::format("the stream does not go on where the position in Redis ends: {}. `walcast run` "
                    "begins a new epoch, and all clients fetch afresh",
                    *gap),
        {"walcast run"}));
}

}  // namespace walcast
