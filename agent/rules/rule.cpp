#include "agent/rules/rule.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

namespace walcast {

std::string Rule::place_of(std::string_view key, std::size_t offset) const {
    auto found = places.find(key);
    auto at = found == places.end() ? Place{line, 1} : found->second;
    auto column = found == places.end() ? at.column : at.column + offset;
    return fmt::format("{}:{}:{}", file.empty() ? "rule" : file, at.line, column);
}

bool Rule::has_globs() const {
    for (std::size_t i = 0; i < table.size(); ++i) {
        if (table[i] == '*' || table[i] == '?') return true;
        auto is_one_letter = i + 2 < table.size() && table[i + 2] == ']';
        if (table[i] == '[' && !is_one_letter) return true;
        if (table[i] == '\\') ++i;
    }
    return false;
}

bool matches_table(const Rule& rule, const std::string& schema, const std::string& name) {
    // Each name by itself: a `*` does not run from one into the other.
    auto dot = rule.table.find('.');
    return fnmatch(rule.table.substr(0, dot).c_str(), schema.c_str(), 0) == 0 &&
           fnmatch(rule.table.substr(dot + 1).c_str(), name.c_str(), 0) == 0;
}

}  // namespace walcast
