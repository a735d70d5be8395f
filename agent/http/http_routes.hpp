#pragma once

#include "agent/http/listen_address.hpp"
#include "sinks/awaitable.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace walcast {

struct HttpRequest {
    std::string method;
    std::string path;                // Without the query.
    std::string query = {};          // What follows the question mark, as it came.
    std::string authorization = {};  // The header.
    std::string host = {};           // Likewise.
    std::string body = {};
};

// A body that is made while it is sent: appends its next piece, which may be empty; false when that
// was the last. May throw: then the client sees that the body has no end.
using HttpBody = std::function<asio::awaitable<bool>(std::string& piece)>;

struct HttpResponse {
    unsigned status = 200;
    std::string content_type = "text/plain; charset=utf-8";
    std::string body = {};
    std::string header = {};          // One more line, if any: `Allow: GET`
    std::shared_ptr<void> held = {};  // Until it has been written, or given up.
    HttpBody stream = {};             // Instead of `body`.
};

// The bytes of a response, by HTTP/1.1. A HEAD has no body, but its length. A stream follows in
// chunks, or, where the client knows none, until the connection is closed.
enum class Connection { kept, closed };
enum class Framing { by_length, chunked, by_end };
std::string http_text(const HttpResponse& response, bool has_body, Connection connection,
                      Framing framing = Framing::by_length);

// Puts a piece of a stream into a chunk; an empty one would be the end.
std::string http_chunk(std::string_view piece);

// Answers a request. It has its own time limits, and may throw: the client is then told 500.
using HttpHandler = std::function<asio::awaitable<HttpResponse>(HttpRequest request)>;

struct HttpRoute {
    // `guarded`: by token; without one only by the name of this machine, or pages of anybody could
    // have a browser on it ask, by giving their own name its address.
    enum class Access { open, by_token, guarded };
    std::string_view method;  // A GET also answers HEAD.
    std::string_view path;    // One that ends in a slash stands for all that is right below it.
    Access access = Access::by_token;
    HttpHandler handler;
};

// What is served.
class HttpRoutes {
public:
    // Without a token everything is open, but for what is guarded.
    HttpRoutes(std::string token, std::vector<HttpRoute> routes, ListenAddress listen = {})
        : token_(std::move(token)), routes_(std::move(routes)), listen_(std::move(listen)) {}

    // Who answers a request, or why nobody does. Valid as long as the routes.
    std::variant<const HttpRoute*, HttpResponse> find(const HttpRequest& request) const;

private:
    std::optional<HttpResponse> refusal(const HttpRoute& route, const HttpRequest& request) const;
    bool is_permitted(const HttpRoute& route, std::string_view authorization) const;
    bool is_own_name(std::string_view host) const;

    std::string token_;
    std::vector<HttpRoute> routes_;
    ListenAddress listen_;
};

}  // namespace walcast
