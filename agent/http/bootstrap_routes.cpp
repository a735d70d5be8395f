#include "agent/http/bootstrap_routes.hpp"

#include "agent/bootstrap/bootstrap.hpp"
#include "agent/concurrency.hpp"
#include "agent/http/data_query.hpp"
#include "agent/http/json_response.hpp"
#include "agent/snapshot/snapshot_json.hpp"

#include <fmt/format.h>

#include <utility>

namespace walcast {

namespace {

using std::chrono::milliseconds;

// Until the stream has passed a marker; it may be behind, or wait for Redis.
constexpr milliseconds answer_limit{30'000};
// Each has a connection to Postgres, and takes its turns in our loop.
constexpr unsigned bootstraps_max = 4;

// Of a snapshot that has seen all up to `seen`.
asio::awaitable<SnapshotAnswer> ask_in_time(SnapshotPositions& snapshots, std::string text,
                                            SyncId seen) {
    auto asking = snapshots.position_of(parse_snapshot(text));
    auto answer = co_await within(answer_limit, std::move(asking));
    if (!answer)
        throw NotStreaming(
            "the stream has not come up to the snapshot in time: the agent is behind");
    if (answer->position.last_sync_id < seen)
        throw SnapshotRefused(fmt::format("the snapshot has not seen all up to {}", seen));
    co_return std::move(*answer);
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
        auto asking = ask_in_time(snapshots, snapshot_in(request), 0);
        auto answer = co_await std::move(asking);
        text = "{";
        append_snapshot_answer(text, answer);
        co_return json_response(status, text + "}\n");
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
    co_return json_error(status, text);
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

// What an answer with rows would begin with, without a connection and a snapshot for it.
asio::awaitable<bool> nothing(std::string& /*piece*/) {
    co_return false;
}
HttpResponse head(std::string content_type) {
    return {.content_type = std::move(content_type), .stream = nothing};
}

// One bootstrap, in one of the places for them.
class Running {
public:
    Running(std::shared_ptr<BootstrapService> service, Bootstrap::Settings settings,
            BootstrapRequest request)
        : service_(std::move(service)),
          bootstrap_(service_->executor, std::move(settings), service_->rules(),
                     std::move(request)) {
        ++service_->running;
    }
    ~Running() {
        --service_->running;
        auto seconds = std::chrono::duration<double>(Clock::now() - began_at_).count();
        service_->log.debug("bootstrap ended rows={} seconds={:.1f}", bootstrap_.rows(), seconds);
    }
    Running(const Running&) = delete;

    Bootstrap& bootstrap() { return bootstrap_; }

private:
    std::shared_ptr<BootstrapService> service_;
    Bootstrap bootstrap_;
    Clock::time_point began_at_ = Clock::now();
};

asio::awaitable<bool> next_piece(std::shared_ptr<Running> running, const BootstrapForm& form,
                                 std::string& piece) {
    auto reading = running->bootstrap().next(piece);
    auto is_more = co_await std::move(reading);
    if (form.rewrite) form.rewrite(piece);
    co_return is_more;
}

asio::awaitable<HttpResponse> bootstrap(std::shared_ptr<BootstrapService> service,
                                        HttpRequest request) {
    BootstrapRequest wanted;
    try {
        wanted = request_of(request);
    } catch (const std::runtime_error& error) {
        co_return json_error(400, error.what());
    } catch (const std::invalid_argument& error) {
        co_return json_error(400, error.what());
    }
    BootstrapForm form{.is_head = request.method == "HEAD"};
    auto answering = answer_bootstrap(std::move(service), std::move(wanted), std::move(form));
    co_return co_await std::move(answering);
}

}  // namespace

bool BootstrapService::is_full() const {
    return running >= bootstraps_max;
}

asio::awaitable<HttpResponse> answer_bootstrap(std::shared_ptr<BootstrapService> service,
                                               BootstrapRequest wanted, BootstrapForm form) {
    unsigned status = 500;
    std::string why;
    try {
        if (form.is_head) co_return head(std::move(form.content_type));
        if (service->is_full())
            throw NotStreaming("as many bootstraps as there may be at a time are on their way");
        Bootstrap::Settings settings{.conninfo = service->snapshots.server(),
                                     .source = service->config.source,
                                     .values = service->config.values};
        auto running = std::make_shared<Running>(service, std::move(settings), std::move(wanted));
        auto ask = [service, seen = form.seen](std::string snapshot) {
            return ask_in_time(service->snapshots, std::move(snapshot), seen);
        };
        auto beginning = running->bootstrap().begin(ask);
        if (!co_await within(2 * answer_limit, std::move(beginning)))
            throw NotStreaming("no snapshot was taken in time: perhaps a table is locked");
        for (const auto& table : running->bootstrap().unpublished())
            service->log.warn(
                "bootstrap without table={}, which is not published or not there: `walcast init` "
                "adds what the rules name",
                table);
        HttpResponse response{.content_type = form.content_type};
        response.stream = [running, form = std::move(form)](std::string& piece) {
            return next_piece(running, form, piece);
        };
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
    // Who asks may do so again and again.
    constexpr milliseconds log_interval{5'000};
    auto is_logged =
        why == service->refusal_logged && Clock::now() - service->refusal_logged_at < log_interval;
    if (status >= 500 && !is_logged) {
        service->refusal_logged = why;
        service->refusal_logged_at = Clock::now();
        service->log.warn("bootstrap refused status={} error={}", status, quoted(why));
    }
    co_return json_error(status, why);
}

std::vector<HttpRoute> bootstrap_routes(std::shared_ptr<BootstrapService> service) {
    auto tell = [service](HttpRequest request) {
        return tell_position(service->snapshots, std::move(request));
    };
    constexpr auto guarded = HttpRoute::Access::guarded;
    return {{.method = "GET", .path = "/position-of", .access = guarded, .handler = tell},
            {.method = "POST", .path = "/position-of", .access = guarded, .handler = tell},
            {.method = "GET",
             .path = "/bootstrap",
             .access = guarded,
             .handler = [service](HttpRequest request) {
                 return bootstrap(service, std::move(request));
             }}};
}

}  // namespace walcast
