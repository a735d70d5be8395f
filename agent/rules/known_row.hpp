#pragma once

#include "decoders/event.hpp"

#include <cstddef>

namespace walcast {

// The row before or after a change, as far as the stream tells it. Valid as long as the change.
class KnownRow {
public:
    // `is_null_unknown`: a null of the old row may be one that was not told, as where a partition
    // logs only its key under a root of REPLICA IDENTITY FULL.
    static KnownRow before(const Change& change, bool is_null_unknown) {
        KnownRow row;
        row.relation_ = change.relation;
        // Without an old row the update left alone all that is part of the replica identity, which
        // is not that of such a partition.
        auto is_same =
            change.old_tuple == nullptr && change.action == Action::update && !is_null_unknown;
        row.tuple_ = is_same ? change.new_tuple : change.old_tuple;
        row.is_key_only_ = is_same || change.old_kind != Change::OldTuple::full;
        row.is_null_unknown_ = is_null_unknown;
        return row;
    }
    static KnownRow after(const Change& change) {
        KnownRow row;
        row.relation_ = change.relation;
        row.tuple_ = change.new_tuple;
        return row;
    }

    // A column's value, null included; nothing where the stream does not tell it.
    const Value* value(std::size_t column) const {
        if (tuple_ == nullptr) return nullptr;
        if (is_key_only_ && !relation_->columns[column].is_key) return nullptr;
        const auto& value = (*tuple_)[column];
        if (value.kind == Value::Kind::unchanged) return nullptr;
        // No key holds nulls: a partition logged another key than that of its root.
        auto is_told = value.kind != Value::Kind::null || !(is_null_unknown_ || is_key_only_);
        if (!is_told) return nullptr;
        return &value;
    }

    // All of its values; those that are not known mean nothing.
    const Tuple* tuple() const { return tuple_; }

private:
    const Relation* relation_ = nullptr;
    const Tuple* tuple_ = nullptr;
    bool is_key_only_ = false;
    bool is_null_unknown_ = false;
};

}  // namespace walcast
