#pragma once

#include "agent/pg_connection.hpp"
#include "sinks/awaitable.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// A table that could be published.
struct PublishableTable {
    std::string schema;
    std::string name;
    bool has_identity = false;  // Publishing its updates makes none fail.
    bool is_ours = false;       // We may publish it.
    // Under full identity, 's' or 'v' where it has stored or virtual generated columns. From
    // PostgreSQL 18 on updates fail while such a column is not published; virtual ones never are.
    char generated = ' ';
    bool has_children = false;          // By inheritance; they are tables of their own.
    std::vector<std::string> identity;  // Its columns; all of them under FULL.

    bool has_virtual_identity() const { return generated == 'v'; }
    // As a publication takes it: by itself.
    std::string published_name() const { return (has_children ? "ONLY " : "") + quoted_name(); }
    std::string quoted_name() const {
        return quote_identifier(schema) + "." + quote_identifier(name);
    }
};

// All ordinary and partitioned tables of the database, but for partitions: those come with their
// root.
asio::awaitable<std::vector<PublishableTable>> publishable_tables(PgConnection& connection);

// What a publication's options need more on this server, so that rows come whole.
std::string_view publish_generated(const PgConnection& connection);

}  // namespace walcast
