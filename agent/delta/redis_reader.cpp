#include "agent/delta/redis_reader.hpp"

#include "agent/concurrency.hpp"
#include "sinks/sink.hpp"

#include <fmt/format.h>

#include <charconv>

namespace walcast {

using std::chrono::milliseconds;

// A script is one step as a MULTI is, and can end a page by its bytes, whatever is in history.
// KEYS: position, histories; ARGV: messages, bytes, epoch, known id of each history, channels'
// index, channels. A history that the index lists and that is not there was removed by somebody
// else.
static const char* const read_page = R"(
local now = redis.call('HMGET', KEYS[1], 'epoch', 'sync_id', 'floor')
if now[1] ~= ARGV[3] then return {now[1], now[2], now[3], {}, {}, {}} end
local messages_left, bytes_left = tonumber(ARGV[1]), tonumber(ARGV[2])
local following, ids, entries = {}, {}, {}
local function advance(history, after)
  local entry = redis.call('XRANGE', KEYS[1 + history], '(' .. after .. '-0', '+', 'COUNT', 1)[1]
  following[history] = entry and entry[2][2] or ''
  ids[history] = entry and tonumber(string.match(entry[1], '^%d+')) or math.huge
end
for history = 1, #KEYS - 1 do advance(history, ARGV[3 + history]) end
while messages_left > 0 and bytes_left > 0 do
  local first = 1
  for history = 2, #ids do
    if ids[history] < ids[first] then first = history end
  end
  if ids[first] == math.huge then break end
  entries[#entries + 1] = first
  entries[#entries + 1] = following[first]
  messages_left, bytes_left = messages_left - 1, bytes_left - #following[first]
  advance(first, string.format('%.0f', ids[first]))
end
local gone = {}
for history = 1, #following do
  following[history] = string.sub(following[history], 1, 256)
  local channel = ARGV[4 + #following + history]
  gone[history] = channel and redis.call('ZSCORE', ARGV[4 + #following], channel)
    and redis.call('XLEN', KEYS[1 + history]) == 0 and 1 or 0
end
return {now[1], now[2], now[3], entries, following, gone}
)";
static constexpr std::uint64_t page_bytes_max = 256 * 1024;

RedisReader::RedisReader(asio::any_io_executor executor, RedisSettings settings,
                         milliseconds answer_max)
    : executor_(executor),
      settings_(std::move(settings)),
      answer_max_(answer_max),
      turns_(std::move(executor)) {}

// --- one question ---

// What was not answered leaves the connection in the middle of a reply.
struct RedisReader::Attempt {
    std::optional<RedisConnection>& connection;
    bool is_answered = false;

    ~Attempt() {
        if (!is_answered) connection.reset();
    }
};

asio::awaitable<Reply> RedisReader::exchange(const std::string& command) {
    Attempt attempt{.connection = connection_};
    if (!connection_) {
        connection_.emplace(executor_, settings_.address);
        co_await connection_->open();
    }
    co_await connection_->write(command);
    auto reply = co_await connection_->read();
    attempt.is_answered = true;
    co_return reply;
}

asio::awaitable<Reply> RedisReader::ask_in_turn(std::string command) {
    auto turn = co_await turns_.take();
    if (connection_) {
        try {
            co_return co_await exchange(command);
        } catch (const SinkError&) {
            // It was lost while nobody asked; a new one tells how things are.
        }
    }
    co_return co_await exchange(command);
}

asio::awaitable<Reply> RedisReader::ask(std::string command) {
    auto asking = ask_in_turn(std::move(command));
    auto reply = co_await within(answer_max_, std::move(asking));
    if (!reply)
        throw SinkError(fmt::format("redis: no answer from {} within {} ms",
                                    settings_.address.shown(), answer_max_.count()));
    if (reply->is_error()) throw_redis_error("read", reply->text);
    co_return std::move(*reply);
}

void RedisReader::throw_no_position() const {
    throw SinkError(
        fmt::format("redis: there is no {}: has `walcast run` been started?", key("position")));
}

// --- questions ---

static SyncId number_of(const Reply& reply) {
    SyncId number = 0;
    std::from_chars(reply.text.data(), reply.text.data() + reply.text.size(), number);
    return number;
}

asio::awaitable<HistoryPage> RedisReader::read_histories(DeltaRequest request) {
    std::string command;
    append_command_head(command, 2 + 2 + 3 * request.channels.size() + 4);
    append_argument(command, "EVAL");
    append_argument(command, std::string_view(read_page));
    append_argument(command, std::uint64_t{1 + request.channels.size()});
    append_argument(command, std::string_view(key("position")));
    for (const auto& channel : request.channels) {
        auto log = channel == control() ? channel : key("log:") + channel;
        append_argument(command, std::string_view(log));
    }
    append_argument(command, request.messages_max);
    append_argument(command, page_bytes_max);
    append_argument(command, std::string_view(request.epoch));
    for (auto after : request.after) append_argument(command, after);
    append_argument(command, std::string_view(key("channels")));
    for (const auto& channel : request.channels)
        append_argument(command, std::string_view(channel));

    auto reply = co_await ask(std::move(command));
    auto& items = reply.items;
    if (items.size() != 6 || items[0].kind == Reply::Kind::nil) throw_no_position();
    HistoryPage page;
    page.epoch = items[0].text;
    page.sync_id = number_of(items[1]);
    page.floor = number_of(items[2]);
    auto& entries = items[3].items;
    for (std::size_t i = 0; i + 1 < entries.size(); i += 2) {
        auto channel = static_cast<std::size_t>(entries[i].integer) - 1;
        page.entries.push_back({channel, std::move(entries[i + 1].text)});
    }
    for (auto& head : items[4].items) page.following.push_back(std::move(head.text));
    for (const auto& one : items[5].items) page.is_gone.push_back(one.integer != 0);
    co_return page;
}

asio::awaitable<RedisReader::Reached> RedisReader::read_position() {
    std::string command;
    append_command(command,
                   {"HMGET", key("position"), "epoch", "sync_id", "floor", "lsn", "clock"});
    auto reply = co_await ask(std::move(command));
    const auto& fields = reply.items;
    if (fields.size() != 5 || fields[0].kind == Reply::Kind::nil) throw_no_position();
    Reached reached;
    reached.epoch = fields[0].text;
    reached.sync_id = number_of(fields[1]);
    reached.floor = number_of(fields[2]);
    reached.lsn = fields[3].text;
    reached.clock = Timestamp{std::chrono::microseconds{number_of(fields[4])}};
    co_return reached;
}

asio::awaitable<SyncId> RedisReader::read_last_reset() {
    std::string command;
    append_command(command, {"XREVRANGE", control(), "+", "-", "COUNT", "1"});
    auto reply = co_await ask(std::move(command));
    if (reply.items.empty() || reply.items[0].items.empty()) co_return 0;
    co_return number_of(reply.items[0].items[0]);
}

asio::awaitable<std::vector<std::optional<std::string>>> RedisReader::read_keys(
    std::vector<std::string> keys) {
    std::string command;
    append_command_head(command, 1 + keys.size());
    append_argument(command, "MGET");
    for (const auto& name : keys) append_argument(command, std::string_view(name));
    auto reply = co_await ask(std::move(command));
    std::vector<std::optional<std::string>> found(keys.size());
    for (std::size_t i = 0; i < found.size() && i < reply.items.size(); ++i)
        if (reply.items[i].kind == Reply::Kind::string) found[i] = std::move(reply.items[i].text);
    co_return found;
}

}  // namespace walcast
