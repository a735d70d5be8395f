#pragma once

#include "sinks/awaitable.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <charconv>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct pg_conn;
struct pg_result;

namespace walcast {

// Rows of text; nulls are empty.
using PgRows = std::vector<std::vector<std::string>>;

// A number in a row; 0 where there is none.
template <typename Number>
Number to_number(std::string_view text) {
    Number number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

// What libpq takes, by keyword.
using PgParameters = std::vector<std::pair<std::string, std::string>>;

// Reads a URL or keyword=value string the way libpq does. Throws std::invalid_argument without
// repeating it.
PgParameters parse_conninfo(const std::string& conninfo);

// Identifiers and literals as the replication grammar and SQL both read them: only their quote is
// doubled, and a backslash is an ordinary character.
std::string quote_identifier(std::string_view name);
std::string quote_literal(std::string_view text);

// One connection to Postgres through libpq, in the Asio loop. One thread; one operation at a time,
// but for `put_copy`, which may go on beside reading. Errors are thrown by throw_pg_error.
class PgConnection {
public:
    enum class Mode { sql, replication };

    PgConnection(asio::any_io_executor executor, std::string conninfo, Mode mode);
    ~PgConnection();

    // Connects with the settings that decide how values are printed pinned, whatever database and
    // role say (reference: docs/architecture.md, "Pinned settings").
    asio::awaitable<void> open();

    // Runs a command by the simple protocol; `attempted` says what for, should it fail.
    asio::awaitable<PgRows> query(std::string sql, std::string attempted);

    // Starts streaming: a command that answers with CopyBoth. Refused, another one may follow.
    asio::awaitable<void> start_copy(std::string command, std::string attempted);

    // Runs COPY ... TO STDOUT, whose rows are then taken one by one, without waiting; a view until
    // the next call. `wait`: more must be received first. After the end, another command may
    // follow.
    enum class Copied { row, wait, end };
    asio::awaitable<void> start_copy_out(std::string command, std::string attempted);
    Copied next_copied(std::string_view& row);
    asio::awaitable<void> end_copy_out(
        std::string attempted);  // Throws if the rows were cut short.

    // The next frame that has been received, without waiting; a view until the next call. Nothing
    // when more must be received first. Throws when the server ended the stream.
    std::optional<std::string_view> next_frame();

    // Takes what has arrived into libpq's buffer, without waiting.
    void receive();

    // Returns when there is something to receive, or after `interrupt`.
    asio::awaitable<void> wait_readable();
    void interrupt();

    // Sends a frame; waits while the socket is full.
    asio::awaitable<void> put_copy(std::string frame);

    // Ends streaming from our side and waits until the server has understood.
    asio::awaitable<void> end_copy();

    int server_version() const;
    int backend_pid() const;
    std::string database() const;

    // For another connection to the server that this one has reached, of those that its conninfo
    // names. Holds the password.
    std::string conninfo_of_this_server() const;

    // Where this connection leads, for a human: without a password.
    std::string shown_conninfo() const;

    // Warnings of the server, one line each. Set before `open`.
    std::function<void(std::string_view sqlstate, std::string_view line)> on_notice;

private:
    struct Finish {
        void operator()(pg_conn* connection) const;
    };
    struct Clear {
        void operator()(pg_result* result) const;
    };
    using Result = std::unique_ptr<pg_result, Clear>;

    void follow_socket();
    asio::awaitable<void> wait_for(asio::posix::stream_descriptor::wait_type what);
    asio::awaitable<void> wait_writable();
    asio::awaitable<void> flush();
    asio::awaitable<Result> next_result();
    asio::awaitable<void> start_copy(std::string command, std::string attempted, int expected);
    [[noreturn]] void fail(std::string_view attempted, const pg_result* result = nullptr);
    [[noreturn]] void fail_stream();

    asio::any_io_executor executor_;
    std::string conninfo_;
    Mode mode_;
    std::unique_ptr<pg_conn, Finish> connection_;
    // libpq may replace its socket while connecting, so we wait on a duplicate that we own.
    asio::posix::stream_descriptor socket_;
    struct FreeMemory {
        void operator()(char* memory) const;
    };
    std::unique_ptr<char, FreeMemory> frame_;
};

}  // namespace walcast
