#include "agent/explain/explain.hpp"

#include "agent/errors.hpp"
#include "agent/explain/history_search.hpp"
#include "agent/explain/recorded_changes.hpp"
#include "agent/output.hpp"

#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace walcast {

namespace {

// What stands for the agent's own epoch.
constexpr std::string_view placeholder_epoch = "epoch";

std::string control_channel(const Config& config) {
    return config.redis.prefix + "control";
}

// --- a change as the stream would carry it ---

class StreamedChange {
public:
    StreamedChange(const ExplainedTable& table, std::optional<ExplainedRow> old_row,
                   std::optional<ExplainedRow> new_row)
        : table_(table), old_row_(std::move(old_row)), new_row_(std::move(new_row)) {
        if (old_row_) old_tuple_ = old_row_->tuple();
        if (new_row_) new_tuple_ = new_row_->tuple();
        auto is_update = old_row_ && new_row_;
        change_.action = is_update ? Action::update : new_row_ ? Action::insert : Action::remove;
        change_.relation = &table.relation();
    }
    StreamedChange(const StreamedChange&) = delete;

    void leave_alone(const std::vector<std::string>& columns);
    void make();

    // Why it does not come at all, as the publication's row filter decides.
    std::string why_not_sent() const { return why_not_sent_; }
    const Change& change() const { return change_; }

private:
    bool is_full() const { return table_.relation().replica_identity == 'f'; }
    bool is_logged(std::size_t column) const;
    void apply_filter();
    void make_old();

    const ExplainedTable& table_;
    std::optional<ExplainedRow> old_row_;
    std::optional<ExplainedRow> new_row_;
    Tuple old_tuple_;
    Tuple new_tuple_;
    Change change_;
    std::string why_not_sent_;
};

void StreamedChange::leave_alone(const std::vector<std::string>& columns) {
    for (const auto& name : columns) {
        auto index = table_.column_named(name);
        new_tuple_[index] = old_tuple_[index];
        if (!is_full() && new_tuple_[index].kind == Value::Kind::text)
            new_tuple_[index] = {Value::Kind::unchanged, {}};
    }
}

// An update into the filter's rows is an insert, one out of them a delete.
void StreamedChange::apply_filter() {
    auto was_in = old_row_ && !old_row_->is_filtered_out;
    auto is_in = new_row_ && !new_row_->is_filtered_out;
    if (!was_in && !is_in)
        why_not_sent_ = fmt::format(
            "the publication's row filter, {}, is not true of it: Postgres "
            "does not send it",
            table_.row_filter());
    else if (change_.action == Action::update && !was_in)
        change_.action = Action::insert;
    else if (change_.action == Action::update && !is_in)
        change_.action = Action::remove;
}

bool StreamedChange::is_logged(std::size_t column) const {
    const auto& relation = table_.relation();
    if (!table_.has_partial_old_rows()) return relation.columns[column].is_key;
    return table_.is_in_primary_key(relation.columns[column].name);
}

// As Postgres logs it: whole, or the key, and that of an update only when it changes.
void StreamedChange::make_old() {
    const auto& columns = table_.relation().columns;
    auto is_key_same = true;
    auto has_key = false;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        if (!is_logged(i)) {
            old_tuple_[i] = {};
            continue;
        }
        has_key = true;
        if (change_.action != Action::update) continue;
        auto is_same =
            new_tuple_[i].kind == Value::Kind::unchanged ||
            (old_tuple_[i].kind == new_tuple_[i].kind && old_tuple_[i].text == new_tuple_[i].text);
        is_key_same = is_key_same && is_same;
    }
    if (!has_key)
        throw SetupError(fmt::format(
            "{0}.{1} has no replica identity: Postgres refuses its updates and deletes once they "
            "are published. Give it a primary key, or ALTER TABLE \"{0}\".\"{1}\" REPLICA IDENTITY "
            "FULL",
            table_.relation().schema, table_.relation().name));
    auto is_whole = is_full() && !table_.has_partial_old_rows();
    if (change_.action == Action::update && is_key_same && !is_whole) return;
    change_.old_tuple = &old_tuple_;
    change_.old_kind = is_full() ? Change::OldTuple::full : Change::OldTuple::key;
}

