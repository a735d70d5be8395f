#include "sinks/stdout_sink.hpp"

#include "sinks/native_envelope.hpp"

namespace walcast {

asio::awaitable<std::optional<Stored>> StdoutSink::connect() {
    co_return std::nullopt;
}

asio::awaitable<std::optional<Stored>> StdoutSink::take_over() {
    co_return std::nullopt;
}

asio::awaitable<void> StdoutSink::adopt(Source /*source*/) {
    co_return;
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
    std::string text;
    for (const auto& message : batch.messages) {
        auto is_sync = message.kind == Message::Kind::sync;
        auto body = batch.text(message.body_begin, message.body_end);
        auto channels = message.channels_end - message.channels_begin;
        for (std::uint32_t i = 0; i < (is_sync ? channels : 1); ++i) {
            std::string channel = "control";
            if (is_sync) {
                const auto& slice = batch.channels[message.channels_begin + i];
                channel = batch.text(slice.begin, slice.end);
            }
            auto& last_id = last_ids_[channel];
            text.clear();
            append_message_head(text, is_sync ? sync_type : reset_type, batch.before.epoch, last_id,
                                message.last_sync_id, message.transaction);
            text += is_sync ? sync_open : ",";
            text += body;
            text += is_sync ? sync_close : "}";
            last_id = message.last_sync_id;
            co_await show_(channel, text);
        }
    }
}

asio::awaitable<void> StdoutSink::accepted() {
    co_return;
}

}  // namespace walcast
