#include "agent/concurrency.hpp"
#include "agent/errors.hpp"
#include "agent/output.hpp"
#include "agent/tail/tail.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cstdio>
#include <map>

namespace walcast {

namespace {

bool is_pattern(std::string_view channel) {
    return channel.find_first_of("*?[") != std::string_view::npos;
}

// Keeps the place in each channel, so that history and what is published make one row without hole
// or repeat.
class RedisTail {
public:
    RedisTail(asio::any_io_executor executor, RedisSettings settings, const TailOptions& options)
        : settings_(std::move(settings)),
          control_(settings_.prefix + "control"),
          options_(options),
          subscriber_(executor, settings_.address),
          reader_(executor, settings_.address),
          output_(executor),
          view_(options.form, options.colours, options.filter) {}

    asio::awaitable<void> run() {
        co_await subscriber_.open();
        co_await reader_.open();
        co_await subscribe();
        if (options_.from) co_await replay();
        co_await run_together(follow(), output_.wait_until_closed());
    }

private:
    struct Entry {
        std::string channel;
        std::string message;
        TailView::Head head;
    };

    asio::awaitable<void> subscribe() {
        auto channels = options_.channels;
        channels.push_back(control_);  // Resets of whole models concern every channel.
        for (const auto& channel : channels) {
            std::string command;
            append_command(command, {is_pattern(channel) ? "PSUBSCRIBE" : "SUBSCRIBE", channel});
            co_await subscriber_.ask(std::move(command));
        }
    }

    // Histories that exist, of the channels asked for.
    asio::awaitable<std::vector<std::string>> channels_with_history() {
        std::vector<std::string> found;
        std::string command;
        append_command(command, {"ZRANGE", settings_.prefix + "channels", "0", "-1"});
        auto names = co_await reader_.ask(std::move(command));
        for (const auto& name : names.items) {
            auto is_wanted = std::any_of(
                options_.channels.begin(), options_.channels.end(), [&](const std::string& wanted) {
                    return is_pattern(wanted) ? fnmatch(wanted.c_str(), name.text.c_str(), 0) == 0
                                              : wanted == name.text;
                });
            if (is_wanted) found.push_back(name.text);
        }
        found.push_back(control_);
        co_return found;
    }

    std::string history_key(const std::string& channel) const {
        return channel == control_ ? channel : settings_.prefix + "log:" + channel;
    }

    asio::awaitable<std::vector<Entry>> read_history(std::string channel, SyncId after) {
        std::vector<Entry> entries;
        auto key = history_key(channel);
        for (;;) {
            std::string command;
            append_command(command,
                           {"XRANGE", key, fmt::format("({}-0", after), "+", "COUNT", "100"});
            auto reply = co_await reader_.ask(std::move(command));
            for (auto& item : reply.items) {
                auto& message = item.items.at(1).items.at(1).text;
                auto head = view_.read_head(message);
                if (!head)
                    throw SinkError(
                        fmt::format("redis: {} holds something that is not a message", key));
                after = head->last_sync_id;
                entries.push_back({channel, std::move(message), std::move(*head)});
            }
            if (reply.items.empty()) break;
        }
        co_return entries;
    }

    asio::awaitable<void> replay() {
        auto channels = co_await channels_with_history();
        std::vector<Entry> entries;
        for (auto& channel : channels) {
            auto read = co_await read_history(channel, *options_.from);
            if (!read.empty() && read[0].head.prev_sync_id > *options_.from)
                complain(fmt::format("history of {} does not reach back to {}: it begins after {}",
                                     channel, *options_.from, read[0].head.prev_sync_id));
            std::move(read.begin(), read.end(), std::back_inserter(entries));
        }
        std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
            return a.head.last_sync_id < b.head.last_sync_id;
        });
        for (const auto& entry : entries) co_await show(entry);
    }

    asio::awaitable<void> show(const Entry& entry) {
        known_[entry.channel] = {entry.head.epoch, entry.head.last_sync_id};
        co_await output_.print(view_.render(entry.channel, entry.message));
    }

    asio::awaitable<void> follow() {
        for (;;) {
            auto reply = co_await subscriber_.read();
            if (reply.is_error()) throw_redis_error("subscribe", reply.text);
            if (reply.items.size() < 3) continue;
            auto is_message = reply.items[0].text == "message" || reply.items[0].text == "pmessage";
            if (!is_message) continue;
            Entry entry{.channel = reply.items[reply.items.size() - 2].text,
                        .message = std::move(reply.items.back().text),
                        .head = {}};
            auto head = view_.read_head(entry.message);
            if (!head) {  // Not ours: shown as it is.
                co_await output_.print(view_.render(entry.channel, entry.message));
                continue;
            }
            if (head->type == "agent")
                continue;  // Says that the agent is up or down; nothing of the data.
            entry.head = std::move(*head);
            co_await show_in_order(std::move(entry));
        }
    }

    asio::awaitable<void> show_in_order(Entry entry) {
        auto known = known_.find(entry.channel);
        if (known == known_.end() && options_.from) {
            known = known_.emplace(entry.channel, Known{entry.head.epoch, *options_.from}).first;
        }
        auto is_same_epoch = known != known_.end() && known->second.epoch == entry.head.epoch;
        if (is_same_epoch && entry.head.last_sync_id <= known->second.last_sync_id) co_return;
        if (is_same_epoch && entry.head.prev_sync_id > known->second.last_sync_id) {
            auto missed = co_await read_history(entry.channel, known->second.last_sync_id);
            for (const auto& found : missed)
                if (found.head.last_sync_id < entry.head.last_sync_id) co_await show(found);
            auto reached = known_[entry.channel].last_sync_id;
            if (reached < entry.head.prev_sync_id)
                complain(fmt::format("{}: messages between {} and {} are no longer in history",
                                     entry.channel, reached, entry.head.prev_sync_id));
        }
        co_await show(entry);
    }

    struct Known {
        std::string epoch;
        SyncId last_sync_id = 0;
    };
    RedisSettings settings_;
    std::string control_;
    const TailOptions& options_;
    RedisConnection subscriber_;
    RedisConnection reader_;
    Output output_;
    TailView view_;
    std::map<std::string, Known> known_;
};

}  // namespace

asio::awaitable<void> tail_redis(RedisSettings settings, TailOptions options) {
    auto executor = co_await asio::this_coro::executor;
    RedisTail tail(executor, std::move(settings), options);
    co_await tail.run();
}

}  // namespace walcast
