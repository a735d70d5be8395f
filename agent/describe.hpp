#pragma once

#include "agent/catalog.hpp"
#include "agent/pg_connection.hpp"
#include "decoders/event.hpp"
#include "decoders/json_type.hpp"

#include <cstdint>
#include <memory>
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

// Asks the catalogs while a stream is read, on a connection of its own, which is opened when it is
// first needed.
class CatalogReader {
public:
    CatalogReader(asio::any_io_executor executor, Catalog& catalog)
        : executor_(std::move(executor)), catalog_(catalog) {}

    // Asks the server of `conninfo` about a relation and its types, once transaction `xid`, which
    // may have made them, is visible: the stream can be ahead of that. Notes in the catalog what it
    // hears.
    asio::awaitable<TableDescription> learn(std::string conninfo, Relation relation,
                                            std::uint32_t xid);

private:
    asio::awaitable<TableDescription> ask(Relation relation, std::uint32_t xid);

    asio::any_io_executor executor_;
    Catalog& catalog_;
    std::unique_ptr<PgConnection> connection_;
};

}  // namespace walcast
