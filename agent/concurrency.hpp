#pragma once

#include "agent/clock.hpp"
#include "sinks/awaitable.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <chrono>
#include <exception>
#include <optional>
#include <tuple>
#include <vector>

namespace walcast {

// Runs tasks side by side until the first of them ends, cancels the others, waits for them, and
// rethrows what the first one threw, if anything.
template <typename... Tasks>
asio::awaitable<void> run_together(Tasks... tasks) {
    auto executor = co_await asio::this_coro::executor;
    auto group = asio::experimental::make_parallel_group(
        asio::co_spawn(executor, std::move(tasks), asio::deferred)...);
    auto ended = co_await group.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
    auto errors = std::apply(
        [](auto&, auto&... error) {
            return std::array<std::exception_ptr, sizeof...(error)>{error...};
        },
        ended);
    auto first = std::get<0>(ended)[0];
    if (errors[first]) std::rethrow_exception(errors[first]);
}

// The same for any number of them, one at least.
inline asio::awaitable<void> run_together(std::vector<asio::awaitable<void>> tasks) {
    auto executor = co_await asio::this_coro::executor;
    auto spawned = [&](asio::awaitable<void>& task) {
        return asio::co_spawn(executor, std::move(task), asio::deferred);
    };
    std::vector<decltype(spawned(tasks[0]))> running;
    for (auto& task : tasks) running.push_back(spawned(task));
    auto group = asio::experimental::make_parallel_group(std::move(running));
    auto ended = co_await group.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
    auto error = std::get<1>(ended)[std::get<0>(ended)[0]];
    if (error) std::rethrow_exception(error);
}

// Waits. Cancelled, it throws.
inline asio::awaitable<void> sleep_for(std::chrono::milliseconds time) {
    auto executor = co_await asio::this_coro::executor;
    Timer timer(executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

// Runs `task`, which is cancelled after `limit`. What it returns, or nothing when that took too
// long; what it throws passes on.
template <typename Result>
asio::awaitable<std::optional<Result>> within(std::chrono::milliseconds limit,
                                              asio::awaitable<Result> task) {
    auto executor = co_await asio::this_coro::executor;
    Timer timer(executor, limit);
    auto group = asio::experimental::make_parallel_group(
        asio::co_spawn(executor, std::move(task), asio::deferred),
        timer.async_wait(asio::deferred));
    auto ended = co_await group.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
    if (std::get<0>(ended)[0] != 0) co_return std::nullopt;
    if (std::get<1>(ended)) std::rethrow_exception(std::get<1>(ended));
    co_return std::move(std::get<2>(ended));
}

// The same for a task without a result: true when it ended in time.
inline asio::awaitable<bool> within(std::chrono::milliseconds limit, asio::awaitable<void> task) {
    auto executor = co_await asio::this_coro::executor;
    Timer timer(executor, limit);
    auto group = asio::experimental::make_parallel_group(
        asio::co_spawn(executor, std::move(task), asio::deferred),
        timer.async_wait(asio::deferred));
    auto ended = co_await group.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
    if (std::get<0>(ended)[0] != 0) co_return false;
    if (std::get<1>(ended)) std::rethrow_exception(std::get<1>(ended));
    co_return true;
}

// Lets one coroutine wait until another one says that something has changed. What is waited for is
// looked at again by the one who waits. At most one waits at a time.
class Signal {
public:
    explicit Signal(const asio::any_io_executor& executor) : timer_(executor) {}

    void raise() {
        is_raised_ = true;
        timer_.cancel();
    }

    asio::awaitable<void> wait() { return wait_until(Clock::time_point::max()); }

    // Waits for so long at most.
    asio::awaitable<void> wait(std::chrono::milliseconds limit) {
        return wait_until(Clock::now() + limit);
    }

private:
    asio::awaitable<void> wait_until(Clock::time_point limit) {
        if (!is_raised_) {
            timer_.expires_at(limit);
            boost::system::error_code error;
            co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, error));
            auto state = co_await asio::this_coro::cancellation_state;
            if (state.cancelled() != asio::cancellation_type::none)
                throw boost::system::system_error(asio::error::operation_aborted);
        }
        is_raised_ = false;
    }

    Timer timer_;
    bool is_raised_ = false;
};

}  // namespace walcast
