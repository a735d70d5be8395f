#include "decoders/stream_message.hpp"

#include <fmt/format.h>

namespace walcast {

StreamMessage read_stream_message(std::string_view frame) {
    ByteReader in(frame, "stream frame");
    switch (in.u8()) {
        case 'w': {
            WalData data;
            data.start = in.lsn();
            in.u64();  // walEnd
            in.u64();  // sendTime
            data.payload = in.rest();
            return data;
        }
        case 'k': {
            Keepalive keepalive;
            keepalive.wal_end = in.lsn();
            in.u64();  // sendTime
            keepalive.is_reply_requested = in.u8() != 0;
            in.expect_end();
            return keepalive;
        }
        default:
            in.fail(fmt::format("unknown kind 0x{:02x}", static_cast<unsigned char>(frame[0])));
    }
}

Timestamp read_timestamp(ByteReader& in) {
    // Unsigned, so that a hostile value wraps instead of being undefined.
    auto since_1970 = in.u64() + static_cast<std::uint64_t>(postgres_epoch.count());
    return Timestamp{std::chrono::microseconds{static_cast<std::int64_t>(since_1970)}};
}

// Byte1('r') Int64(write) Int64(flush) Int64(apply) Int64(clock) Byte1(reply now).
std::array<char, 34> write_standby_status(const StandbyStatus& status) {
    std::array<char, 34> bytes{};
    auto* at = bytes.data();
    auto put = [&](std::uint64_t value) {
        for (auto shift = 64U; shift > 0; shift -= 8)
            *at++ = static_cast<char>(value >> (shift - 8));
    };
    *at++ = 'r';
    put(status.received.value);
    put(status.confirmed.value);
    put(status.confirmed.value);
    put(static_cast<std::uint64_t>((status.now.time_since_epoch() - postgres_epoch).count()));
    *at = static_cast<char>(status.is_reply_requested);
    return bytes;
}

}  // namespace walcast
