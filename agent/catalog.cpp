#include "agent/catalog.hpp"

#include <algorithm>

namespace walcast {

const std::vector<std::string>& Catalog::primary_key(std::uint32_t oid) const {
    static const std::vector<std::string> none;
    auto found = tables_.find(oid);
    return found == tables_.end() ? none : found->second;
}

std::vector<std::size_t> id_columns(const Relation& relation, const Catalog& catalog) {
    std::vector<std::size_t> indexes;
    auto is_carried = true;  // By deletes too: they have only the replica identity.
    for (const auto& name : catalog.primary_key(relation.oid)) {
        auto found = std::find_if(relation.columns.begin(), relation.columns.end(),
                                  [&](const Column& column) { return column.name == name; });
        is_carried = is_carried && found != relation.columns.end() && found->is_key;
        if (is_carried)
            indexes.push_back(static_cast<std::size_t>(found - relation.columns.begin()));
    }
    if (is_carried && !indexes.empty()) return indexes;
    indexes.clear();
    for (std::size_t i = 0; i < relation.columns.size(); ++i)
        if (relation.columns[i].is_key) indexes.push_back(i);
    return indexes;
}

}  // namespace walcast
