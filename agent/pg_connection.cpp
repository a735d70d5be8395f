#include "agent/pg_connection.hpp"

#include "agent/concurrency.hpp"
#include "agent/errors.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace walcast {

using asio::use_awaitable;
using asio::posix::stream_descriptor;

PgParameters parse_conninfo(const std::string& conninfo) {
    char* error = nullptr;
    std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> options(
        PQconninfoParse(conninfo.c_str(), &error), PQconninfoFree);
    std::unique_ptr<char, void (*)(void*)> message(error, PQfreemem);
    if (!options) {
        // libpq's message may quote any part of it, the password included: cut at the first quote.
        std::string_view why = message ? message.get() : "";
        why = why.substr(0, why.find_first_of("\"\n"));
        throw std::invalid_argument(
            fmt::format("{}; expected postgres://user@host:5432/database, with any of :/@% in a "
                        "password as %XX",
                        why.empty() ? "not a Postgres URL" : why));
    }
    PgParameters parameters;
    for (const auto* option = options.get(); option->keyword != nullptr; ++option)
        if (option->val != nullptr) parameters.emplace_back(option->keyword, option->val);
    // What is no host and no port is perhaps the end of a password, which libpq would show.
    auto is_wrong = [](const auto& parameter) {
        const auto& [keyword, value] = parameter;
        return (keyword == "host" && value.find('@') != std::string::npos) ||
               (keyword == "port" && value.find_first_not_of("0123456789,") != std::string::npos);
    };
    if (std::any_of(parameters.begin(), parameters.end(), is_wrong))
        throw std::invalid_argument(
            "host or port are none; expected postgres://user@host:5432/database, with any of "
            ":/@% in a password as %XX");
    return parameters;
}

static std::string quote(std::string_view text, char mark) {
    std::string out(1, mark);
    for (auto character : text) {
        if (character == mark) out += mark;
        out += character;
    }
    return out + mark;
}

std::string quote_identifier(std::string_view name) {
    return quote(name, '"');
}

std::string quote_literal(std::string_view text) {
    return quote(text, '\'');
}

void PgConnection::Finish::operator()(pg_conn* connection) const {
    PQfinish(connection);
}

void PgConnection::Clear::operator()(pg_result* result) const {
    PQclear(result);
}

void PgConnection::FreeMemory::operator()(char* memory) const {
    PQfreemem(memory);
}

PgConnection::PgConnection(asio::any_io_executor executor, std::string conninfo, Mode mode)
    : executor_(std::move(executor)),
      conninfo_(std::move(conninfo)),
      mode_(mode),
      socket_(executor_) {}

PgConnection::~PgConnection() = default;

int PgConnection::server_version() const {
    return PQserverVersion(connection_.get());
}

int PgConnection::backend_pid() const {
    return PQbackendPID(connection_.get());
}

static void append_parameter(std::string& conninfo, std::string_view keyword,
                             std::string_view value) {
    conninfo += fmt::format("{}='", keyword);
    for (auto character : value) {
        if (character == '\'' || character == '\\') conninfo += '\\';
        conninfo += character;
    }
    conninfo += "' ";
}

std::string PgConnection::shown_conninfo() const {
    std::string conninfo;
    const auto* connection = connection_.get();
    append_parameter(conninfo, "host", PQhost(connection));
    append_parameter(conninfo, "port", PQport(connection));
    append_parameter(conninfo, "user", PQuser(connection));
    append_parameter(conninfo, "dbname", PQdb(connection));
    return conninfo;
}

std::string PgConnection::conninfo_of_this_server() const {
    std::string conninfo;
    auto append = [&](std::string_view keyword, std::string_view value) {
        append_parameter(conninfo, keyword, value);
    };
    for (const auto& [keyword, value] : parse_conninfo(conninfo_))
        if (keyword != "host" && keyword != "hostaddr" && keyword != "port") append(keyword, value);
    const auto* address = PQhostaddr(connection_.get());
    append("host", PQhost(connection_.get()));
    if (address != nullptr && *address != '\0') append("hostaddr", address);
    append("port", PQport(connection_.get()));
    return conninfo;
}

