#include "decoders/wal2json_table.hpp"

#include <algorithm>
#include <cassert>
#include <optional>

namespace walcast {

using Cell = Wal2jsonFrame::Cell;

static constexpr std::uint32_t bytea_oid = 17;
// Until a value has been looked for everywhere, it is one that no part of the frame gives.
static constexpr auto not_given = Value::Kind::unchanged;

static bool is_given(const Value& value) {
    return value.kind != not_given;
}

template <typename Named>
static const Named* find_by_name(const std::vector<Named>& columns, std::string_view name) {
    auto found = std::find_if(columns.begin(), columns.end(),
                              [&](const Named& column) { return column.name == name; });
    return found == columns.end() ? nullptr : &*found;
}

static bool contains(const std::vector<std::string>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

Wal2jsonTable::Wal2jsonTable(Nulls old_nulls, std::string_view schema, std::string_view name)
    : old_nulls_(old_nulls), schema_(schema), name_(name) {}

void Wal2jsonTable::forget(const Wal2jsonFrame& frame) {
    knowledge_ = Knowledge::none;
    relation_ = {};
    relation_.schema = schema_;
    relation_.name = name_;
    for (const auto* row : {&frame.columns, &frame.identity})
        for (const auto& cell : row->cells)
            if (find_by_name(relation_.columns, cell.name) == nullptr)
                relation_.columns.push_back(
                    {.name = std::string(cell.name), .type_oid = cell.type_oid});
}

void Wal2jsonTable::learn(const TableDescription& table, std::uint64_t transaction) {
    description_ = table;
    learned_in_ = transaction;
    knowledge_ = Knowledge::learned;
}

bool Wal2jsonTable::read(Action action, const Wal2jsonFrame& frame, std::uint64_t transaction,
                         std::uint64_t& generations, Wal2jsonRow& row) {
    if (knowledge_ == Knowledge::none) return false;
    auto is_fresh = knowledge_ == Knowledge::learned;
    if (is_fresh) adopt(action, frame);
    row.old_kind = Change::OldTuple::none;
    auto is_read =
        place(frame.columns.cells, row.new_tuple, row.built) &&
        place(frame.identity.cells, row.old_tuple, row.built) && is_whole(action, row) &&
        (action == Action::insert || settle_identity(action, transaction, is_fresh, row));
    if (!is_read && is_fresh) frame.fail("columns named twice, or in two orders");
    if (!is_read) return false;
    finish(row, action);
    count_generation(generations);
    return true;
}

bool Wal2jsonTable::read_truncate(const Wal2jsonFrame& frame, std::uint64_t& generations) {
    if (knowledge_ == Knowledge::none) return false;
    if (knowledge_ == Knowledge::learned) adopt(Action::remove, frame);
    count_generation(generations);
    return true;
}

// --- which columns there are ---

// Puts the columns of `more` that are `wanted` and missing in `columns` where they stand there.
template <typename Wanted>
static void merge(std::vector<TableDescription::Column>& columns,
                  const std::vector<TableDescription::Column>& more, Wanted is_wanted) {
    std::size_t next = 0;
    for (const auto& column : more) {
        if (const auto* found = find_by_name(columns, column.name)) {
            next = static_cast<std::size_t>(found - columns.data()) + 1;
        } else if (is_wanted(column)) {
            columns.insert(columns.begin() + static_cast<std::ptrdiff_t>(next), column);
            ++next;
        }
    }
}

// Built-in types that are stored in place, so that no update leaves them out.
static bool is_small(std::uint32_t type_oid) {
    static constexpr std::uint32_t oids[] = {16,  18,   19,   20,   21,   23,   26,   600, 700,
                                             701, 1082, 1083, 1114, 1184, 1186, 1266, 2950};
    return std::find(std::begin(oids), std::end(oids), type_oid) != std::end(oids);
}

// A frame may hold nulls for what is not stored.
bool Wal2jsonTable::is_virtual(const Cell& cell) const {
    if (cell.value.kind != Value::Kind::null) return false;
    const auto* described = find_by_name(description_.columns, cell.name);
    return described != nullptr && described->is_generated;
}

Wal2jsonTable::KnownColumns Wal2jsonTable::columns_of(const Cells& cells) const {
    KnownColumns columns;
    for (const auto& cell : cells) {
        if (is_virtual(cell) || find_by_name(columns, cell.name) != nullptr) continue;
        const auto* described = find_by_name(description_.columns, cell.name);
        if (described == nullptr) described = find_by_name(columns_, cell.name);
        KnownColumn column;
        column.is_key = description_.replica_identity == 'f';
        if (described != nullptr) column = *described;
        column.is_generated = false;
        column.name = cell.name;
        auto is_other_type = cell.type_oid != 0 && cell.type_oid != column.type_oid;
        if (is_other_type) column.type_oid = cell.type_oid;
        if (is_other_type) column.type_modifier = -1;
        if (is_other_type || described == nullptr) column.is_large = !is_small(column.type_oid);
        columns.push_back(std::move(column));
    }
    return columns;
}

// Whether the frame shows every column that the table had.
bool Wal2jsonTable::is_exhaustive(Action action, const Wal2jsonFrame& frame) const {
    if (action == Action::insert) return true;
    if (description_.replica_identity != 'f') return false;
    if (action == Action::remove && old_nulls_ == Nulls::left_out) return false;
    // An old row under full identity has more than the primary key, and all of that.
    const auto& old_cells = frame.identity.cells;
    const auto& key = description_.primary_key;
    auto has_more = std::any_of(old_cells.begin(), old_cells.end(),
                                [&](const Cell& cell) { return !contains(key, cell.name); });
    return has_more && std::all_of(key.begin(), key.end(), [&](const std::string& name) {
               return find_by_name(old_cells, name) != nullptr;
           });
}

void Wal2jsonTable::adopt(Action action, const Wal2jsonFrame& frame) {
    auto is_gone = description_.oid == 0;
    auto found = columns_of(frame.columns.cells);
    merge(found, columns_of(frame.identity.cells), [](const auto&) { return true; });
    if (!is_exhaustive(action, frame)) {
        auto is_remove = action == Action::remove;
        merge(found, columns_,
              [&](const KnownColumn& column) { return !is_remove && column.is_large; });
        merge(found, description_.columns, [&](const KnownColumn& column) {
            return !column.is_generated && (is_remove || column.is_large);
        });
    }
    is_partition_ = !is_gone && (description_.schema != schema_ || description_.name != name_);
    if (is_partition_) {
        auto place_in_root = [&](const KnownColumn& column) {
            const auto* described = find_by_name(description_.columns, column.name);
            return described == nullptr
                       ? description_.columns.size()
                       : static_cast<std::size_t>(described - description_.columns.data());
        };
        std::stable_sort(found.begin(), found.end(), [&](const auto& one, const auto& other) {
            return place_in_root(one) < place_in_root(other);
        });
    }
    columns_ = std::move(found);
    relation_ = {.oid = description_.oid,
                 .schema = is_gone ? schema_ : description_.schema,
                 .name = is_gone ? name_ : description_.name,
                 .replica_identity = is_gone ? 'd' : description_.replica_identity,
                 .columns = {columns_.begin(), columns_.end()}};
    knowledge_ = Knowledge::settled;
    is_changed_ = true;
}

// --- where their values are ---

static Value value_of(const Cell& cell, const Column& column, std::string& built) {
    auto is_cut = column.type_oid == bytea_oid && cell.value.kind == Value::Kind::text &&
                  !cell.value.text.starts_with("\\x");
    if (!is_cut) return cell.value;
    // In the frame it had quotes instead, so the buffer is as large as the frame and does not move.
    assert(built.capacity() - built.size() >= cell.value.text.size() + 2);
    auto begin = built.size();
    built.append("\\x").append(cell.value.text);
    return {Value::Kind::text, std::string_view(built).substr(begin)};
}

// Rows come in the order of the columns, but for partitions.
static std::optional<std::size_t> find_from(const std::vector<Column>& columns, std::size_t next,
                                            std::string_view name) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
        auto index = (next + i) % columns.size();
        if (columns[index].name == name) return index;
    }
    return std::nullopt;
}

