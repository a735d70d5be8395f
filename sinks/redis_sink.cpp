#include "sinks/redis_sink.hpp"

#include "sinks/native_envelope.hpp"
#include "sinks/redis_position.hpp"
#include "sinks/redis_scripts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace walcast {

using std::chrono::steady_clock;

// How many old histories one call removes.
static constexpr std::int64_t aged_at_once = 100;

// How often a busy channel's time in the index is renewed; aged histories are kept so much longer.
static std::chrono::seconds index_interval(std::chrono::seconds age) {
    return std::clamp<std::chrono::seconds>(age / 4, std::chrono::seconds{1},
                                            std::chrono::seconds{60});
}

RedisSink::RedisSink(asio::any_io_executor executor, RedisSettings settings, std::string owner)
    : settings_(std::move(settings)),
      owner_(std::move(owner)),
      connection_(std::move(executor), settings_.address),
      outputs_(settings_.outputs) {}

// The part of an owner's token that is the same for each time it takes over.
static std::string_view process_of(std::string_view owner) {
    return owner.substr(0, owner.find('-'));
}

// Throws where the reply refuses `owner`, since it is not, or no longer, the stored one.
static void expect_not_fenced(const Reply& reply, std::string_view owner) {
    constexpr std::string_view fenced = "FENCED ";
    if (!reply.is_error() || !reply.text.starts_with(fenced)) return;
    auto stored = std::string_view(reply.text).substr(fenced.size());
    if (process_of(stored.substr(0, stored.find(' '))) == process_of(owner))
        throw SinkError(
            "redis: the position is one from before this connection: it came back "
            "older than it was");
    throw Fenced("fenced: another walcast has taken over the position in Redis, so this one stops");
}

// --- start ---

asio::awaitable<Reply> RedisSink::run(const char* script, std::vector<std::string> keys,
                                      std::vector<std::string> arguments) {
    std::string command;
    append_command_head(command, 3 + keys.size() + arguments.size());
    append_argument(command, "EVAL");
    append_argument(command, std::string_view(script));
    append_argument(command, std::uint64_t{keys.size()});
    for (const auto& name : keys) append_argument(command, std::string_view(name));
    for (const auto& argument : arguments) append_argument(command, std::string_view(argument));
    for (; !awaited_.empty(); awaited_.pop_front()) co_await connection_.read();
    co_await connection_.write(command);
    auto reply = co_await connection_.read();
    expect_not_fenced(reply, owner_);
    if (reply.is_error()) throw_redis_error("run a script", reply.text);
    co_return reply;
}

std::string_view info_field(std::string_view info, std::string_view field) {
    auto at = info.find(field);
    if (at == std::string_view::npos) return {};
    auto value = info.substr(at + field.size());
    return value.substr(0, value.find('\r'));
}

void expect_no_eviction(std::string_view memory_info) {
    auto policy = info_field(memory_info, "maxmemory_policy:");
    if (policy.starts_with("allkeys"))
        throw SinkError(
            fmt::format("redis: maxmemory-policy is {}, which may evict histories and the position "
                        "(CONFIG SET maxmemory-policy noeviction)",
                        policy));
}

asio::awaitable<void> RedisSink::check_server() {
    std::string command;
    append_command(command, {"INFO", "memory"});
    co_await connection_.write(command);
    auto info = co_await connection_.read();
    if (info.is_error() && info.text.starts_with("NOPERM")) co_return;  // Cannot tell.
    if (info.is_error()) throw_redis_error("INFO", info.text);
    expect_no_eviction(info.text);
}

asio::awaitable<void> RedisSink::load_commit_script() {
    std::string command;
    append_command(command, {"SCRIPT", "LOAD", redis_scripts::commit});
    auto reply = co_await connection_.ask(std::move(command));
    commit_sha_ = reply.text;
}

asio::awaitable<std::optional<Stored>> RedisSink::connect() {
    forget_channels();
    awaited_.clear();
    co_await connection_.open();
    co_await check_server();
    co_await load_commit_script();
    std::string command;
    append_command(command, {"HGETALL", key("position")});
    auto reply = co_await connection_.ask(std::move(command));
    outputs_.begin(read_clock(reply));
    co_return read_stored(reply);
}

