#pragma once

#include <cstdint>

namespace walcast {

// What the kernel says of this process.
struct ProcessFacts {
    double cpu_seconds = 0;
    std::uint64_t resident_bytes = 0;
    std::uint64_t open_descriptors = 0;
    std::uint64_t descriptors_max = 0;
};

// 0 for what the kernel does not say.
ProcessFacts process_facts();

}  // namespace walcast
