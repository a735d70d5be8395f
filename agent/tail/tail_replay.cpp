#include "agent/concurrency.hpp"
#include "agent/output.hpp"
#include "agent/recording/replay.hpp"
#include "agent/tail/tail.hpp"
#include "sinks/stdout_sink.hpp"

#include <boost/asio/post.hpp>

namespace walcast {

// `run_together` ends with the first that fails, or with the end of this.
static asio::awaitable<void> show_all(ReplayedBatches& batches, StdoutSink& sink) {
    auto executor = co_await asio::this_coro::executor;
    while (const auto* batch = batches.next()) {
        co_await sink.send(*batch);
        co_await asio::post(executor, asio::use_awaitable);  // Signals have their turn.
    }
}

asio::awaitable<void> tail_replay(TailOptions options) {
    auto executor = co_await asio::this_coro::executor;
    Replay replay(options.recording);
    auto rules = rules_of_tail();
    ReplayedBatches batches(replay, rules);
    Output output(executor);
    TailView view(options.form, options.colours, options.filter);
    StdoutSink sink([&](std::string_view channel, std::string_view message) {
        return output.print(view.render(channel, message));
    });
    co_await run_together(show_all(batches, sink), output.wait_until_closed());
}

}  // namespace walcast
