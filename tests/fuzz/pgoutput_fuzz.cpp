// A whole stream of pgoutput, and its rows as JSON. Bad messages are passed over, as a bad row is
// when it is set aside.

#include "decoders/pgoutput.hpp"
#include "tests/fuzz/messages.hpp"
#include "tests/fuzz/row_check.hpp"

using namespace walcast;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static RowCheck rows;
    PgoutputDecoder decoder;
    for (const auto& message : split_messages(view_of(data, size))) {
        passes<DecodeError>([&] {
            for (const auto& event : decoder.decode(message, Lsn{0x1000})) rows.look_at(event);
        });
    }
    return 0;
}