void StreamedChange::make() {
    if (!table_.row_filter().empty()) apply_filter();
    if (change_.action != Action::remove) change_.new_tuple = &new_tuple_;
    if (change_.action != Action::insert) make_old();
}

// --- rows ---

// One set of rules, with the catalog as its own [values] see it.
struct Side {
    Side(const Config& its_config, const ExplainedTable& table, const std::string& control)
        : config(its_config),
          catalog(table.catalog(config.values)),
          explainer(config.rules, catalog, Router::without_id_of(config.source.plugin), control) {}
    Side(const Side&) = delete;

    Explanation explain(const StreamedChange& change) {
        if (change.why_not_sent().empty())
            return explainer.explain(change.change(), {}, placeholder_epoch, 1);
        Explanation nothing;
        nothing.why_none = change.why_not_sent();
        return nothing;
    }

    const Config& config;
    Catalog catalog;
    Explainer explainer;
};

// One command's work.
class Explaining {
public:
    Explaining(asio::any_io_executor executor, const Config& config, const Config* against,
               const ExplainOptions& options)
        : config_(config),
          against_(against),
          options_(options),
          output_(executor),
          view_(options.form, options.colours) {}

    asio::awaitable<Explained> explain_row();
    asio::awaitable<Explained> explain_sync_id();
    asio::awaitable<Explained> explain_recording();

private:
    struct Rows {
        std::optional<ExplainedRow> old_row;
        std::optional<ExplainedRow> new_row;
    };
    asio::awaitable<Rows> read_rows(ExplainedTable& table);
    asio::awaitable<void> show(ExplainedChange change, Explanation explanation);
    asio::awaitable<void> compare(ExplainedChange change, Explanation before, Explanation after);
    asio::awaitable<Explained> finish(bool is_recorded);
    asio::awaitable<void> print(std::string text) { co_await output_.print(text); }

    const Config& config_;
    const Config* against_;
    const ExplainOptions& options_;
    Output output_;
    ExplanationView view_;
    bool has_messages_ = false;
    std::uint64_t same_ = 0;
    std::uint64_t other_ = 0;
};

asio::awaitable<void> Explaining::show(ExplainedChange change, Explanation explanation) {
    has_messages_ = has_messages_ || !explanation.messages.empty();
    co_await print(view_.show(change, explanation));
}

asio::awaitable<void> Explaining::compare(ExplainedChange change, Explanation before,
                                          Explanation after) {
    auto is_same = difference(before, after).is_none();
    ++(is_same ? same_ : other_);
    has_messages_ = has_messages_ || !is_same;
    co_await print(view_.show(change, before, after, config_.file, against_->file));
}

asio::awaitable<Explained> Explaining::finish(bool is_recorded) {
    if (has_messages_) co_await print(view_.show_placeholders(is_recorded));
    if (against_ != nullptr) co_await print(view_.show_summary(same_, other_));
    co_return other_ == 0 ? Explained::shown : Explained::differs;
}

asio::awaitable<Explaining::Rows> Explaining::read_rows(ExplainedTable& table) {
    Rows rows;
    if (!options_.key.empty()) {
        auto row = co_await table.row_of_key(options_.key);
        if (options_.new_row)
            rows.new_row = co_await table.row_of_key(options_.key, *options_.new_row, "--row");
        auto is_old = options_.new_row || options_.is_delete;
        (is_old ? rows.old_row : rows.new_row) = std::move(row);
        co_return rows;
    }
    if (options_.old_row) rows.old_row = co_await table.row_of_json(*options_.old_row, "--old");
    if (options_.new_row) rows.new_row = co_await table.row_of_json(*options_.new_row, "--row");
    co_return rows;
}

