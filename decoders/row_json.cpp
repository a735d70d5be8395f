#include "decoders/row_json.hpp"

#include <fmt/format.h>

#include <cassert>

namespace walcast {

RowJson::RowJson(const Relation& relation, const JsonTypes& types) {
    for (std::size_t i = 0; i < relation.columns.size(); ++i) {
        const auto& of = relation.columns[i];
        Column column{.index = i, .key = {}, .type = &types.of(of.type_oid)};
        try {
            append_json_string(column.key, of.name);
        } catch (const ValueError& error) {
            throw ValueError(fmt::format("name of column {}: {}", i + 1, error.what()));
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
    out += column.key;
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
        append_value(out, column, value, writer);
    }
    out += '}';
    return gaps;
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
