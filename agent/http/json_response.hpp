#pragma once

#include "agent/http/http_routes.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace walcast {

HttpResponse json_response(unsigned status, std::string body);

// `{"error":".."}`
HttpResponse json_error(unsigned status, std::string_view error);

// 503: soon it may be better.
HttpResponse unavailable(std::string_view error);

// Answers that are read slowly wait in our memory: how much they may be in all. Copies count
// together.
class Unread {
public:
    bool is_too_much() const;

    // Counts until the response is gone.
    void count(HttpResponse& response);

private:
    std::shared_ptr<std::size_t> bytes_ = std::make_shared<std::size_t>(0);
};

}  // namespace walcast
