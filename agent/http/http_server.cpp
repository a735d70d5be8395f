#include "agent/http/http_server.hpp"

#include "agent/concurrency.hpp"
#include "agent/http/json_response.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace walcast {

namespace http = boost::beast::http;
using asio::use_awaitable;
using boost::system::error_code;
using std::chrono::milliseconds;
using Parser = http::request_parser<http::string_body>;

HttpServer::HttpServer(asio::any_io_executor executor, ListenAddress address,
                       const HttpRoutes& routes, Log& log, Limits limits)
    : executor_(std::move(executor)),
      address_(std::move(address)),
      routes_(routes),
      log_(log),
      limits_(limits) {}

HttpServer::~HttpServer() {
    // Before it is closed: whoever finds it closed may take the path for its own.
    if (acceptor_ && !address_.path.empty()) unlink(address_.path.c_str());
}

// As many places as connections may be; each serves one at a time. So nothing outlives `run`.
asio::awaitable<void> HttpServer::run() {
    if (address_.is_off())
        for (Signal never(executor_);;) co_await never.wait();
    co_await listen();
    std::vector<asio::awaitable<void>> places;
    for (std::size_t i = 0; i < limits_.connections; ++i)
        places.push_back(serve_one_after_the_other());
    co_await run_together(std::move(places));
}

// --- listening ---

asio::awaitable<void> HttpServer::listen() {
    for (auto is_told = false;; is_told = true) {
        auto error = open();
        if (!error) break;
        if (!is_told)
            log_.warn("http not listening on={} error={} retry_in={}ms", address_.text,
                      quoted(error.message()), limits_.listen_again.count());
        co_await sleep_for(limits_.listen_again);
    }
    log_.info("http listening on={}", shown_address());
    if (!address_.is_local)
        log_.warn("http on={} is reached from elsewhere, and is not encrypted", address_.text);
}

std::string HttpServer::shown_address() const {
    if (address_.port != 0 || !address_.path.empty()) return address_.text;
    error_code error;  // Port 0 is any that is free.
    asio::ip::tcp::endpoint endpoint;
    auto bound = acceptor_->local_endpoint(error);
    endpoint.resize(bound.size());
    std::memcpy(endpoint.data(), bound.data(), bound.size());
    return fmt::format("{}:{}", address_.text.substr(0, address_.text.rfind(':')), endpoint.port());
}

// A path where a listener was and is no more, as after kill -9.
static bool is_abandoned(const asio::any_io_executor& executor, const std::string& path) {
    struct stat file {};
    if (lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
    asio::local::stream_protocol::socket probe(executor);
    error_code error;
    probe.open({}, error);
    probe.non_blocking(true, error);  // Whose queue is full is there, and must not hold us up.
    if (error) return false;
    probe.connect(asio::local::stream_protocol::endpoint(path), error);
    return error == asio::error::connection_refused;
}

error_code HttpServer::open() {
    error_code error;
    if (address_.path.empty()) {
        auto host = asio::ip::make_address(address_.host, error);
        return open(Protocol::endpoint(asio::ip::tcp::endpoint(host, address_.port)));
    }
    Protocol::endpoint endpoint(asio::local::stream_protocol::endpoint(address_.path));
    error = open(endpoint);
    if (error != asio::error::address_in_use || !is_abandoned(executor_, address_.path))
        return error;
    unlink(address_.path.c_str());
    return open(endpoint);
}

error_code HttpServer::open(const Protocol::endpoint& endpoint) {
    constexpr auto backlog = 64;
    asio::basic_socket_acceptor<Protocol> acceptor(executor_);
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error && address_.path.empty())
        acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(backlog, error);
    if (!error) acceptor_.emplace(std::move(acceptor));
    return error;
}

// --- connections ---

