#include "agent/explain/history_search.hpp"

#include "sinks/redis_connection.hpp"

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace walcast {

namespace {

std::uint64_t to_number(std::string_view text) {
    std::uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

class HistorySearch {
public:
    HistorySearch(asio::any_io_executor executor, RedisSettings settings, SyncId id)
        : settings_(std::move(settings)), id_(id), connection_(executor, settings_.address) {}

    asio::awaitable<FoundId> find();

private:
    asio::awaitable<void> read_position();
    asio::awaitable<void> look_in(std::vector<std::string> channels);
    void look_at(const std::string& channel, const Reply& entries);

    std::string key(std::string_view name) const { return settings_.prefix + std::string(name); }

    RedisSettings settings_;
    SyncId id_;
    RedisConnection connection_;
    FoundId found_;
};

asio::awaitable<void> HistorySearch::read_position() {
    std::string command;
    append_command(command, {"HMGET", key("position"), "epoch", "sync_id", "floor"});
    auto reply = co_await connection_.ask(std::move(command));
    const auto& fields = reply.items;
    if (fields.size() != 3 || fields[0].kind == Reply::Kind::nil) co_return;
    found_.reached =
        FoundId::Reached{fields[0].text, to_number(fields[1].text), to_number(fields[2].text)};
}

// The message that may hold the id is the first that ends at or above it; where it is the first
// half of an update, the next id tells.
void HistorySearch::look_at(const std::string& channel, const Reply& entries) {
    for (const auto& entry : entries.items) {
        FoundId::Message message{.channel = channel,
                                 .bytes = entry.items.at(1).items.at(1).text,
                                 .type = {},
                                 .epoch = {},
                                 .reason = {},
                                 .actions = {}};
        FoundId::Message next;
        if (!read_message(message.bytes, id_, message)) continue;
        read_message(message.bytes, id_ + 1, next);
        for (const auto& action : next.actions)
            found_.is_first_of_update = found_.is_first_of_update || action.action == "update";
        if (!message.actions.empty()) found_.messages.push_back(std::move(message));
    }
}

asio::awaitable<void> HistorySearch::look_in(std::vector<std::string> channels) {
    std::string commands;
    auto first = fmt::format("{}-0", id_);
    auto control = key("control");
    for (const auto& channel : channels) {
        auto log = channel == control ? control : key("log:") + channel;
        append_command(commands, {"XRANGE", log, first, "+", "COUNT", "2"});
    }
    co_await connection_.write(commands);
    for (const auto& channel : channels) {
        auto reply = co_await connection_.read();
        if (reply.is_error()) throw_redis_error("read a history", reply.text);
        look_at(channel, reply);
    }
}

asio::awaitable<FoundId> HistorySearch::find() {
    co_await connection_.open();
    co_await read_position();
    std::vector<std::string> control{key("control")};
    co_await look_in(std::move(control));
    constexpr std::size_t channels_at_once = 500;
    for (std::size_t first = 0;; first += channels_at_once) {
        std::string command;
        append_command(command, {"ZRANGE", key("channels"), fmt::to_string(first),
                                 fmt::to_string(first + channels_at_once - 1)});
        auto reply = co_await connection_.ask(std::move(command));
        if (reply.items.empty()) break;
        std::vector<std::string> channels;
        for (auto& name : reply.items) channels.push_back(std::move(name.text));
        co_await look_in(std::move(channels));
    }
    std::sort(found_.messages.begin(), found_.messages.end(),
              [](const auto& a, const auto& b) { return a.channel < b.channel; });
    co_return std::move(found_);
}

}  // namespace

asio::awaitable<FoundId> find_sync_id(RedisSettings settings, SyncId id) {
    auto executor = co_await asio::this_coro::executor;
    HistorySearch search(executor, std::move(settings), id);
    co_return co_await search.find();
}

}  // namespace walcast
