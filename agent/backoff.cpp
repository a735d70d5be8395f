#include "agent/backoff.hpp"

#include <algorithm>

namespace walcast {

std::chrono::milliseconds Backoff::next() {
    auto full = limits_.first * (std::int64_t{1} << std::min(attempts_++, 20U));
    full = std::min<std::chrono::milliseconds>(full, limits_.most);
    // xorshift64: jitter needs no better.
    random_ ^= random_ << 13U;
    random_ ^= random_ >> 7U;
    random_ ^= random_ << 17U;
    auto half = full / 2;
    return half + std::chrono::milliseconds{static_cast<std::int64_t>(
                      random_ % static_cast<std::uint64_t>(half.count() + 1))};
}

}  // namespace walcast
