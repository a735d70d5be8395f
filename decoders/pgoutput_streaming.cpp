#include "decoders/pgoutput_streaming.hpp"

#include "decoders/stream_message.hpp"

#include <fmt/format.h>

namespace walcast {

PgoutputStreaming::Sorted PgoutputStreaming::sort(std::string_view message) {
    auto kind = message.empty() ? '\0' : message[0];
    ByteReader in(message, "pgoutput streaming message");
    if (is_in_block_ && kind != 'E') return sort_part(in, kind);
    switch (kind) {
        case 'S':  // Int32(xid) Int8(1 for its first block).
            in.u8();
            xid_ = in.u32();
            in.u8();
            in.expect_end();
            is_in_block_ = true;
            return Boundary{};
        case 'E':
            in.u8();
            in.expect_end();
            if (!is_in_block_) in.fail("a block ends that did not begin");
            is_in_block_ = false;
            return Boundary{};
        case 'A': {  // Int32(xid) Int32(subxid), and under `parallel` Int64(LSN) Int64(time).
            in.u8();
            Abort abort;
            abort.xid = in.u32();
            abort.subxid = in.u32();
            if (!in.at_end()) {
                in.lsn();
                in.u64();
            }
            in.expect_end();
            if (abort.xid == abort.subxid) in_progress_.erase(abort.xid);
            return abort;
        }
        case 'c': {  // Int32(xid) Int8(flags) Int64(commit LSN) Int64(end LSN) Int64(time).
            in.u8();
            Commit commit;
            commit.transaction.xid = in.u32();
            in.u8();
            commit.transaction.commit_lsn = in.lsn();
            commit.end_lsn = in.lsn();
            commit.transaction.commit_time = read_timestamp(in);
            in.expect_end();
            settle(commit);
            return commit;
        }
        case 'p': in.u8(); in.fail("Stream Prepare: only a slot made with two_phase sends it");
        case 'R': note_relation(message); return Whole{};
        default: return Whole{};
    }
}

PgoutputStreaming::Sorted PgoutputStreaming::sort_part(ByteReader& in, char kind) {
    in.u8();
    Part part{.xid = xid_, .subxid = xid_, .kind = kind, .body = {}};
    switch (kind) {
        case 'R':
        case 'Y':
        case 'I':
        case 'U':
        case 'D':
        case 'T': part.subxid = in.u32(); break;
        // Bears the transaction's xid even in a subtransaction.
        case 'M':
            if (in.u32() != xid_) in.fail("of another transaction than its block");
            break;
        case 'O': break;  // Without an xid.
        default: in.fail(fmt::format("kind 0x{:02x} inside a block", kind));
    }
    part.body = in.rest();
    if (kind == 'R') note_relation(kind + std::string(part.body));
    return part;
}

void PgoutputStreaming::note_relation(std::string_view message) {
    ByteReader in(message, "pgoutput Relation");
    in.u8();
    auto& relations = is_in_block_ ? in_progress_[xid_] : settled_;
    relations[in.u32()] = {.order = ++order_, .message = std::string(message)};
}

// What a transaction in progress holds may be older than what came of others meanwhile.
void PgoutputStreaming::settle(Commit& commit) {
    auto found = in_progress_.find(commit.transaction.xid);
    if (found == in_progress_.end()) return;
    for (auto& [oid, described] : found->second) {
        auto& settled = settled_[oid];
        if (settled.order > described.order)
            commit.newer_relations.push_back(settled.message);
        else
            settled = std::move(described);
    }
    in_progress_.erase(found);
}

static void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
    for (auto shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
        out += static_cast<char>(value >> static_cast<unsigned>(shift));
}

static std::uint64_t since_2000(Timestamp time) {
    return static_cast<std::uint64_t>(time.time_since_epoch().count()) -
           static_cast<std::uint64_t>(postgres_epoch.count());
}

std::string PgoutputStreaming::Commit::begin_message() const {
    std::string out = "B";
    append_big_endian(out, transaction.commit_lsn.value, 8);
    append_big_endian(out, since_2000(transaction.commit_time), 8);
    append_big_endian(out, transaction.xid, 4);
    return out;
}

std::string PgoutputStreaming::Commit::commit_message() const {
    std::string out = "C";
    append_big_endian(out, 0, 1);
    append_big_endian(out, transaction.commit_lsn.value, 8);
    append_big_endian(out, end_lsn.value, 8);
    append_big_endian(out, since_2000(transaction.commit_time), 8);
    return out;
}

}  // namespace walcast
