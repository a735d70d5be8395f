#include "agent/bootstrap/bootstrap.hpp"

#include "agent/concurrency.hpp"
#include "agent/errors.hpp"
#include "agent/snapshot/snapshot_json.hpp"
#include "decoders/json_string.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

namespace walcast {

using std::chrono::milliseconds;

// A snapshot may be older than what the agent remembers, or miss what is on its way: a later one
// will do.
static constexpr auto attempts_max = 40;
static constexpr milliseconds attempt_interval{250};

template <typename Values, typename Value>
static bool has(const Values& values, const Value& value) {
    return std::find(values.begin(), values.end(), value) != values.end();
}

// The same for requests for the same, and hardly for others: the FNV-1a hash of what is asked for.
static std::string name_of(BootstrapRequest request) {
    std::uint64_t hash = 14695981039346656037U;
    auto add = [&](std::string_view text) {
        for (auto byte : text) hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211U;
        hash = (hash ^ 0x100U) * 1099511628211U;
    };
    for (auto* names : {&request.channels, &request.models}) {
        std::sort(names->begin(), names->end());
        for (const auto& name : *names) add(name);
        add("");
    }
    return fmt::format("{:016x}", hash);
}

Bootstrap::Bootstrap(asio::any_io_executor executor, Settings settings, std::vector<Rule> rules,
                     BootstrapRequest request)
    : settings_(std::move(settings)),
      rules_(std::move(rules)),
      request_(std::move(request)),
      asked_(name_of(request_)),
      connection_(std::move(executor), settings_.conninfo, PgConnection::Mode::sql) {}

// --- the snapshot ---

asio::awaitable<void> Bootstrap::begin(AskPosition ask) {
    if (request_.channels.empty() && request_.models.empty())
        throw BadRequest("bootstrap: of which channels or models?");
    for (const auto& model : request_.models)
        if (auto mistake = mistake_of_model(rules_, model); !mistake.empty())
            throw BadRequest("bootstrap: " + mistake);
    if (!request_.after.empty()) {
        after_ = read_token(request_.after);
        if (!after_ || after_->asked != asked_)
            throw BadRequest("bootstrap: the token is of no bootstrap of these channels or models");
    }
    co_await connection_.open();
    // Rows that a policy hides would be missing: that is an error instead.
    co_await connection_.query("SET row_security = off", "prepare to read");
    for (auto attempts_left = attempts_max;; --attempts_left) {
        std::string why;
        try {
            co_await lock();
            co_await take_snapshot(ask);
        } catch (const SnapshotRefused& refused) {
            why = refused.what();
        }
        if (why.empty()) break;
        if (attempts_left == 0) throw SnapshotRefused(why);
        co_await connection_.query("ROLLBACK", "begin again");
        co_await sleep_for(attempt_interval);
    }
    co_await describe_tables();
    if (!tables_.empty()) co_await start_table();  // What is wrong with it is best told at once.
}

bool Bootstrap::is_wanted(const Rule& rule) const {
    if (rule.outbox) return false;  // Its rows are events.
    if (!rule.takes(Action::insert) && !rule.takes(Action::update)) return false;
    if (request_.channels.empty()) return true;
    return std::any_of(rule.channels.begin(), rule.channels.end(), [&](const auto& channel) {
        return std::any_of(request_.channels.begin(), request_.channels.end(),
                           [&](const auto& name) { return channel.can_make(name); });
    });
}

bool Bootstrap::is_wanted_model(const Rule& rule) const {
    return request_.models.empty() ||
           std::any_of(request_.models.begin(), request_.models.end(),
                       [&](const auto& model) { return may_be_of_model(rule, model); });
}

// Whether a bootstrap that this one goes on from has had the whole table.
bool Bootstrap::is_before(const std::string& schema, const std::string& table) const {
    if (!after_) return false;
    auto order = std::tie(schema, table) <=> std::tie(after_->schema, after_->table);
    return order < 0 || (order == 0 && after_->key.empty());
}

asio::awaitable<void> Bootstrap::list_tables() {
    auto listed = co_await list_published_tables(connection_, settings_.source);
    tables_.clear();
    unpublished_.clear();
    for (const auto& rule : rules_) {
        if (rule.has_globs() || !is_wanted(rule) || !is_wanted_model(rule)) continue;
        if (std::none_of(listed.begin(), listed.end(), [&](const auto& one) {
                return matches_table(rule, one.schema, one.name);
            }))
            unpublished_.push_back(rule.table);
    }
    for (auto& one : listed) {
        auto is_wanted_by = [&](const Rule& rule) {
            return matches_table(rule, one.schema, one.name) && is_wanted(rule);
        };
        if (is_before(one.schema, one.name)) continue;
        if (std::none_of(rules_.begin(), rules_.end(), is_wanted_by)) continue;
        auto table = std::make_unique<Table>();
        table->published.relation.oid = one.oid;
        table->published.relation.schema = std::move(one.schema);
        table->published.relation.name = std::move(one.name);
        table->is_partitioned = one.is_partitioned;
        table->estimated_rows = one.estimated_rows;
        tables_.push_back(std::move(table));
    }
}

// Before the snapshot is taken: a table rewritten or truncated after it would seem empty.
asio::awaitable<void> Bootstrap::lock() {
    co_await list_tables();
    co_await connection_.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                               "begin a transaction");
    std::string names;
    for (const auto& table : tables_) {
        if (!names.empty()) names += ", ";
        if (!table->is_partitioned) names += "ONLY ";
        names += table->published.quoted_name();
    }
    if (names.empty()) co_return;
    co_await connection_.query(fmt::format("LOCK TABLE {} IN ACCESS SHARE MODE", names),
                               "keep the tables as they are while they are read");
}

