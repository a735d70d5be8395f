#pragma once

#include "sinks/awaitable.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <exception>
#include <future>
#include <stdexcept>
#include <string>
#include <utility>

namespace walcast {

// A coroutine on its way; what it threw or returned is told by `get`.
template <typename Result>
class Task {
public:
    Task(asio::io_context& context, asio::awaitable<Result> coroutine)
        : result_(asio::co_spawn(context, std::move(coroutine), asio::use_future)) {}

    bool has_ended() const {
        return result_.wait_for(std::chrono::seconds{0}) == std::future_status::ready;
    }
    Result get() {
        if (!has_ended()) throw std::logic_error("the coroutine still waits for something");
        return result_.get();
    }

private:
    std::future<Result> result_;
};

// Starts a coroutine, and lets everything run until all wait.
template <typename Result>
Task<Result> start(asio::io_context& context, asio::awaitable<Result> coroutine) {
    Task<Result> task(context, std::move(coroutine));
    context.restart();
    context.poll();
    return task;
}

// Lets everything run until all wait.
inline void settle(asio::io_context& context) {
    context.restart();
    context.poll();
}

// Runs a coroutine that waits for nothing to its end.
template <typename Result>
Result run(asio::awaitable<Result> coroutine) {
    asio::io_context context;
    return start(context, std::move(coroutine)).get();
}

}  // namespace walcast
