#pragma once

#include <chrono>
#include <cstdint>

namespace walcast {

// How long to wait before the next attempt: doubling, with jitter, so that many agents do not come
// back as one. Pure, given its seed.
class Backoff {
public:
    struct Limits {
        std::chrono::milliseconds first{100};
        std::chrono::milliseconds most{5000};
    };

    Backoff(Limits limits, std::uint64_t seed) : limits_(limits), random_(seed | 1U) {}

    // Between half of the full wait and all of it.
    std::chrono::milliseconds next();

    // It worked: begin again with the shortest wait.
    void reset() { attempts_ = 0; }

private:
    Limits limits_;
    std::uint64_t random_;
    unsigned attempts_ = 0;
};

}  // namespace walcast
