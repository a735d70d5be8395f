#pragma once

#include "agent/clock.hpp"
#include "agent/http/http_routes.hpp"
#include "agent/http/listen_address.hpp"
#include "agent/log.hpp"
#include "sinks/awaitable.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <chrono>
#include <list>
#include <optional>
#include <string>
#include <string_view>

namespace walcast {

// A small HTTP/1.1 server beside the agent's work, which it never disturbs: what clients can cost
// is bounded, and what goes wrong with them is not thrown.
class HttpServer {
public:
    struct Limits {
        std::size_t connections = 256;
        std::size_t header_bytes = std::size_t{8} * 1024;
        std::size_t body_bytes = std::size_t{64} * 1024;
        std::chrono::milliseconds request{5'000};  // From its first byte to its last.
        std::chrono::milliseconds idle{75'000};    // Between two requests.
        std::chrono::milliseconds write{5'000};    // Of a response, or a part of one.
        std::size_t part_bytes = std::size_t{64} * 1024;
        std::chrono::milliseconds stream{3'600'000};  // Of a whole one that is made meanwhile.
        std::chrono::milliseconds listen_again{10'000};
    };

    // `routes` and `log` must outlive the server.
    HttpServer(asio::any_io_executor executor, ListenAddress address, const HttpRoutes& routes,
               Log& log, Limits limits);
    ~HttpServer();

    // Serves until it is cancelled. An address that cannot be had is tried again from time to time:
    // a standby on the same host takes it when the active agent has gone.
    asio::awaitable<void> run();

private:
    using Protocol = asio::generic::stream_protocol;
    using Socket = Protocol::socket;

    struct Client {
        Socket& socket;
        Clock::time_point since;
        bool is_waited_for;  // Since then, to send or to take something.
    };

    asio::awaitable<void> listen();
    boost::system::error_code open();
    boost::system::error_code open(const Protocol::endpoint& endpoint);
    std::string shown_address() const;

    asio::awaitable<void> serve_one_after_the_other();
    void make_room();
    asio::awaitable<void> serve(Client& client);
    static asio::awaitable<void> receive(Socket& socket, std::string& input);
    template <typename Whole>
    static asio::awaitable<void> receive_until(Socket& socket, std::string& input, Whole is_whole);
    asio::awaitable<void> answer(HttpRequest request, HttpResponse& response);
    asio::awaitable<void> watch(Socket& socket);
    asio::awaitable<bool> send(Client& client, const HttpResponse& response, bool has_body,
                               Connection connection, Framing framing);
    asio::awaitable<bool> send(Client& client, std::string_view text);
    asio::awaitable<bool> send_stream(Client& client, const HttpBody& body, Framing framing);
    static asio::awaitable<void> write(Socket& socket, std::string_view text);
    asio::awaitable<void> leave(Socket& socket);

    asio::any_io_executor executor_;
    ListenAddress address_;
    const HttpRoutes& routes_;
    Log& log_;
    Limits limits_;
    std::optional<asio::basic_socket_acceptor<Protocol>> acceptor_;
    std::list<Client> clients_;
};

}  // namespace walcast
