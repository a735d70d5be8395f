#include "agent/explain/explanation_view.hpp"

#include "agent/colours.hpp"
#include "agent/harmless.hpp"
#include "decoders/json_string.hpp"
#include "decoders/utf8.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>

namespace walcast {

// --- for a reader ---

// Lines of harmless text.
class ExplanationView::Text {
public:
    explicit Text(Colours colours) : is_coloured_(colours == Colours::ansi) {}

    Text& add(std::string_view text, std::string_view colour = {}) {
        auto is_painted = is_coloured_ && !colour.empty();
        if (is_painted) out_ += colour;
        append_harmless(out_, text);
        if (is_painted) out_ += reset_colour;
        return *this;
    }
    Text& line() {
        out_ += '\n';
        return *this;
    }
    std::string take() { return std::move(out_); }

    void add_change(const ExplainedChange& change);
    void add_rule(const Explanation::OfRule& rule);
    void add_messages(const std::vector<Explanation::Message>& messages);
    void add_channel_messages(const Explanation& explanation, const std::string& channel,
                              std::string_view mark, std::string_view colour);

private:
    std::string out_;
    bool is_coloured_;
};

void ExplanationView::Text::add_change(const ExplainedChange& change) {
    if (change.xid != 0) add(fmt::format("#{} xid {} ", change.sync_id, change.xid), dim);
    add(change.action, bold).add(" ").add(change.table, bold).line();
    for (const auto& note : change.notes) add("    note: ").add(note).line();
}

void ExplanationView::Text::add_rule(const Explanation::OfRule& rule) {
    auto outcome = rule.is_unroutable
                       ? (rule.sent.empty() ? "unroutable" : "published, in part unroutable")
                       : (rule.sent.empty() ? "nothing" : "published");
    auto colour = rule.is_unroutable ? red : rule.sent.empty() ? yellow : green;
    add(rule.rule->place_of("table")).add(" ").add(rule.rule->table).add(" as ").add(rule.model);
    add(": ").add(outcome, colour).line();
    for (const auto& why : rule.why) add("    ").add(why).line();
    for (const auto& sent : rule.sent) {
        add("    ").add(name_of(sent.action), green).add(" ").add(sent.model_id);
        add(fmt::format(" #{} to {}", sent.sync_id, fmt::join(sent.channels, ", "))).line();
    }
}

void ExplanationView::Text::add_messages(const std::vector<Explanation::Message>& messages) {
    for (const auto& message : messages) {
        add(fmt::format("{}", fmt::join(message.channels, ", ")), cyan).line();
        add("    ").add(message.bytes).line();
    }
}

void ExplanationView::Text::add_channel_messages(const Explanation& explanation,
                                                 const std::string& channel, std::string_view mark,
                                                 std::string_view colour) {
    for (const auto& message : explanation.messages) {
        const auto& channels = message.channels;
        if (std::find(channels.begin(), channels.end(), channel) == channels.end()) continue;
        add(mark, colour).add(" ").add(channel, cyan).add(" ").add(message.bytes).line();
    }
}

// --- for a program ---

namespace {

// Values of the command line or of a table's names may be anything.
void append_text(std::string& out, std::string_view text) {
    append_json_string(out, text.substr(0, first_not_utf8(text)));
}

void append_texts(std::string& out, const std::vector<std::string>& texts) {
    out += '[';
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (i > 0) out += ',';
        append_text(out, texts[i]);
    }
    out += ']';
}

class Object {
public:
    explicit Object(std::string& out) : out_(out) { out_ += '{'; }

