#include "agent/http/chorus_tables.hpp"

#include "agent/concurrency.hpp"
#include "agent/errors.hpp"

#include <algorithm>
#include <set>

namespace walcast {

using std::chrono::milliseconds;

static constexpr milliseconds age_max{5'000};
static constexpr milliseconds answer_limit{20'000};

// --- fields ---

// Of a name between quotes: marks of indexes and of keys of several columns mean something else.
static bool is_plain(std::string_view name) {
    return std::all_of(name.begin(), name.end(), [](char c) {
        auto is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        auto is_digit = c >= '0' && c <= '9';
        return is_letter || is_digit || c == '_' || c == '$' || static_cast<unsigned char>(c) > 127;
    });
}

static std::string_view name_of(const RowJson::Column& column) {
    return std::string_view(column.key).substr(1, column.key.size() - 3);  // `"title":`
}

std::string dexie_fields(const TableRule& rule) {
    std::string fields;
    std::vector<std::size_t> in_key;
    for (const auto& column : rule.key.columns) {
        fields += fields.empty() ? "" : "+";
        fields += name_of(column);
        in_key.push_back(column.index);
    }
    if (in_key.size() > 1) fields = "[" + fields + "]";
    for (const auto& column : rule.row.columns) {
        auto is_key = std::find(in_key.begin(), in_key.end(), column.index) != in_key.end();
        if (is_key || !is_plain(name_of(column))) continue;
        fields += ", ";
        fields += name_of(column);
    }
    return fields;
}

// --- tables ---

const ChorusTables::Table* ChorusTables::Found::find(std::string_view model) const {
    auto found = std::find_if(tables.begin(), tables.end(),
                              [&](const Table& table) { return table.model == model; });
    return found == tables.end() ? nullptr : &*found;
}

bool ChorusTables::has_output() const {
    const auto& outputs = service_->config.redis.outputs;
    return std::any_of(outputs.begin(), outputs.end(), [](const OutputSettings& output) {
        return output.envelope == EnvelopeKind::chorus;
    });
}

bool ChorusTables::is_told(const std::string& model) const {
    const auto& outputs = service_->config.redis.outputs;
    return std::any_of(outputs.begin(), outputs.end(), [&](const OutputSettings& output) {
        const auto& models = output.models;
        return output.envelope == EnvelopeKind::chorus &&
               (models.empty() || std::find(models.begin(), models.end(), model) != models.end());
    });
}

asio::awaitable<void> ChorusTables::describe(PgConnection& connection, ListedTable listed,
                                             Found& found) {
    const auto& config = service_->config;
    Relation asked{.oid = listed.oid, .schema = {}, .name = {}, .columns = {}};
    auto table = std::make_unique<Found::Described>();
    table->published = co_await read_published_table(connection, config.source, asked);
    if (table->published.relation.columns.empty()) co_return;
    table->catalog = table->published.catalog(config.values);
    table->router.emplace(found.rules_, table->catalog,
                          Router::without_id_of(config.source.plugin));
    for (const auto& rule : table->router->rules_of(table->published.relation)) {
        auto is_new = !rule.outbox && is_told(rule.model) && found.find(rule.model) == nullptr;
        if (is_new) found.tables.push_back({rule.model, dexie_fields(rule), &rule});
    }
    found.described_.push_back(std::move(table));
}

asio::awaitable<std::shared_ptr<const ChorusTables::Found>> ChorusTables::read() {
    auto found = std::make_shared<Found>();
    found->at_ = Clock::now();
    found->rules_ = service_->rules();
    PgConnection connection(service_->executor, service_->snapshots.server(),
                            PgConnection::Mode::sql);
    co_await connection.open();
    auto listed = co_await list_published_tables(connection, service_->config.source);
    for (auto& one : listed) {
        auto is_matched = std::any_of(
            found->rules_.begin(), found->rules_.end(),
            [&](const Rule& rule) { return matches_table(rule, one.schema, one.name); });
        if (!is_matched) continue;
        auto describing = describe(connection, std::move(one), *found);
        co_await std::move(describing);
    }
    std::sort(found->tables.begin(), found->tables.end(),
              [](const Table& a, const Table& b) { return a.model < b.model; });
    co_return found;
}

asio::awaitable<std::shared_ptr<const ChorusTables::Found>> ChorusTables::find_in_turn() {
    auto turn = co_await turns_.take();
    if (found_ && Clock::now() - found_->at_ < age_max) co_return found_;
    found_.reset();
    auto reading = read();
    found_ = co_await std::move(reading);
    co_return found_;
}

asio::awaitable<std::shared_ptr<const ChorusTables::Found>> ChorusTables::find() {
    auto finding = find_in_turn();
    auto found = co_await within(answer_limit, std::move(finding));
    if (!found) throw NotStreaming("postgres has not said in time what the tables are");
    co_return std::move(*found);
}

}  // namespace walcast
