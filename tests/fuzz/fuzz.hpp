#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

namespace walcast {

// What must hold for any input. libFuzzer reports the abort with the input that led to it.
inline void require(bool holds, const char* promise) {
    if (holds) return;
    std::fprintf(stderr, "fuzz: broken promise: %s\n", promise);
    std::abort();
}

// Whether `act` went through. The declared error is the only other way out: any other one leaves
// the target, which ends the program.
template <typename Error, typename Act>
bool passes(Act act) {
    try {
        act();
        return true;
    } catch (const Error& error) {
        require(error.what()[0] != '\0', "an error says what it is");
        return false;
    }
}

inline std::string_view view_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

// Takes one byte off the front; 0 when there is none.
inline std::uint8_t take_byte(std::string_view& input) {
    if (input.empty()) return 0;
    auto byte = static_cast<std::uint8_t>(input.front());
    input.remove_prefix(1);
    return byte;
}

// Takes what is before the next `separator`, or all.
inline std::string_view take_until(std::string_view& input, char separator) {
    auto end = input.find(separator);
    auto taken = input.substr(0, end);
    input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
    return taken;
}

}  // namespace walcast

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
