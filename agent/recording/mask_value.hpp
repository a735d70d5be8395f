#pragma once

#include "agent/recording/mask_form.hpp"
#include "decoders/json_type.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace walcast {

// Replaces values by others of the same type and form, under a key: equal values become equal ones,
// and different ones of the same form stay different, so that keys, moves and joins hold. What
// stays to be seen is in docs/tail.md.
class ValueMasker {
public:
    explicit ValueMasker(HashKey key);

    // Types that are not built in; until then their values are taken for words.
    void add_types(const std::vector<TypeDescription>& types);

    // Expects the text that a server prints under the pinned settings of agent/pg_connection.
    // Anything else is masked as words, so never comes back as it is.
    std::string mask(std::uint32_t type_oid, std::string_view text) const;

    // A logical message's: JSON stays JSON, the names of its outermost members if they are to be
    // kept; anything else is text.
    std::string mask_content(std::string_view content, bool has_our_names) const;

private:
    enum class Kind : std::uint8_t;

    Kind kind_of(std::uint32_t type_oid) const;
    std::string mask(std::uint32_t type_oid, std::string_view text, int depth) const;
    std::string mask_kind(Kind kind, std::uint32_t type_oid, std::string_view text) const;

    std::string range(std::uint32_t of, std::string_view text) const;
    std::string multirange(std::uint32_t of, std::string_view text) const;
    std::string array(std::uint32_t of, char delimiter, std::string_view text, int depth) const;
    std::string composite(const TypeDescription& type, std::string_view text, int depth) const;
    std::string hstore(std::string_view text) const;

    FormMasker forms_;
    JsonTypes built_in_;
    std::unordered_map<const JsonType*, std::uint32_t> elements_;  // Of built-in arrays.
    std::unordered_map<std::uint32_t, TypeDescription> types_;     // The others.
};

}  // namespace walcast
