#include "agent/http/data_routes.hpp"

#include "agent/delta/delta_view.hpp"
#include "agent/http/data_query.hpp"
#include "agent/http/json_response.hpp"
#include "decoders/json_string.hpp"
#include "sinks/sink.hpp"

#include <fmt/format.h>

#include <optional>
#include <stdexcept>

namespace walcast {

namespace {

asio::awaitable<HttpResponse> delta(RedisReader& reader, Unread unread, HttpRequest request) {
    DeltaRequest wanted;
    try {
        wanted = read_delta_query(request.query, reader.control());
    } catch (const std::invalid_argument& error) {
        co_return json_error(400, error.what());
    }
    if (unread.is_too_much()) co_return unavailable("too many answers wait to be read by others");
    try {
        auto page = co_await reader.read_histories(wanted);
        auto found = prove(wanted, page);
        auto response =
            json_response(found.is_complete() ? 200 : 409, delta_json(wanted, page, found));
        unread.count(response);
        co_return response;
    } catch (const SinkError& error) {
        co_return unavailable(error.what());
    }
}

asio::awaitable<HttpResponse> position(RedisReader& reader, HttpRequest request) {
    if (!request.query.empty()) co_return json_error(400, "/position takes no parameters");
    try {
        auto reached = co_await reader.read_position();
        std::string body = R"({"epoch":)";
        append_json_string(body, reached.epoch);
        body +=
            fmt::format(R"(,"lastSyncId":{},"floor":{},"lsn":)", reached.sync_id, reached.floor);
        append_json_string(body, reached.lsn);
        co_return json_response(200, body + "}\n");
    } catch (const SinkError& error) {
        co_return unavailable(error.what());
    }
}

asio::awaitable<HttpResponse> receipt(Receipts& receipts, HttpRequest request) {
    ReceiptRequest wanted;
    try {
        wanted = read_receipt_query(request.query);
    } catch (const std::invalid_argument& error) {
        co_return json_error(400, error.what());
    }
    if (wanted.wait.count() > 0 && receipts.are_full())
        co_return unavailable("too many others wait for receipts");
    try {
        auto found = co_await receipts.wait_for(wanted.mutation_id, wanted.wait);
        if (found) co_return json_response(200, *found + '\n');
    } catch (const SinkError& error) {
        co_return unavailable(error.what());
    }
    std::string body = R"({"error":"no receipt","mutationId":)";
    append_json_string(body, wanted.mutation_id);
    co_return json_response(404,
                            body + fmt::format(R"(,"waited":{}}})", wanted.wait.count()) + '\n');
}

}  // namespace

std::vector<HttpRoute> data_routes(RedisReader& reader, Receipts& receipts) {
    constexpr auto access = HttpRoute::Access::guarded;
    return {
        {.method = "GET",
         .path = "/delta",
         .access = access,
         .handler = [&reader, unread = Unread()](
                        HttpRequest request) { return delta(reader, unread, std::move(request)); }},
        {.method = "GET",
         .path = "/position",
         .access = access,
         .handler =
             [&reader](HttpRequest request) { return position(reader, std::move(request)); }},
        {.method = "GET",
         .path = "/receipt",
         .access = access,
         .handler = [&receipts](HttpRequest request) {
             return receipt(receipts, std::move(request));
         }}};
}

}  // namespace walcast
