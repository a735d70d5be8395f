#include "agent/http/http_routes.hpp"

#include "agent/http/json_response.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace walcast {

static std::string_view reason_of(unsigned status) {
    switch (status) {
        case 200: return "OK";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 413: return "Content Too Large";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 503: return "Service Unavailable";
        default: return "";
    }
}

static std::string header_of(Framing framing, std::size_t length) {
    switch (framing) {
        case Framing::chunked: return "Transfer-Encoding: chunked\r\n";
        case Framing::by_end: return "";
        case Framing::by_length: break;
    }
    return fmt::format("Content-Length: {}\r\n", length);
}

std::string http_text(const HttpResponse& response, bool has_body, Connection connection,
                      Framing framing) {
    auto text = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\n{}Cache-Control: no-store\r\nConnection: {}\r\n",
        response.status, reason_of(response.status), response.content_type,
        header_of(framing, response.body.size()),
        connection == Connection::kept ? "keep-alive" : "close");
    if (!response.header.empty()) text += response.header + "\r\n";
    text += "\r\n";
    if (has_body) text += response.body;
    return text;
}

std::string http_chunk(std::string_view piece) {
    return fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
}

static bool takes(const HttpRoute& route, std::string_view method) {
    return method == route.method || (method == "HEAD" && route.method == "GET");
}

static bool leads_to(const HttpRoute& route, std::string_view path) {
    if (!route.path.ends_with('/')) return path == route.path;
    return path.starts_with(route.path) && path.size() > route.path.size() &&
           path.find('/', route.path.size()) == std::string_view::npos;
}

// In a time that tells nothing of the token but its length.
static bool is_same(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    unsigned difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
    return difference == 0;
}

bool HttpRoutes::is_permitted(const HttpRoute& route, std::string_view authorization) const {
    if (token_.empty() || route.access == HttpRoute::Access::open) return true;
    constexpr std::string_view scheme = "bearer ";  // In whatever case.
    auto is_bearer = authorization.size() >= scheme.size() &&
                     std::equal(scheme.begin(), scheme.end(), authorization.begin(),
                                [](char a, char b) { return a == (b == ' ' ? b : (b | 0x20)); });
    return is_bearer && is_same(authorization.substr(scheme.size()), token_);
}

// The header's, which has a port or none.
bool HttpRoutes::is_own_name(std::string_view host) const {
    if (!listen_.path.empty()) return true;  // Browsers know no Unix sockets.
    auto name = host.substr(0, host.starts_with('[') ? host.find(']') + 1 : host.find(':'));
    constexpr std::string_view own = "localhost";  // In whatever case.
    if (std::equal(name.begin(), name.end(), own.begin(), own.end(),
                   [](char a, char b) { return (a | 0x20) == b; }))
        return true;
    try {
        auto address = parse_listen_address(fmt::format("{}:0", name));
        return address.is_local || address.host == listen_.host;
    } catch (const std::invalid_argument&) {
        return false;
    }
}

std::optional<HttpResponse> HttpRoutes::refusal(const HttpRoute& route,
                                                const HttpRequest& request) const {
    if (!is_permitted(route, request.authorization)) {
        auto refused = json_error(401, "a bearer token is needed: [http] token");
        refused.header = "WWW-Authenticate: Bearer";
        return refused;
    }
    auto needs_name = route.access == HttpRoute::Access::guarded && token_.empty();
    if (needs_name && !is_own_name(request.host))
        return json_error(403,
                          "without [http] token this is only for who asks for localhost, as the "
                          "header Host says");
    return std::nullopt;
}

std::variant<const HttpRoute*, HttpResponse> HttpRoutes::find(const HttpRequest& request) const {
    std::string allowed;
    for (const auto& route : routes_) {
        if (!leads_to(route, request.path)) continue;
        if (auto refused = refusal(route, request)) return std::move(*refused);
        if (takes(route, request.method)) return &route;
        allowed += fmt::format("{}{}", allowed.empty() ? "Allow: " : ", ", route.method);
        if (route.method == "GET") allowed += ", HEAD";
    }
    if (allowed.empty()) return json_error(404, "not found");
    auto refused = json_error(405, "method not allowed");
    refused.header = allowed;
    return refused;
}

}  // namespace walcast
