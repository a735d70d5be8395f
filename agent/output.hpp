#pragma once

#include "agent/concurrency.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

namespace walcast {

// Whoever reads our output has gone.
struct OutputClosed : std::runtime_error {
    OutputClosed() : std::runtime_error("output closed") {}
};

// What we say cannot be written, to a full disk for example.
struct OutputError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Says on standard error what the reader of the output should know; where that cannot be written
// either, there is nobody left to tell.
inline void complain(const std::string& line) {
    std::fputs((line + '\n').c_str(), stderr);
}

inline bool is_output_closed() {
    pollfd out{.fd = STDOUT_FILENO, .events = 0, .revents = 0};
    return poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

// After a write to standard output that failed with `error`.
[[noreturn]] inline void throw_write_error(int error) {
    if (error == EPIPE || is_output_closed()) throw OutputClosed();
    throw OutputError(fmt::format("cannot write to standard output: {}", std::strerror(error)));
}

// For commands that may stand still while the reader does.
inline void print_now(std::string_view text) {
    while (!text.empty()) {
        auto written = write(STDOUT_FILENO, text.data(), text.size());
        if (written < 0 && errno == EAGAIN) {
            pollfd out{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
            poll(&out, 1, -1);
            continue;
        }
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) throw_write_error(errno);
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

// Standard output in the loop: nothing else stands still while its reader does, and a reader that
// leaves is noticed even while there is nothing to print.
class Output {
public:
    explicit Output(const asio::any_io_executor& executor) : descriptor_(executor) {
        struct stat kind {};
        // Files and /dev/null never wait.
        is_pollable_ =
            fstat(STDOUT_FILENO, &kind) == 0 &&
            (S_ISFIFO(kind.st_mode) || S_ISSOCK(kind.st_mode) || isatty(STDOUT_FILENO) != 0);
        if (is_pollable_) descriptor_.assign(dup(STDOUT_FILENO));
    }

    asio::awaitable<void> print(std::string_view text) {
        constexpr std::size_t chunk =
            4096;  // PIPE_BUF: what a writable pipe takes without blocking.
        while (!text.empty()) {
            if (is_pollable_)
                co_await descriptor_.async_wait(asio::posix::stream_descriptor::wait_write,
                                                asio::use_awaitable);
            auto written = write(STDOUT_FILENO, text.data(), std::min(text.size(), chunk));
            if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
            if (written < 0) throw_write_error(errno);
            text.remove_prefix(static_cast<std::size_t>(written));
        }
    }

    asio::awaitable<void> wait_until_closed() {
        while (!is_output_closed()) co_await sleep_for(std::chrono::milliseconds{200});
        throw OutputClosed();
    }

private:
    asio::posix::stream_descriptor descriptor_;
    bool is_pollable_ = false;
};

}  // namespace walcast
