#pragma once

#include "decoders/byte_reader.hpp"
#include "decoders/event.hpp"

#include <span>
#include <string_view>

namespace walcast {

// Reads what one output plugin writes. It remembers relations, so each stream has its own decoder.
class Decoder {
public:
    virtual ~Decoder() = default;

    // The events in `message`: often one, sometimes none. Valid until the next call, as `message`
    // must be. `start` is the LSN that the frame bears. Throws DecodeError.
    virtual std::span<const Event> decode(std::string_view message, Lsn start) = 0;

    // What the catalog says of the relation of the last Described event.
    virtual void learn(const TableDescription& /*table*/) {}
};

}  // namespace walcast
