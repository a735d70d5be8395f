#include "tests/simulation/world.hpp"

#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace walcast {

void World::at(Time time, Action action) {
    planned_.push_back({std::max(time, Clock::now()), ++planned_count_, std::move(action)});
    std::push_heap(planned_.begin(), planned_.end(), is_later);
}

std::optional<Time> World::next() const {
    if (planned_.empty()) return std::nullopt;
    return planned_.front().time;
}

void World::let_happen() {
    while (!planned_.empty() && planned_.front().time <= Clock::now()) {
        std::pop_heap(planned_.begin(), planned_.end(), is_later);
        auto action = std::move(planned_.back().action);
        planned_.pop_back();
        action();
    }
}

void World::write(const std::string& line) {
    auto age = std::chrono::duration_cast<microseconds>(Clock::now() - began_at_).count();
    trace.push_back(fmt::format("{:9.3f} ms  {}", static_cast<double>(age) / 1000, line));
}

asio::awaitable<void> pass(Clock::duration time) {
    auto executor = co_await asio::this_coro::executor;
    Timer timer(executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

// --- links ---

static Clock::duration latency(Dice& dice) {
    if (dice.is_lucky(4)) return microseconds{dice.between(1'000, 40'000)};
    return microseconds{dice.between(20, 800)};
}

void Link::send(std::size_t to, World::Action arrived) {
    if (has_ended_[1 - to]) return;  // Its sender's.
    on_the_way_[to].push_back(std::move(arrived));
    last_arrival_[to] = std::max(last_arrival_[to], Clock::now() + latency(world_.dice));
    plan(to, last_arrival_[to]);
}

void Link::plan(std::size_t to, Time time) {
    if (time == Time::max()) return;
    world_.at(time, [link = shared_from_this(), to] { link->arrive(to); });
}

void Link::arrive(std::size_t to) {
    if (Clock::now() < stalled_until_) return plan(to, stalled_until_);
    if (on_the_way_[to].empty()) return;
    auto action = std::move(on_the_way_[to].front());
    on_the_way_[to].pop_front();
    if (!has_ended_[to]) action();
}

void Link::end_for(std::size_t whom) {
    if (std::exchange(has_ended_[whom], true)) return;
    auto& tell = whom == 0 ? on_end_for_server : wake_client;
    if (tell) tell();
}

void Link::break_off() {
    if (has_ended_[1]) return;  // Its end is on its way to the server.
    if (world_.dice.is_lucky(50)) on_the_way_[0].clear();
    send(0, [this] { end_for(0); });
    end_for(1);
}

void Link::client_leaves() {
    wake_client = nullptr;
    if (has_ended_[1]) return;
    send(0, [this] { end_for(0); });
    has_ended_[1] = true;
}

void Link::client_vanishes() {
    wake_client = nullptr;
    has_ended_[1] = true;
}

void Link::server_leaves() {
    if (has_ended_[0]) return;
    send(1, [this] { end_for(1); });
    end_for(0);
}

}  // namespace walcast
