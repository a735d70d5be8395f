#pragma once

#include "agent/catalog.hpp"
#include "agent/config.hpp"
#include "agent/pg_connection.hpp"
#include "agent/published_table.hpp"
#include "decoders/event.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace walcast {

// A row as the stream would carry it, one value a column of the relation; owned.
struct ExplainedRow {
    std::vector<std::optional<std::string>> values;
    bool is_filtered_out = false;  // The publication's row filter is not true of it.

    // Valid as long as the row.
    Tuple tuple() const;
};

// A table as its changes would come, and rows of it, asked of the database in one transaction that
// only reads.
class ExplainedTable {
public:
    // Of old rows: as the table has it, or as if it were so.
    enum class Identity { own, primary_key, full };

    // Connects and finds `name`: schema.table, or a table of any schema. Throws SetupError when
    // there is none, naming the nearest.
    static asio::awaitable<ExplainedTable> find(const Config& config, std::string name,
                                                Identity identity);

    const Relation& relation() const { return table_.relation; }
    // Of the old row only the key is certain, though its identity is full: some partition's is not.
    bool has_partial_old_rows() const { return table_.has_partial_old_rows; }
    bool is_in_primary_key(const std::string& column) const;
    Catalog catalog(JsonPolicy policy) const { return table_.catalog(policy); }
    // What the reader should know of the table and the rows that were read.
    const std::vector<std::string>& notes() const { return notes_; }
    const std::string& row_filter() const { return table_.row_filter; }

    // Makes a row of a JSON object, of which `what` is the name in errors; what it lacks is null.
    asio::awaitable<ExplainedRow> row_of_json(std::string json, std::string what);
    // Looks a row up: `7` for each column of the primary key, in order, or `column=7`.
    asio::awaitable<ExplainedRow> row_of_key(std::vector<std::string> key);
    // The row of this key with some columns changed.
    asio::awaitable<ExplainedRow> row_of_key(std::vector<std::string> key, std::string json,
                                             std::string what);

    // Indexes of columns. Throws SetupError, naming the nearest.
    std::size_t column_named(const std::string& name) const;

private:
    ExplainedTable() = default;

    asio::awaitable<void> describe(const Config& config, std::string schema, std::string name);
    void apply_identity(Identity identity);
    asio::awaitable<std::vector<std::string>> keys_of_json(std::string json, std::string what);
    std::string condition_of_key(const std::vector<std::string>& key) const;
    asio::awaitable<PgRows> read_rows(std::string from, std::string what);
    ExplainedRow make_row(std::vector<std::string> row) const;

    std::unique_ptr<PgConnection> connection_;
    PublishedTable table_;
    std::vector<std::string> notes_;
};

}  // namespace walcast
