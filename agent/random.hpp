#pragma once

#include <cstdint>

namespace walcast {

// Bits that nobody can foretell; or, in a simulation, the same ones for the same seed.
class Random {
public:
    static std::uint32_t bits();

    // While one lives, the bits follow from its seed; at most one lives.
    class Simulation {
    public:
        explicit Simulation(std::uint64_t seed);
        ~Simulation();
        Simulation(const Simulation&) = delete;
        Simulation& operator=(const Simulation&) = delete;
    };
};

}  // namespace walcast
