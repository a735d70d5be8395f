#include "agent/explain/envelope_sample.hpp"

#include "agent/batch_builder.hpp"
#include "sinks/native_envelope.hpp"
#include "sinks/outputs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace walcast {

namespace {

constexpr std::uint32_t bool_oid = 16, int8_oid = 20, int4_oid = 23, text_oid = 25, uuid_oid = 2950,
                        jsonb_oid = 3802, timestamptz_oid = 1184;
// 2026-11-21T04:10:24.870123Z
constexpr Timestamp sample_time{std::chrono::microseconds{1'795'234'224'870'123}};
constexpr SyncId first_id = 1041;

struct SampleColumn {
    std::string name;
    std::uint32_t type_oid = 0;
    std::string text;
};

// A table with one row.
struct SampleTable {
    SampleTable(std::string name, std::vector<SampleColumn> its_columns)
        : columns(std::move(its_columns)) {
        relation.schema = "public";
        relation.name = std::move(name);
        relation.replica_identity = 'f';
        relation.generation = 1;
        for (const auto& column : columns)
            relation.columns.push_back({.name = column.name, .type_oid = column.type_oid});
        relation.columns.front().is_key = true;
    }

    Tuple row() const {
        Tuple tuple;
        for (const auto& column : columns) tuple.push_back({Value::Kind::text, column.text});
        return tuple;
    }

    Relation relation;
    std::vector<SampleColumn> columns;
};

// A column's value stands there as its name.
std::string sample_channel(const Rule& rule) {
    std::string name;
    for (const auto& part : rule.channels.front().parts) name += part.is_column ? "1" : part.text;
    return name;
}

Rule sample_rule(const Rule& rule) {
    Rule sample;
    sample.table = "public.*";
    sample.model = rule.model.empty() ? rule.table.substr(rule.table.find('.') + 1) : rule.model;
    sample.channels.emplace_back().parts = {{.text = sample_channel(rule), .keys = {}}};
    sample.id = {"id"};
    sample.data = rule.data;
    sample.are_ids_strings = rule.are_ids_strings;
    sample.has_metadata = rule.has_metadata;
    return sample;
}

Rule log_rule(std::string table, std::string channel) {
    Rule rule;
    rule.table = "public." + table;
    rule.channels.emplace_back().parts = {{.text = std::move(channel), .keys = {}}};
    rule.id = {"id"};
    return rule;
}

// What the shell takes for one word.
std::string shell_word(std::string_view text) {
    std::string word = "'";
    for (auto character : text) word += character == '\'' ? "'\\''" : std::string(1, character);
    return word + "'";
}

class Sample {
public:
    explicit Sample(const Config& config) : config_(config), outputs_(config.redis.outputs) {}

    std::string show();

private:
    void show_rows(const Rule& rule);
    void show_log();
    void show_outbox(const Rule& rule);
    void show(BatchBuilder& builder);
    void show_message(const Batch& batch, const Message& message, std::string_view channel);
    void show_published(std::string_view native);
    BatchBuilder builder_for(Router& router, std::string_view title, std::string mutation_id);

    const Config& config_;
    Outputs outputs_;
    std::string text_;
    std::uint32_t xid_ = 738;
    SyncId previous_id_ = first_id - 1;
    std::size_t shown_ = 0;  // Of what the outputs published of a batch.
};

BatchBuilder Sample::builder_for(Router& router, std::string_view title, std::string mutation_id) {
    text_ += fmt::format("{}# {}\n", text_.empty() ? "" : "\n", title);
    BatchBuilder builder(router, {.outputs = 1, .is_reversible = true});
    builder.name_events({.reserved = config_.redis.prefix});
    builder.begin({.commit_lsn = Lsn{0x16B3748}, .xid = xid_++, .commit_time = sample_time});
    if (!mutation_id.empty()) builder.annotate({.mutation_id = std::move(mutation_id)});
    return builder;
}

void Sample::show_published(std::string_view native) {
    const auto& published = outputs_.published();
    for (; shown_ < published.size(); ++shown_)
        text_ += fmt::format(
            "PUBLISH {} {}\n", shell_word(published.channel(shown_)),
            shell_word(published.is_native(shown_) ? native : published.payload(shown_)));
}

void Sample::show_message(const Batch& batch, const Message& message, std::string_view channel) {
    std::string native;
    append_message(native, batch, message, "k3v9x2m7", previous_id_);
    auto word = shell_word(native);
    text_ += fmt::format("XADD {} MAXLEN '~' {} {}-0 m {}\n",
                         shell_word(fmt::format("{}log:{}", config_.redis.prefix, channel)),
                         config_.redis.history_length, message.last_sync_id, word);
    if (outputs_.has_native()) text_ += fmt::format("PUBLISH {} {}\n", shell_word(channel), word);
    outputs_.wrap(batch, message, channel);
    show_published(native);
    previous_id_ = message.last_sync_id;
}

void Sample::show(BatchBuilder& builder) {
    auto batch = builder.take({});
    shown_ = 0;
    outputs_.begin_batch(batch);
    for (const auto& message : batch.messages)
        for (auto i = message.channels_begin; i < message.channels_end; ++i)
            show_message(batch, message, batch.text(batch.channels[i]));
    outputs_.end_batch(batch);
    show_published({});
}

void Sample::show_rows(const Rule& rule) {
    SampleTable before(
        "todos", {{"id", int4_oid, "7"}, {"title", text_oid, "Buy milk"}, {"done", bool_oid, "f"}});
    auto after = before;
    after.columns[1].text = "Buy oat milk";
    auto old_row = before.row();
    auto new_row = after.row();
    std::vector<Rule> rules{sample_rule(rule)};
    Catalog catalog(config_.values);
    Router router(rules, catalog, Router::WithoutId::refused);
    auto id = first_id;

    auto insert = builder_for(router, "An insert, in a transaction annotated with m-71", "m-71");
    insert.add({.action = Action::insert, .relation = &before.relation, .new_tuple = &old_row}, id);
    show(insert);

    auto update = builder_for(router, "An update: it takes two ids", "");
    update.add({.action = Action::update,
                .relation = &before.relation,
                .old_kind = Change::OldTuple::full,
                .old_tuple = &old_row,
                .new_tuple = &new_row},
               id + 1);
    show(update);

    auto removal = builder_for(router, "A delete", "");
    removal.add({.action = Action::remove,
                 .relation = &before.relation,
                 .old_kind = Change::OldTuple::full,
                 .old_tuple = &new_row},
                id + 3);
    show(removal);

    auto rejection = builder_for(router, "A rejection: an event", "");
    PublishedEvent event{.channels = {sample_channel(rule)},
                         .mutation_id = "m-72",
                         .is_rejected = true,
                         .reason_json = R"("title is required")"};
    event.add_field("name", fmt::format("\"{}.update\"", rules.front().model));
    event.add_field("reason", event.reason_json);
    event.add_field("headers",
                    fmt::format(R"({{"table":"{}","recordId":7}})", rules.front().model));
    event.add_field("rejected", "true");
    rejection.add_event(std::move(event), id + 4);
    show(rejection);
}

void Sample::show_log() {
    SampleTable action(
        "action_records",
        {{"id", uuid_oid, "12b3b9ad-fef4-438d-84f9-3ccbd56088e0"},
         {"server_ingest_id", int8_oid, "41"},
         {"_tag", text_oid, "create-note"},
         {"user_id", text_oid, "u1"},
         {"client_id", text_oid, "laptop"},
         {"transaction_id", int8_oid, "1795234224870"},
         {"clock", jsonb_oid, R"({"timestamp": 1795234224876, "vector": {"laptop": 7}})"},
         {"clock_time_ms", int8_oid, "1795234224876"},
         {"clock_counter", int8_oid, "7"},
         {"args", jsonb_oid, R"({"title": "Hi", "timestamp": 1795234224870})"},
         {"created_at", timestamptz_oid, "2026-11-21 04:10:24.87+00"},
         {"server_ingested_at", timestamptz_oid, "2026-11-21 04:10:24.984+00"},
         {"synced", int4_oid, "1"}});
    SampleTable row("action_modified_rows",
                    {{"id", uuid_oid, "80d3c428-6bff-491a-9f2e-7fb5d6b0a34c"},
                     {"table_name", text_oid, "notes"},
                     {"row_id", text_oid, "1efd45d2-7275-5c32-95e3-198056edea81"},
                     {"action_record_id", uuid_oid, "12b3b9ad-fef4-438d-84f9-3ccbd56088e0"},
                     {"audience_key", text_oid, "user:u1"},
                     {"operation", text_oid, "INSERT"},
                     {"forward_patches", jsonb_oid,
                      R"({"id": "1efd45d2-7275-5c32-95e3-198056edea81", "title": "Hi"})"},
                     {"reverse_patches", jsonb_oid, "{}"},
                     {"sequence", int4_oid, "0"}});
    std::vector<Rule> rules{log_rule("action_records", "actions"),
                            log_rule("action_modified_rows", "audience:user%3Au1")};
    Catalog catalog(config_.values);
    Router router(rules, catalog, Router::WithoutId::refused);
    auto id = previous_id_ + 1;
    auto action_row = action.row();
    auto modified_row = row.row();
    auto builder = builder_for(router, "Synchrotron's log: an action and its effect", "");
    builder.add({.action = Action::insert, .relation = &action.relation, .new_tuple = &action_row},
                id);
    builder.add({.action = Action::insert, .relation = &row.relation, .new_tuple = &modified_row},
                id + 1);
    show(builder);
}

void Sample::show_outbox(const Rule& rule) {
    const auto& columns = *rule.outbox;
    SampleTable outbox("outbox",
                       {{columns.sequence_id.value_or("sequence_id"), int4_oid, "7"},
                        {columns.mutation_id.value_or("mutation_id"), text_oid, "m-71"},
                        {columns.channel.value_or("channel"), text_oid, "posts:1"},
                        {columns.name.value_or("name"), text_oid, "addComment"},
                        {columns.rejected.value_or("rejected"), bool_oid, "f"},
                        {columns.data.value_or("data"), jsonb_oid, R"({"comment": "Hi"})"},
                        {columns.headers.value_or("headers"), jsonb_oid, R"({"id": 123})"}});
    std::vector<Rule> rules{rule};
    rules.front().table = "public.outbox";
    Catalog catalog(config_.values);
    Router router(rules, catalog, Router::WithoutId::refused);
    auto row = outbox.row();
    auto builder = builder_for(router, "A row of the outbox", "");
    builder.add({.action = Action::insert, .relation = &outbox.relation, .new_tuple = &row},
                previous_id_ + 1);
    show(builder);
}

std::string Sample::show() {
    auto is_log = [](const OutputSettings& output) {
        return output.envelope == EnvelopeKind::synchrotron && !output.is_correcting;
    };
    const auto& outputs = config_.redis.outputs;
    const auto& rules = config_.rules;
    auto rule =
        std::find_if(rules.begin(), rules.end(), [](const Rule& each) { return !each.outbox; });
    auto outbox = std::find_if(rules.begin(), rules.end(),
                               [](const Rule& each) { return each.outbox.has_value(); });
    auto has_rows = outputs.empty() || !std::all_of(outputs.begin(), outputs.end(), is_log);
    if (has_rows && rule != rules.end()) show_rows(*rule);
    if (has_rows && outbox != rules.end()) show_outbox(*outbox);
    if (std::any_of(outputs.begin(), outputs.end(), is_log)) show_log();
    return std::move(text_);
}

}  // namespace

std::string show_envelopes(const Config& config) {
    return Sample(config).show();
}

}  // namespace walcast
