#include "agent/bootstrap/bootstrap_command.hpp"

#include "agent/bootstrap/bootstrap_progress.hpp"
#include "agent/concurrency.hpp"
#include "agent/errors.hpp"
#include "agent/http/http_client.hpp"
#include "agent/output.hpp"
#include "agent/snapshot/snapshot_json.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace walcast {

namespace {

using std::chrono::milliseconds;

[[noreturn]] void throw_no_agent(const Config& config, std::string_view why) {
    throw std::runtime_error(fmt::format(
        "bootstrap: no agent answers on {} ({}), which knows what sync ids a snapshot has seen: "
        "start `walcast run` with this configuration, or give [http] listen as the agent has it",
        config.http.listen.text, why));
}

asio::awaitable<SnapshotAnswer> ask_for_position(const Config& config, std::string snapshot) {
    constexpr milliseconds limit{40'000};
    std::optional<HttpReply> reply;
    std::string why = "no answer in time";
    try {
        auto asking =
            ask_agent(config.http.listen, config.http.token, "/position-of", std::move(snapshot));
        reply = co_await within(limit, std::move(asking));
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) throw;
        why = error.code().message();
    }
    if (!reply) throw_no_agent(config, why);
    auto reason = read_error(reply->body);
    if (reply->status == 409) throw SnapshotRefused("bootstrap: " + reason);
    if (reply->status == 401)
        throw std::runtime_error(
            "bootstrap: the agent wants another token: [http] token, or WALCAST_HTTP_TOKEN");
    auto answer = reply->status == 200 ? read_snapshot_answer(reply->body) : std::nullopt;
    if (answer) co_return std::move(*answer);
    throw std::runtime_error(fmt::format(
        "bootstrap: the agent on {} cannot tell a snapshot's position: {}", config.http.listen.text,
        reason.empty() ? fmt::format("HTTP status {}", reply->status) : reason));
}

// A line of the terminal that is written over.
class Progress {
public:
    explicit Progress(bool is_shown) : is_shown_(is_shown) {}
    ~Progress() { erase(); }
    Progress(const Progress&) = delete;

    void show(const Bootstrap& bootstrap) {
        constexpr milliseconds interval{100};
        auto now = Clock::now();
        if (!is_shown_ || now - shown_at_ < interval) return;
        shown_at_ = now;
        auto line =
            progress_line(bootstrap.rows_read(), bootstrap.estimated_rows(), now - began_at_);
        std::fputs(("\r\x1b[K" + line).c_str(), stderr);
    }
    void finish(const Bootstrap& bootstrap) {
        erase();
        if (is_shown_)
            complain(progress_line(bootstrap.rows(), std::nullopt, Clock::now() - began_at_));
    }

private:
    void erase() {
        if (shown_at_ != Clock::time_point{}) std::fputs("\r\x1b[K", stderr);
        shown_at_ = {};
    }

    bool is_shown_;
    Clock::time_point began_at_ = Clock::now();
    Clock::time_point shown_at_;
};

asio::awaitable<void> print_rows(Bootstrap& bootstrap, Output& output, bool is_progress_shown) {
    Progress progress(is_progress_shown);
    std::string lines;
    for (auto is_more = true; is_more;) {
        lines.clear();
        is_more = co_await bootstrap.next(lines);
        co_await output.print(lines);
        progress.show(bootstrap);
    }
    progress.finish(bootstrap);
}

}  // namespace

asio::awaitable<void> bootstrap_command(const Config& config, BootstrapOptions options) {
    const auto& listen = config.http.listen;
    if (listen.is_off() || (listen.path.empty() && listen.port == 0))
        throw ConfigError(
            "bootstrap: the agent that runs is asked, which needs [http] listen = "
            "\"ADDRESS:PORT\"");
    auto executor = co_await asio::this_coro::executor;
    Bootstrap::Settings settings{
        .conninfo = config.source.url, .source = config.source, .values = config.values};
    Bootstrap bootstrap(executor, std::move(settings), config.rules, std::move(options.request));
    auto ask = [&config](std::string snapshot) {
        return ask_for_position(config, std::move(snapshot));
    };
    co_await bootstrap.begin(ask);
    for (const auto& table : bootstrap.unpublished())
        complain(
            fmt::format("walcast: bootstrap: without {}, which is not published or not there: "
                        "`walcast init` adds what the rules name",
                        table));
    Output output(executor);
    std::exception_ptr failed;
    try {
        co_await print_rows(bootstrap, output, options.is_progress_shown);
    } catch (const PgError&) {
        failed = std::current_exception();
    }
    if (!failed) co_return;
    if (!bootstrap.last_mark().empty())
        complain(
            fmt::format("walcast: bootstrap: cut short; `--resume {}` goes on from the last mark",
                        bootstrap.last_mark()));
    std::rethrow_exception(failed);
}

}  // namespace walcast
