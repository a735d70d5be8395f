#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

namespace walcast {

// A stream as one input: each message after its length, two bytes, big-endian. The last one may be
// cut short.
inline std::vector<std::string> split_messages(std::string_view input) {
    std::vector<std::string> messages;
    while (input.size() > 2) {
        auto size = std::size_t{static_cast<std::uint8_t>(input[0])} << 8U |
                    static_cast<std::uint8_t>(input[1]);
        input.remove_prefix(2);
        messages.emplace_back(input.substr(0, size));
        input.remove_prefix(std::min(size, input.size()));
    }
    return messages;
}

inline constexpr std::size_t message_size_max = 0xFFFF;

// Changes one message, or drops, doubles or exchanges some, and leaves the lengths right: by chance
// alone few streams would stay whole.
inline std::size_t mutate_messages(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                   unsigned seed) {
    auto messages = split_messages({reinterpret_cast<const char*>(data), size});
    if (messages.empty()) messages.emplace_back();
    std::minstd_rand random(seed);
    auto& chosen = messages[random() % messages.size()];
    auto& other = messages[random() % messages.size()];
    switch (random() % 8) {
        case 0: chosen.clear(); break;
        case 1: messages.insert(messages.begin(), std::string(chosen)); break;
        case 2: messages.push_back(std::string(chosen)); break;
        case 3: std::swap(chosen, other); break;
        default: {
            auto room =
                std::min(message_size_max, chosen.size() + size_max - std::min(size, size_max));
            std::string bytes(std::max<std::size_t>(room, 1), '\0');
            std::copy(chosen.begin(), chosen.end(), bytes.begin());
            bytes.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(bytes.data()),
                                          std::min(chosen.size(), bytes.size()), bytes.size()));
            chosen = std::move(bytes);
        }
    }
    std::size_t written = 0;
    for (const auto& message : messages) {
        if (message.empty() || written + 2 + message.size() > size_max) continue;
        data[written++] = static_cast<std::uint8_t>(message.size() >> 8U);
        data[written++] = static_cast<std::uint8_t>(message.size());
        std::copy(message.begin(), message.end(), data + written);
        written += message.size();
    }
    return written;
}

}  // namespace walcast

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t size_max, unsigned seed) {
    return walcast::mutate_messages(data, size, size_max, seed);
}
