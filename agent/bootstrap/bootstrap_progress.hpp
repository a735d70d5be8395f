#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace walcast {

// How far a bootstrap is, for a line of a terminal:
// ` 52 % [##########..........]  1,234,567 rows  45,000/s`.
// Of `estimated` rows, if anybody knows.
std::string progress_line(std::uint64_t rows, std::optional<std::uint64_t> estimated,
                          std::chrono::duration<double> elapsed);

// 1,234,567
std::string grouped(std::uint64_t number);

}  // namespace walcast
