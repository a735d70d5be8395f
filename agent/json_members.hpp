#pragma once

#include <simdjson.h>

#include <string_view>

namespace walcast {

// Calls `see` with each member's name and value; `see` returns false to end. One pass, in order,
// that ends at the first error: looking members up by name, simdjson may search a broken object for
// ever. False when it is broken.
template <typename See>
bool for_each_member(simdjson::ondemand::object object, See see) {
    for (auto member : object) {
        std::string_view name;
        simdjson::ondemand::value value;
        if (member.unescaped_key().get(name) != simdjson::SUCCESS) return false;
        if (member.value().get(value) != simdjson::SUCCESS) return false;
        if (!see(name, value)) return false;
    }
    return true;
}

}  // namespace walcast
