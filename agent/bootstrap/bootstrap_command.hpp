#pragma once

#include "agent/bootstrap/bootstrap.hpp"
#include "agent/config.hpp"
#include "sinks/awaitable.hpp"

namespace walcast {

struct BootstrapOptions {
    BootstrapRequest request;
    bool is_progress_shown = false;  // On standard error.
};

// Prints a bootstrap's lines. The agent that runs is asked which sync ids the snapshot has seen;
// the rows are read by ourselves.
asio::awaitable<void> bootstrap_command(const Config& config, BootstrapOptions options);

}  // namespace walcast
