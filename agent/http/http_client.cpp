#include "agent/http/http_client.hpp"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

namespace walcast {

namespace http = boost::beast::http;
using asio::use_awaitable;
using Protocol = asio::generic::stream_protocol;

// Who listens on all addresses is reached by the loopback's.
static Protocol::endpoint endpoint_of(const ListenAddress& address) {
    if (!address.path.empty()) return asio::local::stream_protocol::endpoint(address.path);
    auto host = asio::ip::make_address(address.host);
    if (host.is_unspecified() && host.is_v4()) host = asio::ip::address_v4::loopback();
    if (host.is_unspecified()) host = asio::ip::address_v6::loopback();
    return asio::ip::tcp::endpoint(host, address.port);
}

asio::awaitable<HttpReply> ask_agent(ListenAddress address, std::string token, std::string path,
                                     std::string body) {
    constexpr std::size_t reply_bytes_max = std::size_t{64} * 1024 * 1024;
    auto executor = co_await asio::this_coro::executor;
    Protocol::socket socket(executor);
    auto endpoint = endpoint_of(address);
    co_await socket.async_connect(endpoint, use_awaitable);
    http::request<http::string_body> request(http::verb::post, path, 11);
    request.set(http::field::host, address.path.empty() ? address.text : "localhost");
    if (!token.empty()) request.set(http::field::authorization, "Bearer " + token);
    request.keep_alive(false);
    request.body() = std::move(body);
    request.prepare_payload();
    co_await http::async_write(socket, request, use_awaitable);
    boost::beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(reply_bytes_max);
    co_await http::async_read(socket, buffer, parser, use_awaitable);
    auto response = parser.release();
    co_return HttpReply{response.result_int(), std::move(response.body())};
}

}  // namespace walcast
