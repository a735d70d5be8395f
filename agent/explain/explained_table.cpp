#include "agent/explain/explained_table.hpp"

#include "agent/errors.hpp"
#include "agent/spelling.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace walcast {

Tuple ExplainedRow::tuple() const {
    Tuple tuple;
    for (const auto& value : values)
        tuple.push_back(value ? Value{Value::Kind::text, *value} : Value{});
    return tuple;
}

static bool has(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

// --- the table ---

static asio::awaitable<std::pair<std::string, std::string>> find_name(PgConnection& connection,
                                                                      std::string wanted) {
    auto tables = co_await connection.query(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
        "AND n.nspname NOT LIKE 'pg\\_toast%' ORDER BY 1, 2",
        "list the tables");
    auto is_qualified = wanted.find('.') != std::string::npos;
    std::vector<std::string> names;
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < tables.size(); ++i) {
        auto whole = tables[i][0] + "." + tables[i][1];
        names.push_back(is_qualified ? whole : tables[i][1]);
        if (wanted == names.back()) found.push_back(i);
    }
    if (found.empty())
        throw SetupError(fmt::format(
            "there is no table \"{}\"{}", wanted,
            names.empty() ? std::string(": the database has none")
                          : fmt::format("; did you mean \"{}\"?", nearest(wanted, names))));
    if (found.size() > 1)
        throw SetupError(
            fmt::format("there are several tables \"{}\": give its schema too, as in "
                        "\"{}.{}\"",
                        wanted, tables[found[0]][0], wanted));
    co_return std::pair(tables[found[0]][0], tables[found[0]][1]);
}

asio::awaitable<ExplainedTable> ExplainedTable::find(const Config& config, std::string name,
                                                     Identity identity) {
    auto executor = co_await asio::this_coro::executor;
    ExplainedTable table;
    table.connection_ =
        std::make_unique<PgConnection>(executor, config.source.url, PgConnection::Mode::sql);
    co_await table.connection_->open();
    co_await table.connection_->query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                                      "begin a transaction");
    auto found = co_await find_name(*table.connection_, name);
    co_await table.describe(config, found.first, found.second);
    table.apply_identity(identity);
    co_return table;
}

asio::awaitable<void> ExplainedTable::describe(const Config& config, std::string schema,
                                               std::string name) {
    Relation asked{.schema = schema, .name = name, .columns = {}};
    table_ = co_await read_published_table(*connection_, config.source, asked);
    const auto& found = table_.relation;
    if (found.schema != schema || found.name != name) {
        notes_.push_back(
            fmt::format("{}.{} is a partition of {}.{}, as whose its changes are "
                        "published",
                        schema, name, found.schema, found.name));
        asked.schema = found.schema;
        asked.name = found.name;
        table_ = co_await read_published_table(*connection_, config.source, asked);
    }
    if (!table_.is_published)
        notes_.push_back(fmt::format(
            "publication \"{}\" does not have {}.{}: until it does nothing of it comes; `walcast "
            "init` adds what the rules name",
            config.source.publication, found.schema, found.name));
    if (table_.has_partial_old_rows)
        notes_.push_back(
            "REPLICA IDENTITY is full, but not that of every partition, whose old rows then hold "
            "only the key");
}

void ExplainedTable::apply_identity(Identity identity) {
    if (identity == Identity::own) return;
    table_.has_partial_old_rows = false;
    auto is_full = identity == Identity::full;
    table_.relation.replica_identity = is_full ? 'f' : 'd';
    for (auto& column : table_.relation.columns)
        column.is_key = is_full || has(table_.primary_key, column.name);
}

bool ExplainedTable::is_in_primary_key(const std::string& column) const {
    return has(table_.primary_key, column);
}

std::size_t ExplainedTable::column_named(const std::string& name) const {
    std::vector<std::string> names;
    for (const auto& column : table_.relation.columns) names.push_back(column.name);
    auto found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
    throw SetupError(fmt::format("{}.{} has no column \"{}\"; did you mean \"{}\"?",
                                 table_.relation.schema, table_.relation.name, name,
                                 nearest(name, names)));
}

// --- rows ---

// A row without nulls, and which of its columns are, since a null reads like an empty text; as the
// output functions print it, which is what the stream carries.
asio::awaitable<PgRows> ExplainedTable::read_rows(std::string from, std::string what) {
    std::string nulls;
    std::string columns;
    for (const auto& column : table_.relation.columns) {
        auto name = "r." + quote_identifier(column.name);
        nulls += fmt::format("{}num_nulls({})", nulls.empty() ? "" : ", ", name);
        columns += ", " + name;
    }
    auto filter =
        table_.row_filter.empty() ? "true" : fmt::format("({}) IS TRUE", table_.row_filter);
    auto sql = fmt::format("SELECT concat(({}), array_to_string(ARRAY[{}]::int4[], '')){} FROM {}",
                           filter, nulls, columns, from);
    co_return co_await connection_->query(std::move(sql), std::move(what));
}

