#pragma once

#include "decoders/event.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// How a value of a type is written as JSON. What is not listed is a string of the server's text.
enum class JsonForm : std::uint8_t {
    string,
    integer,   // A number while |n| < 2^53, which JavaScript keeps exact; otherwise a string.
    numeric,   // A number while 15 significant digits hold it, which a double keeps; or a string.
    floating,  // A number; NaN and the infinities are strings.
    boolean,
    timestamp,    // ISO 8601 without a zone: 2024-01-02T03:04:05.12
    timestamptz,  // ISO 8601 in UTC: 2024-01-02T03:04:05.12Z
    json,         // Embedded as it is.
};

// By the OIDs that all servers share.
JsonForm json_form(std::uint32_t type_oid);

// `text` in quotes; control characters, quotes and backslashes escaped. Expects UTF-8.
void append_json_string(std::string& out, std::string_view text);

// Expects the text that a server prints under the pinned settings of agent/pg_connection.
void append_json_value(std::string& out, JsonForm form, std::string_view text);

// Chosen columns of a relation, ready to be written row after row without looking at names again.
struct RowJson {
    struct Column {
        std::size_t index = 0;  // Into the tuple.
        std::string key;        // `"title":`
        JsonForm form = JsonForm::string;
    };
    std::vector<Column> columns;

    explicit RowJson(const Relation& relation);
    RowJson() = default;
};

// What a row leaves out of its JSON.
struct RowGaps {
    bool has_unchanged = false;  // Large values that the stream does not carry.
    bool has_omitted = false;    // Values above the size limit.
};

// Appends `{"id":7,"title":"x"}`. Unchanged values, and values of more than `value_bytes_max` bytes
// of text, are left out, and said so in the result. Throws DecodeError for a binary value.
RowGaps append_row(std::string& out, const RowJson& row, const Tuple& tuple,
                   std::size_t value_bytes_max);

// Appends the keys that append_row left out for either reason, as a JSON array: `["body"]`.
void append_unchanged_keys(std::string& out, const RowJson& row, const Tuple& tuple);
void append_omitted_keys(std::string& out, const RowJson& row, const Tuple& tuple,
                         std::size_t value_bytes_max);

}  // namespace walcast
