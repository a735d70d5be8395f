#pragma once

#include <gtest/gtest.h>

#include <string>

namespace walcast {

// What `act` throws as an `Error`; a failed test and nothing when it throws nothing. Anything else
// passes on, and fails the test too.
template <typename Error, typename Act>
std::string error_of(Act act) {
    try {
        act();
    } catch (const Error& error) {
        return error.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return {};
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace walcast
