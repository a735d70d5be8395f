#pragma once

#include "decoders/event.hpp"
#include "decoders/json_string.hpp"
#include "decoders/json_type.hpp"
#include "decoders/value_writer.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// Chosen columns of a relation, ready to be written row after row without looking at names again.
struct RowJson {
    struct Column {
        std::size_t index = 0;  // Into the tuple.
        std::string key;        // `"title":`
        std::string pointer;    // `"/title"`, its JSON pointer (RFC 6901)
        const JsonType* type = nullptr;
    };
    std::vector<Column> columns;

    // One of the columns to choose, and what it is called in the data.
    struct Choice {
        std::size_t index = 0;
        std::string_view name;
        bool is_string = false;  // A JSON string of the server's text, whatever its type.
    };
    // `types` must outlive it. Throws ValueError when a column's name is not UTF-8.
    RowJson(const Relation& relation, const JsonTypes& types, const std::vector<Choice>& choices);
    // All columns, under their own names.
    RowJson(const Relation& relation, const JsonTypes& types);
    RowJson() = default;
};

// What a row leaves out of its JSON.
struct RowGaps {
    bool has_unchanged = false;  // Large values that the stream does not carry.
    bool has_omitted = false;    // Values above the size limit.
};

// Appends `{"id":7,"title":"x"}`. Unchanged values, and values of more than `value_bytes_max` bytes
// of text, are left out, and said so in the result. Throws ValueError, naming the column.
RowGaps append_row(std::string& out, const RowJson& row, const Tuple& tuple,
                   std::size_t value_bytes_max, ValueWriter& writer);

// The row before and after an update, of which the one before is known whole but for values that
// are null where `is_null_unknown`.
struct RowUpdate {
    const Tuple& before;
    const Tuple& after;
    bool is_null_unknown = false;
};

// Appends the columns that changed: `{"title":"x"}`. Throws ValueError, naming the column.
void append_delta(std::string& out, const RowJson& row, const RowUpdate& update,
                  ValueWriter& writer);

// Appends the same as a JSON Patch (RFC 6902): `[{"op":"add","path":"/title","value":"x"}]`. Of an
// object `add` replaces what is there, and also does for a column that the reader's copy lacks.
void append_patch(std::string& out, const RowJson& row, const RowUpdate& update,
                  ValueWriter& writer);

// Appends the keys that append_row left out for either reason, as a JSON array: `["body"]`.
void append_unchanged_keys(std::string& out, const RowJson& row, const Tuple& tuple);
void append_omitted_keys(std::string& out, const RowJson& row, const Tuple& tuple,
                         std::size_t value_bytes_max);

}  // namespace walcast
