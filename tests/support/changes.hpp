#pragma once

#include "decoders/event.hpp"

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace walcast {

// One change of a row: `insert_of(todos).with("id", "7")`. Columns that are not named are null.
class ChangeBuilder {
public:
    ChangeBuilder(Action action, const Relation& relation)
        : action_(action),
          relation_(&relation),
          new_row_(relation.columns.size()),
          old_row_(relation.columns.size()) {}

    // In the new row, and, where the identity is full, in the old one, unless `was` says otherwise;
    // in the old row of a delete.
    ChangeBuilder& with(std::string_view column, std::string text) {
        return set(column, {Value::Kind::text, std::move(text)});
    }
    ChangeBuilder& without(std::string_view column) { return set(column, {}); }
    ChangeBuilder& unchanged(std::string_view column) {
        return set(column, {Value::Kind::unchanged, {}});
    }

    // In the old row, which an update then has: whole under full identity, otherwise the key.
    ChangeBuilder& was(std::string_view column, std::string text) {
        has_old_row_ = true;
        old_row_[index_of(column)] = {Value::Kind::text, std::move(text)};
        return *this;
    }
    ChangeBuilder& was_null(std::string_view column) {
        has_old_row_ = true;
        old_row_[index_of(column)] = {};
        return *this;
    }

    // Valid while the builder lives, and until it is changed.
    Change change() & { return make(); }
    // Valid until the end of the statement.
    Change change() && { return make(); }

private:
    struct Cell {
        Value::Kind kind = Value::Kind::null;
        std::string text{};
    };

    Change make() {
        auto is_full = relation_->replica_identity == 'f';
        auto has_old =
            action_ == Action::remove || (action_ == Action::update && (is_full || has_old_row_));
        Change change{.action = action_, .relation = relation_};
        if (has_old) {
            change.old_kind = is_full ? Change::OldTuple::full : Change::OldTuple::key;
            fill(old_tuple_, old_row_);
            change.old_tuple = &old_tuple_;
        }
        if (action_ != Action::remove) {
            fill(new_tuple_, new_row_);
            change.new_tuple = &new_tuple_;
        }
        return change;
    }

    static void fill(Tuple& tuple, const std::vector<Cell>& row) {
        tuple.clear();
        for (const auto& cell : row) tuple.push_back({cell.kind, cell.text});
    }

    ChangeBuilder& set(std::string_view column, Cell cell) {
        auto index = index_of(column);
        auto is_in_old = action_ == Action::remove || (relation_->replica_identity == 'f' &&
                                                       cell.kind != Value::Kind::unchanged);
        if (is_in_old) old_row_[index] = cell;
        new_row_[index] = std::move(cell);
        return *this;
    }

    std::size_t index_of(std::string_view name) const {
        for (std::size_t i = 0; i < relation_->columns.size(); ++i)
            if (relation_->columns[i].name == name) return i;
        throw std::invalid_argument(relation_->name + " has no column " + std::string(name));
    }

    Action action_;
    const Relation* relation_;
    bool has_old_row_ = false;
    std::vector<Cell> new_row_;
    std::vector<Cell> old_row_;
    Tuple new_tuple_;
    Tuple old_tuple_;
};

inline ChangeBuilder insert_of(const Relation& relation) {
    return {Action::insert, relation};
}
inline ChangeBuilder update_of(const Relation& relation) {
    return {Action::update, relation};
}
inline ChangeBuilder delete_of(const Relation& relation) {
    return {Action::remove, relation};
}

}  // namespace walcast
