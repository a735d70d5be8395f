#include "agent/run_loop.hpp"

#include "agent/concurrency.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <pthread.h>

#include <csignal>
#include <exception>

namespace walcast {

void set_hang_ups(HangUps hang_ups) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(hang_ups == HangUps::held ? SIG_BLOCK : SIG_UNBLOCK, &signals, nullptr);
}

int run_loop(const std::function<asio::awaitable<void>(asio::any_io_executor)>& task,
             const std::function<void()>& stop, const std::function<void()>& hang_up) {
    asio::io_context loop(1);
    asio::signal_set signals(loop, SIGINT, SIGTERM);
    signals.async_wait([&](const boost::system::error_code& error, int) {
        if (!error) stop();
    });
    asio::signal_set hang_ups(loop, SIGHUP);
    std::function<void()> await_hang_up = [&] {
        hang_ups.async_wait([&](const boost::system::error_code& error, int) {
            if (error) return;
            hang_up();
            await_hang_up();
        });
    };
    await_hang_up();
    set_hang_ups(HangUps::let_through);
    std::exception_ptr failed;
    asio::co_spawn(loop, task(loop.get_executor()), [&](std::exception_ptr error) {
        failed = error;
        loop.stop();
    });
    loop.run();
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
    return is_interrupted && interrupted == Interrupted::is_failure ? exit_failed : code;
}

}  // namespace walcast
