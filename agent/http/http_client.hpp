#pragma once

#include "agent/http/listen_address.hpp"
#include "sinks/awaitable.hpp"

#include <string>

namespace walcast {

struct HttpReply {
    unsigned status = 0;
    std::string body;
};

// Asks the agent that listens there, by POST. Throws system_error when none answers.
asio::awaitable<HttpReply> ask_agent(ListenAddress address, std::string token, std::string path,
                                     std::string body);

}  // namespace walcast
