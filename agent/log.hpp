#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace walcast {

enum class LogLevel { debug, info, warn, error };

// Where the agent says what it does: one event a line on standard error, fields as key=value.
// No passwords, and no row data at info or above.
class Log {
public:
    explicit Log(LogLevel level);

    template <typename... Arguments>
    void debug(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        if (level_ > LogLevel::debug) return;
        write(LogLevel::debug, fmt::format(format, std::forward<Arguments>(arguments)...));
    }
    template <typename... Arguments>
    void info(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        write(LogLevel::info, fmt::format(format, std::forward<Arguments>(arguments)...));
    }
    template <typename... Arguments>
    void warn(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        write(LogLevel::warn, fmt::format(format, std::forward<Arguments>(arguments)...));
    }
    template <typename... Arguments>
    void error(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        write(LogLevel::error, fmt::format(format, std::forward<Arguments>(arguments)...));
    }

private:
    void write(LogLevel level, const std::string& line);

    LogLevel level_;
};

// A field's value in quotes, on one line.
std::string quoted(std::string_view text);

}  // namespace walcast