asio::awaitable<void> HttpServer::serve_one_after_the_other() {
    for (;;) {
        Socket socket(executor_);
        error_code error;
        co_await acceptor_->async_accept(socket, asio::redirect_error(use_awaitable, error));
        if (error) {
            co_await sleep_for(milliseconds{1000});  // No descriptor is left, for example.
            continue;
        }
        auto client = clients_.insert(clients_.end(), {socket, Clock::now(), true});
        make_room();
        try {
            co_await serve(*client);
        } catch (const boost::system::system_error&) {
            // The client has gone, or we go: then the next wait says so again.
        } catch (const std::exception& failure) {
            log_.warn("http connection failed error={}", quoted(failure.what()));
        }
        clients_.erase(client);
    }
}

// Whoever takes the last place closes the connection that has waited longest for its client: those
// who ask whether we live always find one.
void HttpServer::make_room() {
    if (clients_.size() < limits_.connections) return;
    auto last = std::prev(clients_.end());
    auto stalest = last;
    for (auto client = clients_.begin(); client != last; ++client)
        if (client->is_waited_for && (stalest == last || client->since < stalest->since))
            stalest = client;
    error_code ignored;
    stalest->socket.close(ignored);
}

// --- requests ---

// Parses what has arrived; true when the request is whole.
static bool parse(Parser& parser, std::string& input, error_code& error) {
    while (!parser.is_done() && !input.empty()) {
        auto used = parser.put(asio::buffer(input), error);
        input.erase(0, used);
        if (error == http::error::need_more) error = {};
        if (error || used == 0) break;
    }
    return !error && parser.is_done();
}

asio::awaitable<void> HttpServer::receive(Socket& socket, std::string& input) {
    std::array<char, 4096> bytes{};
    auto size = co_await socket.async_read_some(asio::buffer(bytes), use_awaitable);
    input.append(bytes.data(), size);
}

template <typename Whole>
asio::awaitable<void> HttpServer::receive_until(Socket& socket, std::string& input,
                                                Whole is_whole) {
    while (!is_whole()) co_await receive(socket, input);
}

static HttpResponse refusal(const error_code& error) {
    if (error == http::error::header_limit) return json_error(431, "the header is too large");
    if (error == http::error::body_limit) return json_error(413, "the body is too large");
    return json_error(400, "not a request");
}

static HttpRequest request_of(Parser::value_type message) {
    std::string target(message.target());
    auto question = target.find('?');
    HttpRequest request{.method = std::string(message.method_string()),
                        .path = target.substr(0, question),
                        .query = question == std::string::npos ? "" : target.substr(question + 1),
                        .authorization = std::string(message[http::field::authorization]),
                        .host = std::string(message[http::field::host]),
                        .body = std::move(message.body())};
    return request;
}

asio::awaitable<void> HttpServer::serve(Client& client) {
    std::string input;  // What was received and not looked at yet.
    for (auto patience = limits_.request;; patience = limits_.idle) {
        Parser parser;
        parser.header_limit(static_cast<std::uint32_t>(limits_.header_bytes));
        parser.body_limit(limits_.body_bytes);
        parser.eager(true);
        error_code error;
        client.since = Clock::now();
        client.is_waited_for = true;
        if (input.empty()) {
            auto receiving = receive(client.socket, input);
            if (!co_await within(patience, std::move(receiving))) co_return;
        }
        auto is_whole = [&] { return parse(parser, input, error) || error; };
        auto receiving = receive_until(client.socket, input, is_whole);
        if (!co_await within(limits_.request, std::move(receiving))) co_return;

        client.is_waited_for = false;
        HttpResponse response;
        auto connection = Connection::closed;
        auto knows_chunks = false;
        auto has_body = true;
        if (error) {
            response = refusal(error);
        } else {
            auto message = parser.release();
            if (message.keep_alive()) connection = Connection::kept;
            knows_chunks = message.version() >= 11;
            auto request = request_of(std::move(message));
            has_body = request.method != "HEAD";
            auto answering = answer(std::move(request), response);
            co_await run_together(std::move(answering), watch(client.socket));
        }
        auto framing = !response.stream ? Framing::by_length
                       : knows_chunks   ? Framing::chunked
                                        : Framing::by_end;
        if (framing == Framing::by_end) connection = Connection::closed;
        auto sending = send(client, response, has_body, connection, framing);
        if (!co_await std::move(sending)) co_return;
        if (connection == Connection::kept) continue;
        auto leaving = leave(client.socket);
        co_await within(milliseconds{1000}, std::move(leaving));
        co_return;
    }
}

