#include "agent/http/operating_routes.hpp"

#include "agent/readiness.hpp"

namespace walcast {

// Neither Postgres nor Redis: a restart would not mend them.
static asio::awaitable<HttpResponse> live() {
    co_return HttpResponse{.body = "ok\n"};
}

static asio::awaitable<HttpResponse> ready(const Metrics& metrics,
                                           std::chrono::milliseconds heartbeat) {
    auto now = Clock::now();
    auto found = readiness(metrics, heartbeat, now);
    co_return HttpResponse{.status = found.is_ready ? 200U : 503U,
                           .content_type = "application/json",
                           .body = readiness_json(found, metrics, now)};
}

static asio::awaitable<HttpResponse> measure(const Metrics& metrics, std::string version) {
    co_return HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                           .body = metrics_text(metrics, process_facts(), version, Clock::now())};
}

std::vector<HttpRoute> operating_routes(const Metrics& metrics, std::chrono::milliseconds heartbeat,
                                        std::string version) {
    using Access = HttpRoute::Access;
    return {{.method = "GET",
             .path = "/livez",
             .access = Access::open,
             .handler = [](const HttpRequest&) { return live(); }},
            {.method = "GET",
             .path = "/readyz",
             .access = Access::open,
             .handler = [&metrics,
                         heartbeat](const HttpRequest&) { return ready(metrics, heartbeat); }},
            {.method = "GET",
             .path = "/metrics",
             .access = Access::by_token,
             .handler = [&metrics, version = std::move(version)](const HttpRequest&) {
                 return measure(metrics, version);
             }}};
}

}  // namespace walcast
