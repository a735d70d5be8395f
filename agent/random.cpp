#include "agent/random.hpp"

#include <cassert>
#include <optional>
#include <random>

namespace walcast {

static std::optional<std::mt19937> simulated;

std::uint32_t Random::bits() {
    if (simulated) return static_cast<std::uint32_t>((*simulated)());
    return std::random_device{}();
}

Random::Simulation::Simulation(std::uint64_t seed) {
    assert(!simulated);
    simulated.emplace(static_cast<std::uint32_t>(seed));
}

Random::Simulation::~Simulation() {
    simulated.reset();
}

}  // namespace walcast
