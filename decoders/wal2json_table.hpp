#pragma once

#include "decoders/wal2json_frame.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// The tuples of one row; kept from row to row.
struct Wal2jsonRow {
    Change::OldTuple old_kind = Change::OldTuple::none;
    Tuple old_tuple;
    Tuple new_tuple;
    std::string built;  // Values that no frame holds as they are.
};

// A table under the name that frames have for it, and how its rows become tuples.
//
// Frames name their columns, and leave out those whose large value an update left alone; version 1
// leaves nulls out of old rows too. What frames do not tell the catalog must: as of when it was
// asked. So a frame that contradicts what is known has the catalog asked again, and then wins.
class Wal2jsonTable {
public:
    enum class Nulls : std::uint8_t { shown, left_out };  // In old rows: version 2, version 1.

    Wal2jsonTable(Nulls old_nulls, std::string_view schema, std::string_view name);

    std::string_view schema() const { return schema_; }
    std::string_view name() const { return name_; }
    const Relation& relation() const { return relation_; }
    // Its truncates are the root's, which the stream tells of too.
    bool is_partition() const { return is_partition_; }

    // Before the catalog is asked: the relation is what `frame` says, under the name to ask for.
    void forget(const Wal2jsonFrame& frame);
    // `transaction` is the place in the stream.
    void learn(const TableDescription& table, std::uint64_t transaction);

    // False: the catalog must be asked, and the frame read again; this happens once. Throws
    // DecodeError. Takes from `generations` when the relation has changed.
    bool read(Action action, const Wal2jsonFrame& frame, std::uint64_t transaction,
              std::uint64_t& generations, Wal2jsonRow& row);
    bool read_truncate(const Wal2jsonFrame& frame, std::uint64_t& generations);

private:
    using KnownColumn = TableDescription::Column;
    using KnownColumns = std::vector<KnownColumn>;
    using Cells = std::vector<Wal2jsonFrame::Cell>;

    void adopt(Action action, const Wal2jsonFrame& frame);
    bool is_exhaustive(Action action, const Wal2jsonFrame& frame) const;
    KnownColumns columns_of(const Cells& cells) const;
    bool is_virtual(const Wal2jsonFrame::Cell& cell) const;
    bool place(const Cells& cells, Tuple& tuple, std::string& built) const;
    bool is_whole(Action action, const Wal2jsonRow& row) const;
    bool settle_identity(Action action, std::uint64_t transaction, bool is_fresh, Wal2jsonRow& row);
    bool is_full_identity(Action action, const Wal2jsonRow& row) const;
    bool flag_keys(bool is_full, const Tuple& old_tuple);
    void finish(Wal2jsonRow& row, Action action) const;
    void count_generation(std::uint64_t& generations);

    Nulls old_nulls_;
    std::string schema_;
    std::string name_;
    enum class Knowledge : std::uint8_t { none, learned, settled } knowledge_ = Knowledge::none;
    TableDescription description_;
    std::uint64_t learned_in_ = 0;
    bool is_partition_ = false;  // Its relation is the root's, in the root's order.
    KnownColumns columns_;       // The relation's.
    Relation relation_;
    Relation told_;  // As of the last generation.
    bool is_changed_ = false;
};

}  // namespace walcast
