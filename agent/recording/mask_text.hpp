#pragma once

#include "agent/recording/permutation.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// Places of a value that change together.
struct MaskedPlaces {
    std::vector<std::uint32_t> values;
    std::vector<std::uint32_t> radices;
    void add(std::uint32_t value, std::uint32_t radix) {
        values.push_back(value);
        radices.push_back(radix);
    }
    void permute(const Permutation& permutation) { permutation.sequence(values, radices); }
};

// Replaces each letter by a letter of its case, each digit by a digit, each sign by a sign, and
// each character beyond ASCII by one of as many bytes. White space, brackets, commas, semicolons,
// quotes and backslashes stay, so that what holds other values stays what it is.
std::string mask_text(const Permutation& permutation, std::string_view text);

// Each word by itself, so that all signs stay, but equal words of different values are seen to be.
// Entities of XML stay too.
std::string mask_words(const Permutation& permutation, std::string_view text);

}  // namespace walcast