// Ends, with an error, when the client has gone: nobody else is to wait for the place of one whose
// answer is still waited for. Whoever closes its half only is taken for gone, since both look the
// same; whoever has sent its next request for there.
asio::awaitable<void> HttpServer::watch(Socket& socket) {
    error_code error;
    socket.non_blocking(true, error);
    for (std::size_t size = 0; size == 0;) {
        co_await socket.async_wait(Socket::wait_read, use_awaitable);
        char byte = 0;
        size = socket.receive(asio::buffer(&byte, 1), Socket::message_peek, error);
        auto is_gone = size == 0 && error != asio::error::would_block;
        if (is_gone) throw boost::system::system_error(asio::error::eof);
    }
    for (Signal never(executor_);;) co_await never.wait();
}

asio::awaitable<void> HttpServer::answer(HttpRequest request, HttpResponse& response) {
    auto found = routes_.find(request);
    if (auto* refused = std::get_if<HttpResponse>(&found)) {
        response = std::move(*refused);
        co_return;
    }
    auto path = request.path;
    std::string failed;
    try {
        auto answering = std::get<const HttpRoute*>(found)->handler(std::move(request));
        response = co_await std::move(answering);
        co_return;
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) throw;
        failed = error.what();
    } catch (const std::exception& error) {
        failed = error.what();
    }
    log_.warn("http request failed path={} error={}", quoted(path), quoted(failed));
    response = json_error(500, "failed; the log says why");
}

// False when the client is too slow.
asio::awaitable<bool> HttpServer::send(Client& client, const HttpResponse& response, bool has_body,
                                       Connection connection, Framing framing) {
    auto text = http_text(response, has_body, connection, framing);
    auto sending = send(client, std::string_view(text));
    if (!co_await std::move(sending)) co_return false;
    if (!response.stream || !has_body) co_return true;
    auto streaming = send_stream(client, response.stream, framing);
    co_return co_await std::move(streaming);
}

asio::awaitable<bool> HttpServer::send(Client& client, std::string_view text) {
    for (; !text.empty(); text.remove_prefix(std::min(text.size(), limits_.part_bytes))) {
        client.since = Clock::now();
        client.is_waited_for = true;
        auto writing = write(client.socket, text.substr(0, limits_.part_bytes));
        if (!co_await within(limits_.write, std::move(writing))) co_return false;
    }
    client.is_waited_for = false;
    co_return true;
}

asio::awaitable<bool> HttpServer::send_stream(Client& client, const HttpBody& body,
                                              Framing framing) {
    auto end = Clock::now() + limits_.stream;
    std::string piece;
    for (auto is_more = true; is_more;) {
        piece.clear();
        auto making = body(piece);
        auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now());
        auto made = co_await within(left, std::move(making));
        if (!made) co_return false;
        is_more = *made;
        if (piece.empty()) {
            co_await asio::post(executor_, use_awaitable);  // Others have their turn.
            continue;
        }
        if (framing == Framing::chunked) piece = http_chunk(piece);
        auto sending = send(client, std::string_view(piece));
        if (!co_await std::move(sending)) co_return false;
    }
    if (framing != Framing::chunked) co_return true;
    auto ending = send(client, std::string_view("0\r\n\r\n"));
    co_return co_await std::move(ending);
}

asio::awaitable<void> HttpServer::write(Socket& socket, std::string_view text) {
    co_await asio::async_write(socket, asio::buffer(text), use_awaitable);
}

// What the client still sends is read: closed before, the answer could be lost with it.
asio::awaitable<void> HttpServer::leave(Socket& socket) {
    socket.shutdown(Socket::shutdown_send);
    std::array<char, 4096> bytes{};
    for (std::size_t left = limits_.body_bytes; left > 0;) {
        auto size = co_await socket.async_read_some(asio::buffer(bytes), use_awaitable);
        left -= std::min(left, size);
    }
}

}  // namespace walcast
