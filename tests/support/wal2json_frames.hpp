#pragma once

#include "decoders/event.hpp"
#include "decoders/row_json.hpp"
#include "tests/support/pgoutput_messages.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace walcast {

// Frames of wal2json under the options of agent/replication_stream, from the same rows as
// pgoutput's messages: all values but booleans are strings, large values left alone are left out.

namespace wal2json {

enum class Which : std::uint8_t { all, keys };

inline std::string quoted(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
}

inline std::string value_of(const Column& column, const Cell& cell) {
    if (cell.kind == 'n') return "null";
    if (column.type_oid == 16) return cell.text == "t" ? "true" : "false";
    return wal2json::quoted(cell.text);
}

// The cells that a frame shows, as `write(column, cell, is_first)`.
template <typename Write>
void for_each_shown(const Relation& relation, const Row& row, Which which, Write write) {
    auto is_first = true;
    for (std::size_t i = 0; i < row.size(); ++i) {
        if (row[i].kind == 'u' || (which == Which::keys && !relation.columns[i].is_key)) continue;
        write(relation.columns[i], row[i], std::exchange(is_first, false) ? "" : ",");
    }
}

// Version 2: [{"name":"id","typeoid":23,"value":"7"},...]
inline std::string objects(const Relation& relation, const Row& row, Which which) {
    std::string out = "[";
    for_each_shown(relation, row, which, [&](const Column& column, const Cell& cell, auto comma) {
        out += fmt::format(R"({}{{"name":{},"typeoid":{},"value":{}}})", comma,
                           wal2json::quoted(column.name), column.type_oid, value_of(column, cell));
    });
    return out + ']';
}

// Version 1: "columnnames":["id"],"columntypeoids":[23],"columnvalues":["7"]
inline std::string arrays(std::string_view prefix, const Relation& relation, const Row& row,
                          Which which) {
    std::string names;
    std::string types;
    std::string values;
    for_each_shown(relation, row, which, [&](const Column& column, const Cell& cell, auto comma) {
        names += comma + wal2json::quoted(column.name);
        types += comma + std::to_string(column.type_oid);
        values += comma + value_of(column, cell);
    });
    return fmt::format(R"("{0}names":[{1}],"{0}typeoids":[{2}],"{0}values":[{3}])", prefix, names,
                       types, values);
}

inline std::string begin_frame(int version) {
    if (version == 1)
        return R"({"xid":738,"nextlsn":"0/1030","timestamp":"2024-01-02 03:04:05.123456+00",)"
               R"("change":[)";
    return R"({"action":"B","xid":738,"timestamp":"2024-01-02 03:04:05.123456+00",)"
           R"("lsn":"0/1000","nextlsn":"0/1030"})";
}

// A change: `new_row` is null for a delete, `old_row` for an insert. In version 1 it follows
// another one.
inline std::string change_frame(int version, const Relation& relation, const Row* old_row,
                                const Row* new_row) {
    auto which = relation.replica_identity == 'f' ? Which::all : Which::keys;
    if (version == 1) {
        auto out = fmt::format(R"(,{{"kind":"{}","schema":{},"table":{})",
                               old_row == nullptr   ? "insert"
                               : new_row == nullptr ? "delete"
                                                    : "update",
                               wal2json::quoted(relation.schema), wal2json::quoted(relation.name));
        if (new_row != nullptr) out += ',' + arrays("column", relation, *new_row, Which::all);
        if (old_row != nullptr)
            out += fmt::format(R"(,"oldkeys":{{{}}})", arrays("key", relation, *old_row, which));
        return out + '}';
    }
    auto out =
        fmt::format(R"({{"action":"{}","xid":738,"timestamp":"2024-01-02 03:04:05.123456+00",)"
                    R"("lsn":"0/1000","nextlsn":"0/1030","schema":{},"table":{})",
                    old_row == nullptr   ? 'I'
                    : new_row == nullptr ? 'D'
                                         : 'U',
                    wal2json::quoted(relation.schema), wal2json::quoted(relation.name));
    if (new_row != nullptr) out += ",\"columns\":" + objects(relation, *new_row, Which::all);
    if (old_row != nullptr) out += ",\"identity\":" + objects(relation, *old_row, which);
    return out + '}';
}

// What the catalog would say of the table.
inline TableDescription description_of(const Relation& relation) {
    TableDescription table;
    table.oid = relation.oid;
    table.schema = relation.schema;
    table.name = relation.name;
    table.replica_identity = relation.replica_identity;
    for (const auto& column : relation.columns) {
        TableDescription::Column described;
        static_cast<Column&>(described) = column;
        table.columns.push_back(described);
        if (column.is_key && relation.replica_identity != 'f')
            table.primary_key.push_back(column.name);
    }
    return table;
}

}  // namespace wal2json
}  // namespace walcast
