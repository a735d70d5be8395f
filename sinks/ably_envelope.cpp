#include "sinks/ably_envelope.hpp"

#include "sinks/json_text.hpp"

#include <fmt/format.h>

#include <iterator>

namespace walcast {

static constexpr std::string_view mutation_header = "x-ably-models-event-uuid";
static constexpr std::string_view reject_header = "x-ably-models-reject";

std::string mistake_of_name(std::string_view name) {
    if (name.empty()) return "a name is never empty";
    for (std::size_t at = 0; (at = name.find_first_of("{}", at)) != std::string_view::npos;) {
        auto length = std::size_t{0};
        for (std::string_view known : {"{model}", "{action}", "{id}"})
            if (name.substr(at).starts_with(known)) length = known.size();
        if (length == 0) return "in braces there are {model}, {action} and {id}";
        at += length;
    }
    return {};
}

AblyEnvelope::AblyEnvelope(OutputSettings output) : output_(std::move(output)) {
    using Kind = NamePart::Kind;
    auto rest = std::string_view(output_.name);
    while (!rest.empty()) {
        auto literal = rest.substr(0, rest.find('{'));
        if (!literal.empty()) {
            std::string text;
            append_quoted(text, literal);
            name_.push_back({Kind::literal, std::string(bare(text))});
        }
        rest.remove_prefix(literal.size());
        auto word = rest.substr(0, rest.empty() ? 0 : rest.find('}') + 1);
        if (word == "{model}") name_.push_back({Kind::model, {}});
        if (word == "{action}") name_.push_back({Kind::action, {}});
        if (word == "{id}") name_.push_back({Kind::id, {}});
        rest.remove_prefix(word.size());
    }
}

// A patch and a delta are merged otherwise than a row: they bear another name.
static std::string_view word_of(const ActionView& action) {
    switch (action.data_kind) {
        case DataKind::full: return name_of(action.action);
        case DataKind::delta: return "changed";
        case DataKind::patch: return "patched";
    }
    return "";
}

void AblyEnvelope::append_name(std::string& out, const ActionView& action) const {
    out += '"';
    for (const auto& part : name_) {
        switch (part.kind) {
            case NamePart::Kind::literal: out += part.text; break;
            case NamePart::Kind::model: out += bare(action.model); break;
            case NamePart::Kind::action: out += word_of(action); break;
            case NamePart::Kind::id: out += bare(action.id); break;
        }
    }
    out += '"';
}

// Without this header the SDK skips a message.
static void append_extras(std::string& out, const ChannelMessage& message, SyncId sync_id,
                          std::string_view given) {
    using namespace std::chrono;
    fmt::format_to(std::back_inserter(out), R"(,"timestamp":{},"extras":{{"headers":{{"{}":)",
                   floor<milliseconds>(message.commit_time).time_since_epoch().count(),
                   mutation_header);
    auto mutation = json_member(message.annotations, "mutationId");
    if (mutation.empty()) mutation = given;
    if (mutation.starts_with('"'))
        out += mutation;
    else
        fmt::format_to(std::back_inserter(out), "\"sync:{}\"", sync_id);
}

static void append_list_header(std::string& out, std::string_view name, std::string_view list) {
    if (list.empty()) return;
    fmt::format_to(std::back_inserter(out), ",\"{}\":", name);
    append_quoted(out, list);
}

void AblyEnvelope::wrap_action(const ChannelMessage& message, const ActionView& action,
                               Published& out) const {
    auto& text = out.add(output_, message.channel);
    fmt::format_to(std::back_inserter(text), R"({{"id":"{}","name":)", action.sync_id);
    append_name(text, action);
    text += ",\"data\":";
    if (action.action == Action::remove) {
        text += action.key;
    } else if (action.data_kind == DataKind::delta) {
        text += action.key.substr(0, action.key.size() - 1);
        text += ",\"changes\":";
        text += action.data;
        text += '}';
    } else {
        text += action.data;
    }
    append_extras(text, message, action.sync_id, {});
    append_list_header(text, "x-walcast-unchanged", action.unchanged);
    append_list_header(text, "x-walcast-omitted", action.omitted);
    text += "}}}";
}

void AblyEnvelope::wrap_event(const ChannelMessage& message, Published& out) const {
    // The SDK compares ids as numbers: decimal digits, below 2^53.
    auto sequence_id = json_member(message.event, "sequenceId");
    if (output_.has_sequence_ids && sequence_id.empty()) return;
    auto id = fmt::format("\"{}\"", message.last_sync_id);
    auto& text = out.add(output_, message.channel);
    text += "{\"id\":";
    text += output_.has_sequence_ids ? sequence_id : id;
    if (auto name = json_member(message.event, "name"); !name.empty()) {
        text += ",\"name\":";
        text += name;
    }
    auto data = json_member(message.event, "data");
    text += ",\"data\":";
    text += data.empty() ? "null" : data;
    auto headers = json_member(message.event, "headers");
    append_extras(text, message, message.last_sync_id, json_member(headers, mutation_header));
    if (json_member(message.event, "rejected") == "true")
        fmt::format_to(std::back_inserter(text), ",\"{}\":\"true\"", reject_header);
    for (JsonMembers members(headers); members.next();) {
        if (members.name() == mutation_header || members.name() == reject_header) continue;
        fmt::format_to(std::back_inserter(text), ",\"{}\":{}", members.name(), members.value());
    }
    text += "}}}";
}

void AblyEnvelope::wrap(const ChannelMessage& message, Published& out) {
    if (!output_.has_sequence_ids)
        for (const auto& action : message.actions) wrap_action(message, action, out);
    if (message.kind == ChannelMessage::Kind::event) wrap_event(message, out);
}

}  // namespace walcast