asio::awaitable<void> Bootstrap::take_snapshot(AskPosition& ask) {
    auto rows = co_await connection_.query(
        "SELECT pg_current_snapshot(), pg_is_in_recovery(), current_setting('server_encoding')",
        "take a snapshot");
    if (rows.at(0).at(1) != "f")
        throw SetupError(
            "bootstrap: the server is a standby: give [source] url the primary, as with "
            "target_session_attrs=primary");
    is_utf8_ = rows[0].at(2) == "UTF8";
    position_ = co_await ask(std::move(rows[0][0]));
}

// --- the tables ---

asio::awaitable<void> Bootstrap::describe_tables() {
    std::vector<std::unique_ptr<Table>> found;
    auto is_whole = !after_;
    std::uint64_t estimated_rows = 0;
    for (auto& table : tables_) {
        Relation asked{
            .oid = table->published.relation.oid, .schema = {}, .name = {}, .columns = {}};
        auto locked = table->published.quoted_name();
        table->published = co_await read_published_table(connection_, settings_.source, asked);
        if (table->published.quoted_name() != locked)
            throw PgError(fmt::format("postgres: {} was renamed just now", locked));
        if (table->published.relation.columns.empty()) continue;
        table->catalog.emplace(table->published.catalog(settings_.values));
        table->router.emplace(rules_, *table->catalog,
                              Router::without_id_of(settings_.source.plugin));
        choose_rules(*table);
        if (table->rules.empty()) continue;
        find_key(*table);
        auto condition = condition_of_channels(*table);
        if (condition.rows == ChannelCondition::Rows::none) continue;
        write_query(*table, condition.sql);
        is_whole = is_whole && condition.rows == ChannelCondition::Rows::any;
        estimated_rows += table->estimated_rows;
        found.push_back(std::move(table));
    }
    tables_ = std::move(found);
    if (is_whole) estimated_rows_ = estimated_rows;
}

void Bootstrap::choose_rules(Table& table) {
    for (const auto& rule : table.router->rules_of(table.published.relation)) {
        auto is_model = request_.models.empty() || has(request_.models, rule.model);
        if (is_model && is_wanted(*rule.rule)) table.rules.push_back(&rule);
    }
}

// The primary key, where its columns are read, their order is that of the operators that the
// session finds (not of types of extensions), and no rule hides them: marks tell of them.
void Bootstrap::find_key(Table& table) {
    const auto& published = table.published;
    for (const auto& name : published.primary_key) {
        const auto& columns = published.relation.columns;
        auto column = std::find_if(columns.begin(), columns.end(),
                                   [&](const Column& one) { return one.name == name; });
        auto is_ordered = column != columns.end() && column->type_oid < first_catalog_oid;
        auto index = static_cast<std::size_t>(column - columns.begin());
        auto is_shown = [&](const TableRule* rule) {
            return has(rule->id, index) ||
                   std::any_of(rule->row.columns.begin(), rule->row.columns.end(),
                               [&](const RowJson::Column& shown) { return shown.index == index; });
        };
        if (!is_ordered || !std::all_of(table.rules.begin(), table.rules.end(), is_shown))
            return table.key.clear();
        table.key.push_back(index);
    }
}

