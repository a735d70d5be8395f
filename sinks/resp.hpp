#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;

namespace walcast {

// The Redis protocol, RESP2, as bytes in and out; no sockets here.

// A reply, owned.
struct Reply {
    enum class Kind : std::uint8_t { nil, status, error, integer, string, array };
    Kind kind = Kind::nil;
    std::int64_t integer = 0;
    std::string text{};  // Of a status, an error or a string.
    std::vector<Reply> items{};

    bool is_error() const { return kind == Kind::error; }
};

// Splits the bytes that a server sends into replies.
class ReplyParser {
public:
    ReplyParser();

    void feed(std::string_view bytes);

    // The next whole reply, if there is one. Throws SinkError when the bytes break the protocol.
    std::optional<Reply> next();

private:
    struct Free {
        void operator()(redisReader* reader) const;
    };
    std::unique_ptr<redisReader, Free> reader_;
};

// Appends commands piece by piece: first how many arguments there will be, then each.
void append_command_head(std::string& out, std::size_t argument_count);
void append_argument(std::string& out, std::string_view argument);
void append_argument(std::string& out, std::uint64_t number);

// Appends a whole command.
void append_command(std::string& out, std::initializer_list<std::string_view> arguments);

}  // namespace walcast