asio::awaitable<std::optional<Stored>> RedisSink::take_over() {
    // A token for each time: what is still on its way on an earlier connection must not pass for
    // ours.
    owner_ = fmt::format("{}-{}", process_of(owner_), ++takeovers_);
    std::vector<std::string> keys{key("position")};
    std::vector<std::string> arguments{owner_, settings_.prefix,
                                       settings_.wait_replicas > 0 ? "WAIT" : ""};
    auto reply = co_await run(redis_scripts::take_over, std::move(keys), std::move(arguments));
    std::string resetting;
    auto stored = read_stored(reply, &resetting);
    outputs_.begin(read_clock(reply));
    if (stored && !resetting.empty()) {
        auto epoch = stored->position.epoch;
        auto id = stored->position.sync_id;
        // Resets come before anything else of their epoch, so the position has not moved since.
        co_await finish_resets(std::move(epoch), id, std::move(resetting));
    }
    co_return stored;
}

// How many replicas have all that this connection wrote so far, asked for with a limit: those that
// hang are no reason to wait for ever. What one reply lacks a later one may have. Each batch waits
// behind the answer, so replicas that are away are given less time: publishing goes on.
void RedisSink::write_wait() {
    constexpr std::uint64_t limit_ms = 1000;
    constexpr std::uint64_t limit_away_ms = 20;
    append_command(command_, {"WAIT", fmt::to_string(settings_.wait_replicas),
                              fmt::to_string(are_replicas_there_ ? limit_ms : limit_away_ms)});
}

asio::awaitable<bool> RedisSink::replicated() {
    auto reply = co_await connection_.read();
    if (reply.is_error()) throw_redis_error("WAIT", reply.text);
    are_replicas_there_ = static_cast<std::uint64_t>(reply.integer) >= settings_.wait_replicas;
    co_return are_replicas_there_;
}

asio::awaitable<bool> RedisSink::adopt(Source source) {
    std::vector<std::string> keys{key("position"), key("control")};
    std::vector<std::string> arguments{owner_,        "up",
                                       "system_id",   source.system_id,
                                       "timeline",    fmt::to_string(source.timeline),
                                       "slot",        source.slot,
                                       "fingerprint", source.fingerprint};
    co_await run(redis_scripts::adopt, std::move(keys), std::move(arguments));
    if (settings_.wait_replicas == 0) co_return true;
    command_.clear();
    write_wait();
    co_await connection_.write(command_);
    co_return co_await replicated();
}

asio::awaitable<void> RedisSink::leave() {
    std::vector<std::string> keys{key("position"), key("control")};
    std::vector<std::string> arguments{owner_, "down"};
    co_await run(redis_scripts::adopt, std::move(keys), std::move(arguments));
}

asio::awaitable<bool> RedisSink::write_first_position(Position position, Source source) {
    std::vector<std::string> keys{key("position")};
    auto arguments = fields_of(position, source);
    auto reply = co_await run(redis_scripts::first_position, std::move(keys), std::move(arguments));
    co_return reply.integer == 1;
}

asio::awaitable<Position> RedisSink::begin_epoch(Position position, Source source,
                                                 std::string reason) {
    constexpr std::uint64_t channels_at_once = 500;
    for (const auto* index : {"channels", "channels:resetting"}) {
        for (std::uint64_t first = 0;; first += channels_at_once) {
            std::vector<std::string> keys{key(index)};
            std::vector<std::string> arguments{settings_.prefix, fmt::to_string(first),
                                               fmt::to_string(first + channels_at_once - 1)};
            auto reply = co_await run(redis_scripts::newest, std::move(keys), std::move(arguments));
            auto largest = read_number("history id", reply.items.at(0).text);
            position.sync_id = std::max(position.sync_id, largest);
            if (reply.items.at(1).integer == 0) break;
        }
    }
    std::vector<std::string> keys{key("position"), key("channels"), key("channels:resetting")};
    std::vector<std::string> arguments{owner_, "resetting", reason};
    for (auto& field : fields_of(position, source)) arguments.push_back(std::move(field));
    co_await run(redis_scripts::begin_epoch, std::move(keys), std::move(arguments));
    co_await finish_resets(position.epoch, position.sync_id, std::move(reason));
    co_return position;
}

