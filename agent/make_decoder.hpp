#pragma once

#include "agent/config.hpp"
#include "decoders/decoder.hpp"

#include <memory>

namespace walcast {

// What reads a plugin's messages; `format_version` is that of wal2json.
std::unique_ptr<Decoder> make_decoder(Plugin plugin, unsigned format_version);

}  // namespace walcast
