#include "agent/bootstrap/bootstrap_command.hpp"
#include "agent/config.hpp"
#include "agent/delta/delta_command.hpp"
#include "agent/delta/receipts.hpp"
#include "agent/delta/redis_reader.hpp"
#include "agent/doctor/doctor.hpp"
#include "agent/errors.hpp"
#include "agent/explain/envelope_sample.hpp"
#include "agent/explain/explain.hpp"
#include "agent/http/bootstrap_routes.hpp"
#include "agent/http/chorus_routes.hpp"
#include "agent/http/data_query.hpp"
#include "agent/http/data_routes.hpp"
#include "agent/http/http_server.hpp"
#include "agent/http/operating_routes.hpp"
#include "agent/log.hpp"
#include "agent/output.hpp"
#include "agent/replication_stream.hpp"
#include "agent/run_loop.hpp"
#include "agent/setup.hpp"
#include "agent/status/status.hpp"
#include "agent/status/status_view.hpp"
#include "agent/supervisor.hpp"
#include "agent/tail/tail.hpp"
#include "decoders/byte_reader.hpp"
#include "sinks/redis_sink.hpp"

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <new>
#include <random>
#include <sstream>

using namespace walcast;

namespace {

struct Options {
    std::string config_file;
    bool is_dry_run = false;
    bool is_verbose = false;
    std::string tail_source;
    std::string tail_prefix;
    std::string color = "auto";
    bool is_json = false;
    bool is_text = false;
    std::string record_file;
    std::string replay_file;
    bool is_masked = false;
    TailOptions tail;
    ExplainOptions explain;
    std::string explain_against;
    DeltaOptions delta;
    std::string delta_after;
    std::string delta_redis;
    bool prints_envelope = false;
    BootstrapOptions bootstrap;
};

std::optional<std::string> environment(const std::string& name) {
    const auto* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
}

void check_source(const Config& config) {
    try {
        parse_conninfo(config.source.url);
    } catch (const std::invalid_argument& error) {
        throw ConfigError(fmt::format("[source] url: {}", error.what()));
    }
}

Config load_for_work(const std::string& file) {
    auto config = load_config(file, Presence::required, environment);
    if (config.rules.empty())
        throw ConfigError(fmt::format("{}: no [[rule]]: nothing would be published", config.file));
    check_source(config);
    return config;
}

std::string random_token() {
    std::random_device random;
    return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

int run_agent(const Options& options) {
    hold_hang_ups();  // The file read by now may be an old one when SIGHUP comes.
    auto config = load_for_work(options.config_file);
    try {
        if (config.source.is_streaming) Spool(config.source.spool).append(1, 1, ' ', "");
    } catch (const SpoolError& error) {
        throw ConfigError(fmt::format("[source] spool directory: {}", error.what()));
    }
    Log log(options.is_verbose ? LogLevel::debug : LogLevel::info);
    log.info("walcast version={} config={} redis={}", WALCAST_VERSION, config.file,
             config.redis.address.shown());
    Metrics metrics;
    Supervisor* running = nullptr;
    return run_loop(
        [&](asio::any_io_executor executor) -> asio::awaitable<void> {
            RedisSink sink(executor, config.redis, random_token());
            // The same file, even where another one would be found by now.
            auto load = [&config] { return load_for_work(config.file); };
            auto open = [&config, &log, executor](bool is_streaming) {
                auto settings = stream_settings(config);
                settings.is_streaming = is_streaming;
                settings.notice = [&log](std::string_view line) {
                    log.warn("postgres notice={}", quoted(line));
                };
                return std::make_unique<ReplicationStream>(executor, std::move(settings));
            };
            Supervisor supervisor(executor, config, load, open, sink, metrics, log);
            running = &supervisor;
            RedisReader reader(executor, config.redis);
            Receipts receipts(executor, config.redis, reader);
            auto served = operating_routes(metrics, config.source.heartbeat, WALCAST_VERSION);
            for (auto& route : data_routes(reader, receipts)) served.push_back(std::move(route));
            auto rules = [&supervisor] { return supervisor.rules_in_force(); };
            auto bootstraps = std::make_shared<BootstrapService>(
                BootstrapService{executor, config, supervisor.snapshots(), rules, log});
            for (auto& route : bootstrap_routes(bootstraps)) served.push_back(std::move(route));
            for (auto& route : chorus_routes(bootstraps, reader))
                served.push_back(std::move(route));
            HttpRoutes routes(config.http.token, std::move(served), config.http.listen);
            HttpServer server(executor, config.http.listen, routes, log, {});
            co_await run_together(supervisor.run(), server.run(), receipts.run());
            running = nullptr;
        },
        [&] {
            log.info("stopping");
            if (running != nullptr) running->stop();
        },
        [&] {
            if (running != nullptr) running->reload();
        });
}

// A reader that leaves does not stop the work.
void print_out(std::string_view text) {
    try {
        print_now(text);
    } catch (const OutputClosed&) {
    }
}

void say(const std::string& line) {
    print_out(line + '\n');
}

int run_init(const Options& options) {
    auto config = load_for_work(options.config_file);
    auto doing = options.is_dry_run ? Doing::dry_run : Doing::really;
    return run_until_signal([&] { return init(config, doing, say); }, Interrupted::is_failure);
}

int run_drop(const Options& options) {
    auto config = load_config(options.config_file, Presence::required, environment);
    check_source(config);
    auto doing = options.is_dry_run ? Doing::dry_run : Doing::really;
    return run_until_signal([&] { return drop(config, doing, say); }, Interrupted::is_failure);
}

int run_doctor(const Options& options) {
    auto config = load_for_work(options.config_file);
    Diagnosis diagnosis;
    auto examine = [&]() -> asio::awaitable<void> { diagnosis = co_await doctor(config); };
    auto code = run_until_signal(examine, Interrupted::is_failure);
    if (code != exit_done) return code;
    const auto& findings = diagnosis.findings;
    print_out(options.is_json ? show_json(findings) : show_text(findings));
    if (!diagnosis.is_whole) return exit_failed;
    return is_anything_wrong(findings) ? exit_found : exit_done;
}

int run_status(const Options& options) {
    auto config = load_config(options.config_file, Presence::required, environment);
    check_source(config);
    Status found;
    auto ask = [&]() -> asio::awaitable<void> { found = co_await status(config); };
    auto code = run_until_signal(ask, Interrupted::is_failure);
    if (code != exit_done) return code;
    auto findings = judge(found, config);
    print_out(options.is_json ? show_json(found, config, findings)
                              : show_text(found, config, findings));
    if (!found.is_whole()) return exit_failed;
    return is_anything_wrong(findings) ? exit_found : exit_done;
}

int run_bootstrap(Options options) {
    auto config = load_for_work(options.config_file);
    options.bootstrap.is_progress_shown = isatty(STDERR_FILENO) != 0;
    return run_until_signal([&] { return bootstrap_command(config, options.bootstrap); },
                            Interrupted::is_failure);
}

bool is_coloured(const std::string& wanted) {
    auto is_terminal = isatty(STDOUT_FILENO) != 0;
    return wanted == "always" || (wanted == "auto" && is_terminal && !environment("NO_COLOR"));
}

int run_explain(Options options) {
    auto& explaining = options.explain;
    auto config = load_for_work(options.config_file);
    if (options.prints_envelope) {
        print_out(show_envelopes(config));
        return exit_done;
    }
    std::optional<Config> against;
    if (!options.explain_against.empty())
        against = load_config(options.explain_against, Presence::required, environment);
    const auto* other = against ? &*against : nullptr;
    check_options(explaining, other);
    using View = ExplanationView;
    if (options.is_json) explaining.form = View::Form::json;
    if (is_coloured(options.color)) explaining.colours = View::Colours::ansi;
    for (auto* row : {&explaining.old_row, &explaining.new_row})
        if (*row == "-") *row = std::string{std::istreambuf_iterator<char>(std::cin), {}};
    auto outcome = Explained::shown;
    auto code = run_until_signal([&] { return explain(config, other, explaining, outcome); },
                                 Interrupted::is_failure);
    if (outcome == Explained::differs) return exit_found;
    return outcome == Explained::not_found ? exit_failed : code;
}

void use_redis(Config& config, const std::string& url, const std::string& prefix,
               std::string_view command) {
    try {
        if (!url.empty()) config.redis.address = parse_redis_url(url);
    } catch (const std::invalid_argument& error) {
        throw ConfigError(fmt::format("{}: {}", command, error.what()));
    }
    if (!prefix.empty()) config.redis.prefix = prefix;
}

int run_delta(Options options) {
    auto config = load_config(options.config_file, Presence::optional, environment);
    use_redis(config, options.delta_redis, options.tail_prefix, "delta");
    const auto& channels = options.delta.channels;
    for (auto channel = channels.begin(); channel != channels.end(); ++channel) {
        if (*channel == config.redis.prefix + "control")
            throw ConfigError("delta: control is always read");
        if (std::find(channels.begin(), channel, *channel) != channel)
            throw ConfigError(fmt::format("delta: channel \"{}\" is given twice", *channel));
    }
    auto is_text = !options.is_json && (isatty(STDOUT_FILENO) != 0 || options.is_text);
    options.delta.form = is_text ? TailView::Form::text : TailView::Form::json;
    if (is_coloured(options.color)) options.delta.colours = TailView::Colours::ansi;
    try {
        options.delta.after = read_after(options.delta_after, options.delta.channels.size() + 1);
    } catch (const std::invalid_argument& error) {
        throw ConfigError(fmt::format("delta: --{}", error.what()));
    }
    auto is_complete = false;
    auto code =
        run_until_signal([&] { return print_delta(config.redis, options.delta, is_complete); },
                         Interrupted::is_failure);
    return code == exit_done && !is_complete ? exit_found : code;
}

// What does not go together. A configuration may name the source, so only its kind is looked at.
void check_tail(const Options& options, bool is_redis) {
    auto is_replay = !options.replay_file.empty();
    auto is_recording = !options.record_file.empty();
    if (is_replay && (!options.tail_source.empty() || is_recording || !options.tail.tables.empty()))
        throw ConfigError(
            "tail: --replay FILE takes neither a source, nor --record, nor --table: of a recording "
            "--model chooses");
    if (is_recording && is_redis)
        throw ConfigError(
            "tail: --record is for Postgres, whose stream it keeps: walcast tail --record FILE "
            "postgres://...; what is in Redis is kept there");
    if (options.is_masked && !is_recording)
        throw ConfigError("tail: --mask is for what is written to a file: --record FILE --mask");
    if (!is_redis && (!options.tail.channels.empty() || options.tail.from))
        throw ConfigError(
            "tail: --channel and --from are for Redis; Postgres has tables: --table or --model");
}

int run_tail(Options options) {
    if (!options.replay_file.empty() && !options.tail.channels.empty()) check_tail(options, false);
    auto config = load_config(options.config_file, Presence::optional, environment);
    auto is_redis = is_redis_url(options.tail_source) ||
                    (options.tail_source.empty() && !options.tail.channels.empty());
    auto is_terminal = isatty(STDOUT_FILENO) != 0;
    auto is_text = !options.is_json && (is_terminal || options.is_text);
    options.tail.form = is_text ? TailView::Form::text : TailView::Form::json;
    options.tail.colours =
        is_coloured(options.color) ? TailView::Colours::ansi : TailView::Colours::none;
    check_tail(options, is_redis);
    options.tail.recording = options.replay_file;
    if (!options.replay_file.empty())
        return run_until_signal([&] { return tail_replay(options.tail); }, Interrupted::is_fine);
    options.tail.recording = options.record_file;
    if (options.is_masked) options.tail.masking = RecordingWriter::Masking::values;
    if (is_redis) {
        if (options.tail.channels.empty())
            throw ConfigError(
                "tail: which channels? Give --channel NAME or PATTERN, as often as needed: "
                "--channel '*'");
        if (!options.tail.tables.empty())
            throw ConfigError("tail: --table is for Postgres; Redis has channels: --channel");
        use_redis(config, options.tail_source, options.tail_prefix, "tail");
        return run_until_signal([&] { return tail_redis(config.redis, options.tail); },
                                Interrupted::is_fine);
    }
    if (!options.tail_source.empty()) config.source.url = options.tail_source;
    check_source(config);
    Log log(LogLevel::error);
    return run_until_signal([&] { return tail_postgres(config.source.url, options.tail, log); },
                            Interrupted::is_fine);
}

// What is opened next would take the place of a standard descriptor that is closed: log lines would
// go to Postgres.
void keep_standard_descriptors() {
    for (auto descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (fcntl(descriptor, F_GETFD) < 0) open("/", O_PATH);
}

// Process titles are anybody's to read: passwords go from them once they are read.
void hide_passwords(int argc, char** argv) {
    for (auto i = 1; i < argc; ++i) {
        std::string_view argument = argv[i];
        auto scheme = argument.find("://");
        auto at = scheme == std::string_view::npos ? scheme : argument.rfind('@');
        auto colon = at == std::string_view::npos ? at : argument.find(':', scheme + 3);
        if (colon < at)
            for (auto j = colon + 1; j < at; ++j) argv[i][j] = '*';
        auto key = argument.find("password=");
        if (key == std::string_view::npos) continue;
        for (auto j = key + 9; j < argument.size() && argument[j] != ' ' && argument[j] != '&'; ++j)
            argv[i][j] = '*';
    }
}

CLI::Validator not_empty() {
    return CLI::Validator(
        [](const std::string& text) {
            return text.empty() ? std::string("must not be empty") : std::string();
        },
        "");
}

// CLI11 would let negative and larger numbers wrap, and take a zero in front for octal.
CLI::Validator whole_number() {
    return CLI::Validator(
        [](const std::string& text) {
            constexpr auto end = std::uint64_t{1} << 53U;
            std::uint64_t number = end;
            std::from_chars(text.data(), text.data() + text.size(), number);
            if (number < end && fmt::to_string(number) == text) return std::string();
            return fmt::format("must be a whole number from 0 to {}, in decimal digits", end - 1);
        },
        "");
}

void add_explain(CLI::App& app, Options& options, std::function<int()>& command) {
    auto& to = options.explain;
    using Identity = ExplainedTable::Identity;
    auto* explain = app.add_subcommand(
        "explain", "Show which rules take a change, which channels and bytes result, and why not");
    explain->add_option("--config", options.config_file, "As for run");
    explain->add_option("--table", to.table, "schema.table, or table");
    explain->add_option("--row", to.new_row, "The new row as JSON, or - for standard input");
    explain->add_option("--old", to.old_row, "The old row as JSON; without --row: a delete");
    explain
        ->add_option("--key", to.key,
                     "The row with this primary key, as it stands; once for each column of the "
                     "key, or COLUMN=VALUE. With --row: that row with these columns changed")
        ->allow_extra_args(false);
    explain->add_flag("--delete", to.is_delete, "With --key: the row removed");
    explain->add_option("--unchanged", to.unchanged, "A large column that the update leaves alone")
        ->allow_extra_args(false);
    const std::map<std::string, Identity> identities{
        {"own", Identity::own}, {"key", Identity::primary_key}, {"full", Identity::full}};
    explain
        ->add_option("--identity", to.identity,
                     "As if the replica identity were this (default: the table's own)")
        ->transform(CLI::CheckedTransformer(identities))
        ->option_text("own, key or full");
    explain->add_option("--sync-id", to.sync_id, "What the histories in Redis have of this id")
        ->check(whole_number());
    explain->add_option("--replay", to.recording, "The changes of a recording of `walcast tail`")
        ->check(not_empty());
    explain->add_option("--xid", to.xid, "Of a recording only this transaction");
    explain->add_option("--limit", to.limit, "Of a recording only so many changes")
        ->check(whole_number());
    explain
        ->add_option("--against", options.explain_against,
                     "Another configuration: what its rules do differently (exit code 3)")
        ->check(not_empty());
    auto* envelopes = explain->add_flag(
        "--print-envelope", options.prints_envelope,
        "The Redis commands of a sample insert, update, delete and rejection, by each "
        "output; asks no server");
    explain->add_flag("--json", options.is_json, "A JSON object for each change");
    // Beside it none of these would do anything.
    for (auto* other : explain->get_options())
        if (other != envelopes && !other->check_name("--config") && !other->check_name("--help"))
            envelopes->excludes(other);
    explain->add_option("--color", options.color, "auto, always or never")
        ->check(CLI::IsMember({"auto", "always", "never"}));
    explain->footer(
        "Examples:\n"
        "  walcast explain --table public.todos --row '{\"id\": 7, \"workspace_id\": 1}'\n"
        "  walcast explain --table todos --key 7 --row '{\"workspace_id\": 2}'\n"
        "  walcast explain --table todos --key 7 --delete --against new.toml\n"
        "  walcast explain --sync-id 1042\n"
        "  walcast explain --print-envelope\n"
        "  walcast explain --replay app.rec --against new.toml");
    explain->callback([&] { command = [&] { return run_explain(options); }; });
}

void add_delta(CLI::App& app, Options& options, std::function<int()>& command) {
    auto* delta = app.add_subcommand(
        "delta", "Show what channels' histories have above a known sync id, and whether it is all");
    delta->add_option("--config", options.config_file,
                      "Configuration file (default: walcast.toml here, then in /etc/walcast/)");
    delta->add_option("CHANNEL", options.delta.channels, "Redis channels; up to 50")
        ->required()
        ->expected(1, 50)
        ->check(not_empty());
    delta->add_option("--epoch", options.delta.epoch, "The epoch that the ids are of")->required();
    delta
        ->add_option("--after", options.delta_after,
                     "The known sync id; or, with commas, one for each channel and one for control")
        ->required();
    delta->add_option("--redis", options.delta_redis,
                      "redis://... (default: from the configuration)");
    delta->add_option("--prefix", options.tail_prefix,
                      "Prefix of walcast's keys (default walcast:)");
    auto* json = delta->add_flag("--json", options.is_json, "JSON lines, as in a pipe");
    delta->add_flag("--text", options.is_text, "Lines to read, as on a terminal")->excludes(json);
    delta->add_option("--color", options.color, "auto, always or never")
        ->check(CLI::IsMember({"auto", "always", "never"}));
    delta->footer(
        "Exit codes: 0 complete, 1 Redis cannot be reached, 2 wrong usage, 3 not provable: fetch\n"
        "afresh. Example: walcast delta workspace:1 user:7 --epoch k3v9x2m7 --after 1017");
    delta->callback([&] { command = [&] { return run_delta(options); }; });
}

void add_bootstrap(CLI::App& app, Options& options, std::function<int()>& command) {
    auto& request = options.bootstrap.request;
    auto* bootstrap = app.add_subcommand(
        "bootstrap",
        "Print the rows that channels or models have, and the sync id that they belong to");
    bootstrap->add_option("--config", options.config_file, "As for run");
    bootstrap
        ->add_option("--channel", request.channels, "The rows of this channel; several allowed")
        ->allow_extra_args(false)
        ->check(not_empty());
    bootstrap
        ->add_option("--model", request.models, "The rows of this model; with --channel: of both")
        ->allow_extra_args(false)
        ->check(not_empty());
    bootstrap
        ->add_option("--resume", request.after,
                     "Go on from the `after` of a mark of another bootstrap of the same")
        ->check(not_empty());
    bootstrap->footer(
        "JSON lines as from the agent's /bootstrap, which must be running: it is asked over HTTP.\n"
        "Example: walcast bootstrap --channel workspace:1 > rows.jsonl");
    bootstrap->callback([&] { command = [&] { return run_bootstrap(options); }; });
}

int fail(ExitCode code, const std::exception& error) {
    complain(fmt::format("walcast: {}", error.what()));
    return code;
}

}  // namespace

int main(int argc, char** argv) {
    keep_standard_descriptors();
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);  // The write fails instead, which is told.
    Options options;
    std::function<int()> command;

    CLI::App app{
        "Publishes every committed change of a Postgres database to Redis, once and in order."};
    app.set_version_flag("--version", std::string("walcast ") + WALCAST_VERSION);
    app.require_subcommand(1);
    app.footer("Example: walcast tail postgres://localhost/app");
    auto add_config = [&](CLI::App& to) {
        to.add_option("--config", options.config_file,
                      "Configuration file (default: walcast.toml here, then in /etc/walcast/)");
    };

    auto* run = app.add_subcommand(
        "run", "Run the agent; a second one on the same slot waits and takes over");
    add_config(*run);
    run->add_flag("-v,--verbose", options.is_verbose, "Log each batch");
    run->footer("Example: walcast run --config walcast.toml");
    run->callback([&] { command = [&] { return run_agent(options); }; });

    auto* tail = app.add_subcommand(
        "tail", "Show the change stream of a Postgres, of Redis channels, or of a recording");
    add_config(*tail);
    tail->add_option("SOURCE", options.tail_source,
                     "postgres://... or redis://... (default: from the configuration)");
    tail->add_option("--table", options.tail.tables,
                     "Only these tables: schema.table or table, globs allowed")
        ->allow_extra_args(false);
    tail->add_option("--channel", options.tail.channels,
                     "Redis channel or pattern; several allowed")
        ->allow_extra_args(false);
    tail->add_option("--model", options.tail.filter.models, "Only these models; globs allowed")
        ->allow_extra_args(false)
        ->check(not_empty());
    tail->add_option("--action", options.tail.filter.actions, "Only these actions")
        ->allow_extra_args(false)
        ->check(CLI::IsMember({"insert", "update", "delete", "reset"}));
    tail->add_option("--xid", options.tail.filter.xids, "Only these transactions")
        ->allow_extra_args(false)
        ->check(CLI::Range(std::uint32_t{1}, std::uint32_t{0xFFFFFFFF}));
    tail->add_option("--mutation-id", options.tail.filter.mutation_ids,
                     "Only what bears this mutation id")
        ->allow_extra_args(false)
        ->check(not_empty());
    tail->add_option("--record", options.record_file,
                     "Postgres: keep the stream in this new file, for --replay")
        ->check(not_empty());
    tail->add_flag("--mask", options.is_masked, "Replace the values of rows in that file");
    tail->add_option("--replay", options.replay_file, "Show a recording, without a database")
        ->check(not_empty());
    tail->add_option("--from", options.tail.from, "Redis: first what came after this sync id")
        ->check(whole_number());
    tail->add_option("--prefix", options.tail_prefix,
                     "Redis: prefix of walcast's keys (default walcast:)");
    auto* json = tail->add_flag("--json", options.is_json, "JSON lines, as in a pipe");
    tail->add_flag("--text", options.is_text, "Lines to read, as on a terminal")->excludes(json);
    tail->add_option("--color", options.color, "auto, always or never")
        ->check(CLI::IsMember({"auto", "always", "never"}));
    tail->footer(
        "Examples:\n  walcast tail postgres://localhost/app --table 'public.*'\n"
        "  walcast tail redis://localhost --channel 'workspace:*' --from 0\n"
        "  walcast tail --model 'Todo*' --action delete --channel '*'\n"
        "  walcast tail postgres://localhost/app --record app.rec --mask\n"
        "  walcast tail --replay app.rec --xid 738");
    tail->callback([&] { command = [&] { return run_tail(options); }; });

    add_explain(app, options, command);
    add_delta(app, options, command);
    add_bootstrap(app, options, command);

    auto* init_command = app.add_subcommand("init", "Create publication, slot and first position");
    add_config(*init_command);
    init_command->add_flag("--dry-run", options.is_dry_run, "Only print the SQL");
    init_command->footer("Example: walcast init --dry-run");
    init_command->callback([&] { command = [&] { return run_init(options); }; });

    auto* doctor_command = app.add_subcommand(
        "doctor",
        "Check all that `run` needs, and each rule against the live schema; changes nothing");
    add_config(*doctor_command);
    doctor_command->add_flag("--json", options.is_json, "One JSON object, for programs");
    doctor_command->footer(
        "Exit codes: 0 nothing found, 1 a server cannot be reached, 2 wrong configuration,\n"
        "3 something found. Example: walcast doctor --config walcast.toml");
    doctor_command->callback([&] { command = [&] { return run_doctor(options); }; });

    auto* status_command = app.add_subcommand(
        "status", "Show the slot, the WAL that it keeps, the position, and Redis; changes nothing");
    add_config(*status_command);
    status_command->add_flag("--json", options.is_json, "One JSON object, for programs");
    status_command->footer(
        "Exit codes: 0 all is well, 1 a server cannot be reached, 2 wrong configuration,\n"
        "3 something needs care. Example: walcast status --json");
    status_command->callback([&] { command = [&] { return run_status(options); }; });

    auto* drop_command = app.add_subcommand(
        "drop", "Remove slot and publication, so that the slot cannot fill the disk");
    add_config(*drop_command);
    drop_command->add_flag("--dry-run", options.is_dry_run, "Only print the SQL");
    drop_command->footer("Example: walcast drop");
    drop_command->callback([&] { command = [&] { return run_drop(options); }; });

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::ostringstream help;
        if (app.exit(error, help) != 0) return exit_wrong_usage;
        command = [text = help.str()] {
            print_out(text);
            return exit_done;
        };
    }
    hide_passwords(argc, argv);
    try {
        return command();
    } catch (const OutputClosed&) {
        return exit_done;
    } catch (const ConfigError& error) {
        return fail(exit_wrong_usage, error);
    } catch (const BadRequest& error) {
        return fail(exit_wrong_usage, error);
    } catch (const std::bad_alloc&) {
        complain("walcast: out of memory");
        return exit_failed;
    } catch (const std::exception& error) {
        return fail(exit_failed, error);
    }
}
