#include "agent/delta/receipts.hpp"

#include "sinks/sink.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace walcast {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

static constexpr std::size_t asking_max = 192;
static constexpr milliseconds connect_max{5'000};
static constexpr milliseconds look_interval{1'000};

Receipts::Receipts(asio::any_io_executor executor, RedisSettings settings, RedisReader& reader)
    : executor_(executor),
      settings_(std::move(settings)),
      reader_(reader),
      changed_(executor),
      look_(executor) {}

// --- those who wait ---

class Receipts::Place {
public:
    Place(Receipts& receipts, std::string key)
        : receipts_(receipts),
          waiter_(receipts.waiters_.emplace(receipts.waiters_.end(), receipts.executor_,
                                            std::move(key))) {
        receipts_.changed_.raise();
    }
    ~Place() {
        receipts_.waiters_.erase(waiter_);
        receipts_.changed_.raise();
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    Waiter* operator->() { return &*waiter_; }

private:
    Receipts& receipts_;
    std::list<Waiter>::iterator waiter_;
};

bool Receipts::are_full() const {
    return asking_ >= asking_max;
}

asio::awaitable<std::optional<std::string>> Receipts::find(std::string key) {
    std::vector<std::string> keys{std::move(key)};
    auto found = co_await reader_.read_keys(std::move(keys));
    co_return std::move(found.at(0));
}

asio::awaitable<std::optional<std::string>> Receipts::wait_for(std::string mutation_id,
                                                               milliseconds limit) {
    auto key = reader_.key("receipt:") + mutation_id;
    auto ends_at = Clock::now() + limit;
    struct Asking {
        std::size_t& count;
        explicit Asking(std::size_t& of) : count(++of) {}
        ~Asking() { --count; }
    } asking(asking_);
    auto receipt = co_await find(key);
    if (receipt || limit <= milliseconds::zero()) co_return receipt;
    {
        Place place(*this, key);
        for (;;) {
            if (place->receipt) co_return std::move(place->receipt);
            auto left = duration_cast<milliseconds>(ends_at - Clock::now());
            if (left <= milliseconds::zero()) break;
            co_await place->told.wait(left);
        }
    }
    co_return co_await find(key);  // Or why nobody can tell.
}

void Receipts::tell(std::string_view key, const std::string& receipt) {
    for (auto& waiter : waiters_) {
        if (waiter.key != key) continue;
        waiter.receipt = receipt;
        waiter.told.raise();
    }
}

// --- how they hear of it ---

asio::awaitable<void> Receipts::run() {
    co_await run_together(listen_again_and_again(), look_now_and_then());
}

asio::awaitable<void> Receipts::listen_again_and_again() {
    for (;;) {
        while (waiters_.empty()) co_await changed_.wait();
        try {
            co_await listen();
        } catch (const SinkError&) {
            // Redis is away, or does not let us: looking now and then goes on.
        }
        co_await sleep_for(look_interval);
    }
}

asio::awaitable<void> Receipts::listen() {
    RedisConnection connection(executor_, settings_.address);
    auto opening = connection.open();
    if (!co_await within(connect_max, std::move(opening))) co_return;
    co_await run_together(subscribe(connection), hear(connection));
}

// Follows who waits.
asio::awaitable<void> Receipts::subscribe(RedisConnection& connection) {
    std::set<std::string> channels;
    for (;;) {
        std::string commands;
        std::set<std::string> wanted;
        for (const auto& waiter : waiters_) wanted.insert(waiter.key);
        for (const auto& channel : wanted)
            if (!channels.contains(channel)) append_command(commands, {"SUBSCRIBE", channel});
        for (const auto& channel : channels)
            if (!wanted.contains(channel)) append_command(commands, {"UNSUBSCRIBE", channel});
        channels = std::move(wanted);
        if (commands.empty())
            co_await changed_.wait();
        else
            co_await connection.write(commands);
    }
}

asio::awaitable<void> Receipts::hear(RedisConnection& connection) {
    for (;;) {
        auto reply = co_await connection.read();
        if (reply.is_error()) throw_redis_error("subscribe", reply.text);
        if (reply.items.size() != 3) continue;
        if (reply.items[0].text == "subscribe") look_soon(reply.items[1].text);
        if (reply.items[0].text == "message") tell(reply.items[1].text, reply.items[2].text);
    }
}

void Receipts::look_soon(std::string_view key) {
    for (auto& waiter : waiters_)
        if (waiter.key == key) waiter.is_look_due = true;
    look_.raise();
}

asio::awaitable<void> Receipts::look_now_and_then() {
    for (auto looked_at = Clock::now();;) {
        co_await look_.wait(look_interval);
        auto is_for_all = Clock::now() - looked_at >= look_interval;
        if (is_for_all) looked_at = Clock::now();
        std::vector<std::string> keys;
        for (auto& waiter : waiters_) {
            auto is_due = std::exchange(waiter.is_look_due, false);
            if (is_due || is_for_all) keys.push_back(waiter.key);
        }
        if (keys.empty()) continue;
        std::vector<std::optional<std::string>> found;
        try {
            found = co_await reader_.read_keys(keys);
        } catch (const SinkError&) {
            continue;  // They wait on.
        }
        for (std::size_t i = 0; i < found.size(); ++i)
            if (found[i]) tell(keys[i], *found[i]);
    }
}

}  // namespace walcast