ChannelCondition Bootstrap::condition_of_channels(const Table& table) const {
    ChannelCondition all;
    if (request_.channels.empty()) all.rows = ChannelCondition::Rows::any;
    for (const auto* rule : table.rules) {
        if (all.rows == ChannelCondition::Rows::any) break;
        auto one = condition_of(*rule, table.published.relation, request_.channels, is_utf8_);
        if (one.rows == ChannelCondition::Rows::none) continue;
        if (all.rows == ChannelCondition::Rows::some && one.rows == all.rows)
            one.sql = all.sql + " OR " + one.sql;
        all = std::move(one);
    }
    return all;
}

void Bootstrap::write_query(Table& table, std::string condition) const {
    const auto& relation = table.published.relation;
    auto column_of = [&](std::size_t index) {
        return "r." + quote_identifier(relation.columns[index].name);
    };
    std::string columns;
    for (std::size_t i = 0; i < relation.columns.size(); ++i)
        columns += (i == 0 ? "" : ", ") + column_of(i);
    std::string key;
    for (auto index : table.key) key += (key.empty() ? "" : ", ") + column_of(index);
    auto add = [&](const std::string& more) {
        condition = condition.empty() ? more : fmt::format("({}) AND ({})", condition, more);
    };
    if (!table.published.row_filter.empty()) add(table.published.row_filter);
    auto is_inside = after_ && std::tie(relation.schema, relation.name) ==
                                   std::tie(after_->schema, after_->table);
    if (is_inside) {
        if (after_->key.size() != table.key.size())
            throw BadRequest("bootstrap: the token's table has another primary key by now");
        std::string values;
        for (const auto& value : after_->key)
            values += (values.empty() ? "" : ", ") + quote_literal(value);
        add(fmt::format("({}) > ({})", key, values));
    }
    table.sql = fmt::format("COPY (SELECT {} FROM {}{} r{}{}{}{}) TO STDOUT", columns,
                            table.is_partitioned ? "" : "ONLY ", table.published.quoted_name(),
                            condition.empty() ? "" : " WHERE ", condition,
                            key.empty() ? "" : " ORDER BY ", key);
}

// --- lines ---

asio::awaitable<void> Bootstrap::start_table() {
    const auto& table = *tables_[table_];
    auto attempted = fmt::format("read {}", table.published.quoted_name());
    co_await connection_.start_copy_out(table.sql, attempted);
    is_copying_ = true;
}

asio::awaitable<bool> Bootstrap::next(std::string& out) {
    constexpr std::size_t bytes_at_once = 32 * 1024;
    if (!std::exchange(has_head_, true)) append_head(out);
    for (auto rows_left = 256; rows_left > 0 && out.size() < bytes_at_once;) {
        if (table_ == tables_.size()) {
            append_end(out);
            co_return false;
        }
        if (!is_copying_) co_await start_table();
        const auto& table = *tables_[table_];
        std::string_view line;
        auto copied = connection_.next_copied(line);
        if (copied == PgConnection::Copied::row) {
            append_rows(out, table, line);
            --rows_left;
        } else if (copied == PgConnection::Copied::end) {
            co_await connection_.end_copy_out("read " + table.published.quoted_name());
            is_copying_ = false;
            last_key_.clear();
            ++table_;
            if (rows_since_mark_ >= settings_.rows_between_marks && table_ < tables_.size())
                append_mark(out, table, {});
        } else {
            if (!out.empty()) co_return true;
            co_await connection_.wait_readable();
            connection_.receive();
        }
    }
    co_return true;
}

void Bootstrap::append_head(std::string& out) const {
    out += R"({"type":"bootstrap",)";
    append_snapshot_answer(out, position_);
    out += "}\n";
}

void Bootstrap::append_end(std::string& out) const {
    out += fmt::format(R"({{"type":"end","rows":{})", rows_);
    if (left_out_ > 0) out += fmt::format(R"(,"leftOut":{})", left_out_);
    out += "}\n";
}