std::string PgConnection::database() const {
    return PQdb(connection_.get());
}

void PgConnection::follow_socket() {
    auto current = PQsocket(connection_.get());
    if (current < 0) fail("connect");
    // Its number alone does not tell: a new socket may bear the old one's.
    boost::system::error_code ignored;
    socket_.close(ignored);
    auto duplicate = dup(current);
    if (duplicate < 0) throw PgError(fmt::format("postgres: dup: {}", std::strerror(errno)));
    socket_.assign(duplicate);
}

asio::awaitable<void> PgConnection::wait_for(stream_descriptor::wait_type what) {
    boost::system::error_code error;
    co_await socket_.async_wait(what, asio::redirect_error(use_awaitable, error));
    auto state = co_await asio::this_coro::cancellation_state;
    auto is_cancelled = state.cancelled() != asio::cancellation_type::none;
    if (error && (is_cancelled || error != asio::error::operation_aborted))
        throw boost::system::system_error(error);
}

void PgConnection::interrupt() {
    boost::system::error_code ignored;
    socket_.cancel(ignored);
}

asio::awaitable<void> PgConnection::wait_readable() {
    return wait_for(stream_descriptor::wait_read);
}

asio::awaitable<void> PgConnection::wait_writable() {
    return wait_for(stream_descriptor::wait_write);
}

// --- connecting ---

// Settings of database and role apply to this session too, and change the text of every value: with
// extra_float_digits = -5 digits are lost.
static constexpr std::string_view pinned_settings =
    "-c datestyle=ISO -c lc_monetary=C -c timezone=UTC -c intervalstyle=postgres -c "
    "extra_float_digits=3 -c "
    "bytea_output=hex -c standard_conforming_strings=on -c idle_session_timeout=0 "
    "-c search_path=pg_catalog -c statement_timeout=0 -c lock_timeout=0 -c "
    "idle_in_transaction_session_timeout=0 "
    // No heartbeat waits for a standby that is away, each with a backend of its own.
    "-c synchronous_commit=local";

static PgParameters connection_parameters(const std::string& conninfo, PgConnection::Mode mode) {
    auto parameters = parse_conninfo(conninfo);
    auto set = [&](std::string_view keyword, std::string value) {
        auto found = std::find_if(parameters.begin(), parameters.end(), [&](const auto& parameter) {
            return parameter.first == keyword;
        });
        if (found == parameters.end())
            parameters.emplace_back(keyword, std::move(value));
        else
            found->second = std::move(value);
    };
    auto set_default = [&](std::string_view keyword, std::string value) {
        auto is_given =
            std::any_of(parameters.begin(), parameters.end(),
                        [&](const auto& parameter) { return parameter.first == keyword; });
        if (!is_given) parameters.emplace_back(keyword, std::move(value));
    };
    std::string options;
    for (const auto& [keyword, value] : parameters)
        if (keyword == "options") options = value + " ";
    // Ours last: of two settings of one name the later one counts.
    set("options", options + std::string(pinned_settings));
    set("client_encoding", "UTF8");
    set_default("fallback_application_name", "walcast");
    set_default("connect_timeout", "10");
    set_default("keepalives_idle", "30");
    set_default("keepalives_interval", "10");
    set_default("keepalives_count", "3");
    set_default("tcp_user_timeout", "60000");
    if (mode == PgConnection::Mode::replication) set("replication", "database");
    return parameters;
}

