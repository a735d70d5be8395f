#pragma once

#include "decoders/event.hpp"
#include "decoders/json_string.hpp"
#include "decoders/json_type.hpp"
#include "decoders/value_writer.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace walcast {

// Chosen columns of a relation, ready to be written row after row without looking at names again.
struct RowJson {
    struct Column {
        std::size_t index = 0;  // Into the tuple.
        std::string key;        // `"title":`
        const JsonType* type = nullptr;
    };
    std::vector<Column> columns;

    // `types` must outlive it. Throws ValueError when a column's name is not UTF-8.
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

// Appends the keys that append_row left out for either reason, as a JSON array: `["body"]`.
void append_unchanged_keys(std::string& out, const RowJson& row, const Tuple& tuple);
void append_omitted_keys(std::string& out, const RowJson& row, const Tuple& tuple,
                         std::size_t value_bytes_max);

}  // namespace walcast