// Without a key the table is done.
void Bootstrap::append_mark(std::string& out, const Table& table, std::vector<std::string> key) {
    const auto& relation = table.published.relation;
    last_mark_ = write_token({.asked = asked_,
                              .schema = relation.schema,
                              .table = relation.name,
                              .key = std::move(key)});
    out += fmt::format(R"({{"type":"mark","rows":{},"after":"{}"}})", rows_, last_mark_);
    out += '\n';
    rows_since_mark_ = 0;
}

void Bootstrap::append_rows(std::string& out, const Table& table, std::string_view line) {
    const auto& tuple = copied_.read(line);
    const auto& relation = table.published.relation;
    if (tuple.size() != relation.columns.size())
        throw PgError(fmt::format("postgres: a row of {} has {} columns instead of {}",
                                  table.published.quoted_name(), tuple.size(),
                                  relation.columns.size()));
    Change change{.action = Action::insert, .relation = &relation, .new_tuple = &tuple};
    ++rows_read_;
    auto begin = out.size();
    auto rows_before = rows_;
    try {
        for (const auto* rule : table.rules) append_row(out, *rule, change);
    } catch (const ValueError& error) {
        out.resize(begin);
        rows_ = rows_before;
        leave_out(table, error.what());
    }
    ++rows_since_mark_;
    if (table.key.empty()) return;
    // Of a row that was written: others are not this reader's to know.
    if (rows_ > rows_before) {
        last_key_.resize(table.key.size());
        for (std::size_t i = 0; i < table.key.size(); ++i) last_key_[i] = tuple[table.key[i]].text;
    }
    if (rows_since_mark_ < settings_.rows_between_marks || last_key_.empty()) return;
    append_mark(out, table, std::exchange(last_key_, {}));
}

// As for messages, for which such a row stops the agent or is set aside.
void Bootstrap::leave_out(const Table& table, std::string_view why) {
    if (settings_.source.bad_rows == BadRows::stop)
        throw SetupError(fmt::format("postgres: a row of {} cannot be written: {}",
                                     table.published.quoted_name(), why));
    ++left_out_;
}

void Bootstrap::append_row(std::string& out, const TableRule& rule, const Change& change) {
    auto row = KnownRow::after(change);
    if (membership_after(rule, row) != Membership::in || !find_channels(rule, row)) return;
    auto begin = static_cast<std::ptrdiff_t>(out.size());
    out += R"({"modelName":)";
    out += rule.model_json;
    out += R"(,"modelId":)";
    append_model_id(out, scratch_, rule, *change.new_tuple);
    if (request_.channels.size() > 1) {
        for (std::size_t i = 0; i < channels_.size(); ++i) {
            out += i == 0 ? R"(,"channels":[)" : ",";
            append_json_string(out, channels_[i]);
        }
        out += ']';
    }
    append_data(out, rule, *change.new_tuple);
    // A json value is as it was written, perhaps on several lines: between its tokens only.
    auto is_line_end = [](char character) { return character == '\n' || character == '\r'; };
    std::replace_if(out.begin() + begin, out.end(), is_line_end, ' ');
    out += "}\n";
    ++rows_;
}

// Whether the row is in a channel that was asked for.
bool Bootstrap::find_channels(const TableRule& rule, const KnownRow& row) {
    names_.clear();
    channels_.clear();
    if (names_.append(rule, row) != ChannelNames::Outcome::known) return false;
    if (request_.channels.empty()) return names_.size() > 0;
    for (std::size_t i = 0; i < names_.size(); ++i)
        if (has(request_.channels, names_[i])) channels_.push_back(names_[i]);
    return !channels_.empty();
}

void Bootstrap::append_data(std::string& out, const TableRule& rule, const Tuple& row) {
    std::size_t bytes = 0;
    for (const auto& value : row) bytes += value.text.size();
    auto value_bytes_max = bytes > settings_.action_bytes ? settings_.action_bytes / row.size()
                                                          : std::numeric_limits<std::size_t>::max();
    out += ",\"data\":";
    auto gaps = walcast::append_row(out, rule.row, row, value_bytes_max, writer_);
    if (!gaps.has_omitted) return;
    out += ",\"omitted\":";
    append_omitted_keys(out, rule.row, row, value_bytes_max);
}

}  // namespace walcast
