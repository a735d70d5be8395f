#include "agent/run_loop.hpp"

#include "agent/concurrency.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <exception>
#include <initializer_list>
#include <string_view>

namespace walcast {

// A session takes 8.5 s at most to stop, and Docker kills after 10.
static constexpr unsigned stop_seconds_max = 9;
// `timeout` and runners that pass Ctrl-C on give one signal twice.
static constexpr std::chrono::milliseconds same_request{300};

static sigset_t set_of(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (auto signal : signals) sigaddset(&set, signal);
    return set;
}

static sigset_t ours() {
    return set_of({SIGHUP, SIGINT, SIGTERM, SIGALRM});
}

static void hold(sigset_t signals) {
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

static void let_through(sigset_t signals) {
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

void hold_hang_ups() {
    hold(set_of({SIGHUP}));
}

// --- what runs in signal handlers ---

static std::atomic<std::int64_t> stop_asked_at = 0;
static void (*pass_on)(int) = nullptr;
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

static std::int64_t now_in_ms() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

[[noreturn]] static void end_now(std::string_view why) {
    pollfd out{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    auto is_writable = poll(&out, 1, 0) > 0 && (out.revents & POLLOUT) != 0;
    if (is_writable && write(STDERR_FILENO, why.data(), why.size()) < 0) _exit(exit_failed);
    _exit(exit_failed);
}

static void on_stop(int signal) {
    auto now = now_in_ms();
    auto asked_at = stop_asked_at.load();
    if (asked_at == 0) {
        stop_asked_at = now;
        alarm(stop_seconds_max);
        auto error = errno;
        pass_on(signal);
        errno = error;
    } else if (now - asked_at > same_request.count()) {
        end_now("walcast: a second signal: ended at once; what is not confirmed comes again\n");
    }
}

static void on_alarm(int) {
    end_now("walcast: could not stop in time: ended; what is not confirmed comes again\n");
}

static void (*set_handler(int signal, void (*handler)(int)))(int) {
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    action.sa_mask = ours();
    sigaction(signal, &action, &before);
    return before.sa_handler;
}

// --- the loop ---

int run_loop(const std::function<asio::awaitable<void>(asio::any_io_executor)>& task,
             const std::function<void()>& stop, const std::function<void()>& hang_up) {
    hold(ours());
    asio::io_context loop(1);
    asio::signal_set signals(loop, SIGINT, SIGTERM);
    asio::signal_set hang_ups(loop, SIGHUP);
    // Asio's handlers only wake the loop, which may not turn.
    // The thread in which Asio looks names up begins here, while all are held, and so never takes
    // one: at the end it would outlive the handlers.
    asio::ip::tcp::resolver names(loop);
    names.async_resolve("127.0.0.1", "0", [](const auto&, const auto&) {});
    for (auto signal : {SIGINT, SIGTERM}) pass_on = set_handler(signal, on_stop);
    set_handler(SIGALRM, on_alarm);
    let_through(ours());
    std::function<void()> await_hang_up = [&] {
        hang_ups.async_wait([&](const boost::system::error_code& error, int) {
            if (error) return;
            hang_up();
            await_hang_up();
        });
    };
    std::exception_ptr failed;
    asio::co_spawn(loop, task(loop.get_executor()), [&](std::exception_ptr error) {
        failed = error;
        loop.stop();
    });
    // What comes before the task has begun waits: then there is something to stop.
    asio::post(loop, [&] {
        signals.async_wait([&](const boost::system::error_code& error, int) {
            if (!error) stop();
        });
        await_hang_up();
    });
    loop.run();
    hold(set_of({SIGHUP, SIGINT, SIGTERM}));  // Asio lets go of them: they would still end us.
    if (failed) std::rethrow_exception(failed);
    return exit_done;
}

int run_until_signal(const std::function<asio::awaitable<void>()>& task, Interrupted interrupted) {
    std::function<void()> stop = [] {};
    auto is_interrupted = false;
    auto code = run_loop(
        [&](asio::any_io_executor executor) -> asio::awaitable<void> {
            Signal stopped(executor);
            stop = [&] {
                is_interrupted = true;
                stopped.raise();
            };
            auto wait = [](Signal& signal) -> asio::awaitable<void> { co_await signal.wait(); };
            co_await run_together(task(), wait(stopped));
        },
        [&] { stop(); }, [&] { stop(); });
    let_through(ours());  // What is found may still have to be printed.
    return is_interrupted && interrupted == Interrupted::is_failure ? exit_failed : code;
}

}  // namespace walcast
