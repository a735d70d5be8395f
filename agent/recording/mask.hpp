#pragma once

#include "agent/recording/mask_value.hpp"
#include "decoders/byte_reader.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace walcast {

// Masks the rows in pgoutput messages, and the contents of logical ones. Tables, columns, types,
// transactions and their times stay, as does what is null or unchanged.
class Masker {
public:
    explicit Masker(HashKey key) : values_(key) {}

    // What the catalog tells of types.
    void add_types(const std::vector<TypeDescription>& types) { values_.add_types(types); }

    // Throws DecodeError where a message is not what it should be, before anything unmasked is
    // appended of it.
    void append_masked(std::string& out, std::string_view message);

private:
    void note_relation(ByteReader& in);
    void mask_change(char kind, ByteReader& in, std::string& out);
    void mask_tuple(ByteReader& in, std::string& out, const std::vector<std::uint32_t>& types);
    void mask_logical_message(ByteReader& in, std::string& out);

    ValueMasker values_;
    std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> column_types_;  // Of tables.
};

}  // namespace walcast
