#include "agent/log.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace walcast {

// On standard error.
static void write_line(LogLevel level, const std::string& line) {
    static constexpr spdlog::level::level_enum levels[] = {
        spdlog::level::debug, spdlog::level::info, spdlog::level::warn, spdlog::level::err};
    spdlog::get("walcast")->log(levels[static_cast<int>(level)], spdlog::string_view_t(line));
}

Log::Log(LogLevel level) : Log(level, write_line) {
    auto logger = spdlog::get("walcast");
    if (!logger) logger = spdlog::stderr_color_mt("walcast");
    // UTC, since logs of several machines are read side by side.
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
    logger->set_level(spdlog::level::debug);
    logger->flush_on(spdlog::level::debug);
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (auto character : text) {
        if (character == '"' || character == '\\') out += '\\';
        out += static_cast<unsigned char>(character) < 0x20 ? ' ' : character;
    }
    return out + '"';
}

}  // namespace walcast
