#include "agent/delta/delta_command.hpp"

#include "agent/delta/delta_view.hpp"
#include "agent/delta/redis_reader.hpp"
#include "agent/output.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace walcast {

namespace {

// Outside of strings JSON may have line ends, inside it cannot.
void print_line(std::string line) {
    std::replace_if(
        line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    print_now(line + '\n');
}

class Printer {
public:
    explicit Printer(const DeltaOptions& options)
        : is_json_(options.form == TailView::Form::json),
          view_(TailView::Form::text, options.colours, {}) {}

    void print(const std::string& channel, const std::string& message) {
        if (!is_json_) return print_now(view_.render(channel, message));
        std::string line;
        append_entry_json(line, channel, message);
        print_line(std::move(line));
    }

    // The last line of JSON is an answer without messages, so that one that was cut off is seen.
    void end(const DeltaRequest& request, HistoryPage page, const Delta& delta) {
        page.entries.clear();
        if (is_json_) {
            auto line = delta_json(request, page, delta);
            line.pop_back();
            return print_line(std::move(line));
        }
        if (delta.is_complete())
            complain(fmt::format("complete up to {} in epoch {}", delta.last_sync_id, page.epoch));
        else
            complain(fmt::format("not provable: {}. Fetch afresh; the position is {} in epoch {}",
                                 delta.detail, page.sync_id, page.epoch));
    }

private:
    bool is_json_;
    TailView view_;
};

}  // namespace

asio::awaitable<void> print_delta(RedisSettings settings, DeltaOptions options, bool& is_complete) {
    auto executor = co_await asio::this_coro::executor;
    constexpr std::chrono::milliseconds patience{10'000};
    RedisReader reader(executor, std::move(settings), patience);
    Printer printer(options);
    DeltaRequest request;
    request.channels = options.channels;
    request.channels.push_back(reader.control());
    request.epoch = options.epoch;
    request.after = options.after;
    for (;;) {
        auto page = co_await reader.read_histories(request);
        auto delta = prove(request, page);
        is_complete = delta.is_complete();
        if (is_complete)
            for (const auto& entry : page.entries)
                printer.print(request.channels[entry.channel], entry.message);
        if (is_complete && delta.has_more) {
            request.after = std::move(delta.after);
            continue;
        }
        printer.end(request, std::move(page), delta);
        co_return;
    }
}

}  // namespace walcast
