#include "sinks/resp.hpp"

#include "sinks/sink.hpp"

#include <fmt/format.h>
#include <hiredis/hiredis.h>

#include <array>
#include <charconv>

namespace walcast {

// hiredis makes room for all of an array once it is announced: 16 GiB for `*2147483647`.
static redisReplyObjectFunctions bounded(const redisReplyObjectFunctions& usual) {
    static auto* const create_array = usual.createArray;
    auto functions = usual;
    functions.createArray = [](const redisReadTask* task, int count) -> void* {
        constexpr auto count_max = 1 << 22;  // A name for each channel that there may be.
        return count > count_max ? nullptr : create_array(task, count);
    };
    return functions;
}

ReplyParser::ReplyParser() : reader_(redisReaderCreate()) {
    static auto functions = bounded(*reader_->fn);
    reader_->fn = &functions;
    reader_->maxbuf = 64 * 1024;  // Keep at most so much idle buffer.
}

void ReplyParser::Free::operator()(redisReader* reader) const {
    redisReaderFree(reader);
}

void ReplyParser::feed(std::string_view bytes) {
    redisReaderFeed(reader_.get(), bytes.data(), bytes.size());
}

static Reply own(const redisReply& from) {
    auto text = [&] { return std::string(from.str, from.len); };
    switch (from.type) {
        case REDIS_REPLY_STATUS: return {.kind = Reply::Kind::status, .text = text()};
        case REDIS_REPLY_ERROR: return {.kind = Reply::Kind::error, .text = text()};
        case REDIS_REPLY_STRING: return {.kind = Reply::Kind::string, .text = text()};
        case REDIS_REPLY_INTEGER: return {.kind = Reply::Kind::integer, .integer = from.integer};
        case REDIS_REPLY_ARRAY: {
            Reply reply{.kind = Reply::Kind::array};
            reply.items.reserve(from.elements);
            for (std::size_t i = 0; i < from.elements; ++i)
                reply.items.push_back(own(*from.element[i]));
            return reply;
        }
        default: return {};
    }
}

std::optional<Reply> ReplyParser::next() {
    void* found = nullptr;
    if (redisReaderGetReply(reader_.get(), &found) != REDIS_OK) {
        if (reader_->err == REDIS_ERR_OOM)
            throw SinkError("redis: the server announced a reply that is too large");
        throw SinkError(fmt::format("redis: the server's bytes are not RESP2: {}",
                                    static_cast<const char*>(reader_->errstr)));
    }
    if (found == nullptr) return std::nullopt;
    std::unique_ptr<void, void (*)(void*)> reply(found, freeReplyObject);
    return own(*static_cast<redisReply*>(reply.get()));
}

static void append_prefixed(std::string& out, char prefix, std::uint64_t number) {
    std::array<char, 24> text{prefix};
    auto* end = std::to_chars(text.data() + 1, text.data() + text.size(), number).ptr;
    *end++ = '\r';
    *end++ = '\n';
    out.append(text.data(), end);
}

void append_command_head(std::string& out, std::size_t argument_count) {
    append_prefixed(out, '*', argument_count);
}

void append_argument(std::string& out, std::string_view argument) {
    append_prefixed(out, '$', argument.size());
    out += argument;
    out += "\r\n";
}

void append_argument(std::string& out, std::uint64_t number) {
    std::array<char, 20> digits{};
    auto* end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    append_argument(out,
                    std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
}

void append_command(std::string& out, std::initializer_list<std::string_view> arguments) {
    append_command_head(out, arguments.size());
    for (auto argument : arguments) append_argument(out, argument);
}

}  // namespace walcast
