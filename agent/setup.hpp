#pragma once

#include "agent/config.hpp"
#include "agent/pg_connection.hpp"
#include "sinks/awaitable.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// Throws SetupError, with what mends it, unless `wal_level` is logical.
void expect_logical(std::string_view wal_level);

// Throws SetupError unless `plugin` sends what a database of this encoding holds as UTF-8.
void expect_encoding(Plugin plugin, std::string_view encoding);

// Prints a line for the operator.
using Say = std::function<void(const std::string& line)>;

enum class Doing { really, dry_run };

// Creates the publication of exactly the rules' tables, then the slot, then the first position in
// Redis. What is there already is checked and left. Throws SetupError before anything is changed
// where a write of the application would begin to fail.
asio::awaitable<void> init(const Config& config, Doing doing, Say say);

// Removes slot and publication.
asio::awaitable<void> drop(const Config& config, Doing doing, Say say);

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

enum class SlotKind { lasting, temporary };

// Creates a slot on a replication connection, and says whom it waits for when it takes long.
// Returns its consistent point.
asio::awaitable<std::string> create_slot(PgConnection& connection, std::string conninfo,
                                         std::string slot, Plugin plugin, SlotKind kind, Say say);

}  // namespace walcast
