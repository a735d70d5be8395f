#pragma once

#include "agent/catalog.hpp"
#include "agent/pg_connection.hpp"
#include "decoders/event.hpp"
#include "decoders/json_type.hpp"

#include <cstdint>
#include <vector>

namespace walcast {

// Asks the catalogs about a relation of the stream: by its OID or, where the stream has only names,
// by those; then of the topmost partitioned table that it is part of.
asio::awaitable<TableDescription> describe_table(PgConnection& connection, Relation relation);

// Asks about types and all that they are made of. Built-in ones are left out.
asio::awaitable<std::vector<TypeDescription>> describe_types(PgConnection& connection,
                                                             std::vector<std::uint32_t> oids);

// Asks about a relation and its types on a connection of its own, and notes in `catalog` what it
// hears. `catalog` must outlive the call.
asio::awaitable<TableDescription> learn_of(asio::any_io_executor executor, std::string conninfo,
                                           Relation relation, Catalog& catalog);

// The OIDs from which on types are not built in.
inline constexpr std::uint32_t first_catalog_oid = 10'000;

}  // namespace walcast
