#pragma once

#include "sinks/awaitable.hpp"

#include <functional>
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
    std::string body = {};
};

struct HttpResponse {
    unsigned status = 200;
    std::string content_type = "text/plain; charset=utf-8";
    std::string body = {};
    std::string header = {};  // One more line, if any: `Allow: GET`
};

// The bytes of a response, by HTTP/1.1. A HEAD has no body, but its length.
enum class Connection { kept, closed };
std::string http_text(const HttpResponse& response, bool has_body, Connection connection);

// Answers a request. It has its own time limits, and may throw: the client is then told 500.
using HttpHandler = std::function<asio::awaitable<HttpResponse>(HttpRequest request)>;

struct HttpRoute {
    enum class Access { open, by_token };
    std::string_view method;  // A GET also answers HEAD.
    std::string_view path;
    Access access = Access::by_token;
    HttpHandler handler;
};

// What is served.
class HttpRoutes {
public:
    // Without a token everything is open.
    HttpRoutes(std::string token, std::vector<HttpRoute> routes)
        : token_(std::move(token)), routes_(std::move(routes)) {}

    // Who answers a request, or why nobody does. Valid as long as the routes.
    std::variant<const HttpRoute*, HttpResponse> find(const HttpRequest& request) const;

private:
    bool is_permitted(const HttpRoute& route, std::string_view authorization) const;

    std::string token_;
    std::vector<HttpRoute> routes_;
};

}  // namespace walcast
