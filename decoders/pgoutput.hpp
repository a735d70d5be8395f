#pragma once

#include "decoders/decoder.hpp"

#include <memory>
#include <unordered_map>

namespace walcast {

// pgoutput, whole transactions ("Logical Replication Message Formats" in the PostgreSQL manual):
// protocol version 1, and the two-phase messages of version 3. Those of transactions in progress,
// versions 2 and 4, go through PgoutputStreaming first.
class PgoutputDecoder final : public Decoder {
public:
    std::span<const Event> decode(std::string_view message, Lsn start = {}) override;

private:
    void begin(ByteReader& in);
    void commit(ByteReader& in);
    void two_phase(ByteReader& in, char kind);
    bool relation(ByteReader& in);
    void insert(ByteReader& in);
    void update(ByteReader& in);
    void remove(ByteReader& in);
    void truncate(ByteReader& in);
    void logical_message(ByteReader& in);

    const Relation& find_relation(ByteReader& in);
    void read_tuple(ByteReader& in, const Relation& of, Tuple& tuple) const;
    void expect_transaction(const ByteReader& in) const;
    std::span<const Event> yield() { return {&event_, 1}; }

    std::unordered_map<std::uint32_t, std::unique_ptr<Relation>> relations_;
    const Relation* last_relation_ = nullptr;  // Rows of one table come in series.
    std::uint64_t generations_ = 0;
    enum class State { outside, in_transaction, in_prepared };
    State state_ = State::outside;
    Lsn final_lsn_;  // What Begin or Begin Prepare announced.
    Tuple old_tuple_;
    Tuple new_tuple_;
    std::vector<const Relation*> truncated_;
    Event event_;
};

}  // namespace walcast
