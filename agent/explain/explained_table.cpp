#include "agent/explain/explained_table.hpp"

#include "agent/describe.hpp"
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
    auto table = co_await describe_table(*connection_, asked);
    if (table.schema != schema || table.name != name) {
        notes_.push_back(
            fmt::format("{}.{} is a partition of {}.{}, as whose its changes are "
                        "published",
                        schema, name, table.schema, table.name));
        asked.schema = table.schema;
        asked.name = table.name;
        table = co_await describe_table(*connection_, asked);
    }
    relation_.oid = table.oid;
    relation_.schema = table.schema;
    relation_.name = table.name;
    relation_.replica_identity = table.replica_identity;
    relation_.generation = 1;
    primary_key_ = table.primary_key;
    for (auto& column : table.columns) {
        if (column.is_generated)
            hidden_columns_.push_back(column.name);
        else
            relation_.columns.push_back(column);
    }
    if (config.source.plugin == Plugin::pgoutput) co_await apply_publication(config);
    std::vector<std::uint32_t> oids;
    for (const auto& column : relation_.columns) oids.push_back(column.type_oid);
    types_ = co_await describe_types(*connection_, std::move(oids));
    auto sql = fmt::format(
        "SELECT 1 FROM pg_partition_tree({}) t JOIN pg_class c ON c.oid = t.relid WHERE t.isleaf "
        "AND c.relkind = 'r' AND c.relreplident <> 'f' AND t.level > 0 LIMIT 1",
        relation_.oid);
    auto partial = co_await connection_->query(std::move(sql), "look at the partitions");
    has_partial_old_rows_ = relation_.replica_identity == 'f' && !partial.empty();
    if (has_partial_old_rows_)
        notes_.push_back(
            "REPLICA IDENTITY is full, but not that of every partition, whose old rows then hold "
            "only the key");
}

// Leaves out what the publication does.
asio::awaitable<void> ExplainedTable::apply_publication(const Config& config) {
    auto generated_sql =
        fmt::format("SELECT attname FROM pg_attribute WHERE attrelid = {} AND attgenerated <> ''",
                    relation_.oid);
    auto generated =
        co_await connection_->query(std::move(generated_sql), "look for generated columns");
    // By way of JSON, since PostgreSQL 14 has neither lists of columns nor row filters.
    auto sql = fmt::format(
        "SELECT a.name, to_jsonb(p) ->> 'rowfilter' FROM pg_publication_tables p LEFT JOIN LATERAL "
        "jsonb_array_elements_text(CASE jsonb_typeof(to_jsonb(p) -> 'attnames') WHEN 'array' THEN "
        "to_jsonb(p) -> 'attnames' END) a(name) ON true "
        "WHERE p.pubname = {} AND p.schemaname = {} AND p.tablename = {}",
        quote_literal(config.source.publication), quote_literal(relation_.schema),
        quote_literal(relation_.name));
    auto published = co_await connection_->query(std::move(sql), "look at the publication");
    if (published.empty())
        notes_.push_back(fmt::format(
            "publication \"{}\" does not have {}.{}: until it does nothing of it comes; `walcast "
            "init` adds what the rules name",
            config.source.publication, relation_.schema, relation_.name));
    else
        row_filter_ = published[0][1];
    auto has_list = !published.empty() && !published[0][0].empty();
    auto is_listed = [&](const std::string& name) {
        return std::any_of(published.begin(), published.end(),
                           [&](const auto& row) { return row[0] == name; });
    };
    auto is_generated = [&](const std::string& name) {
        return std::any_of(generated.begin(), generated.end(),
                           [&](const auto& row) { return row[0] == name; });
    };
    auto sends_generated = connection_->server_version() >= 180000 && has_list;
    std::erase_if(relation_.columns, [&](const Column& column) {
        auto is_sent = (!has_list || is_listed(column.name)) &&
                       (sends_generated || !is_generated(column.name));
        if (!is_sent) hidden_columns_.push_back(column.name);
        return !is_sent;
    });
}

void ExplainedTable::apply_identity(Identity identity) {
    if (identity == Identity::own) return;
    has_partial_old_rows_ = false;
    auto is_full = identity == Identity::full;
    relation_.replica_identity = is_full ? 'f' : 'd';
    for (auto& column : relation_.columns)
        column.is_key = is_full || has(primary_key_, column.name);
}

