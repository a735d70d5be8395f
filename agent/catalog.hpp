#pragma once

#include "decoders/event.hpp"
#include "decoders/json_type.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

namespace walcast {

// What the catalog tells.
struct PrimaryKey {
    std::uint32_t oid = 0;  // Of the table.
    std::vector<std::string> columns;
};
// Old rows of this table may lack columns of its replica identity, and say null for them: it is
// partitioned, and some partition's identity is another one.
struct PartialOldRows {
    std::uint32_t oid = 0;
};
using CatalogFact = std::variant<PrimaryKey, PartialOldRows, std::vector<TypeDescription>>;

// What the stream does not tell: the primary keys of tables, in their own order, and what types are
// made of. As of when the database was asked.
class Catalog {
public:
    explicit Catalog(JsonPolicy policy = {}) : types_(policy) {}

    void note(const CatalogFact& fact);
    void set_primary_key(std::uint32_t oid, std::vector<std::string> columns) {
        note(PrimaryKey{oid, std::move(columns)});
    }
    void set_partial_old_rows(std::uint32_t oid) { note(PartialOldRows{oid}); }
    bool has_partial_old_rows(std::uint32_t oid) const { return partial_old_rows_.contains(oid); }

    void add_types(const std::vector<TypeDescription>& types) { note(types); }

    // Hears each fact as it is noted: recordings hold them.
    std::function<void(const CatalogFact& fact)> on_fact;

    bool knows_table(std::uint32_t oid) const { return tables_.contains(oid); }

    // Whether table and types of a relation are known.
    bool knows(const Relation& relation) const;
    const JsonTypes& types() const { return types_; }

    // Empty when the table has no primary key, or is not known.
    const std::vector<std::string>& primary_key(std::uint32_t oid) const;

private:
    std::unordered_map<std::uint32_t, std::vector<std::string>> tables_;
    std::unordered_set<std::uint32_t> partial_old_rows_;
    JsonTypes types_;
};

// Which columns make a row's id, where its rule does not say: the primary key, when each event
// carries it; else the replica identity; else, of a table that only inserts are sent of, the
// primary key. Indexes into the relation's columns; empty when there is none of these.
std::vector<std::size_t> id_columns(const Relation& relation, const Catalog& catalog);

}  // namespace walcast
