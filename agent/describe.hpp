#pragma once

#include "agent/catalog.hpp"
#include "agent/pg_connection.hpp"
#include "decoders/event.hpp"
#include "decoders/json_type.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// Asks the catalogs about a relation of the stream: by its OID or, where the stream has only names,
// by those; then of the topmost partitioned table that it is part of.
asio::awaitable<TableDescription> describe_table(PgConnection& connection, Relation relation);

// Asks about types and all that they are made of. Built-in ones are left out.
asio::awaitable<std::vector<TypeDescription>> describe_types(PgConnection& connection,
                                                             std::vector<std::uint32_t> oids);

// An SQL condition: updates of this row of pg_class can be told apart by the server, as
// RelationGetReplicaIndex sees it, where a deferrable primary key does not count. Published without
// that, they fail.
std::string has_identity_sql(std::string_view table);

// Asks about a relation of a stream and its types, once transaction `xid`, which may have made
// them, is visible: the stream can be ahead of that. Notes in the catalog what it hears.
asio::awaitable<TableDescription> learn_table(PgConnection& connection, Relation relation,
                                              std::uint32_t xid, Catalog& catalog);

}  // namespace walcast