ExplainedRow ExplainedTable::make_row(std::vector<std::string> row) const {
    ExplainedRow made;
    const auto& nulls = row.at(0);  // `t0100`
    made.is_filtered_out = nulls.at(0) != 't';
    for (std::size_t i = 0; i < table_.relation.columns.size(); ++i) {
        auto& value = made.values.emplace_back();
        if (nulls.at(i + 1) == '0') value = std::move(row.at(i + 1));
    }
    return made;
}

asio::awaitable<std::vector<std::string>> ExplainedTable::keys_of_json(std::string json,
                                                                       std::string what) {
    if (json.find('\0') != std::string::npos)
        throw SetupError(fmt::format("{}: it holds a NUL, which JSON has not", what));
    auto sql = fmt::format("SELECT json_object_keys({}::json)", quote_literal(json));
    auto rows = co_await connection_->query(std::move(sql), "read " + what);
    std::vector<std::string> keys;
    for (auto& row : rows) {
        if (has(table_.hidden_columns, row[0]))
            notes_.push_back(
                fmt::format("{} is not in the publication, so no rule sees it", row[0]));
        else
            column_named(row[0]);
        keys.push_back(std::move(row[0]));
    }
    co_return keys;
}

asio::awaitable<ExplainedRow> ExplainedTable::row_of_json(std::string json, std::string what) {
    auto keys = co_await keys_of_json(json, what);
    std::vector<std::string> missing;
    for (const auto& column : table_.relation.columns)
        if (!has(keys, column.name)) missing.push_back(column.name);
    if (!missing.empty())
        notes_.push_back(
            fmt::format("null, since {} does not give them: {}", what, fmt::join(missing, ", ")));
    auto from = fmt::format("json_populate_record(NULL::{}, {}) r", table_.quoted_name(),
                            quote_literal(json));
    auto rows = co_await read_rows(std::move(from), "read " + what);
    co_return make_row(std::move(rows.at(0)));
}

std::string ExplainedTable::condition_of_key(const std::vector<std::string>& key) const {
    std::string condition;
    for (std::size_t i = 0; i < key.size(); ++i) {
        auto equals = key[i].find('=');
        auto is_named =
            equals != std::string::npos &&
            std::any_of(table_.relation.columns.begin(), table_.relation.columns.end(),
                        [&](const Column& c) { return c.name == key[i].substr(0, equals); });
        if (!is_named && key.size() != table_.primary_key.size())
            throw SetupError(
                table_.primary_key.empty()
                    ? fmt::format("{}.{} has no primary key: name the columns, as in --key {}={}",
                                  table_.relation.schema, table_.relation.name,
                                  table_.relation.columns.at(0).name, key[i])
                    : fmt::format("the primary key of {}.{} is ({}): --key is needed {} times",
                                  table_.relation.schema, table_.relation.name,
                                  fmt::join(table_.primary_key, ", "), table_.primary_key.size()));
        auto name = is_named ? key[i].substr(0, equals) : table_.primary_key[i];
        auto value = is_named ? key[i].substr(equals + 1) : key[i];
        condition += fmt::format("{}o.{} = {}", condition.empty() ? "" : " AND ",
                                 quote_identifier(name), quote_literal(value));
    }
    return condition;
}

asio::awaitable<ExplainedRow> ExplainedTable::row_of_key(std::vector<std::string> key) {
    co_return co_await row_of_key(std::move(key), "{}", "--key");
}

asio::awaitable<ExplainedRow> ExplainedTable::row_of_key(std::vector<std::string> key,
                                                         std::string json, std::string what) {
    co_await keys_of_json(json, what);
    auto from = fmt::format(
        "(SELECT r.* FROM {} o CROSS JOIN LATERAL json_populate_record(o.*, {}) r WHERE {} LIMIT "
        "2) r",
        table_.quoted_name(), quote_literal(json), condition_of_key(key));
    auto rows = co_await read_rows(std::move(from), "look the row up");
    if (rows.size() == 1) co_return make_row(std::move(rows[0]));
    throw SetupError(
        fmt::format("{} of {}.{} has the key {}", rows.empty() ? "no row" : "more than one row",
                    table_.relation.schema, table_.relation.name, fmt::join(key, ", ")));
}

}  // namespace walcast
