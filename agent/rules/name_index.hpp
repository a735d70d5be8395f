#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace walcast {

// Finds a name among others, where comparing each with each would cost more than all the rest. It
// holds numbers, and asks `name_of` for their names. Used again and again: it allocates only while
// it grows.
class NameIndex {
public:
    void clear() { numbers_.clear(); }

    // The number whose name this is.
    template <typename NameOf>
    std::optional<std::size_t> find(std::string_view name, const NameOf& name_of) const {
        if (numbers_.size() <= few) {
            for (auto number : numbers_)
                if (name_of(number) == name) return number;
            return std::nullopt;
        }
        auto hash = std::hash<std::string_view>{}(name);
        for (auto at = hash;; ++at) {
            const auto& place = places_[at % places_.size()];
            if (place.number == nothing) return std::nullopt;
            if (place.hash == hash && name_of(place.number) == name) return place.number;
        }
    }

    // Puts in a number whose name is not there yet.
    template <typename NameOf>
    void put(std::size_t number, const NameOf& name_of) {
        numbers_.push_back(number);
        if (numbers_.size() <= few) return;
        auto is_first = numbers_.size() == few + 1;
        if (!is_first && 2 * numbers_.size() <= places_.size()) return place(number, name_of);
        places_.assign(8 * numbers_.size(), {});
        for (auto known : numbers_) place(known, name_of);
    }

private:
    static constexpr std::size_t few = 8;  // So many are compared one by one.
    static constexpr std::size_t nothing = -1;

    struct Place {
        std::size_t hash = 0;
        std::size_t number = nothing;
    };

    template <typename NameOf>
    void place(std::size_t number, const NameOf& name_of) {
        auto hash = std::hash<std::string_view>{}(name_of(number));
        auto at = hash;
        while (places_[at % places_.size()].number != nothing) ++at;
        places_[at % places_.size()] = {hash, number};
    }

    std::vector<std::size_t> numbers_;
    std::vector<Place> places_;  // At least half of them are free.
};

}  // namespace walcast
