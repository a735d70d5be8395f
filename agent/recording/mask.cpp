#include "agent/recording/mask.hpp"

#include <fmt/format.h>

namespace walcast {

static void put(std::string& out, std::uint64_t value, unsigned bytes) {
    while (bytes-- > 0) out += static_cast<char>(value >> (8 * bytes));
}

void Masker::append_masked(std::string& out, std::string_view message) {
    ByteReader in(message, "pgoutput message to be masked");
    switch (in.u8()) {
        case 'I':
        case 'U':
        case 'D': return mask_change(message[0], in, out);
        case 'M': return mask_logical_message(in, out);
        case 'R': note_relation(in); break;
        case 'B':
        case 'C':
        case 'O':
        case 'Y':
        case 'T':
        case 'A': break;
        default: in.fail("of a kind that may hold anything");
    }
    out += message;
}

void Masker::note_relation(ByteReader& in) {
    auto& types = column_types_[in.u32()];
    types.clear();
    in.string();
    in.string();
    in.u8();
    for (auto count = in.u16(); count > 0; --count) {
        in.u8();
        in.string();
        types.push_back(in.u32());
        in.u32();
    }
}

void Masker::mask_change(char kind, ByteReader& in, std::string& out) {
    auto oid = in.u32();
    auto found = column_types_.find(oid);
    if (found == column_types_.end()) in.fail(fmt::format("relation {} was never described", oid));
    std::string masked(1, kind);
    put(masked, oid, 4);
    while (!in.at_end()) {
        masked += static_cast<char>(in.u8());  // K, O or N.
        mask_tuple(in, masked, found->second);
    }
    out += masked;
}

void Masker::mask_tuple(ByteReader& in, std::string& out, const std::vector<std::uint32_t>& types) {
    auto count = in.u16();
    if (count != types.size()) in.fail("another number of columns than its table");
    put(out, count, 2);
    for (auto type : types) {
        auto kind = in.u8();
        out += static_cast<char>(kind);
        if (kind == 'n' || kind == 'u') continue;
        if (kind != 't') in.fail("a value that is not text");
        auto masked = values_.mask(type, in.bytes(in.u32()));
        put(out, masked.size(), 4);
        out += masked;
    }
}

// What is meant for walcast keeps its own members' names.
void Masker::mask_logical_message(ByteReader& in, std::string& out) {
    auto flags = in.u8();
    auto lsn = in.lsn();
    auto prefix = in.string();
    auto content = in.bytes(in.u32());
    in.expect_end();
    auto masked = values_.mask_content(content, prefix.starts_with("walcast"));
    out += 'M';
    put(out, flags, 1);
    put(out, lsn.value, 8);
    out += prefix;
    out += '\0';
    put(out, masked.size(), 4);
    out += masked;
}

}  // namespace walcast