// False when the columns are not the known ones; some may be missing.
bool Wal2jsonTable::place(const Cells& cells, Tuple& tuple, std::string& built) const {
    tuple.assign(relation_.columns.size(), {not_given, {}});
    std::size_t next = 0;
    for (const auto& cell : cells) {
        auto index = find_from(relation_.columns, next, cell.name);
        if (!index) {
            if (is_virtual(cell)) continue;
            return false;
        }
        const auto& column = relation_.columns[*index];
        auto is_known = (*index >= next || is_partition_) && !is_given(tuple[*index]) &&
                        (cell.type_oid == 0 || cell.type_oid == column.type_oid);
        if (!is_known) return false;
        tuple[*index] = value_of(cell, column, built);
        next = *index + 1;
    }
    return true;
}

// False when something is missing that cannot have been left out.
bool Wal2jsonTable::is_whole(Action action, const Wal2jsonRow& row) const {
    if (action == Action::remove) return true;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        if (is_given(row.new_tuple[i])) continue;
        auto may_be_missing =
            action == Action::update && (columns_[i].is_large || is_given(row.old_tuple[i]));
        if (!may_be_missing) return false;
    }
    return true;
}

// --- what the old row is ---

bool Wal2jsonTable::is_full_identity(Action action, const Wal2jsonRow& row) const {
    const auto& old_tuple = row.old_tuple;
    auto was_full = relation_.replica_identity == 'f';
    if (std::all_of(old_tuple.begin(), old_tuple.end(), is_given)) {
        // All columns may be the key as well; of a table that is gone, deletes show only the key.
        auto is_known = description_.oid != 0 || action == Action::update;
        auto is_all_key = std::all_of(relation_.columns.begin(), relation_.columns.end(),
                                      [](const Column& column) { return column.is_key; });
        return was_full || (is_known && !is_all_key);
    }
    if (!was_full || old_nulls_ == Nulls::shown) return false;
    // What is missing was null then: not so a primary key, nor a large value that is still there.
    for (std::size_t i = 0; i < old_tuple.size(); ++i) {
        if (is_given(old_tuple[i])) continue;
        auto is_left_alone = action == Action::update && !is_given(row.new_tuple[i]);
        if (is_left_alone || contains(description_.primary_key, relation_.columns[i].name))
            return false;
    }
    return true;
}

