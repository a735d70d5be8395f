#include "agent/bootstrap/bootstrap_progress.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace walcast {

std::string grouped(std::uint64_t number) {
    auto digits = fmt::to_string(number);
    for (auto at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
    return digits;
}

// The server's statistics may be too low: it is done when it is done.
std::string progress_line(std::uint64_t rows, std::optional<std::uint64_t> estimated,
                          std::chrono::duration<double> elapsed) {
    constexpr std::uint64_t width = 20;
    auto rate = static_cast<double>(rows) / std::max(elapsed.count(), 0.001);
    auto text =
        fmt::format("{} rows  {}/s", grouped(rows), grouped(static_cast<std::uint64_t>(rate)));
    if (!estimated || *estimated == 0) return text;
    auto percent = std::min<std::uint64_t>(99, rows * 100 / *estimated);
    auto done = percent * width / 100;
    return fmt::format("{:3} % [{}{}]  {}", percent, std::string(done, '#'),
                       std::string(width - done, '.'), text);
}

}  // namespace walcast
