#pragma once

#include "agent/recording/mask_text.hpp"
#include "agent/recording/permutation.hpp"

#include <string>
#include <string_view>

namespace walcast {

// A value that is not what its type prints.
struct OtherForm {};

// Masks values of the forms that scalar types have, to values of the same type. Each throws
// OtherForm for a text that is not of the form, of which it might keep something.
class FormMasker {
public:
    explicit FormMasker(Permutation permutation) : permutation_(permutation) {}

    std::string text(std::string_view text) const { return mask_text(permutation_, text); }
    std::string words(std::string_view text) const { return mask_words(permutation_, text); }

    std::string digits(std::string_view text) const;  // Among other signs, which stay.
    std::string integer(std::string_view text) const;
    std::string number(std::string_view text) const;
    std::string numbers(std::string_view text) const;  // Several, among brackets and commas.
    std::string tid(std::string_view text) const;      // `(1007,4)`: block and offset.
    std::string hex(std::string_view text) const;
    std::string uuid(std::string_view text) const;
    std::string bits(std::string_view text) const;
    std::string date(std::string_view text) const;
    std::string time(std::string_view text) const;
    std::string timestamp(std::string_view text) const;
    std::string interval(std::string_view text) const;
    std::string address(std::string_view text, bool is_network) const;

    const Permutation& permutation() const { return permutation_; }

private:
    Permutation permutation_;
};

// Throws OtherForm where `text` has any other characters.
void expect_only(std::string_view characters, std::string_view text);

}  // namespace walcast