bool Wal2jsonTable::settle_identity(Action action, std::uint64_t transaction, bool is_fresh,
                                    Wal2jsonRow& row) {
    auto is_full = is_full_identity(action, row);
    auto was_full = relation_.replica_identity == 'f';
    if (!is_fresh && was_full && !is_full) return false;
    if (!is_fresh && old_nulls_ == Nulls::left_out) {
        auto has_more = false;        // Than the key that is known.
        auto is_only_primary = true;  // And lacks others: nulls, or a key is all there is by now.
        for (std::size_t i = 0; i < row.old_tuple.size(); ++i) {
            const auto& column = relation_.columns[i];
            if (!is_given(row.old_tuple[i])) continue;
            has_more = has_more || !column.is_key;
            is_only_primary = is_only_primary && contains(description_.primary_key, column.name);
        }
        auto lacks_some = !std::all_of(row.old_tuple.begin(), row.old_tuple.end(), is_given);
        if (has_more && !is_full) return false;
        if (is_full && lacks_some && is_only_primary && learned_in_ != transaction) return false;
    }
    is_changed_ = flag_keys(is_full, row.old_tuple) || is_changed_;
    row.old_kind = is_full ? Change::OldTuple::full : Change::OldTuple::key;
    return true;
}

// Says whether anything is different now.
bool Wal2jsonTable::flag_keys(bool is_full, const Tuple& old_tuple) {
    auto is_different = false;
    for (std::size_t i = 0; i < old_tuple.size(); ++i) {
        auto is_key = is_full || is_given(old_tuple[i]);
        is_different = is_different || relation_.columns[i].is_key != is_key;
        relation_.columns[i].is_key = is_key;
    }
    auto was_full = relation_.replica_identity == 'f';
    if (is_full != was_full) relation_.replica_identity = is_full ? 'f' : 'd';
    return is_different || is_full != was_full;
}

// Fills what the other tuple knows, and tells an old key only where it has changed.
void Wal2jsonTable::finish(Wal2jsonRow& row, Action action) const {
    if (action == Action::insert) return;
    auto is_key_same = true;
    for (std::size_t i = 0; i < row.old_tuple.size(); ++i) {
        auto& old_value = row.old_tuple[i];
        auto& new_value = row.new_tuple[i];
        if (!is_given(old_value)) {
            old_value = {Value::Kind::null, {}};
            continue;
        }
        if (!is_given(new_value)) new_value = old_value;
        is_key_same =
            is_key_same && old_value.kind == new_value.kind && old_value.text == new_value.text;
    }
    auto is_untold =
        action == Action::update && row.old_kind == Change::OldTuple::key && is_key_same;
    if (is_untold) row.old_kind = Change::OldTuple::none;
}

// Only a real difference makes a new generation.
void Wal2jsonTable::count_generation(std::uint64_t& generations) {
    if (!is_changed_) return;
    is_changed_ = false;
    auto is_same = told_.generation != 0 && told_.oid == relation_.oid &&
                   told_.schema == relation_.schema && told_.name == relation_.name &&
                   told_.replica_identity == relation_.replica_identity &&
                   told_.columns == relation_.columns;
    relation_.generation = is_same ? told_.generation : ++generations;
    told_ = relation_;
}

}  // namespace walcast
