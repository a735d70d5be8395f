#pragma once

#include "decoders/decoder.hpp"

#include <memory>

namespace walcast {

// wal2json, format versions 1 (in chunks) and 2, to the same events as pgoutput
// (reference: https://github.com/eulerto/wal2json; docs/wal2json.md says what the formats lack).
// The options it expects are in agent/replication_stream.
class Wal2jsonDecoder final : public Decoder {
public:
    enum class Format { v1, v2 };

    explicit Wal2jsonDecoder(Format format);
    ~Wal2jsonDecoder() override;

    std::span<const Event> decode(std::string_view message, Lsn start) override;
    void learn(const TableDescription& table) override;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace walcast
