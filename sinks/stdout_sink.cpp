#include "sinks/stdout_sink.hpp"

#include "sinks/native_envelope.hpp"

namespace walcast {

asio::awaitable<std::optional<Stored>> StdoutSink::connect() {
    co_return std::nullopt;
}

asio::awaitable<std::optional<Stored>> StdoutSink::take_over() {
    co_return std::nullopt;
}

asio::awaitable<bool> StdoutSink::adopt(Source /*source*/) {
    co_return true;
}

asio::awaitable<void> StdoutSink::leave() {
    co_return;
}

asio::awaitable<Position> StdoutSink::begin_epoch(Position position, Source /*source*/,
                                                  std::string /*reason*/) {
    position.sync_id = 0;
    co_return position;
}

asio::awaitable<void> StdoutSink::send(const Batch& batch) {
    struct Shown {
        std::string channel;
        std::string message;
    };
    std::vector<Shown>
        shown;  // All that is needed of the batch, which may change while we wait below.
    auto add = [&](std::string channel, const Message& message) {
        auto& last_id = last_ids_[channel];
        std::string text;
        append_message(text, batch, message, batch.before.epoch, last_id);
        if (message.kind != Message::Kind::progress) last_id = message.last_sync_id;
        shown.push_back({std::move(channel), std::move(text)});
    };
    for (const auto& message : batch.messages) {
        if (message.kind == Message::Kind::reset) add("control", message);
        for (auto i = message.channels_begin; i < message.channels_end; ++i)
            add(std::string(batch.text(batch.channels[i])), message);
    }
    for (const auto& each : shown) co_await show_(each.channel, each.message);
}

asio::awaitable<bool> StdoutSink::accepted() {
    co_return true;
}

}  // namespace walcast
