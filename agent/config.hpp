#pragma once

#include "agent/errors.hpp"
#include "agent/http/listen_address.hpp"
#include "agent/rules/rule.hpp"
#include "agent/spool.hpp"
#include "decoders/json_type.hpp"
#include "sinks/redis_sink.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

enum class Plugin { pgoutput, wal2json };

constexpr std::string_view name_of(Plugin plugin) {
    return plugin == Plugin::pgoutput ? "pgoutput" : "wal2json";
}

// What happens to a row that cannot be written, as text that is not UTF-8.
enum class BadRows {
    stop,       // The agent ends; nothing of it is confirmed.
    set_aside,  // It goes to the dead letters, and clients fetch its model afresh.
};

struct Config {
    struct Source {
        std::string url;  // Empty: the usual PG* variables.
        std::string slot = "walcast";
        std::string publication = "walcast";
        Plugin plugin = Plugin::pgoutput;
        unsigned format_version = 2;      // Of wal2json.
        bool is_streaming = false;        // Take large transactions before they commit.
        Spool::Settings spool;            // Where they wait for that.
        bool is_without_origins = false;  // Leave out what was replicated from elsewhere.
        BadRows bad_rows = BadRows::stop;
        std::chrono::milliseconds heartbeat{10'000};  // 0: none.
    };
    Source source;
    JsonPolicy values;
    RedisSettings redis;
    std::chrono::milliseconds confirm_delay{0};  // How long Redis may lose what it accepted.
    std::string channel_prefix;                  // Before the name of every channel.
    struct Http {
        ListenAddress listen = parse_listen_address("127.0.0.1:7654");
        std::string token;  // Without it only this machine may ask.
    };
    Http http;
    std::string outbox_table;  // schema.table; empty: none.
    OutboxColumns outbox;
    std::vector<Rule> rules;
    std::string rules_text;  // As TOML; the same for rules that say the same.
    std::string file;        // Where it was read from.
};

// Looks a variable of the environment up.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Reads TOML `text`, which came from `file`, and then what the environment overrides:
// WALCAST_SOURCE_URL for [source] url, and so on. Throws ConfigError with file, line, column and
// what would do.
Config parse_config(std::string_view text, const std::string& file, const Environment& environment);

// Throws ConfigError where a rule could publish on a channel that is walcast's own, by this prefix.
void expect_no_own_names(const Config& config, const std::string& prefix);

// Only the defaults and the environment, for commands that need no file.
Config default_config(const Environment& environment);

// Reads `file` or, when that is empty, walcast.toml here or in /etc/walcast/. Throws ConfigError
// when there is none, unless `is_optional`.
enum class Presence { required, optional };
Config load_config(const std::string& file, Presence presence, const Environment& environment);

}  // namespace walcast