bool ExplainedTable::is_in_primary_key(const std::string& column) const {
    return has(primary_key_, column);
}

Catalog ExplainedTable::catalog(JsonPolicy policy) const {
    Catalog catalog(policy);
    catalog.set_primary_key(relation_.oid, primary_key_);
    catalog.add_types(types_);
    if (has_partial_old_rows_) catalog.set_partial_old_rows(relation_.oid);
    return catalog;
}

std::string ExplainedTable::quoted_table() const {
    return quote_identifier(relation_.schema) + "." + quote_identifier(relation_.name);
}

std::size_t ExplainedTable::column_named(const std::string& name) const {
    std::vector<std::string> names;
    for (const auto& column : relation_.columns) names.push_back(column.name);
    auto found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
    throw SetupError(fmt::format("{}.{} has no column \"{}\"; did you mean \"{}\"?",
                                 relation_.schema, relation_.name, name, nearest(name, names)));
}

// --- rows ---

// A row without nulls, and which of its columns are, since a null reads like an empty text; as the
// output functions print it, which is what the stream carries.
asio::awaitable<PgRows> ExplainedTable::read_rows(std::string from, std::string what) {
    std::string nulls;
    std::string columns;
    for (const auto& column : relation_.columns) {
        auto name = "r." + quote_identifier(column.name);
        nulls += fmt::format("{}num_nulls({})", nulls.empty() ? "" : ", ", name);
        columns += ", " + name;
    }
    auto filter = row_filter_.empty() ? "true" : fmt::format("({}) IS TRUE", row_filter_);
    auto sql = fmt::format("SELECT concat(({}), array_to_string(ARRAY[{}]::int4[], '')){} FROM {}",
                           filter, nulls, columns, from);
    co_return co_await connection_->query(std::move(sql), std::move(what));
}

ExplainedRow ExplainedTable::make_row(std::vector<std::string> row) const {
    ExplainedRow made;
    const auto& nulls = row.at(0);  // `t0100`
    made.is_filtered_out = nulls.at(0) != 't';
    for (std::size_t i = 0; i < relation_.columns.size(); ++i) {
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
        if (has(hidden_columns_, row[0]))
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
    for (const auto& column : relation_.columns)
        if (!has(keys, column.name)) missing.push_back(column.name);
    if (!missing.empty())
        notes_.push_back(
            fmt::format("null, since {} does not give them: {}", what, fmt::join(missing, ", ")));
    auto from =
        fmt::format("json_populate_record(NULL::{}, {}) r", quoted_table(), quote_literal(json));
    auto rows = co_await read_rows(std::move(from), "read " + what);
    co_return make_row(std::move(rows.at(0)));
}

std::string ExplainedTable::condition_of_key(const std::vector<std::string>& key) const {
    std::string condition;
    for (std::size_t i = 0; i < key.size(); ++i) {
        auto equals = key[i].find('=');
        auto is_named =
            equals != std::string::npos &&
            std::any_of(relation_.columns.begin(), relation_.columns.end(),
                        [&](const Column& c) { return c.name == key[i].substr(0, equals); });
        if (!is_named && key.size() != primary_key_.size())
            throw SetupError(
                primary_key_.empty()
                    ? fmt::format("{}.{} has no primary key: name the columns, as in --key {}={}",
                                  relation_.schema, relation_.name, relation_.columns.at(0).name,
                                  key[i])
                    : fmt::format("the primary key of {}.{} is ({}): --key is needed {} times",
                                  relation_.schema, relation_.name, fmt::join(primary_key_, ", "),
                                  primary_key_.size()));
        auto name = is_named ? key[i].substr(0, equals) : primary_key_[i];
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
        quoted_table(), quote_literal(json), condition_of_key(key));
    auto rows = co_await read_rows(std::move(from), "look the row up");
    if (rows.size() == 1) co_return make_row(std::move(rows[0]));
    throw SetupError(fmt::format("{} of {}.{} has the key {}",
                                 rows.empty() ? "no row" : "more than one row", relation_.schema,
                                 relation_.name, fmt::join(key, ", ")));
}

}  // namespace walcast
