#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace walcast {

enum class LogLevel { debug, info, warn, error };

// Where the agent says what it does: one event a line on standard error, fields as key=value.
// No passwords, and no row data at info or above.
class Log {
public:
    explicit Log(LogLevel level);

    // For those who want the lines themselves.
    using Write = std::function<void(LogLevel level, const std::string& line)>;
    Log(LogLevel level, Write write) : level_(level), write_(std::move(write)) {}

    template <typename... Arguments>
    void debug(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        log(LogLevel::debug, format, std::forward<Arguments>(arguments)...);
    }
    template <typename... Arguments>
    void info(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        log(LogLevel::info, format, std::forward<Arguments>(arguments)...);
    }
    template <typename... Arguments>
    void warn(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        log(LogLevel::warn, format, std::forward<Arguments>(arguments)...);
    }
    template <typename... Arguments>
    void error(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        log(LogLevel::error, format, std::forward<Arguments>(arguments)...);
    }

private:
    template <typename... Arguments>
    void log(LogLevel level, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        if (level >= level_)
            write_(level, fmt::format(format, std::forward<Arguments>(arguments)...));
    }

    LogLevel level_;
    Write write_;
};

// A field's value in quotes, on one line.
std::string quoted(std::string_view text);

}  // namespace walcast
