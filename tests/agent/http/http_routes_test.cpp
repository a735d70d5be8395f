#include "agent/http/http_routes.hpp"

#include <gtest/gtest.h>

namespace walcast {

static constexpr auto token = "0123456789abcdef";

static asio::awaitable<HttpResponse> nothing() {
    co_return HttpResponse{};
}

static HttpRoutes routes_with(const std::string& with_token) {
    using Access = HttpRoute::Access;
    auto handler = [](const HttpRequest&) { return nothing(); };
    return {with_token,
            {{"GET", "/open", Access::open, handler},
             {"GET", "/all/", Access::open, handler},
             {"GET", "/closed", Access::by_token, handler},
             {"POST", "/closed", Access::by_token, handler}}};
}

// The status that a request gets, or 0 and which route takes it.
static std::string taken(const HttpRoutes& routes, const HttpRequest& request) {
    auto found = routes.find(request);
    if (const auto* response = std::get_if<HttpResponse>(&found))
        return std::to_string(response->status) +
               (response->header.empty() ? "" : " " + response->header);
    const auto* route = std::get<const HttpRoute*>(found);
    return std::string(route->method) + " " + std::string(route->path);
}

TEST(HttpRoutes, FindWhoAnswers) {
    auto routes = routes_with("");

    EXPECT_EQ(taken(routes, {.method = "GET", .path = "/open"}), "GET /open");
    EXPECT_EQ(taken(routes, {.method = "HEAD", .path = "/open"}), "GET /open");
    EXPECT_EQ(taken(routes, {.method = "GET", .path = "/closed"}), "GET /closed");
    EXPECT_EQ(taken(routes, {.method = "POST", .path = "/closed"}), "POST /closed");
}

TEST(HttpRoutes, FindWhatIsRightBelowAPath) {
    auto routes = routes_with("");

    EXPECT_EQ(taken(routes, {.method = "GET", .path = "/all/todos"}), "GET /all/");
    EXPECT_EQ(taken(routes, {.method = "POST", .path = "/all/todos"}), "405 Allow: GET, HEAD");
    for (const auto* path : {"/all", "/all/", "/all//", "/all/a/b", "/all/a/", "/alle/todos"})
        EXPECT_EQ(taken(routes, {.method = "GET", .path = path}), "404") << path;
}

TEST(HttpRoutes, RefuseOtherPathsAndMethods) {
    auto routes = routes_with("");

    for (const auto* path : {"/", "", "/open/", "/ope", "/OPEN", "open", "*", "//open"})
        EXPECT_EQ(taken(routes, {.method = "GET", .path = path}), "404") << path;
    auto refused = std::get<HttpResponse>(routes.find({.method = "GET", .path = "/"}));
    EXPECT_EQ(refused.body, "{\"error\":\"not found\"}\n");
    EXPECT_EQ(refused.content_type, "application/json");
    EXPECT_EQ(taken(routes, {.method = "POST", .path = "/open"}), "405 Allow: GET, HEAD");
    EXPECT_EQ(taken(routes, {.method = "get", .path = "/open"}), "405 Allow: GET, HEAD");
    EXPECT_EQ(taken(routes, {.method = "PUT", .path = "/closed"}), "405 Allow: GET, HEAD, POST");
}

TEST(HttpRoutes, WantTheTokenWhereThereIsOne) {
    auto routes = routes_with(token);
    auto with = [&](const std::string& authorization) {
        return taken(routes, {.method = "GET", .path = "/closed", .authorization = authorization});
    };
    constexpr auto refused = "401 WWW-Authenticate: Bearer";

    EXPECT_EQ(with("Bearer 0123456789abcdef"), "GET /closed");
    EXPECT_EQ(with("bearer 0123456789abcdef"), "GET /closed");
    for (const auto* wrong :
         {"", "Bearer", "Bearer ", "Bearer 0123456789abcdeg", "Bearer 0123456789abcde",
          "Bearer 0123456789abcdef0", "Basic 0123456789abcdef", "0123456789abcdef",
          "Bearer  0123456789abcdef"})
        EXPECT_EQ(with(wrong), refused) << wrong;
    EXPECT_EQ(taken(routes, {.method = "PUT", .path = "/closed"}), refused);
    EXPECT_EQ(taken(routes, {.method = "GET", .path = "/open"}), "GET /open");
}

TEST(HttpRoutes, GuardWithoutATokenByTheNameOfThisMachine) {
    using Access = HttpRoute::Access;
    auto handler = [](const HttpRequest&) { return nothing(); };
    auto taken_by = [&](const std::string& host, const std::string& listen,
                        const std::string& with_token = "", const std::string& authorization = "") {
        HttpRoutes routes(with_token, {{"GET", "/data", Access::guarded, handler}},
                          parse_listen_address(listen));
        HttpRequest request{
            .method = "GET", .path = "/data", .authorization = authorization, .host = host};
        return taken(routes, request);
    };
    constexpr auto listen = "127.0.0.1:7654";

    for (const auto* own : {"localhost", "localhost:7654", "LocalHost:1", "127.0.0.1:7654",
                            "127.3.2.1", "[::1]:7654", "[::1]"})
        EXPECT_EQ(taken_by(own, listen), "GET /data") << own;
    for (const auto* foreign :
         {"", "evil.example", "evil.example:7654", "localhost.evil.example", "127.0.0.1.nip.io",
          "10.0.0.1:7654", "[::2]", "[::1", "unix:/x", "local", "localhostx", ":7654"})
        EXPECT_EQ(taken_by(foreign, listen), "403") << foreign;
    EXPECT_EQ(taken_by("anything", "unix:/run/w"), "GET /data");
    EXPECT_EQ(taken_by("10.0.0.1:7654", "10.0.0.1:7654"), "GET /data");
    EXPECT_EQ(taken_by("evil.example", "0.0.0.0:7654", token, std::string("Bearer ") + token),
              "GET /data");
    EXPECT_EQ(taken_by("localhost", listen, token), "401 WWW-Authenticate: Bearer");
}

TEST(HttpText, IsAWholeResponse) {
    HttpResponse response{.status = 405, .body = "no\n", .header = "Allow: GET"};

    EXPECT_EQ(http_text(response, true, Connection::closed),
              "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\n"
              "Content-Length: 3\r\nCache-Control: no-store\r\nConnection: close\r\n"
              "Allow: GET\r\n\r\nno\n");
}

TEST(HttpText, HasNoBodyForHeadButItsLength) {
    auto text = http_text({.body = "12345"}, false, Connection::kept);

    EXPECT_NE(text.find("Content-Length: 5\r\n"), std::string::npos);
    EXPECT_NE(text.find("Connection: keep-alive\r\n"), std::string::npos);
    EXPECT_TRUE(text.ends_with("\r\n\r\n"));
}

TEST(HttpText, AnnouncesAStream) {
    HttpResponse response{.status = 200, .content_type = "application/x-ndjson"};

    auto chunked = http_text(response, true, Connection::kept, Framing::chunked);
    EXPECT_NE(chunked.find("\r\nTransfer-Encoding: chunked\r\n"), std::string::npos);
    EXPECT_EQ(chunked.find("Content-Length"), std::string::npos);
    auto until_closed = http_text(response, true, Connection::closed, Framing::by_end);
    EXPECT_EQ(until_closed.find("Transfer-Encoding"), std::string::npos);
    EXPECT_EQ(until_closed.find("Content-Length"), std::string::npos);
}

TEST(HttpText, PutsPiecesIntoChunks) {
    EXPECT_EQ(http_chunk("a line\n"), "7\r\na line\n\r\n");
    EXPECT_EQ(http_chunk(std::string(255, 'x')).substr(0, 4), "ff\r\n");
}

}  // namespace walcast
