#include "agent/http/json_response.hpp"

#include "agent/snapshot/snapshot_json.hpp"

namespace walcast {

HttpResponse json_response(unsigned status, std::string body) {
    return {.status = status, .content_type = "application/json", .body = std::move(body)};
}

HttpResponse json_error(unsigned status, std::string_view error) {
    return json_response(status, error_json(error));
}

HttpResponse unavailable(std::string_view error) {
    auto response = json_error(503, error);
    response.header = "Retry-After: 1";
    return response;
}

bool Unread::is_too_much() const {
    constexpr std::size_t bytes_max = std::size_t{16} << 20U;
    return *bytes_ > bytes_max;
}

void Unread::count(HttpResponse& response) {
    auto size = response.body.size();
    *bytes_ += size;
    response.held =
        std::shared_ptr<void>(nullptr, [bytes = bytes_, size](const void*) { *bytes -= size; });
}

}  // namespace walcast
