#include "agent/explain/recorded_changes.hpp"

#include "agent/errors.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace walcast {

RecordedChanges::RecordedChanges(const std::string& file, const Config& config, std::string control,
                                 RecordedSelection selection)
    : selection_(std::move(selection)),
      replay_(file, config.values),
      explainer_(config.rules, replay_.catalog(), Router::without_id_of(config.source.plugin),
                 std::move(control)),
      numbering_(replay_.beginning()),
      epoch_(replay_.beginning().epoch) {
    replay_.on_news = [this] { explainer_.forget(); };
}

std::optional<RecordedChanges::Told> RecordedChanges::next() {
    while (auto step = replay_.next())
        if (auto told = take(*step)) return told;
    return std::nullopt;
}

bool RecordedChanges::is_wanted(const Relation& relation) const {
    if (selection_.xid && *selection_.xid != transaction_.xid) return false;
    if (selection_.table.empty()) return true;
    Rule rule;
    auto is_qualified = selection_.table.find('.') != std::string::npos;
    rule.table = is_qualified ? selection_.table : "*." + selection_.table;
    return matches_table(rule, relation.schema, relation.name);
}

ExplainedChange RecordedChanges::head(std::string_view action, std::string table, SyncId id) const {
    return {.action = std::string(action),
            .table = std::move(table),
            .notes = {},
            .sync_id = id,
            .xid = transaction_.xid};
}

static std::string name_of(const Relation& relation) {
    return fmt::format("{}.{}", relation.schema, relation.name);
}

RecordedChanges::Told RecordedChanges::explain(const Change& change, SyncId id) {
    auto explanation = explainer_.explain(change, transaction_, epoch_, id);
    // Perhaps a type had other fields by then, about which the catalog was asked again.
    if (explanation.has_bad_value && replay_.learn_again())
        explanation = explainer_.explain(change, transaction_, epoch_, id);
    return {head(walcast::name_of(change.action), name_of(*change.relation), id),
            std::move(explanation)};
}

RecordedChanges::Told RecordedChanges::explain(const Truncate& truncate, SyncId id) {
    std::string tables;
    for (const auto* relation : *truncate.relations)
        tables += (tables.empty() ? "" : ", ") + name_of(*relation);
    return {head("truncate", std::move(tables), id),
            explainer_.explain(truncate, transaction_, epoch_, id)};
}

std::optional<RecordedChanges::Told> RecordedChanges::take(const Replay::Step& step) {
    const auto& event = *step.event;
    if (const auto* change = std::get_if<Change>(&event)) {
        auto id = numbering_.take(step.message, change->action == Action::update ? 2 : 1);
        if (id && is_wanted(*change->relation)) return explain(*change, *id);
    } else if (const auto* truncate = std::get_if<Truncate>(&event)) {
        const auto& tables = *truncate->relations;
        auto id = numbering_.take(step.message, static_cast<unsigned>(tables.size()));
        auto is_selected = std::any_of(tables.begin(), tables.end(),
                                       [&](const auto* relation) { return is_wanted(*relation); });
        if (id && is_selected) return explain(*truncate, *id);
    } else if (const auto* begin = std::get_if<Begin>(&event)) {
        transaction_ = begin->transaction;
        numbering_.begin(transaction_);
    } else if (const auto* commit = std::get_if<Commit>(&event)) {
        numbering_.commit(commit->end_lsn);
    } else if (const auto* message = std::get_if<LogicalMessage>(&event)) {
        auto count = message->prefix == "walcast:event" ? 1U : 0U;
        if (!message->is_transactional)
            numbering_.take_alone(message->lsn, count);
        else if (count > 0)
            numbering_.take(step.message, count);
    } else {
        throw SetupError("recording: it holds prepared transactions by themselves (two_phase)");
    }
    return std::nullopt;
}

}  // namespace walcast
