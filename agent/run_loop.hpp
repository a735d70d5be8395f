#pragma once

#include "sinks/awaitable.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <functional>

namespace walcast {

enum ExitCode { exit_done = 0, exit_failed = 1, exit_wrong_usage = 2, exit_found = 3 };

// From now on a SIGHUP waits until `run_loop` can take it, instead of ending the program.
void hold_hang_ups();

// Runs one coroutine until it ends. SIGINT and SIGTERM call `stop`, SIGHUP calls `hang_up`. A
// second SIGINT or SIGTERM ends the program at once, and so does time, where `stop` does not: a
// name that is being looked up cannot be cancelled, nor a write to a terminal that stands still.
int run_loop(const std::function<asio::awaitable<void>(asio::any_io_executor)>& task,
             const std::function<void()>& stop, const std::function<void()>& hang_up);

// For commands that may simply be cut short.
enum class Interrupted { is_failure, is_fine };
int run_until_signal(const std::function<asio::awaitable<void>()>& task, Interrupted interrupted);

}  // namespace walcast