asio::awaitable<void> RedisSink::finish_resets(std::string epoch, SyncId id, std::string reason) {
    std::string escaped;
    for (auto character : reason)
        if (static_cast<unsigned char>(character) >= 0x20 && character != '"' && character != '\\')
            escaped += character;
    // Not a transaction's message: nothing of one to say.
    auto message = fmt::format(
        R"({{"type":"reset","epoch":"{}","prevSyncId":{},"lastSyncId":{},"reason":"{}"}})", epoch,
        id, id, escaped);
    for (auto is_done = false; !is_done;) {
        std::vector<std::string> keys{key("position"), key("channels"), key("channels:resetting"),
                                      key("control")};
        std::vector<std::string> arguments{owner_, settings_.prefix,    message, fmt::to_string(id),
                                           "100",  std::string(quiet())};
        auto reply = co_await run(redis_scripts::reset_some, std::move(keys), std::move(arguments));
        is_done = reply.integer == 0;
    }
}

// --- batches ---

void RedisSink::forget_channels() {
    channels_.clear();
    channels_bytes_ = 0;
}

// Which message goes to which channel, in order; the channels get numbers from 1 as they appear.
void RedisSink::collect_targets(const Batch& batch) {
    // A node of the map with its name's own allocation.
    constexpr std::size_t channel_bytes = 160;
    if (channels_bytes_ > settings_.channels_bytes_max) forget_channels();
    auto now = steady_clock::now();
    auto interval = index_interval(settings_.history_age);
    ++batches_;
    targets_.clear();
    batch_channels_.clear();
    batch_indexes_.clear();
    for (const auto& message : batch.messages) {
        auto has_no_channels =
            message.kind == Message::Kind::reset || message.kind == Message::Kind::dead_letter;
        if (has_no_channels) targets_.push_back({&message, nullptr});
        for (auto i = message.channels_begin; i < message.channels_end; ++i) {
            auto name = batch.text(batch.channels[i]);
            auto found = channels_.find(name);
            if (found == channels_.end()) {
                found = channels_.emplace(std::string(name), Known{}).first;
                found->second.is_new = true;
                channels_bytes_ += name.size() + channel_bytes;
            }
            auto& channel = found->second;
            if (channel.batch != batches_) {
                channel.batch = batches_;
                batch_channels_.push_back(&*found);
                channel.number = static_cast<std::uint32_t>(batch_channels_.size());
                batch_indexes_.push_back(false);
            }
            // What only hears of progress has no history.
            auto is_due = message.kind != Message::Kind::progress &&
                          (channel.is_new || now - channel.indexed_at >= interval);
            if (is_due) {
                channel.indexed_at = now;
                batch_indexes_[channel.number - 1] = true;
            }
            targets_.push_back({&message, &channel});
        }
    }
}

// What the outputs make of each target.
void RedisSink::wrap_outputs(const Batch& batch) {
    published_ends_.clear();
    if (!outputs_.has_others()) return;
    outputs_.begin_batch(batch);
    for (const auto& target : targets_) {
        std::string_view channel;
        if (target.channel != nullptr) channel = batch_channels_[target.channel->number - 1]->first;
        outputs_.wrap(batch, *target.message, channel);
        published_ends_.push_back(outputs_.published().size());
    }
    outputs_.end_batch(batch);
}

void RedisSink::write_message(const Batch& batch, const Target& target) {
    const auto& message = *target.message;
    if (message.kind == Message::Kind::dead_letter) {
        append_argument(command_, "dead letter");
        append_argument(command_, message.last_sync_id);
        append_argument(command_, batch.text(message.body_begin, message.body_end));
        return;
    }
    auto is_progress = message.kind == Message::Kind::progress;
    std::optional<SyncId> previous;
    if (target.channel != nullptr && !target.channel->is_new)
        previous = target.channel->last_sync_id;
    head_.clear();
    append_message_head(head_, batch, message, batch.before.epoch, previous);
    auto body = batch.text(message.body_begin, message.body_end);
    auto close = message_end(message);

    append_argument(command_,
                    std::uint64_t{target.channel == nullptr ? 0 : target.channel->number});
    if (is_progress)
        append_argument(command_, std::string_view{});  // Not part of the history.
    else
        append_argument(command_, message.last_sync_id);
    command_ += '$';
    fmt::format_to(std::back_inserter(command_), "{}\r\n",
                   head_.size() + body.size() + close.size());
    command_ += head_;
    command_ += body;
    command_ += close;
    command_ += "\r\n";
    if (target.channel != nullptr && !is_progress) {
        target.channel->last_sync_id = message.last_sync_id;
        target.channel->is_new = false;
    }
}

void RedisSink::write_published(std::size_t begin, std::size_t end) {
    const auto& published = outputs_.published();
    for (auto i = begin; i < end; ++i) {
        append_argument(command_, published.is_native(i) ? "again" : "publish");
        append_argument(command_, published.channel(i));
        append_argument(command_, published.payload(i));
    }
}

