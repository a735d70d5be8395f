#pragma once

#include "decoders/event.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace walcast {

// What the stream does not tell of a table: its primary key, in the key's own order. As of the
// start of the session.
class Catalog {
public:
    void add_table(std::uint32_t oid) { tables_[oid]; }
    void add_key_column(std::uint32_t oid, std::string column) {
        tables_[oid].push_back(std::move(column));
    }

    bool knows(std::uint32_t oid) const { return tables_.contains(oid); }

    // Empty when the table has no primary key, or is not known.
    const std::vector<std::string>& primary_key(std::uint32_t oid) const;

private:
    std::unordered_map<std::uint32_t, std::vector<std::string>> tables_;
};

// Which columns make a row's id: what the rule says; else the primary key, when each event carries
// it; else the replica identity. Indexes into the relation's columns; empty when there is none of
// these.
std::vector<std::size_t> id_columns(const Relation& relation, const Catalog& catalog);

}  // namespace walcast
