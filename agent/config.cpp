#include "agent/config.hpp"

#include "agent/config_keys.hpp"
#include "agent/output_check.hpp"
#include "agent/output_keys.hpp"
#include "agent/own_names.hpp"
#include "agent/rules/rule_keys.hpp"
#include "agent/spelling.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace walcast {

namespace {

constexpr std::string_view sections[] = {"source",        "source.spool", "values", "redis",
                                         "redis.history", "http",         "rule",   "outbox"};

// Where in the file, for errors.
struct Place {
    const std::string& file;
    toml::source_position at;

    [[noreturn]] void fail(std::string_view why) const {
        throw ConfigError(fmt::format("{}:{}:{}: {}", file, at.line, at.column, why));
    }
};

// The known keys directly in a section, for suggestions.
std::vector<std::string_view> names_in(std::string_view section) {
    std::vector<std::string_view> names;
    auto add = [&](std::string_view path) {
        if (!section.empty()) {
            if (!path.starts_with(section) || path.size() <= section.size() ||
                path[section.size()] != '.')
                return;
            path.remove_prefix(section.size() + 1);
        }
        names.push_back(path.substr(0, path.find('.')));
    };
    for (const auto& key : config_keys()) add(key.path);
    if (section.empty()) names.insert(names.end(), {"rule", "output"});
    return names;
}

[[noreturn]] void unknown_key(const Place& place, std::string_view name, std::string_view section,
                              const std::vector<std::string_view>& known) {
    place.fail(fmt::format("unknown key \"{}\"{}; did you mean \"{}\"?", name,
                           section.empty() ? "" : fmt::format(" in [{}]", section),
                           nearest(name, known)));
}

// Throws std::invalid_argument that repeats the value, where it is no secret.
void set(Config& config, const ConfigKey& key, const std::string& text) {
    try {
        key.set(config, text);
    } catch (const std::invalid_argument& error) {
        if (key.kind == ConfigKey::Kind::secret) throw;
        throw std::invalid_argument(fmt::format("\"{}\": {}", text, error.what()));
    }
}

std::string text_of(const toml::node& node, const ConfigKey& key) {
    if (key.kind == ConfigKey::Kind::number) {
        if (auto number = node.value_exact<std::int64_t>()) return fmt::to_string(*number);
        throw std::invalid_argument("expected a number");
    }
    if (key.kind == ConfigKey::Kind::boolean) {
        if (auto is_true = node.value_exact<bool>()) return *is_true ? "true" : "false";
        throw std::invalid_argument("expected true or false");
    }
    if (auto text = node.value_exact<std::string>()) return *text;
    throw std::invalid_argument("expected a string");
}

void read_section(Config& config, const toml::table& table, const std::string& section);

void read_value(Config& config, const toml::node& node, const std::string& path, const Place& place,
                std::string_view section, std::string_view name) {
    if (std::find(std::begin(sections), std::end(sections), path) != std::end(sections)) {
        const auto* inner = node.as_table();
        if (inner == nullptr) place.fail(fmt::format("{}: expected a table", path));
        return read_section(config, *inner, path);
    }
    auto known = config_keys();
    auto key = std::find_if(known.begin(), known.end(),
                            [&](const ConfigKey& k) { return k.path == path; });
    if (key == known.end()) unknown_key(place, name, section, names_in(section));
    try {
        set(config, *key, text_of(node, *key));
    } catch (const std::invalid_argument& error) {
        place.fail(fmt::format("{}: {}", path, error.what()));
    }
}

void read_rules(Config& config, const toml::node& node, const Place& place) {
    const auto* array = node.as_array();
    if (array == nullptr)
        place.fail("rule: write [[rule]], with double brackets: there can be several");
    for (const auto& item : *array) {
        Place here{place.file, item.source().begin};
        const auto* table = item.as_table();
        if (table == nullptr) here.fail("rule: expected a table");
        config.rules.push_back(read_rule(*table, place.file));
    }
}

void read_outputs(Config& config, const toml::node& node, const Place& place) {
    const auto* array = node.as_array();
    if (array == nullptr)
        place.fail("output: write [[output]], with double brackets: there can be several");
    for (const auto& item : *array) {
        const auto* table = item.as_table();
        if (table == nullptr)
            Place{place.file, item.source().begin}.fail("output: expected a table");
        config.redis.outputs.push_back(read_output(*table, place.file));
    }
}

void read_section(Config& config, const toml::table& table, const std::string& section) {
    for (const auto& [key, value] : table) {
        Place place{config.file, key.source().begin};
        auto path =
            section.empty() ? std::string(key.str()) : fmt::format("{}.{}", section, key.str());
        if (path == "rule")
            read_rules(config, value, place);
        else if (path == "output")
            read_outputs(config, value, place);
        else
            read_value(config, value, path, place, section, key.str());
    }
}

void apply_environment(Config& config, const Environment& environment) {
    for (const auto& key : config_keys()) {
        std::string name = "WALCAST_";
        for (auto character : key.path)
            name += character == '.'
                        ? '_'
                        : static_cast<char>(std::toupper(static_cast<unsigned char>(character)));
        auto text = environment(name);
        if (!text) continue;
        try {
            set(config, key, *text);
        } catch (const std::invalid_argument& error) {
            throw ConfigError(fmt::format("{}: {}", name, error.what()));
        }
    }
}

// toml++ 3.3 takes a level of the stack for each part of a dotted key, up to any number.
void refuse_endless_keys(std::string_view text, const std::string& file) {
    constexpr auto parts_max = 50;
    toml::source_position at{1, 1};
    auto parts = 0;
    auto quote = '\0';
    for (auto character : text) {
        if (character == '\n') {
            ++at.line;
            parts = 0;
            quote = '\0';
        } else if (quote != '\0' || character == '"' || character == '\'') {
            if (quote == '\0')
                quote = character;
            else if (quote == character)
                quote = '\0';
        } else if (character == '=' || character == ',') {
            parts = 0;
        } else if (character == '.' && ++parts > parts_max) {
            Place{file, at}.fail(fmt::format("a key of more than {} parts", parts_max));
        }
    }
}

// A tenant's own prefix, for each channel of each rule.
void finish_channels(Config& config) {
    if (config.channel_prefix.empty()) return;
    for (auto& rule : config.rules)
        for (auto& channel : rule.channels)
            channel.parts.insert(channel.parts.begin(),
                                 {.is_column = false, .text = config.channel_prefix, .keys = {}});
}

// An output whose ids they are cannot do without.
void demand_sequence_ids(Config& config) {
    const auto& outputs = config.redis.outputs;
    auto is_demanded = std::any_of(outputs.begin(), outputs.end(),
                                   [](const auto& output) { return output.has_sequence_ids; });
    if (is_demanded && !config.outbox_table.empty() && !config.outbox.sequence_id)
        config.outbox.sequence_id = "sequence_id";
}

// The outbox is a rule of its own kind.
void add_outbox(Config& config, const toml::table& parsed) {
    if (config.outbox_table.empty()) {
        if (config.outbox != OutboxColumns{})
            throw ConfigError(fmt::format("{}: [outbox] names columns and no table",
                                          config.file.empty() ? "environment" : config.file));
        return;
    }
    Rule rule;
    rule.table = config.outbox_table;
    rule.operations = 1U << static_cast<unsigned>(Action::insert);
    rule.outbox = config.outbox;
    rule.file = config.file;
    if (const auto* table = parsed["outbox"]["table"].node()) {
        auto at = table->source().begin;
        rule.line = at.line;
        rule.places["table"] = {at.line, at.column};
    }
    config.rules.push_back(std::move(rule));
}

toml::table outbox_toml(const Config& config) {
    toml::table table{{"table", config.outbox_table}};
    const auto& columns = config.outbox;
    auto add = [&](const char* name, const std::optional<std::string>& column) {
        if (column) table.insert(name, *column);
    };
    add("sequence_id", columns.sequence_id);
    add("mutation_id", columns.mutation_id);
    add("channel", columns.channel);
    add("name", columns.name);
    add("data", columns.data);
    add("rejected", columns.rejected);
    add("reason", columns.reason);
    add("headers", columns.headers);
    return table;
}

// The rules, and the settings that their channels hang on.
std::string text_of_rules(const Config& config, const toml::table& parsed) {
    toml::table rules{{"redis", toml::table{{"prefix", config.redis.prefix},
                                            {"channel_prefix", config.channel_prefix}}}};
    if (const auto* written = parsed.get("rule")) rules.insert("rule", *written);
    if (!config.outbox_table.empty()) rules.insert("outbox", outbox_toml(config));
    std::ostringstream text;
    text << rules;
    return text.str();
}

// What does not go together.
void check_combinations(const Config& config) {
    if (!config.http.listen.is_local && config.http.token.empty())
        throw ConfigError(fmt::format(
            "{}[http] listen = \"{}\" can be reached from other machines: it needs a token, as "
            "WALCAST_HTTP_TOKEN or [http] token, for all but /livez and /readyz",
            config.file.empty() ? "" : config.file + ": ", config.http.listen.text));
    const auto& source = config.source;
    if (source.plugin != Plugin::wal2json) return;
    auto refuse = [&](std::string_view setting, std::string_view why) {
        throw ConfigError(fmt::format("{}[source] {} needs plugin = \"pgoutput\": wal2json {}",
                                      config.file.empty() ? "" : config.file + ": ", setting, why));
    };
    if (source.is_streaming) refuse("streaming", "sends no transactions before they commit");
    if (source.is_without_origins) refuse("origin = \"none\"", "cannot leave origins out");
}

}  // namespace

