#include "agent/config_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <stdexcept>
#include <utility>

namespace walcast {

namespace {

using Kind = ConfigKey::Kind;

std::uint64_t read_count(const std::string& text, std::uint64_t least = 1) {
    std::uint64_t count = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc{} || end != text.data() + text.size() || count < least)
        throw std::invalid_argument(least == 0 ? "expected a number" : "expected a number above 0");
    return count;
}

std::uint64_t read_bytes(const std::string& text) {
    std::uint64_t count = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    auto shift = unit == "kB"   ? 10U
                 : unit == "MB" ? 20U
                 : unit == "GB" ? 30U
                 : unit == "TB" ? 40U
                                : 0U;
    if (error != std::errc{} || count == 0 || shift == 0 || count > 1'000'000)
        throw std::invalid_argument("expected a size such as \"512MB\" or \"8GB\"");
    return count << shift;
}

bool read_boolean(const std::string& text) {
    if (text == "true") return true;
    if (text == "false") return false;
    throw std::invalid_argument("expected true or false");
}

// One of a few words.
template <typename Choice>
Choice read_choice(const std::string& text,
                   std::initializer_list<std::pair<std::string_view, Choice>> choices) {
    std::string expected;
    for (const auto& [word, choice] : choices) {
        if (text == word) return choice;
        expected += fmt::format("{}\"{}\"", expected.empty() ? "" : " or ", word);
    }
    throw std::invalid_argument("expected " + expected);
}

// A number and its unit: "90s".
std::optional<std::chrono::milliseconds> read_time(const std::string& text) {
    std::int64_t count = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    std::int64_t length = unit == "ms"  ? 1
                          : unit == "s" ? 1000
                          : unit == "m" ? 60'000
                          : unit == "h" ? 3'600'000
                          : unit == "d" ? 86'400'000
                                        : 0;
    constexpr std::int64_t most = 36500LL * 86'400'000;
    if (error != std::errc{} || length == 0 || count <= 0 || count > most / length) return {};
    return std::chrono::milliseconds{count * length};
}

std::chrono::seconds read_age(const std::string& text) {
    auto time = read_time(text);
    if (!time || *time < std::chrono::seconds{1})
        throw std::invalid_argument("expected a time such as \"90s\", \"30m\", \"24h\" or \"7d\"");
    return std::chrono::duration_cast<std::chrono::seconds>(*time);
}

// A time, or "off", which is zero.
std::chrono::milliseconds read_time_or_off(const std::string& text,
                                           std::chrono::milliseconds most) {
    if (text == "off") return {};
    auto time = read_time(text);
    if (!time || *time > most)
        throw std::invalid_argument(
            fmt::format("expected \"off\" or a time such as \"500ms\" or \"10s\", at most {} s",
                        most.count() / 1000));
    return *time;
}

void expect_slot_name(const std::string& text) {
    auto is_valid =
        !text.empty() && text.size() <= 63 &&
        text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
    if (!is_valid) throw std::invalid_argument("a slot's name has 1 to 63 of a-z, 0-9 and _");
}

using Source = Config::Source;
using Http = Config::Http;

// Whether a member of a member of two configurations is the same.
template <auto... path>
bool is_same(const Config& a, const Config& b) {
    return (a.*....*path) == (b.*....*path);
}

// Part of the rules, and replaced with them.
bool is_of_rules(const Config&, const Config&) {
    return true;
}

constexpr ConfigKey keys[] = {
    {"source.url", Kind::secret,
     [](Config& config, const std::string& text) { config.source.url = text; },
     is_same<&Config::source, &Source::url>},
    {"source.slot", Kind::text,
     [](Config& config, const std::string& text) {
         expect_slot_name(text);
         config.source.slot = text;
     },
     is_same<&Config::source, &Source::slot>},
    {"source.publication", Kind::text,
     [](Config& config, const std::string& text) {
         if (text.empty() || text.size() > 63)
             throw std::invalid_argument("a publication's name has 1 to 63 bytes");
         config.source.publication = text;
     },
     is_same<&Config::source, &Source::publication>},
    {"source.plugin", Kind::text,
     [](Config& config, const std::string& text) {
         config.source.plugin = read_choice<Plugin>(
             text, {{"pgoutput", Plugin::pgoutput}, {"wal2json", Plugin::wal2json}});
     },
     is_same<&Config::source, &Source::plugin>},
    {"source.format_version", Kind::number,
     [](Config& config, const std::string& text) {
         if (text != "1" && text != "2") throw std::invalid_argument("expected 1 or 2");
         config.source.format_version = text == "1" ? 1 : 2;
     },
     is_same<&Config::source, &Source::format_version>},
    {"source.streaming", Kind::boolean,
     [](Config& config, const std::string& text) {
         config.source.is_streaming = read_boolean(text);
     },
     is_same<&Config::source, &Source::is_streaming>},
    {"source.spool.directory", Kind::text,
     [](Config& config, const std::string& text) {
         if (!text.starts_with('/')) throw std::invalid_argument("expected an absolute path");
         config.source.spool.directory = text;
     },
     is_same<&Config::source, &Source::spool, &Spool::Settings::directory>},
    {"source.spool.size", Kind::text,
     [](Config& config, const std::string& text) {
         config.source.spool.bytes_max = read_bytes(text);
     },
     is_same<&Config::source, &Source::spool, &Spool::Settings::bytes_max>},
    {"source.origin", Kind::text,
     [](Config& config, const std::string& text) {
         config.source.is_without_origins =
             read_choice<bool>(text, {{"any", false}, {"none", true}});
     },
     is_same<&Config::source, &Source::is_without_origins>},
    {"source.bad_rows", Kind::text,
     [](Config& config, const std::string& text) {
         config.source.bad_rows = read_choice<BadRows>(
             text, {{"stop", BadRows::stop}, {"set_aside", BadRows::set_aside}});
     },
     is_same<&Config::source, &Source::bad_rows>},
    {"source.heartbeat", Kind::text,
     [](Config& config, const std::string& text) {
         config.source.heartbeat = read_time_or_off(text, std::chrono::hours{1});
     },
     is_same<&Config::source, &Source::heartbeat>},
    {"values.numbers", Kind::text,
     [](Config& config, const std::string& text) {
         using Numbers = JsonPolicy::Numbers;
         config.values.numbers = read_choice<Numbers>(text, {{"exact", Numbers::exact},
                                                             {"strings", Numbers::strings},
                                                             {"numbers", Numbers::numbers}});
     },
     is_same<&Config::values, &JsonPolicy::numbers>},
    {"values.bytea", Kind::text,
     [](Config& config, const std::string& text) {
         using Bytes = JsonPolicy::Bytes;
         config.values.bytes =
             read_choice<Bytes>(text, {{"hex", Bytes::hex}, {"base64", Bytes::base64}});
     },
     is_same<&Config::values, &JsonPolicy::bytes>},
    {"redis.url", Kind::secret,
     [](Config& config, const std::string& text) { config.redis.address = parse_redis_url(text); },
     is_same<&Config::redis, &RedisSettings::address>},
    {"redis.prefix", Kind::text,
     [](Config& config, const std::string& text) { config.redis.prefix = text; },
     is_same<&Config::redis, &RedisSettings::prefix>},
    {"redis.channel_prefix", Kind::text,
     [](Config& config, const std::string& text) {
         auto is_control = [](char character) {
             return static_cast<unsigned char>(character) < 0x20;
         };
         if (std::any_of(text.begin(), text.end(), is_control))
             throw std::invalid_argument("expected no control characters");
         config.channel_prefix = text;
     },
     is_of_rules},
    {"redis.history.length", Kind::number,
     [](Config& config, const std::string& text) {
         config.redis.history_length = read_count(text);
     },
     is_same<&Config::redis, &RedisSettings::history_length>},
    {"redis.history.age", Kind::text,
     [](Config& config, const std::string& text) { config.redis.history_age = read_age(text); },
     is_same<&Config::redis, &RedisSettings::history_age>},
    {"redis.receipt_age", Kind::text,
     [](Config& config, const std::string& text) { config.redis.receipt_age = read_age(text); },
     is_same<&Config::redis, &RedisSettings::receipt_age>},
    {"redis.confirm_delay", Kind::text,
     [](Config& config, const std::string& text) {
         config.confirm_delay = read_time_or_off(text, std::chrono::seconds{60});
     },
     is_same<&Config::confirm_delay>},
    {"redis.wait_replicas", Kind::number,
     [](Config& config, const std::string& text) {
         config.redis.wait_replicas = read_count(text, 0);
         if (config.redis.wait_replicas > 100)
             throw std::invalid_argument("expected at most 100 replicas");
     },
     is_same<&Config::redis, &RedisSettings::wait_replicas>},
    {"outbox.table", Kind::text,
     [](Config& config, const std::string& text) {
         if (text.find('.') == std::string::npos || text.find_first_of("*?") != std::string::npos)
             throw std::invalid_argument("expected schema and table: \"public.outbox\"");
         config.outbox_table = text;
     },
     is_of_rules},
    {"outbox.sequence_id", Kind::text,
     [](Config& config, const std::string& text) { config.outbox.sequence_id = text; }, is_of_rules},
    {"outbox.mutation_id", Kind::text,
     [](Config& config, const std::string& text) { config.outbox.mutation_id = text; }, is_of_rules},
    {"outbox.channel", Kind::text,
     [](Config& config, const std::string& text) { config.outbox.channel = text; }, is_of_rules},
    {"outbox.name", Kind::text,
     [](Config& config, const std::string& text) { config.outbox.name = text; }, is_of_rules},
    {"outbox.data", Kind::text,
     [](Config& config, const std::string& text) { config.outbox.data = text; }, is_of_rules},
    {"outbox.rejected", Kind::text,
     [](Config& config, const std::string& text) { config.outbox.rejected = text; }, is_of_rules},
    {"outbox.reason", Kind::text,
     [](Config& config, const std::string& text) { config.outbox.reason = text; }, is_of_rules},
    {"outbox.headers", Kind::text,
     [](Config& config, const std::string& text) { config.outbox.headers = text; }, is_of_rules},
    {"http.listen", Kind::text,
     [](Config& config, const std::string& text) {
         config.http.listen = parse_listen_address(text);
     },
     is_same<&Config::http, &Http::listen>},
    {"http.token", Kind::secret,
     [](Config& config, const std::string& text) {
         auto is_shown = [](char c) { return c > ' ' && c < 0x7F; };
         if (text.size() < 16 || !std::all_of(text.begin(), text.end(), is_shown))
             throw std::invalid_argument(
                 "expected 16 or more letters, digits and signs without spaces");
         config.http.token = text;
     },
     is_same<&Config::http, &Http::token>},
};

}  // namespace

std::span<const ConfigKey> config_keys() {
    return keys;
}

std::vector<std::string_view> changed_settings(const Config& before, const Config& after) {
    std::vector<std::string_view> changed;
    for (const auto& key : keys)
        if (!key.is_same(before, after)) changed.push_back(key.path);
    if (before.redis.outputs != after.redis.outputs) changed.emplace_back("output");
    return changed;
}

}  // namespace walcast
