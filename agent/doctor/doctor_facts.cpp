#include "agent/doctor/doctor_facts.hpp"

#include <algorithm>

namespace walcast {

const ColumnFacts* TableFacts::column(std::string_view column_name) const {
    auto found = std::find_if(columns.begin(), columns.end(), [&](const ColumnFacts& column) {
        return column.name == column_name;
    });
    return found == columns.end() ? nullptr : &*found;
}

bool TableFacts::has_partial_old_rows(const PartitionFacts& partition) const {
    if (partition.replica_identity == 'f') return false;
    if (replica_identity == 'f') return true;
    const auto& logged = partition.identity;
    return std::any_of(columns.begin(), columns.end(), [&](const ColumnFacts& column) {
        return column.is_key &&
               std::find(logged.begin(), logged.end(), column.name) == logged.end();
    });
}

Relation TableFacts::relation() const {
    Relation relation;
    relation.oid = oid;
    relation.schema = schema;
    relation.name = name;
    relation.replica_identity = replica_identity;
    relation.generation = 1;
    for (const auto& column : columns)
        if (column.is_published)
            relation.columns.push_back({.name = column.name,
                                        .type_oid = column.type_oid,
                                        .type_modifier = column.type_modifier,
                                        .is_key = column.is_key});
    return relation;
}

}  // namespace walcast