asio::awaitable<void> PgConnection::open() {
    auto parameters = connection_parameters(conninfo_, mode_);
    std::vector<const char*> keywords;
    std::vector<const char*> values;
    for (const auto& [keyword, value] : parameters) {
        keywords.push_back(keyword.c_str());
        values.push_back(value.c_str());
    }
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    connection_.reset(PQconnectStartParams(keywords.data(), values.data(), 0));
    if (!connection_) throw std::bad_alloc();
    if (PQstatus(connection_.get()) == CONNECTION_BAD) fail("connect");
    for (auto poll = PGRES_POLLING_WRITING; poll != PGRES_POLLING_OK;
         poll = PQconnectPoll(connection_.get())) {
        if (poll == PGRES_POLLING_FAILED) fail("connect");
        follow_socket();
        if (poll == PGRES_POLLING_READING)
            co_await wait_readable();
        else
            co_await wait_writable();
    }
    follow_socket();
    PQsetnonblocking(connection_.get(), 1);
    PQsetNoticeReceiver(
        connection_.get(),
        [](void* self, const pg_result* result) {
            auto& connection = *static_cast<PgConnection*>(self);
            const auto* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
            const auto* sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
            if (connection.on_notice && message != nullptr)
                connection.on_notice(sqlstate == nullptr ? "" : sqlstate, message);
        },
        this);
    // Bytes of no known encoding cannot be converted, and the server would fail at the first that
    // are not UTF-8; as they are, they are ours to judge.
    const auto* encoding = PQparameterStatus(connection_.get(), "server_encoding");
    if (encoding != nullptr && std::string_view(encoding) == "SQL_ASCII")
        co_await query("SET client_encoding = 'SQL_ASCII'", "set client_encoding");
    // Of the same kind as the timeouts above, but older servers refuse to connect for its name.
    if (server_version() >= 170000)
        co_await query("SET transaction_timeout = 0", "set transaction_timeout");
}

// --- commands ---

void PgConnection::fail(std::string_view attempted, const pg_result* result) {
    const auto* sqlstate =
        result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const auto* message =
        result == nullptr ? PQerrorMessage(connection_.get()) : PQresultErrorMessage(result);
    std::string code = sqlstate == nullptr ? "" : sqlstate;
    std::string_view text = message == nullptr ? "" : message;
    // A result that libpq had no memory for says nothing.
    if (text.empty()) text = PQerrorMessage(connection_.get());
    // While connecting libpq keeps no SQLSTATE; these texts it does not translate for a C locale
    // server.
    if (code.empty()) {
        struct Text {
            std::string_view says;
            const char* code;
        };
        static constexpr Text texts[] = {
            {"too many connections", "53300"},
            {"password authentication failed", "28P01"},
            {"no password supplied", "28P01"},
            {"no pg_hba.conf entry", "28000"},
            {"role \"", "28000"},
            {"start walsender", "42501"},
            {"start WAL sender", "42501"},
        };
        for (const auto& known : texts)
            if (code.empty() && text.find(known.says) != std::string_view::npos) code = known.code;
        auto is_database_missing = text.find("database \"") != std::string_view::npos &&
                                   text.find("does not exist") != std::string_view::npos;
        if (is_database_missing) code = "3D000";
    }
    throw_pg_error(attempted, code, text);
}

asio::awaitable<void> PgConnection::flush() {
    for (;;) {
        auto left = PQflush(connection_.get());
        if (left < 0) fail("send");
        if (left == 0) co_return;
        co_await wait_writable();
    }
}

asio::awaitable<PgConnection::Result> PgConnection::next_result() {
    while (PQisBusy(connection_.get()) != 0) {
        co_await wait_readable();
        if (PQconsumeInput(connection_.get()) == 0) fail("receive");
    }
    co_return Result(PQgetResult(connection_.get()));
}

asio::awaitable<PgRows> PgConnection::query(std::string sql, std::string attempted) {
    if (PQsendQuery(connection_.get(), sql.c_str()) == 0) fail(attempted);
    co_await flush();
    PgRows rows;
    Result failed;
    for (;;) {
        auto result = co_await next_result();
        if (!result) break;
        auto status = PQresultStatus(result.get());
        if (status == PGRES_TUPLES_OK) {
            for (auto i = 0; i < PQntuples(result.get()); ++i) {
                auto& row = rows.emplace_back();
                for (auto j = 0; j < PQnfields(result.get()); ++j)
                    row.emplace_back(PQgetvalue(result.get(), i, j));
            }
        } else if (status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY && !failed) {
            failed = std::move(result);
        }
    }
    if (failed) fail(attempted, failed.get());
    co_return rows;
}

