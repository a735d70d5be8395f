#pragma once

#include "sinks/sink.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace walcast {

// Shows messages as they would be published, and remembers nothing once it is gone: each run is an
// epoch of its own, with ids from 1.
class StdoutSink final : public Sink {
public:
    // Shows one message; the views are valid during the call and while it is awaited.
    using Show =
        std::function<asio::awaitable<void>(std::string_view channel, std::string_view message)>;

    explicit StdoutSink(Show show) : show_(std::move(show)) {}

    asio::awaitable<std::optional<Stored>> connect() override;
    asio::awaitable<std::optional<Stored>> take_over() override;
    asio::awaitable<bool> adopt(Source source) override;
    asio::awaitable<void> leave() override;
    asio::awaitable<Position> begin_epoch(Position position, Source source,
                                          std::string reason) override;
    asio::awaitable<void> send(const Batch& batch) override;
    asio::awaitable<bool> accepted() override;

private:
    Show show_;
    std::unordered_map<std::string, SyncId> last_ids_;
};

}  // namespace walcast
