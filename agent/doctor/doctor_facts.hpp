#pragma once

#include "agent/catalog.hpp"
#include "agent/config.hpp"
#include "decoders/event.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace walcast {

// What `doctor` knows of a database: plain values, so that it can be tried without a server.

struct ColumnFacts {
    std::string name;
    std::uint32_t type_oid = 0;
    std::int32_t type_modifier = -1;
    bool is_published = true;
    bool is_key = false;  // Part of the replica identity.
    bool is_not_null = false;
    bool is_large = false;      // May be stored out of line, and so be left out of an update.
    char generated = ' ';       // s stored, v virtual
    bool is_in_filter = false;  // The publication's row filter uses it.
};

// A partition whose rows go out as its root's. It has a replica identity of its own.
struct PartitionFacts {
    std::string schema;
    std::string name;
    char replica_identity = 'd';
    bool has_identity = true;
    std::vector<std::string> identity = {};  // Its columns; nothing under FULL.
};

// A table that the stream names.
struct TableFacts {
    std::uint32_t oid = 0;
    std::string schema;
    std::string name;
    char replica_identity = 'd';
    bool has_identity = true;  // Its own, whatever its partitions have.
    bool is_partitioned = false;
    std::vector<ColumnFacts> columns;
    std::vector<PartitionFacts> partitions;  // Those that hold rows.
    bool is_listed = true;                   // In the publication by its own name.
    bool has_column_list = false;
    std::string row_filter;
    std::string published_schema;  // FOR TABLES IN SCHEMA, unless it is listed.

    std::string shown_name() const { return schema + "." + name; }
    const ColumnFacts* column(std::string_view column_name) const;

    // Whether old rows of a partition lack what this table's identity promises. As the agent asks.
    bool has_partial_old_rows(const PartitionFacts& partition) const;

    // As the stream describes it.
    Relation relation() const;
};

// What else there is, and is not published by its own name.
struct UnpublishedTable {
    std::string schema;
    std::string name;
    char kind = 'r';  // As pg_class.relkind.
    bool is_permanent = true;
    char replica_identity = 'd';
    bool has_identity = true;  // Its own, whatever its partitions have.
    char generated = ' ';      // v where some column is virtual, else s where one is stored.
    std::vector<PartitionFacts> partitions = {};
    std::string root_schema = {};  // Of a partition.
    std::string root_name = {};

    std::string shown_name() const { return schema + "." + name; }
};

struct PublicationFacts {
    std::string name;
    bool has_all_tables = false;
    bool is_via_root = true;  // Rows of partitions go out as their root's.
    unsigned operations = 0b111;
    bool has_truncates = true;
    bool has_generated = false;  // Stored generated columns.
};

struct DatabaseFacts {
    int server_version = 150000;
    Plugin plugin = Plugin::pgoutput;
    PublicationFacts publication;
    std::vector<TableFacts> tables;
    std::vector<UnpublishedTable> unpublished;
    Catalog catalog;
};

}  // namespace walcast
