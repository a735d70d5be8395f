#include "agent/rules/rule.hpp"

#include "agent/spelling.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

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

static std::string model_of(const Rule& rule) {
    return rule.model.empty() ? rule.table.substr(rule.table.find('.') + 1) : rule.model;
}

bool may_be_of_model(const Rule& rule, const std::string& model) {
    if (rule.outbox) return false;  // Events, of no model.
    if (!rule.model.empty()) return rule.model == model;
    return fnmatch(model_of(rule).c_str(), model.c_str(), 0) == 0;
}

std::string mistake_of_model(const std::vector<Rule>& rules, const std::string& model) {
    std::vector<std::string> models;
    for (const auto& rule : rules) {
        if (may_be_of_model(rule, model)) return {};
        auto name = model_of(rule);
        auto is_known = std::find(models.begin(), models.end(), name) != models.end();
        if (!rule.outbox && !is_known) models.push_back(std::move(name));
    }
    if (models.empty()) return fmt::format("\"{}\" is no model: there is no rule", model);
    return fmt::format("no rule has the model \"{}\"; did you mean \"{}\"? There are {}", model,
                       nearest(model, models), fmt::join(models, ", "));
}

bool matches_table(const Rule& rule, const std::string& schema, const std::string& name) {
    // Each name by itself: a `*` does not run from one into the other.
    auto dot = rule.table.find('.');
    return fnmatch(rule.table.substr(0, dot).c_str(), schema.c_str(), 0) == 0 &&
           fnmatch(rule.table.substr(dot + 1).c_str(), name.c_str(), 0) == 0;
}

namespace {

// What one place of a pattern takes.
struct Piece {
    enum class Kind : std::uint8_t { letter, any, run };
    Kind kind = Kind::letter;
    char letter = 0;
};

std::vector<Piece> pieces_of(std::string_view glob) {
    std::vector<Piece> pieces;
    for (std::size_t i = 0; i < glob.size(); ++i) {
        // The bracket may be the first letter in it, after a negation.
        auto first =
            i + 1 < glob.size() && (glob[i + 1] == '!' || glob[i + 1] == '^') ? i + 2 : i + 1;
        auto end = glob[i] == '[' ? glob.find(']', first + 1) : std::string_view::npos;
        if (end != std::string_view::npos && glob[end - 1] == ':') {
            pieces.push_back({.kind = Piece::Kind::run});  // `[[:alpha:]]`: whatever it takes.
            return pieces;
        }
        if (end != std::string_view::npos) {
            pieces.push_back({.kind = Piece::Kind::any});
            i = end;
        } else if (glob[i] == '*' || glob[i] == '?') {
            pieces.push_back({.kind = glob[i] == '*' ? Piece::Kind::run : Piece::Kind::any});
        } else {
            if (glob[i] == '\\' && i + 1 < glob.size()) ++i;
            pieces.push_back({.kind = Piece::Kind::letter, .letter = glob[i]});
        }
    }
    return pieces;
}

bool can_match_same(std::string_view a, std::string_view b) {
    using Kind = Piece::Kind;
    auto ones = pieces_of(a);
    auto others = pieces_of(b);
    // Whether the rest of one from a place on and the rest of the other from `j` on can.
    std::vector<bool> below;
    for (auto i = ones.size() + 1; i-- > 0;) {
        std::vector<bool> row(others.size() + 1);
        for (auto j = others.size() + 1; j-- > 0;) {
            auto has_one = i < ones.size();
            auto has_other = j < others.size();
            if (!has_one && !has_other) row[j] = true;
            if (has_one && ones[i].kind == Kind::run)
                row[j] = below[j] || (has_other && row[j + 1]);
            if (has_other && others[j].kind == Kind::run)
                row[j] = row[j] || row[j + 1] || (has_one && below[j]);
            if (!has_one || !has_other || row[j]) continue;
            auto are_letters = ones[i].kind == Kind::letter && others[j].kind == Kind::letter;
            auto is_run = ones[i].kind == Kind::run || others[j].kind == Kind::run;
            if (!is_run && (!are_letters || ones[i].letter == others[j].letter))
                row[j] = below[j + 1];
        }
        below = std::move(row);
    }
    return below[0];
}

}  // namespace

bool can_match_same(const Rule& a, const Rule& b) {
    auto one = std::string_view(a.table);
    auto other = std::string_view(b.table);
    auto dot = one.find('.');
    auto other_dot = other.find('.');
    return can_match_same(one.substr(0, dot), other.substr(0, other_dot)) &&
           can_match_same(one.substr(dot + 1), other.substr(other_dot + 1));
}

}  // namespace walcast