    std::string& key(std::string_view name) {
        if (!is_first_) out_ += ',';
        is_first_ = false;
        out_ += fmt::format("\"{}\":", name);
        return out_;
    }
    void text(std::string_view name, std::string_view value) { append_text(key(name), value); }
    void texts(std::string_view name, const std::vector<std::string>& values) {
        append_texts(key(name), values);
    }
    void number(std::string_view name, std::uint64_t value) { key(name) += fmt::to_string(value); }
    void boolean(std::string_view name, bool value) { key(name) += value ? "true" : "false"; }
    template <typename Items, typename Append>
    void list(std::string_view name, const Items& items, Append append) {
        auto& out = key(name);
        out += '[';
        auto is_first = true;
        for (const auto& item : items) {
            if (!is_first) out += ',';
            is_first = false;
            append(out, item);
        }
        out += ']';
    }
    void end() { out_ += '}'; }

private:
    std::string& out_;
    bool is_first_ = true;
};

void append_change(Object& object, const ExplainedChange& change) {
    object.text("action", change.action);
    object.text("table", change.table);
    object.number("syncId", change.sync_id);
    if (change.xid != 0) object.number("xid", change.xid);
    if (!change.notes.empty()) object.texts("notes", change.notes);
}

void append_sent(std::string& out, const Explanation::Sent& sent) {
    Object object(out);
    object.text("action", name_of(sent.action));
    object.number("syncId", sent.sync_id);
    object.key("modelId") += sent.model_id;
    object.texts("channels", sent.channels);
    object.end();
}

void append_rule(std::string& out, const Explanation::OfRule& rule) {
    Object object(out);
    object.text("rule", rule.rule->place_of("table"));
    object.text("table", rule.rule->table);
    object.text("model", rule.model);
    object.boolean("unroutable", rule.is_unroutable);
    object.texts("why", rule.why);
    object.list("sent", rule.sent, append_sent);
    object.end();
}

void append_told_message(std::string& out, const Explanation::Message& message) {
    Object object(out);
    object.texts("channels", message.channels);
    object.text("bytes", message.bytes);
    object.end();
}

void append_explanation(Object& object, const Explanation& explanation) {
    object.list("rules", explanation.rules, append_rule);
    if (!explanation.why_none.empty()) object.text("whyNone", explanation.why_none);
    if (!explanation.failure.empty()) object.text("failure", explanation.failure);
    object.list("messages", explanation.messages, append_told_message);
}

void append_side(Object& object, std::string_view name, std::string_view file,
                 const Explanation& explanation) {
    Object side(object.key(name));
    side.text("config", file);
    append_explanation(side, explanation);
    side.end();
}

}  // namespace

// --- one change ---

std::string ExplanationView::show(const ExplainedChange& change,
                                  const Explanation& explanation) const {
    if (form_ == Form::json) {
        std::string out;
        Object object(out);
        append_change(object, change);
        append_explanation(object, explanation);
        object.end();
        return out + '\n';
    }
    Text text(colours_);
    text.add_change(change);
    if (!explanation.why_none.empty()) text.add(explanation.why_none, yellow).line();
    for (const auto& rule : explanation.rules) text.add_rule(rule);
    if (!explanation.failure.empty()) text.add(explanation.failure, red).line();
    text.add_messages(explanation.messages);
    return text.take();
}

std::string ExplanationView::show_placeholders(bool is_recorded) const {
    if (form_ == Form::json) return {};
    Text text(colours_);
    text.add(is_recorded
                 ? "prevSyncId stands for the id of the message before on that channel"
                 : "ids count from 1; epoch, prevSyncId, lsn, xid and commitTime stand for what "
                   "only the agent knows",
             dim);
    return text.line().take();
}

// --- two rule files ---

std::string ExplanationView::show(const ExplainedChange& change, const Explanation& before,
                                  const Explanation& after, std::string_view before_file,
                                  std::string_view after_file) const {
    auto found = difference(before, after);
    if (form_ == Form::json) {
        std::string out;
        Object object(out);
        append_change(object, change);
        object.boolean("differs", !found.is_none());
        object.texts("gained", found.gained);
        object.texts("lost", found.lost);
        object.texts("changed", found.changed);
        append_side(object, "before", before_file, before);
        append_side(object, "after", after_file, after);
        object.end();
        return out + '\n';
    }
    Text text(colours_);
    text.add_change(change);
    if (found.is_none()) return text.add("    same").line().take();
    for (const auto& channel : found.lost) text.add_channel_messages(before, channel, "-", red);
    for (const auto& channel : found.gained) text.add_channel_messages(after, channel, "+", green);
    for (const auto& channel : found.changed) {
        text.add_channel_messages(before, channel, "-", red);
        text.add_channel_messages(after, channel, "+", green);
    }
    for (const auto* side : {&before, &after}) {
        text.add(side == &before ? before_file : after_file, bold).line();
        if (!side->why_none.empty()) text.add("    ").add(side->why_none).line();
        for (const auto& rule : side->rules) text.add_rule(rule);
        if (!side->failure.empty()) text.add("    ").add(side->failure, red).line();
    }
    return text.take();
}