asio::awaitable<void> PgConnection::start_copy(std::string command, std::string attempted) {
    return start_copy(std::move(command), std::move(attempted), PGRES_COPY_BOTH);
}

asio::awaitable<void> PgConnection::start_copy_out(std::string command, std::string attempted) {
    return start_copy(std::move(command), std::move(attempted), PGRES_COPY_OUT);
}

asio::awaitable<void> PgConnection::start_copy(std::string command, std::string attempted,
                                               int expected) {
    if (PQsendQuery(connection_.get(), command.c_str()) == 0) fail(attempted);
    co_await flush();
    auto result = co_await next_result();
    if (PQresultStatus(result.get()) == expected) co_return;
    // The connection is good for another command after this.
    while (auto rest = co_await next_result()) rest.reset();
    fail(attempted, result.get());
}

// --- rows ---

PgConnection::Copied PgConnection::next_copied(std::string_view& row) {
    frame_.reset();
    char* frame = nullptr;
    auto size = PQgetCopyData(connection_.get(), &frame, 1);
    if (size == 0) return Copied::wait;
    if (size < 0) return Copied::end;
    frame_.reset(frame);
    row = std::string_view(frame, static_cast<std::size_t>(size));
    return Copied::row;
}

asio::awaitable<void> PgConnection::end_copy_out(std::string attempted) {
    Result failed;
    while (auto result = co_await next_result())
        if (PQresultStatus(result.get()) == PGRES_FATAL_ERROR) failed = std::move(result);
    if (failed) fail(attempted, failed.get());
}

// --- streaming ---

std::optional<std::string_view> PgConnection::next_frame() {
    if (!connection_) throw PgError("postgres: not connected");
    frame_.reset();
    char* frame = nullptr;
    auto size = PQgetCopyData(connection_.get(), &frame, 1);
    if (size == 0) return std::nullopt;
    if (size < 0) fail_stream();
    frame_.reset(frame);
    return std::string_view(frame, static_cast<std::size_t>(size));
}

void PgConnection::fail_stream() {
    // The error, if there was one, is in the result that follows.
    Result result(PQgetResult(connection_.get()));
    if (!result || PQresultStatus(result.get()) == PGRES_COMMAND_OK)
        throw PgError("postgres: the server ended the stream: it is stopping");
    fail("stream", result.get());
}

void PgConnection::receive() {
    if (!connection_) throw PgError("postgres: not connected");
    if (PQconsumeInput(connection_.get()) == 0) fail("receive");
}

asio::awaitable<void> PgConnection::put_copy(std::string frame) {
    for (;;) {
        if (!connection_) throw PgError("postgres: not connected");
        auto put = PQputCopyData(connection_.get(), frame.data(), static_cast<int>(frame.size()));
        if (put < 0) fail("send status");
        if (put > 0) break;
        co_await wait_writable();
    }
    co_await flush();
}

asio::awaitable<void> PgConnection::end_copy() {
    if (PQputCopyEnd(connection_.get(), nullptr) < 0) fail("end the stream");
    co_await flush();
    for (;;) {
        char* frame = nullptr;
        auto size = PQgetCopyData(connection_.get(), &frame, 1);
        frame_.reset(frame);
        if (size < 0) break;
        if (size > 0) continue;
        co_await wait_readable();
        if (PQconsumeInput(connection_.get()) == 0) fail("receive");
    }
    while (auto result = co_await next_result()) {
        if (PQresultStatus(result.get()) == PGRES_FATAL_ERROR) fail("end the stream", result.get());
    }
}

}  // namespace walcast
