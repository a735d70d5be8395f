#pragma once

#include <cstdint>

namespace walcast {

// Which of true, false and null a predicate may be for a row of which not every column is known.
class Truth {
public:
    static constexpr Truth of(bool value) { return Truth(value ? yes : no); }
    static constexpr Truth null() { return Truth(neither); }
    static constexpr Truth true_or_false() { return Truth(yes | no); }
    static constexpr Truth anything() { return Truth(yes | no | neither); }

    // Certainly.
    constexpr bool is_true() const { return may_be_ == yes; }
    // Certainly false or null.
    constexpr bool is_not_true() const { return !has(yes); }
    constexpr bool is_unknown() const { return has(yes) && may_be_ != yes; }

    constexpr bool is_false() const { return may_be_ == no; }

    friend constexpr Truth operator!(Truth a) {
        return made_of(a.has(no), a.has(yes), a.has(neither));
    }
    friend constexpr Truth operator&(Truth a, Truth b) {
        auto is_null =
            (a.has(neither) && b.has(yes | neither)) || (b.has(neither) && a.has(yes | neither));
        return made_of(a.has(yes) && b.has(yes), a.has(no) || b.has(no), is_null);
    }
    friend constexpr Truth operator|(Truth a, Truth b) { return !((!a) & (!b)); }
    friend constexpr bool operator==(Truth, Truth) = default;

private:
    static constexpr std::uint8_t yes = 1;
    static constexpr std::uint8_t no = 2;
    static constexpr std::uint8_t neither = 4;

    explicit constexpr Truth(int may_be) : may_be_(static_cast<std::uint8_t>(may_be)) {}
    static constexpr Truth made_of(bool is_yes, bool is_no, bool is_neither) {
        return Truth((is_yes ? yes : 0) | (is_no ? no : 0) | (is_neither ? neither : 0));
    }
    constexpr bool has(int any_of) const { return (may_be_ & any_of) != 0; }

    std::uint8_t may_be_;
};

}  // namespace walcast