std::string ExplanationView::show_summary(std::uint64_t same, std::uint64_t other) const {
    if (form_ == Form::json)
        return fmt::format("{{\"changes\":{},\"same\":{},\"differ\":{}}}\n", same + other, same,
                           other);
    auto changes = same + other;
    return fmt::format("{} {}: {} same, {} {}\n", changes, changes == 1 ? "change" : "changes",
                       same, other, other == 1 ? "differs" : "differ");
}

// --- a sync id ---

std::vector<std::string> possible_rules(const std::vector<Rule>& rules, std::string_view model,
                                        std::string_view channel) {
    std::vector<std::string> possible;
    for (const auto& rule : rules) {
        auto table = rule.table.substr(rule.table.find('.') + 1);
        auto is_model = rule.model.empty()
                            ? fnmatch(table.c_str(), std::string(model).c_str(), 0) == 0
                            : rule.model == model;
        if (!is_model) continue;
        for (std::size_t i = 0; i < rule.channels.size(); ++i)
            if (rule.channels[i].can_make(channel))
                possible.push_back(fmt::format("{} {}, channel \"{}\"",
                                               rule.place_of(fmt::format("channels.{}", i)),
                                               rule.table, rule.channels[i].text));
    }
    return possible;
}

static std::string why_not_found(SyncId id, const FoundId& found) {
    if (!found.reached) return "Redis has no position under this prefix: no agent has begun";
    const auto& [epoch, reached, floor] = *found.reached;
    if (id > reached)
        return fmt::format("the agent has not got so far: its position is {} in epoch {}", reached,
                           epoch);
    if (found.is_first_of_update)
        return fmt::format(
            "{} is an update, which takes two ids: {} is its first, which only a "
            "removal bears",
            id + 1, id);
    std::string why = "no rule routed that change, or it is the first of the two ids of an update";
    if (id <= floor)
        why = fmt::format(
                  "it is not above the floor, {}: its history may have grown old and been "
                  "removed, or it is of an epoch before {}; or ",
                  floor, epoch) +
              why;
    return why + "; or its history has been trimmed since ([redis] history)";
}

std::string ExplanationView::show(SyncId id, const FoundId& found, const std::vector<Rule>& rules,
                                  std::string_view control) const {
    auto rules_of = [&](const FoundId::Message& message, const FoundAction& action) {
        if (message.channel == control) return std::vector<std::string>{};
        return possible_rules(rules, action.model, message.channel);
    };
    if (form_ == Form::json) {
        std::string out;
        Object object(out);
        object.number("syncId", id);
        if (found.messages.empty()) object.text("whyNone", why_not_found(id, found));
        object.list("messages", found.messages, [&](std::string& to, const auto& message) {
            Object one(to);
            one.text("channel", message.channel);
            one.text("epoch", message.epoch);
            one.number("prevSyncId", message.prev_sync_id);
            one.number("lastSyncId", message.last_sync_id);
            one.list("actions", message.actions, [&](std::string& in, const FoundAction& action) {
                Object each(in);
                if (!action.action.empty()) each.text("action", action.action);
                if (!action.model.empty()) each.text("modelName", action.model);
                if (!action.action.empty()) each.text("modelId", action.model_id);
                each.texts("rules", rules_of(message, action));
                each.end();
            });
            one.text("bytes", message.bytes);
            one.end();
        });
        object.end();
        return out + '\n';
    }
    Text text(colours_);
    if (found.messages.empty())
        text.add(fmt::format("no message with id {} is in history: ", id), yellow)
            .add(why_not_found(id, found))
            .line();
    for (const auto& message : found.messages) {
        text.add(message.channel, cyan);
        text.add(fmt::format(" epoch {} after {} up to {}", message.epoch, message.prev_sync_id,
                             message.last_sync_id));
        text.line();
        for (const auto& action : message.actions) {
            text.add("    ").add(action.action.empty() ? message.type : action.action, green);
            text.add(" ").add(action.model.empty() ? "of everything" : action.model);
            if (!action.action.empty()) text.add(" ").add(action.model_id);
            text.line();
            if (message.reason == "bad_row")
                text.add("    the row itself is among the dead letters").line();
            auto possible = rules_of(message, action);
            for (const auto& rule : possible) text.add("    by ").add(rule).line();
            if (possible.empty() && message.channel != control)
                text.add("    no rule as it stands now makes this: it has changed since").line();
        }
        text.add("    ").add(message.bytes).line();
    }
    return text.take();
}

}  // namespace walcast
