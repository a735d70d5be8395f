#include "agent/outbox.hpp"

#include "agent/annotation.hpp"
#include "decoders/json_string.hpp"

#include <optional>
#include <string_view>

namespace walcast {

using Field = TableRule::Outbox::Column;

// Nothing where the column is missing or null.
static std::optional<std::string_view> text_of(const std::optional<Field>& column,
                                               const Tuple& row) {
    if (!column || row[column->index].kind != Value::Kind::text) return std::nullopt;
    return row[column->index].text;
}

// Columns of json or jsonb as they are, others as strings.
static std::string json_of(const Field& column, std::string_view text) {
    std::string json;
    if (column.type->form == JsonForm::json)
        append_json(json, text);
    else
        append_json_string(json, text);
    return json;
}

static std::string string_of(std::string_view text) {
    std::string json;
    append_json_string(json, text);
    return json;
}

PublishedEvent outbox_event(const TableRule::Outbox& outbox, const Tuple& row) {
    if (!outbox.misfit.empty()) throw ValueError(outbox.misfit);
    PublishedEvent event;
    if (auto channel = text_of(outbox.channel, row)) {
        expect_channel(*channel);
        event.channels.emplace_back(*channel);
    }
    if (auto id = text_of(outbox.mutation_id, row)) {
        expect_mutation_id(*id);
        event.mutation_id = *id;
    }
    if (auto id = text_of(outbox.sequence_id, row)) event.add_field("sequenceId", string_of(*id));
    if (auto name = text_of(outbox.name, row)) event.add_field("name", string_of(*name));
    if (auto data = text_of(outbox.data, row))
        event.add_field("data", json_of(*outbox.data, *data));
    if (auto reason = text_of(outbox.reason, row)) {
        event.reason_json = string_of(*reason);
        event.add_field("reason", event.reason_json);
    }
    if (auto headers = text_of(outbox.headers, row)) {
        auto json = json_of(*outbox.headers, *headers);
        if (json[json.find_first_not_of(" \t\r\n")] != '{')
            throw ValueError("headers is not a JSON object");
        event.add_field("headers", json);
    }
    auto rejected = text_of(outbox.rejected, row);
    event.is_rejected = rejected == "t" || rejected == "true";
    if (event.is_rejected) event.add_field("rejected", "true");
    return event;
}

}  // namespace walcast