Config default_config(const Environment& environment) {
    Config config;
    apply_environment(config, environment);
    return config;
}

Config parse_config(std::string_view text, const std::string& file,
                    const Environment& environment) {
    Config config;
    config.file = file;
    refuse_endless_keys(text, file);
    toml::table parsed;
    try {
        parsed = toml::parse(text, file);
        read_section(config, parsed, "");
    } catch (const toml::parse_error& error) {
        Place{file, error.source().begin}.fail(error.description());
    }
    apply_environment(config, environment);
    demand_sequence_ids(config);
    add_outbox(config, parsed);
    check_combinations(config);
    finish_channels(config);
    expect_no_own_names(config, config.redis.prefix);
    check_outputs(config, config.redis.outputs);
    config.rules_text = text_of_rules(config, parsed);
    return config;
}

void expect_no_own_names(const Config& config, const std::string& prefix) {
    for (const auto& rule : config.rules)
        for (std::size_t i = 0; i < rule.channels.size(); ++i)
            if (auto own = own_name_of(rule.channels[i], prefix))
                throw ConfigError(fmt::format(
                    "{}: channels: a row could make \"{}\" of \"{}{}\", which is walcast's own "
                    "by [redis] prefix: begin it with other text, as \"rows:{}\"",
                    rule.place_of(fmt::format("channels.{}", i)), *own, config.channel_prefix,
                    rule.channels[i].text, rule.channels[i].text));
}

// A file may be anything, as a device that never ends.
static std::string read_whole(std::istream& in, const std::string& file) {
    constexpr std::size_t bytes_max = std::size_t{4} << 20U;
    std::string text(bytes_max + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    if (text.size() > bytes_max) throw ConfigError(fmt::format("{}: larger than 4 MiB", file));
    return text;
}

Config load_config(const std::string& file, Presence presence, const Environment& environment) {
    std::vector<std::string> candidates{"walcast.toml", "/etc/walcast/walcast.toml"};
    if (!file.empty()) candidates = {file};
    for (const auto& candidate : candidates) {
        std::error_code ignored;
        std::ifstream in(candidate);
        if (!in || std::filesystem::is_directory(candidate, ignored)) continue;
        return parse_config(read_whole(in, candidate), candidate, environment);
    }
    if (!file.empty()) throw ConfigError(fmt::format("{}: cannot be read", file));
    if (presence == Presence::optional) return default_config(environment);
    throw ConfigError(
        "no configuration: neither walcast.toml nor /etc/walcast/walcast.toml is there; "
        "give one with --config, deploy/walcast.toml is a sample");
}

}  // namespace walcast
