// What a Redis sends, in pieces.

#include "sinks/resp.hpp"
#include "sinks/sink.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>
#include <functional>

using namespace walcast;

// hiredis itself is not built for coverage: this tells the fuzzer of new shapes and new errors.
__attribute__((section("__libfuzzer_extra_counters"))) static std::uint8_t shapes_seen[1024];

static void saw(std::string_view shape) {
    shapes_seen[std::hash<std::string_view>()(shape) % sizeof shapes_seen] = 1;
}

static void append_shown(std::string& out, const Reply& reply) {
    out += static_cast<char>('a' + static_cast<int>(reply.kind));
    out += std::to_string(reply.integer) + '"' + reply.text + "\"[";
    for (const auto& item : reply.items) append_shown(out, item);
    out += ']';
}

static void append_shape(std::string& out, const Reply& reply) {
    out += static_cast<char>('a' + static_cast<int>(reply.kind));
    if (!reply.items.empty()) append_shape(out, reply.items.front());
    if (reply.items.size() > 1) append_shape(out, reply.items.back());
}

// All that is in `bytes`, fed in pieces of `piece` bytes, and the error at its end.
static std::string parse(std::string_view bytes, std::size_t piece) {
    ReplyParser parser;
    std::string out;
    try {
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            parser.feed(bytes.substr(at, piece));
            while (auto reply = parser.next()) {
                append_shown(out, *reply);
                std::string shape;
                append_shape(shape, *reply);
                saw(shape);
            }
        }
    } catch (const SinkError& error) {
        saw(error.what());
        out += error.what();
    }
    return out;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto input = view_of(data, size);
    auto piece = std::size_t{take_byte(input)} + 1;
    require(parse(input, piece) == parse(input, std::max<std::size_t>(input.size(), 1)),
            "the same wherever the bytes are split");

    std::string command;
    append_command(command, {"SET", input});
    ReplyParser parser;
    parser.feed(command);
    auto read = parser.next();
    require(read && read->items.size() == 2 && read->items[1].text == input,
            "a command is read as it was written");
    return 0;
}
