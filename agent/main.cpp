#include "agent/concurrency.hpp"
#include "agent/config.hpp"
#include "agent/doctor.hpp"
#include "agent/errors.hpp"
#include "agent/log.hpp"
#include "agent/output.hpp"
#include "agent/setup.hpp"
#include "agent/supervisor.hpp"
#include "agent/tail.hpp"
#include "decoders/byte_reader.hpp"
#include "sinks/redis_sink.hpp"

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>

using namespace walcast;

namespace {

enum ExitCode { exit_done = 0, exit_failed = 1, exit_wrong_usage = 2, exit_found = 3 };

struct Options {
    std::string config_file;
    bool is_dry_run = false;
    bool is_verbose = false;
    std::string tail_source;
    std::string tail_prefix;
    std::string tail_color = "auto";
    bool is_json = false;
    bool is_text = false;
    TailOptions tail;
};

std::optional<std::string> environment(const std::string& name) {
    const auto* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
}

// Runs one coroutine until it ends. SIGINT and SIGTERM call `stop`.
int run_loop(const std::function<asio::awaitable<void>(asio::any_io_executor)>& task,
             const std::function<void()>& stop) {
    asio::io_context loop(1);
    asio::signal_set signals(loop, SIGINT, SIGTERM, SIGHUP);
    signals.async_wait([&](const boost::system::error_code& error, int) {
        if (!error) stop();
    });
    std::exception_ptr failed;
    asio::co_spawn(loop, task(loop.get_executor()), [&](std::exception_ptr error) {
        failed = error;
        loop.stop();
    });
    loop.run();
    if (failed) std::rethrow_exception(failed);
    return exit_done;
}

void check_source(const Config& config) {
    try {
        parse_conninfo(config.source.url);
    } catch (const std::invalid_argument& error) {
        throw ConfigError(fmt::format("[source] url: {}", error.what()));
    }
}

Config load_for_work(const Options& options) {
    auto config = load_config(options.config_file, Presence::required, environment);
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
    auto config = load_for_work(options);
    try {
        if (config.source.is_streaming) Spool(config.source.spool).append(1, 1, ' ', "");
    } catch (const SpoolError& error) {
        throw ConfigError(fmt::format("[source] spool directory: {}", error.what()));
    }
    Log log(options.is_verbose ? LogLevel::debug : LogLevel::info);
    log.info("walcast version={} config={} redis={}", WALCAST_VERSION, config.file,
             config.redis.address.shown());
    Supervisor* running = nullptr;
    return run_loop(
        [&](asio::any_io_executor executor) -> asio::awaitable<void> {
            RedisSink sink(executor, config.redis, random_token());
            Supervisor supervisor(executor, config, sink, log);
            running = &supervisor;
            co_await supervisor.run();
            running = nullptr;
        },
        [&] {
            log.info("stopping");
            if (running != nullptr) running->stop();
        });
}

// For commands that may simply be cut short.
enum class Interrupted { is_failure, is_fine };
int run_until_signal(const std::function<asio::awaitable<void>()>& task, Interrupted interrupted) {
    std::function<void()> stop = [] {};
    auto is_interrupted = false;
    auto code = run_loop(
        [&](asio::any_io_executor executor) -> asio::awaitable<void> {
            Signal stopped(executor);
            stop = [&] {
                is_interrupted = true;
                stopped.raise();
            };
            auto wait = [](Signal& signal) -> asio::awaitable<void> { co_await signal.wait(); };
            co_await run_together(task(), wait(stopped));
        },
        [&] { stop(); });
    return is_interrupted && interrupted == Interrupted::is_failure ? exit_failed : code;
}

void say(const std::string& line) {
    fmt::print("{}\n", line);
    std::fflush(stdout);
}

int run_init(const Options& options) {
    auto config = load_for_work(options);
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
    auto config = load_for_work(options);
    Diagnosis diagnosis;
    auto examine = [&]() -> asio::awaitable<void> { diagnosis = co_await doctor(config); };
    auto code = run_until_signal(examine, Interrupted::is_failure);
    if (code != exit_done) return code;
    const auto& findings = diagnosis.findings;
    fmt::print("{}", options.is_json ? show_json(findings) : show_text(findings));
    if (!diagnosis.is_whole) return exit_failed;
    return findings.empty() ? exit_done : exit_found;
}

bool is_redis_url(const std::string& source) {
    return source.starts_with("redis://") || source.starts_with("rediss://") ||
           source.starts_with("unix://");
}

int run_tail(Options options) {
    auto config = load_config(options.config_file, Presence::optional, environment);
    auto is_redis = is_redis_url(options.tail_source) ||
                    (options.tail_source.empty() && !options.tail.channels.empty());
    auto is_terminal = isatty(STDOUT_FILENO) != 0;
    auto is_coloured = options.tail_color == "always" ||
                       (options.tail_color == "auto" && is_terminal && !environment("NO_COLOR"));
    auto is_text = !options.is_json && (is_terminal || options.is_text);
    options.tail.form = is_text ? TailView::Form::text : TailView::Form::json;
    options.tail.colours = is_coloured ? TailView::Colours::ansi : TailView::Colours::none;
    if (is_redis) {
        if (options.tail.channels.empty())
            throw ConfigError(
                "tail: which channels? Give --channel NAME or PATTERN, as often as needed: "
                "--channel '*'");
        if (!options.tail.tables.empty())
            throw ConfigError("tail: --table is for Postgres; Redis has channels: --channel");
        try {
            if (!options.tail_source.empty())
                config.redis.address = parse_redis_url(options.tail_source);
        } catch (const std::invalid_argument& error) {
            throw ConfigError(fmt::format("tail: {}", error.what()));
        }
        if (!options.tail_prefix.empty()) config.redis.prefix = options.tail_prefix;
        return run_until_signal([&] { return tail_redis(config.redis, options.tail); },
                                Interrupted::is_fine);
    }
    if (!options.tail.channels.empty() || options.tail.from)
        throw ConfigError("tail: --channel and --from are for Redis; Postgres has tables: --table");
    if (!options.tail_source.empty()) config.source.url = options.tail_source;
    check_source(config);
    Log log(LogLevel::error);
    return run_until_signal([&] { return tail_postgres(config.source.url, options.tail, log); },
                            Interrupted::is_fine);
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

int fail(ExitCode code, const std::exception& error) {
    fmt::print(stderr, "walcast: {}\n", error.what());
    return code;
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
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

    auto* tail =
        app.add_subcommand("tail", "Show the change stream of a Postgres, or of Redis channels");
    add_config(*tail);
    tail->add_option("SOURCE", options.tail_source,
                     "postgres://... or redis://... (default: from the configuration)");
    tail->add_option("--table", options.tail.tables,
                     "Only these tables: schema.table or table, globs allowed")
        ->allow_extra_args(false);
    tail->add_option("--channel", options.tail.channels,
                     "Redis channel or pattern; several allowed")
        ->allow_extra_args(false);
    tail->add_option("--from", options.tail.from, "Redis: first what came after this sync id");
    tail->add_option("--prefix", options.tail_prefix,
                     "Redis: prefix of walcast's keys (default walcast:)");
    auto* json = tail->add_flag("--json", options.is_json, "JSON lines, as in a pipe");
    tail->add_flag("--text", options.is_text, "Lines to read, as on a terminal")->excludes(json);
    tail->add_option("--color", options.tail_color, "auto, always or never")
        ->check(CLI::IsMember({"auto", "always", "never"}));
    tail->footer(
        "Examples:\n  walcast tail postgres://localhost/app --table 'public.*'\n"
        "  walcast tail redis://localhost --channel 'workspace:*' --from 0");
    tail->callback([&] { command = [&] { return run_tail(options); }; });

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

    auto* drop_command = app.add_subcommand(
        "drop", "Remove slot and publication, so that the slot cannot fill the disk");
    add_config(*drop_command);
    drop_command->add_flag("--dry-run", options.is_dry_run, "Only print the SQL");
    drop_command->footer("Example: walcast drop");
    drop_command->callback([&] { command = [&] { return run_drop(options); }; });

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? exit_done : exit_wrong_usage;
    }
    hide_passwords(argc, argv);
    try {
        return command();
    } catch (const OutputClosed&) {
        return exit_done;
    } catch (const ConfigError& error) {
        return fail(exit_wrong_usage, error);
    } catch (const std::exception& error) {
        return fail(exit_failed, error);
    }
}
