#pragma once

#include "agent/catalog.hpp"
#include "agent/config.hpp"
#include "agent/pg_connection.hpp"
#include "decoders/event.hpp"
#include "decoders/json_type.hpp"

#include <string>
#include <vector>

namespace walcast {

// A table as its changes would come, by what the catalogs say of it and of the publication.
struct PublishedTable {
    Relation relation;  // With the columns that are sent, in their order.
    std::vector<std::string> primary_key;
    std::vector<std::string> hidden_columns;  // The table has them, the stream does not.
    std::vector<TypeDescription> types;
    // Of an old row only the key is certain, though the identity is full: some partition's is not.
    bool has_partial_old_rows = false;
    bool is_published = true;
    std::string row_filter;  // An SQL condition on the columns, without which a row is not sent.

    Catalog catalog(JsonPolicy policy) const;
    std::string quoted_name() const;  // "schema"."table"
};

// The tables whose changes come, without partitions, in an order that stays. Of wal2json every
// table does, under the name of its root.
struct ListedTable {
    std::uint32_t oid = 0;
    std::string schema;
    std::string name;
    bool is_partitioned = false;
    std::uint64_t estimated_rows = 0;  // By the server's statistics.
};
asio::awaitable<std::vector<ListedTable>> list_published_tables(PgConnection& connection,
                                                                Config::Source source);

// Of the table with this OID; or, where that is 0, of this name, or the partitioned table that it
// is part of. OID 0 in what is returned: there is none.
asio::awaitable<PublishedTable> read_published_table(PgConnection& connection,
                                                     Config::Source source, Relation asked);

}  // namespace walcast
