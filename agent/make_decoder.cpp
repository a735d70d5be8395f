#include "agent/make_decoder.hpp"

#include "decoders/pgoutput.hpp"
#include "decoders/wal2json.hpp"

namespace walcast {

std::unique_ptr<Decoder> make_decoder(Plugin plugin, unsigned format_version) {
    if (plugin == Plugin::pgoutput) return std::make_unique<PgoutputDecoder>();
    using Format = Wal2jsonDecoder::Format;
    return std::make_unique<Wal2jsonDecoder>(format_version == 1 ? Format::v1 : Format::v2);
}

}  // namespace walcast
