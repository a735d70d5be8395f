#include "decoders/row_json.hpp"

#include <fmt/format.h>

#include <cassert>

namespace walcast {

static std::vector<RowJson::Choice> all_of(const Relation& relation) {
    std::vector<RowJson::Choice> choices;
    for (std::size_t i = 0; i < relation.columns.size(); ++i)
        choices.push_back({.index = i, .name = relation.columns[i].name});
    return choices;
}

RowJson::RowJson(const Relation& relation, const JsonTypes& types)
    : RowJson(relation, types, all_of(relation)) {}

RowJson::RowJson(const Relation& relation, const JsonTypes& types,
                 const std::vector<Choice>& choices) {
    static const JsonType string{};
    for (const auto& [index, name, is_string] : choices) {
        Column column{.index = index,
                      .key = {},
                      .pointer = {},
                      .type = is_string ? &string : &types.of(relation.columns[index].type_oid)};
        std::string pointer = "/";
        for (auto character : name) {
            if (character == '~')
                pointer += "~0";
            else if (character == '/')
                pointer += "~1";
            else
                pointer += character;
        }
        try {
            append_json_string(column.key, name);
            append_json_string(column.pointer, pointer);
        } catch (const ValueError& error) {
            throw ValueError(fmt::format("name of column {}: {}", index + 1, error.what()));
        }
        column.key += ':';
        columns.push_back(std::move(column));
    }
}

static std::string_view quoted_name(const RowJson::Column& column) {
    return std::string_view(column.key).substr(0, column.key.size() - 1);  // Without its colon.
}

static void append_value(std::string& out, const RowJson::Column& column, const Value& value,
                         ValueWriter& writer) try {
    assert(column.type != nullptr);
    if (value.kind == Value::Kind::null)
        out += "null";
    else if (value.kind == Value::Kind::text)
        writer.append(out, *column.type, value.text);
    else
        throw ValueError("came as binary, which was not asked for");
} catch (const ValueError& error) {
    throw ValueError(fmt::format("column {}: {}", quoted_name(column), error.what()));
}

RowGaps append_row(std::string& out, const RowJson& row, const Tuple& tuple,
                   std::size_t value_bytes_max, ValueWriter& writer) {
    RowGaps gaps;
    out += '{';
    auto is_first = true;
    for (const auto& column : row.columns) {
        const auto& value = tuple[column.index];
        if (value.kind == Value::Kind::unchanged) {
            gaps.has_unchanged = true;
            continue;
        }
        if (value.text.size() > value_bytes_max) {
            gaps.has_omitted = true;
            continue;
        }
        if (!is_first) out += ',';
        is_first = false;
        out += column.key;
        append_value(out, column, value, writer);
    }
    out += '}';
    return gaps;
}

// Appends what `append_column` makes of each column that changed, or may have.
template <typename AppendColumn>
static void append_changed(std::string& out, const RowJson& row, const RowUpdate& update,
                           AppendColumn append_column) {
    auto is_first = true;
    for (const auto& column : row.columns) {
        const auto& before = update.before[column.index];
        const auto& after = update.after[column.index];
        if (after.kind == Value::Kind::unchanged) continue;
        auto is_same = before.kind == after.kind && before.text == after.text;
        auto is_known = before.kind != Value::Kind::null || !update.is_null_unknown;
        if (is_same && is_known) continue;
        if (!is_first) out += ',';
        is_first = false;
        append_column(column, after);
    }
}

void append_delta(std::string& out, const RowJson& row, const RowUpdate& update,
                  ValueWriter& writer) {
    out += '{';
    append_changed(out, row, update, [&](const RowJson::Column& column, const Value& value) {
        out += column.key;
        append_value(out, column, value, writer);
    });
    out += '}';
}

void append_patch(std::string& out, const RowJson& row, const RowUpdate& update,
                  ValueWriter& writer) {
    out += '[';
    append_changed(out, row, update, [&](const RowJson::Column& column, const Value& value) {
        out += R"({"op":"add","path":)";
        out += column.pointer;
        out += ",\"value\":";
        append_value(out, column, value, writer);
        out += '}';
    });
    out += ']';
}

template <typename IsListed>
static void append_keys(std::string& out, const RowJson& row, const Tuple& tuple,
                        IsListed is_listed) {
    out += '[';
    auto is_first = true;
    for (const auto& column : row.columns) {
        if (!is_listed(tuple[column.index])) continue;
        if (!is_first) out += ',';
        is_first = false;
        out += quoted_name(column);
    }
    out += ']';
}

void append_unchanged_keys(std::string& out, const RowJson& row, const Tuple& tuple) {
    append_keys(out, row, tuple,
                [](const Value& value) { return value.kind == Value::Kind::unchanged; });
}

void append_omitted_keys(std::string& out, const RowJson& row, const Tuple& tuple,
                         std::size_t value_bytes_max) {
    append_keys(out, row, tuple,
                [=](const Value& value) { return value.text.size() > value_bytes_max; });
}

}  // namespace walcast