void RedisSink::write_commit(const Batch& batch) {
    auto key_count = 3 + batch_channels_.size();
    command_.clear();
    append_command_head(command_, 3 + key_count + 21 + 3 * batch_channels_.size() +
                                      3 * (targets_.size() + outputs_.published().size()) +
                                      2 * batch.receipts.size());
    append_argument(command_, "EVALSHA");
    append_argument(command_, std::string_view(commit_sha_));
    append_argument(command_, std::uint64_t{key_count});
    for (const auto* name : {"position", "channels", "control"})
        append_argument(command_, std::string_view(key(name)));
    for (const auto* channel : batch_channels_) {
        head_ = settings_.prefix;
        head_ += "log:";
        head_ += channel->first;
        append_argument(command_, std::string_view(head_));
    }
    append_argument(command_, std::string_view(owner_));
    append_position(command_, batch.before);
    append_position(command_, batch.after);
    append_argument(command_, settings_.history_length);
    append_argument(command_, std::uint64_t{batch_channels_.size()});
    append_argument(command_, std::string_view(batch.rules));
    append_argument(command_, std::string_view(text_of(batch.after.last)));
    append_argument(command_, std::uint64_t{batch.receipts.size()});
    append_argument(command_, static_cast<std::uint64_t>(settings_.receipt_age.count()));
    append_argument(command_, quiet());
    auto clock = outputs_.clock().time_since_epoch().count();
    append_argument(command_, std::string_view(outputs_.has_others() ? fmt::to_string(clock) : ""));
    for (std::size_t i = 0; i < batch_channels_.size(); ++i) {
        append_argument(command_, std::string_view(batch_channels_[i]->first));
        if (batch_channels_[i]->second.is_new)
            append_argument(command_, std::string_view{});
        else
            append_argument(command_, batch_channels_[i]->second.last_sync_id);
        append_argument(command_, std::string_view(batch_indexes_[i] ? "1" : "0"));
    }
    std::size_t published = 0;
    for (std::size_t i = 0; i < targets_.size(); ++i) {
        write_message(batch, targets_[i]);
        if (published_ends_.empty()) continue;
        write_published(published, published_ends_[i]);
        published = published_ends_[i];
    }
    write_published(published, outputs_.published().size());
    for (const auto& receipt : batch.receipts) {
        append_argument(command_, batch.text(receipt.mutation_id));
        head_.clear();
        append_receipt(head_, batch, receipt, batch.before.epoch);
        append_argument(command_, std::string_view(head_));
    }
}

asio::awaitable<void> RedisSink::send(const Batch& batch) {
    collect_targets(batch);
    wrap_outputs(batch);
    write_commit(batch);
    awaited_.push_back(Awaited::batch);
    if (settings_.wait_replicas > 0) {
        write_wait();
        awaited_.push_back(Awaited::replicas);
    }
    // Old histories go in passing, behind the batch.
    auto now = steady_clock::now();
    auto is_upkeep_due = now - aged_removed_at_ >= index_interval(settings_.history_age);
    if (is_upkeep_due) {
        aged_removed_at_ = now;
        auto age = settings_.history_age + index_interval(settings_.history_age);
        append_command(command_, {"EVAL", redis_scripts::remove_aged, "2", key("position"),
                                  key("channels"), owner_, settings_.prefix,
                                  fmt::to_string(age.count()), fmt::to_string(aged_at_once)});
        awaited_.push_back(Awaited::upkeep);
    }
    co_await connection_.write(command_);
    constexpr std::size_t command_bytes_max = 4 * 1024 * 1024;  // A giant row's buffer is not kept.
    if (command_.capacity() > command_bytes_max) command_ = {};
}

asio::awaitable<bool> RedisSink::accepted() {
    for (;;) {
        auto reply = co_await connection_.read();
        assert(!awaited_.empty());
        auto awaited = awaited_.front();
        awaited_.pop_front();
        expect_not_fenced(reply, owner_);
        if (reply.is_error()) throw_redis_error("commit a batch", reply.text);
        if (awaited == Awaited::batch) {
            if (settings_.wait_replicas == 0) co_return true;
            auto is_durable = co_await replicated();
            awaited_.pop_front();
            co_return is_durable;
        }
        // As many as one call may remove: there are probably more.
        if (reply.integer == aged_at_once) aged_removed_at_ = {};
    }
}

}  // namespace walcast