asio::awaitable<Explained> Explaining::explain_row() {
    auto table = co_await ExplainedTable::find(config_, options_.table, options_.identity);
    auto rows = co_await read_rows(table);
    StreamedChange change(table, std::move(rows.old_row), std::move(rows.new_row));
    change.leave_alone(options_.unchanged);
    change.make();
    ExplainedChange told{
        .action = std::string(name_of(change.change().action)),
        .table = fmt::format("{}.{}", table.relation().schema, table.relation().name),
        .notes = table.notes(),
        .sync_id = 1};
    Side before(config_, table, control_channel(config_));
    auto explanation = before.explain(change);
    if (against_ == nullptr) {
        co_await show(std::move(told), std::move(explanation));
    } else {
        Side after(*against_, table, control_channel(config_));
        auto other = after.explain(change);
        co_await compare(std::move(told), std::move(explanation), std::move(other));
    }
    co_return co_await finish(false);
}

asio::awaitable<Explained> Explaining::explain_recording() {
    auto executor = co_await asio::this_coro::executor;
    RecordedSelection selection{.xid = options_.xid, .table = options_.table};
    auto control = control_channel(config_);
    RecordedChanges changes(options_.recording, config_, control, selection);
    std::optional<RecordedChanges> others;
    if (against_ != nullptr) others.emplace(options_.recording, *against_, control, selection);
    if (changes.is_masked())
        complain("the recording is masked: channels, where and delete_when see other values");
    for (std::uint64_t count = 0; !options_.limit || count < *options_.limit; ++count) {
        auto told = changes.next();
        if (!told) break;
        if (others) {
            auto other = others->next();
            co_await compare(std::move(told->change), std::move(told->explanation),
                             std::move(other->explanation));
        } else {
            co_await show(std::move(told->change), std::move(told->explanation));
        }
        co_await asio::post(executor, asio::use_awaitable);  // Signals have their turn.
    }
    co_return co_await finish(true);
}

asio::awaitable<Explained> Explaining::explain_sync_id() {
    auto found = co_await find_sync_id(config_.redis, *options_.sync_id);
    co_await print(view_.show(*options_.sync_id, found, config_.rules, control_channel(config_)));
    co_return found.messages.empty() ? Explained::not_found : Explained::shown;
}

}  // namespace

// --- the command ---

void check_options(const ExplainOptions& options, const Config* against) {
    auto is_of_rows = options.old_row || options.new_row || !options.key.empty();
    auto is_of_recording = !options.recording.empty();
    if (is_of_rows + is_of_recording + options.sync_id.has_value() != 1)
        throw ConfigError(
            "explain: what? Give --row JSON, --key KEY, --sync-id ID or --replay FILE");
    if (options.sync_id && against != nullptr)
        throw ConfigError(
            "explain: --against compares changes; of a --sync-id only the message is left");
    if (!is_of_recording && (options.xid || options.limit))
        throw ConfigError("explain: --xid and --limit are of a recording: --replay FILE");
    if (!is_of_rows) {
        if (options.is_delete || !options.unchanged.empty())
            throw ConfigError("explain: --delete and --unchanged are of a row: --key KEY");
        return;
    }
    if (options.table.empty()) throw ConfigError("explain: of which table? Give --table NAME");
    if (options.old_row && !options.key.empty())
        throw ConfigError("explain: --key looks the old row up: give one of --key and --old");
    if (options.is_delete && (options.key.empty() || options.new_row))
        throw ConfigError("explain: --delete goes with --key; --old by itself is a delete too");
    auto is_update = options.new_row && (options.old_row || !options.key.empty());
    if (!options.unchanged.empty() && !is_update)
        throw ConfigError("explain: --unchanged is of an update: --row with --old or --key");
}

asio::awaitable<void> explain(const Config& config, const Config* against, ExplainOptions options,
                              Explained& outcome) {
    auto executor = co_await asio::this_coro::executor;
    Explaining explaining(executor, config, against, options);
    if (options.sync_id)
        outcome = co_await explaining.explain_sync_id();
    else if (!options.recording.empty())
        outcome = co_await explaining.explain_recording();
    else
        outcome = co_await explaining.explain_row();
}

}  // namespace walcast
