#pragma once

#include "decoders/event.hpp"

#include <cstdint>
#include <string>
#include <utility>

namespace walcast {

// Types that tests use, by their OIDs.
namespace type {
inline constexpr std::uint32_t boolean = 16;
inline constexpr std::uint32_t int8 = 20;
inline constexpr std::uint32_t int4 = 23;
inline constexpr std::uint32_t text = 25;
inline constexpr std::uint32_t json = 114;
inline constexpr std::uint32_t float8 = 701;
inline constexpr std::uint32_t timestamp = 1114;
inline constexpr std::uint32_t timestamptz = 1184;
inline constexpr std::uint32_t numeric = 1700;
inline constexpr std::uint32_t jsonb = 3802;
}  // namespace type

// A table: `relation_of("todos").key("id").column("title")`.
class RelationBuilder {
public:
    explicit RelationBuilder(std::string name) {
        relation_.oid = 16400;
        relation_.schema = "public";
        relation_.name = std::move(name);
        relation_.generation = 1;
    }

    RelationBuilder& key(std::string name, std::uint32_t type_oid = type::int4) {
        relation_.columns.push_back(
            {.name = std::move(name), .type_oid = type_oid, .is_key = true});
        return *this;
    }
    RelationBuilder& column(std::string name, std::uint32_t type_oid = type::text) {
        relation_.columns.push_back({.name = std::move(name), .type_oid = type_oid});
        return *this;
    }
    RelationBuilder& oid(std::uint32_t oid) {
        relation_.oid = oid;
        return *this;
    }
    RelationBuilder& schema(std::string schema) {
        relation_.schema = std::move(schema);
        return *this;
    }
    RelationBuilder& generation(std::uint64_t generation) {
        relation_.generation = generation;
        return *this;
    }
    // REPLICA IDENTITY FULL: every column is flagged, and old rows are whole.
    RelationBuilder& full_identity() {
        relation_.replica_identity = 'f';
        for (auto& column : relation_.columns) column.is_key = true;
        return *this;
    }

    operator Relation() const { return relation_; }  // NOLINT(google-explicit-constructor)

private:
    Relation relation_;
};

inline RelationBuilder relation_of(std::string name) {
    return RelationBuilder(std::move(name));
}

}  // namespace walcast
