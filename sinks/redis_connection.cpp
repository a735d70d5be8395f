#include "sinks/redis_connection.hpp"

#include "sinks/redis_tls.hpp"
#include "sinks/sink.hpp"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <optional>

namespace walcast {

using asio::use_awaitable;
using asio::ip::tcp;
using boost::system::system_error;
using Socket = asio::generic::stream_protocol::socket;

struct RedisConnection::Streams {
    explicit Streams(const asio::any_io_executor& executor) : socket(executor) {}

    Socket socket;
    std::optional<asio::ssl::context> context;
    std::optional<asio::ssl::stream<Socket&>> tls;
    bool has_answered = false;
};

RedisConnection::RedisConnection(asio::any_io_executor executor, RedisAddress address)
    : executor_(std::move(executor)), address_(std::move(address)), server_(address_) {}

RedisConnection::~RedisConnection() = default;

asio::awaitable<void> RedisConnection::open() {
    if (!address_.sentinels.empty()) co_await find_master();
    try {
        co_await connect();
    } catch (const system_error& error) {
        if (error.code() == asio::error::operation_aborted) throw;
        throw SinkError(
            fmt::format("redis: connect to {}: {}", server_.shown(), explain(error.code())));
    }
    co_await authenticate();
    if (!address_.sentinels.empty()) co_await expect_master();
}

// --- Sentinel ---

// Our messages begin with where they come from, which is said already.
static std::string_view without_side(std::string_view what) {
    constexpr std::string_view side = "redis: ";
    return what.starts_with(side) ? what.substr(side.size()) : what;
}

// How to talk to a Sentinel, which is a Redis too.
static RedisAddress address_of(const RedisAddress::Server& sentinel, const RedisAddress& address) {
    RedisAddress found;
    found.is_tls = address.is_tls;
    found.sslrootcert = address.sslrootcert;
    found.sslcert = address.sslcert;
    found.sslkey = address.sslkey;
    found.host = sentinel.host;
    found.port = sentinel.port;
    found.user = address.sentinel_user;
    found.password = address.sentinel_password;
    return found;
}

static asio::awaitable<RedisAddress::Server> ask_for_master(asio::any_io_executor executor,
                                                            RedisAddress sentinel,
                                                            std::string master) {
    RedisConnection connection(std::move(executor), std::move(sentinel));
    co_await connection.open();
    std::string command;
    append_command(command, {"SENTINEL", "get-master-addr-by-name", master});
    co_await connection.write(command);
    auto reply = co_await connection.read();
    if (reply.text.starts_with("NOAUTH"))
        throw SinkError(reply.text + " (sentinel_user and sentinel_password in [redis] url)");
    if (reply.is_error()) throw SinkError(reply.text);
    if (reply.items.size() != 2)
        throw SinkError(fmt::format("it watches no master \"{}\"", master));
    RedisAddress::Server found{reply.items[0].text, reply.items[1].text};
    co_return found;
}

asio::awaitable<void> RedisConnection::find_master() {
    auto& sentinels = address_.sentinels;
    std::string failures;
    for (auto left = sentinels.size(); left > 0; --left) {
        // Last from now on, until it has answered: when it says nothing and our caller loses
        // patience, the next attempt begins with another one.
        std::rotate(sentinels.begin(), sentinels.begin() + 1, sentinels.end());
        auto sentinel = address_of(sentinels.back(), address_);
        try {
            auto master = co_await ask_for_master(executor_, sentinel, address_.master);
            std::rotate(sentinels.begin(), sentinels.end() - 1, sentinels.end());
            server_ = address_;
            server_.sentinels.clear();
            server_.host = master.host;
            server_.port = master.port;
            co_return;
        } catch (const SinkError& error) {
            failures += fmt::format("; {}: {}", sentinel.shown(), without_side(error.what()));
        }
    }
    throw SinkError(
        fmt::format("redis: no Sentinel says where \"{}\" is{}", address_.master, failures));
}

// A Sentinel that was cut off may name a former master.
asio::awaitable<void> RedisConnection::expect_master() {
    std::string command;
    append_command(command, {"ROLE"});
    auto role = co_await ask(std::move(command));
    if (role.items.empty() || role.items[0].text != "master")
        throw SinkError(
            fmt::format("redis: {} is not a master, though Sentinel {} says so: is a failover on "
                        "its way?",
                        server_.shown(), address_.sentinels[0].host));
}

// --- connecting ---

asio::awaitable<void> RedisConnection::connect() {
    streams_ = std::make_unique<Streams>(executor_);
    parser_ = ReplyParser();
    auto& socket = streams_->socket;
    if (!server_.path.empty()) {
        asio::local::stream_protocol::endpoint endpoint(server_.path);
        co_await socket.async_connect(endpoint, use_awaitable);
        co_return;
    }
    co_await connect_tcp();
    if (!server_.is_tls) co_return;

    streams_->context.emplace(make_tls_context(server_));
    auto& tls = streams_->tls.emplace(socket, *streams_->context);
    expect_host(tls.native_handle(), server_.host);
    co_await tls.async_handshake(asio::ssl::stream_base::client, use_awaitable);
}

asio::awaitable<void> RedisConnection::connect_tcp() {
    // A host that is gone without a word is tried for three seconds rather than two minutes, so
    // that the name's next address, and the next Sentinel, get their turn within our caller's
    // patience.
    using SynRetries = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_SYNCNT>;
    // The same once connected, even in the middle of a write.
    using UserTimeout = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>;
    using KeepIdle = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPIDLE>;
    using KeepInterval = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPINTVL>;
    tcp::resolver resolver(executor_);
    auto found = co_await resolver.async_resolve(server_.host, server_.port, use_awaitable);
    boost::system::error_code error = asio::error::host_not_found;
    for (const auto& each : found) {
        tcp::endpoint endpoint = each.endpoint();
        tcp::socket socket(executor_);
        socket.open(endpoint.protocol(), error);
        if (error) continue;
        socket.set_option(SynRetries(1));
        co_await socket.async_connect(endpoint, asio::redirect_error(use_awaitable, error));
        if (error == asio::error::operation_aborted) break;
        if (error) continue;
        socket.set_option(tcp::no_delay(true));
        socket.set_option(asio::socket_base::keep_alive(true));
        socket.set_option(UserTimeout(60'000));
        // One that died while the network was down says so when it is asked; while four batches
        // await their answers we have nothing else to say.
        socket.set_option(KeepIdle(5));
        socket.set_option(KeepInterval(5));
        streams_->socket = Socket(std::move(socket));
        co_return;
    }
    throw system_error(error);
}

asio::awaitable<void> RedisConnection::authenticate() {
    if (!server_.user.empty() || !server_.password.empty()) {
        std::string command;
        if (server_.user.empty())
            append_command(command, {"AUTH", server_.password});
        else
            append_command(command, {"AUTH", server_.user, server_.password});
        co_await ask(std::move(command));
    }
    if (!server_.database.empty() && server_.database != "0") {
        std::string command;
        append_command(command, {"SELECT", server_.database});
        co_await ask(std::move(command));
    }
}

// --- bytes ---

// What a failed connection means to the operator.
std::string RedisConnection::explain(const boost::system::error_code& error) const {
    if (error == asio::error::connection_refused)
        return "connection refused: is it running, and does [redis] url name its host and port?";
    if (error == boost::system::errc::no_such_file_or_directory)
        return "no such socket: is it running, and is its `unixsocket` this path?";
    if (error.category() == asio::error::get_netdb_category() ||
        error == asio::error::host_not_found)
        return "host not found: check the name in [redis] url";
    auto is_end = error == asio::error::eof || error == asio::ssl::error::stream_truncated;
    auto is_cut =
        is_end || error == asio::error::connection_reset || error == asio::error::broken_pipe;
    auto* tls = streams_->tls ? streams_->tls->native_handle() : nullptr;
    std::string what = is_end ? "closed by the server" : error.message();
    if (tls != nullptr && !is_cut) return explain_tls(error, server_, tls);
    if (!is_cut || streams_->has_answered || !server_.path.empty()) return what;
    what += ", before it answered anything";
    if (tls == nullptr) return what + ": if it speaks TLS there, the URL is rediss://";
    if (SSL_is_init_finished(tls) == 0) return what + ": does it speak TLS there?";
    return server_.sslcert.empty() ? what + ": does it want ?sslcert= and sslkey=?" : what;
}

void RedisConnection::lost(const system_error& error) const {
    if (error.code() == asio::error::operation_aborted) throw error;
    throw SinkError(
        fmt::format("redis: connection to {} lost: {}", server_.shown(), explain(error.code())));
}

asio::awaitable<void> RedisConnection::write(std::string_view bytes) {
    if (!streams_) throw SinkError("redis: not connected");
    try {
        auto buffer = asio::buffer(bytes.data(), bytes.size());
        if (streams_->tls)
            co_await asio::async_write(*streams_->tls, buffer, use_awaitable);
        else
            co_await asio::async_write(streams_->socket, buffer, use_awaitable);
    } catch (const system_error& error) {
        lost(error);
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
            streams_->has_answered = true;
            parser_.feed({input_.data(), count});
        } catch (const system_error& error) {
            lost(error);
        }
    }
}

asio::awaitable<Reply> RedisConnection::ask(std::string command) {
    co_await write(command);
    auto reply = co_await read();
    if (reply.is_error()) {
        auto name_begin = command.find("\r\n", command.find('$')) + 2;
        auto name = command.substr(name_begin, command.find("\r\n", name_begin) - name_begin);
        // A server that does not know a command repeats its arguments: of AUTH, the password.
        constexpr std::string_view repeated = ", with args";
        throw_redis_error(name, std::string_view(reply.text).substr(0, reply.text.find(repeated)));
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
         "allow walcast's user: ACL SETUSER <user> on ><password> ~* &* +@all -@dangerous +info "
         "+role"},
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
