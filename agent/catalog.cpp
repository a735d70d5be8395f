#include "agent/catalog.hpp"

#include <algorithm>

namespace walcast {

void Catalog::note(const CatalogFact& fact) {
    if (on_fact) on_fact(fact);
    if (const auto* key = std::get_if<PrimaryKey>(&fact))
        tables_[key->oid] = key->columns;
    else if (const auto* partial = std::get_if<PartialOldRows>(&fact))
        partial_old_rows_.insert(partial->oid);
    else
        types_.add(std::get<std::vector<TypeDescription>>(fact));
}

bool Catalog::knows(const Relation& relation) const {
    auto is_known = [&](const Column& column) { return types_.knows(column.type_oid); };
    return tables_.contains(relation.oid) &&
           std::all_of(relation.columns.begin(), relation.columns.end(), is_known);
}

const std::vector<std::string>& Catalog::primary_key(std::uint32_t oid) const {
    static const std::vector<std::string> none;
    auto found = tables_.find(oid);
    return found == tables_.end() ? none : found->second;
}

std::vector<std::size_t> id_columns(const Relation& relation, const Catalog& catalog) {
    std::vector<std::size_t> identity;
    for (std::size_t i = 0; i < relation.columns.size(); ++i)
        if (relation.columns[i].is_key) identity.push_back(i);

    std::vector<std::size_t> primary_key;
    for (const auto& name : catalog.primary_key(relation.oid)) {
        auto found = std::find_if(relation.columns.begin(), relation.columns.end(),
                                  [&](const Column& column) { return column.name == name; });
        // Deletes have only the replica identity; a column list may leave a column out.
        auto is_carried = found != relation.columns.end() && (found->is_key || identity.empty());
        if (!is_carried) return identity;
        primary_key.push_back(static_cast<std::size_t>(found - relation.columns.begin()));
    }
    return primary_key.empty() ? identity : primary_key;
}

}  // namespace walcast
