#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

namespace walcast {

// How many letters must be put in, taken out or changed to make `b` of `a`.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The one of `names` that is spelled most like `to`; empty when there are none.
template <typename Names>
std::string nearest(std::string_view to, const Names& names) {
    auto found = std::min_element(std::begin(names), std::end(names), [&](auto& a, auto& b) {
        return edit_distance(to, a) < edit_distance(to, b);
    });
    return found == std::end(names) ? std::string() : std::string(*found);
}

}  // namespace walcast
