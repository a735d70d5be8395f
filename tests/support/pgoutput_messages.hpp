#pragma once

#include "decoders/event.hpp"
#include "tests/support/bytes.hpp"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// pgoutput messages, protocol version 1, as a server writes them.

// One column of a tuple on the wire.
struct Cell {
    char kind = 'n';
    std::string text{};

    bool operator==(const Cell&) const = default;
};
inline Cell text(std::string value) {
    return {'t', std::move(value)};
}
inline const Cell null{'n'};
inline const Cell unchanged{'u'};
using Row = std::vector<Cell>;

inline void append_tuple(Bytes& out, const Row& row) {
    out.u16(static_cast<std::uint16_t>(row.size()));
    for (const auto& cell : row) {
        out.kind(cell.kind);
        if (cell.kind == 't' || cell.kind == 'b')
            out.u32(static_cast<std::uint32_t>(cell.text.size())).raw(cell.text);
    }
}

inline std::string begin_message(Lsn final_lsn = Lsn{0x1000}, std::uint32_t xid = 738) {
    return Bytes().kind('B').u64(final_lsn.value).u64(0).u32(xid).str();
}

inline std::string commit_message(Lsn commit_lsn = Lsn{0x1000}, Lsn end_lsn = Lsn{0x1030}) {
    return Bytes().kind('C').u8(0).u64(commit_lsn.value).u64(end_lsn.value).u64(0).str();
}

inline std::string relation_message(const Relation& relation) {
    Bytes out;
    out.kind('R').u32(relation.oid).string(relation.schema).string(relation.name);
    out.kind(relation.replica_identity);
    out.u16(static_cast<std::uint16_t>(relation.columns.size()));
    for (const auto& column : relation.columns)
        out.u8(column.is_key ? 1 : 0)
            .string(column.name)
            .u32(column.type_oid)
            .u32(static_cast<std::uint32_t>(column.type_modifier));
    return out.str();
}

inline std::string insert_message(std::uint32_t oid, const Row& row) {
    Bytes out;
    out.kind('I').u32(oid).kind('N');
    append_tuple(out, row);
    return out.str();
}

inline std::string update_message(std::uint32_t oid, const Row& row) {
    Bytes out;
    out.kind('U').u32(oid).kind('N');
    append_tuple(out, row);
    return out.str();
}

// `old_kind` is K or O.
inline std::string update_message(std::uint32_t oid, char old_kind, const Row& old_row,
                                  const Row& row) {
    Bytes out;
    out.kind('U').u32(oid).kind(old_kind);
    append_tuple(out, old_row);
    out.kind('N');
    append_tuple(out, row);
    return out.str();
}

inline std::string delete_message(std::uint32_t oid, char old_kind, const Row& old_row) {
    Bytes out;
    out.kind('D').u32(oid).kind(old_kind);
    append_tuple(out, old_row);
    return out.str();
}

inline std::string truncate_message(std::initializer_list<std::uint32_t> oids,
                                    std::uint8_t flags = 0) {
    Bytes out;
    out.kind('T').u32(static_cast<std::uint32_t>(oids.size())).u8(flags);
    for (auto oid : oids) out.u32(oid);
    return out.str();
}

enum class Placement : std::uint8_t { alone = 0, in_transaction = 1 };

inline std::string logical_message(Placement placement, Lsn lsn, std::string_view prefix,
                                   std::string_view content) {
    return Bytes()
        .kind('M')
        .u8(static_cast<std::uint8_t>(placement))
        .u64(lsn.value)
        .string(prefix)
        .u32(static_cast<std::uint32_t>(content.size()))
        .raw(content)
        .str();
}

inline std::string origin_message(Lsn lsn, std::string_view name) {
    return Bytes().kind('O').u64(lsn.value).string(name).str();
}

inline std::string type_message(std::uint32_t oid, std::string_view schema, std::string_view name) {
    return Bytes().kind('Y').u32(oid).string(schema).string(name).str();
}

}  // namespace walcast
