// A frame of the replication stream.

#include "decoders/byte_reader.hpp"
#include "decoders/stream_message.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace walcast;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto frame = view_of(data, size);
    passes<DecodeError>([&] {
        auto message = read_stream_message(frame);
        if (const auto* wal = std::get_if<WalData>(&message)) {
            require(wal->payload == frame.substr(25), "the payload is all after the header");
            return;
        }
        const auto& keepalive = std::get<Keepalive>(message);
        require(size == 18, "nothing follows a keepalive");
        auto status = write_standby_status({.received = keepalive.wal_end,
                                            .confirmed = keepalive.wal_end,
                                            .now = Timestamp{postgres_epoch}});
        auto lsn = frame.substr(1, 8);
        std::string_view written(status.data(), status.size());
        require(written.substr(1, 8) == lsn && written.substr(9, 8) == lsn,
                "an LSN is written as it was read");
    });
    return 0;
}
