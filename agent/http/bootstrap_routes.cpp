#include "agent/http/bootstrap_routes.hpp"

#include "agent/bootstrap/bootstrap.hpp"
#include "agent/concurrency.hpp"
#include "agent/http/data_query.hpp"
#include "agent/snapshot/snapshot_json.hpp"

#include <memory>
#include <utility>

namespace walcast {

namespace {

using std::chrono::milliseconds;

// Until the stream has passed a marker; it may be behind, or wait for Redis.
constexpr milliseconds answer_limit{30'000};
// Each has a connection to Postgres, and takes its turns in our loop.
constexpr unsigned bootstraps_max = 4;

HttpResponse json_of(unsigned status, std::string body) {
    return {.status = status, .content_type = "application/json", .body = std::move(body)};
}

HttpResponse refusal(unsigned status, std::string_view reason) {
    return json_of(status, error_json(reason));
}

asio::awaitable<SnapshotAnswer> ask_in_time(SnapshotPositions& snapshots, std::string text) {
    auto asking = snapshots.position_of(parse_snapshot(text));
    auto answer = co_await within(answer_limit, std::move(asking));
    if (answer) co_return std::move(*answer);
    throw NotStreaming("the stream has not come up to the snapshot in time: the agent is behind");
}

// --- /position-of ---

std::string snapshot_in(const HttpRequest& request) {
    auto wrong = [] {
        return std::invalid_argument(
            "give the snapshot, as pg_current_snapshot() says: ?snapshot=738:741:739, or by POST");
    };
    if (!request.body.empty()) return request.body;
    auto parameters = parse_query(request.query);
    if (parameters.size() != 1 || parameters[0].first != "snapshot") throw wrong();
    return std::move(parameters[0].second);
}

asio::awaitable<HttpResponse> tell_position(SnapshotPositions& snapshots, HttpRequest request) {
    unsigned status = 200;
    std::string text;
    try {
        auto asking = ask_in_time(snapshots, snapshot_in(request));
        auto answer = co_await std::move(asking);
        text = "{";
        append_snapshot_answer(text, answer);
        co_return json_of(status, text + "}\n");
    } catch (const std::invalid_argument& error) {
        status = 400;
        text = error.what();
    } catch (const SnapshotRefused& error) {
        status = 409;
        text = error.what();
    } catch (const NotStreaming& error) {
        status = 503;
        text = error.what();
    }
    co_return refusal(status, text);
}

// --- /bootstrap ---

BootstrapRequest request_of(const HttpRequest& request) {
    BootstrapRequest wanted;
    for (auto& [name, value] : parse_query(request.query)) {
        if (name == "channel")
            wanted.channels.push_back(std::move(value));
        else if (name == "model")
            wanted.models.push_back(std::move(value));
        else if (name == "after")
            wanted.after = std::move(value);
        else
            throw BadRequest("the query may have channel, model and after; not " + name);
    }
    return wanted;
}

// What all requests need.
struct Serving {
    asio::any_io_executor executor;
    const Config& config;
    SnapshotPositions& snapshots;
    std::function<std::vector<Rule>()> rules;
    Log& log;
    unsigned running = 0;
};

// What an answer with rows would begin with, without a connection and a snapshot for it.
asio::awaitable<bool> nothing(std::string& /*piece*/) {
    co_return false;
}
HttpResponse head() {
    return {.content_type = "application/x-ndjson", .stream = nothing};
}

// One bootstrap, in one of the places for them.
class Running {
public:
    Running(std::shared_ptr<Serving> serving, Bootstrap::Settings settings,
            BootstrapRequest request)
        : serving_(std::move(serving)),
          bootstrap_(serving_->executor, std::move(settings), serving_->rules(),
                     std::move(request)) {
        ++serving_->running;
    }
    ~Running() {
        --serving_->running;
        auto seconds = std::chrono::duration<double>(Clock::now() - began_at_).count();
        serving_->log.debug("bootstrap ended rows={} seconds={:.1f}", bootstrap_.rows(), seconds);
    }
    Running(const Running&) = delete;

    Bootstrap& bootstrap() { return bootstrap_; }

private:
    std::shared_ptr<Serving> serving_;
    Bootstrap bootstrap_;
    Clock::time_point began_at_ = Clock::now();
};

asio::awaitable<bool> next_piece(std::shared_ptr<Running> running, std::string& piece) {
    return running->bootstrap().next(piece);
}

asio::awaitable<HttpResponse> bootstrap(std::shared_ptr<Serving> serving, HttpRequest request) {
    unsigned status = 500;
    std::string why;
    try {
        auto wanted = request_of(request);
        if (request.method == "HEAD") co_return head();
        if (serving->running >= bootstraps_max)
            throw NotStreaming("as many bootstraps as there may be at a time are on their way");
        Bootstrap::Settings settings{.conninfo = serving->snapshots.server(),
                                     .source = serving->config.source,
                                     .values = serving->config.values};
        auto running = std::make_shared<Running>(serving, std::move(settings), std::move(wanted));
        auto ask = [serving](std::string snapshot) {
            return ask_in_time(serving->snapshots, std::move(snapshot));
        };
        auto beginning = running->bootstrap().begin(ask);
        if (!co_await within(2 * answer_limit, std::move(beginning)))
            throw NotStreaming("no snapshot was taken in time: perhaps a table is locked");
        HttpResponse response{.content_type = "application/x-ndjson"};
        response.stream = [running](std::string& piece) { return next_piece(running, piece); };
        co_return response;
    } catch (const BadRequest& error) {
        status = 400;
        why = error.what();
    } catch (const std::invalid_argument& error) {
        status = 400;
        why = error.what();
    } catch (const SnapshotRefused& error) {
        status = 409;
        why = error.what();
    } catch (const NotStreaming& error) {
        status = 503;
        why = error.what();
    } catch (const PgError& error) {
        status = 503;
        why = error.what();
    } catch (const SetupError& error) {
        why = error.what();
    }
    if (status >= 500)
        serving->log.warn("bootstrap refused status={} error={}", status, quoted(why));
    co_return refusal(status, why);
}

}  // namespace

std::vector<HttpRoute> bootstrap_routes(asio::any_io_executor executor, const Config& config,
                                        SnapshotPositions& snapshots,
                                        std::function<std::vector<Rule>()> rules, Log& log) {
    auto serving = std::make_shared<Serving>(
        Serving{std::move(executor), config, snapshots, std::move(rules), log});
    auto tell = [&snapshots](HttpRequest request) {
        return tell_position(snapshots, std::move(request));
    };
    constexpr auto guarded = HttpRoute::Access::guarded;
    return {{.method = "GET", .path = "/position-of", .access = guarded, .handler = tell},
            {.method = "POST", .path = "/position-of", .access = guarded, .handler = tell},
            {.method = "GET",
             .path = "/bootstrap",
             .access = guarded,
             .handler = [serving](HttpRequest request) {
                 return bootstrap(serving, std::move(request));
             }}};
}

}  // namespace walcast
