#include "sinks/redis_connection.hpp"

#include "sinks/sink.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>
#include <netinet/tcp.h>

#include <optional>

namespace walcast {

using asio::use_awaitable;
using asio::ip::tcp;
using Socket = asio::generic::stream_protocol::socket;

struct RedisConnection::Streams {
    explicit Streams(const asio::any_io_executor& executor) : socket(executor) {}

    Socket socket;
    asio::ssl::context context{asio::ssl::context::tls_client};
    std::optional<asio::ssl::stream<Socket&>> tls;
};

RedisConnection::RedisConnection(asio::any_io_executor executor, RedisAddress address)
    : executor_(std::move(executor)), address_(std::move(address)) {}

RedisConnection::~RedisConnection() = default;

asio::awaitable<void> RedisConnection::connect() {
    streams_ = std::make_unique<Streams>(executor_);
    parser_ = ReplyParser();
    auto& socket = streams_->socket;
    if (!address_.path.empty()) {
        asio::local::stream_protocol::endpoint endpoint(address_.path);
        co_await socket.async_connect(endpoint, use_awaitable);
        co_return;
    }
    tcp::resolver resolver(executor_);
    auto found = co_await resolver.async_resolve(address_.host, address_.port, use_awaitable);
    tcp::socket connected(executor_);
    co_await asio::async_connect(connected, found, use_awaitable);
    connected.set_option(tcp::no_delay(true));
    connected.set_option(asio::socket_base::keep_alive(true));
    // A peer that is gone without a word is noticed after this long, even in the middle of a write.
    using UserTimeout = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>;
    using KeepIdle = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPIDLE>;
    connected.set_option(UserTimeout(60'000));
    connected.set_option(KeepIdle(30));
    socket = Socket(std::move(connected));
    if (!address_.is_tls) co_return;

    streams_->context.set_default_verify_paths();
    auto& tls = streams_->tls.emplace(socket, streams_->context);
    tls.set_verify_mode(asio::ssl::verify_peer);
    tls.set_verify_callback(asio::ssl::host_name_verification(address_.host));
    SSL_set_tlsext_host_name(tls.native_handle(), address_.host.c_str());
    co_await tls.async_handshake(asio::ssl::stream_base::client, use_awaitable);
}

// What a failed connection means to the operator.
static std::string explain(const boost::system::system_error& error) {
    if (error.code() == asio::error::connection_refused)
        return "connection refused: is it running, and does [redis] url name its host and port?";
    if (error.code() == boost::system::errc::no_such_file_or_directory)
        return "no such socket: is it running, and is its `unixsocket` this path?";
    if (error.code().category() == asio::error::get_netdb_category() ||
        error.code() == asio::error::host_not_found)
        return "host not found: check the name in [redis] url";
    return error.code().message();
}

asio::awaitable<void> RedisConnection::open() {
    try {
        co_await connect();
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) throw;
        throw SinkError(fmt::format("redis: connect to {}: {}", address_.shown(), explain(error)));
    }
    if (!address_.password.empty()) {
        std::string command;
        if (address_.user.empty())
            append_command(command, {"AUTH", address_.password});
        else
            append_command(command, {"AUTH", address_.user, address_.password});
        co_await ask(std::move(command));
    }
    if (!address_.database.empty() && address_.database != "0") {
        std::string command;
        append_command(command, {"SELECT", address_.database});
        co_await ask(std::move(command));
    }
}

[[noreturn]] static void lost(const RedisAddress& address,
                              const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) throw error;
    throw SinkError(fmt::format(
        "redis: connection to {} lost: {}", address.shown(),
        error.code() == asio::error::eof ? "closed by the server" : error.code().message()));
}

asio::awaitable<void> RedisConnection::write(std::string_view bytes) {
    if (!streams_) throw SinkError("redis: not connected");
    try {
        auto buffer = asio::buffer(bytes.data(), bytes.size());
        if (streams_->tls)
            co_await asio::async_write(*streams_->tls, buffer, use_awaitable);
        else
            co_await asio::async_write(streams_->socket, buffer, use_awaitable);
    } catch (const boost::system::system_error& error) {
        lost(address_, error);
    }
}

asio::awaitable<Reply> RedisConnection::read() {
    for (;;) {
        if (auto reply = parser_.next()) co_return std::move(*reply);
        if (!streams_) throw SinkError("redis: not connected");
        try {
            auto buffer = asio::buffer(input_);
            std::size_t count = 0;
            if (streams_->tls)
                count = co_await streams_->tls->async_read_some(buffer, use_awaitable);
            else
                count = co_await streams_->socket.async_read_some(buffer, use_awaitable);
            parser_.feed({input_.data(), count});
        } catch (const boost::system::system_error& error) {
            lost(address_, error);
        }
    }
}

asio::awaitable<Reply> RedisConnection::ask(std::string command) {
    co_await write(command);
    auto reply = co_await read();
    if (reply.is_error()) {
        auto name_begin = command.find("\r\n", command.find('$')) + 2;
        auto name = command.substr(name_begin, command.find("\r\n", name_begin) - name_begin);
        throw_redis_error(name, reply.text);
    }
    co_return reply;
}

void throw_redis_error(std::string_view attempted, std::string_view reply) {
    struct Hint {
        std::string_view code;
        std::string_view what_to_do;
    };
    static constexpr Hint hints[] = {
        {"NOAUTH", "give user and password in [redis] url: redis://user:password@host:6379"},
        {"WRONGPASS", "check user and password in [redis] url, or in WALCAST_REDIS_URL"},
        {"NOPERM",
         "allow walcast's user: ACL SETUSER <user> on ><password> ~* &* +@all -@dangerous +info"},
        {"READONLY", "this is a replica: point [redis] url at the primary"},
        {"OOM",
         "it is full: raise maxmemory or shorten [redis] history; walcast waits and loses nothing"},
        {"LOADING", "it is still loading its data set: walcast waits"},
        {"MISCONF", "it cannot save to disk: free its disk; walcast waits and loses nothing"},
        {"BUSY", "a script of another client blocks it: SCRIPT KILL ends that"},
        {"NOSCRIPT", "its script cache was flushed: walcast loads the script again"},
        {"CHANNEL", "a prefix of walcast's own keeps others out; deleting that key lets it go on"},
        {"CROSSSLOT", "Redis Cluster is not supported: use a single primary"},
        {"MOVED", "Redis Cluster is not supported: use a single primary"},
        {"ERR invalid password", "check user and password in [redis] url, or in WALCAST_REDIS_URL"},
        {"ERR AUTH", "this server has no password set for that user: check [redis] url"},
        {"ERR DB index", "check the database number at the end of [redis] url"},
    };
    for (const auto& hint : hints) {
        if (reply.starts_with(hint.code))
            throw SinkError(fmt::format("redis: {}: {} ({})", attempted, reply, hint.what_to_do));
    }
    throw SinkError(fmt::format("redis: {}: {}", attempted, reply));
}

}  // namespace walcast
