// A stream of pgoutput with transactions in progress, which are kept and decoded at their commit.

#include "decoders/pgoutput.hpp"
#include "decoders/pgoutput_streaming.hpp"
#include "tests/fuzz/messages.hpp"
#include "tests/fuzz/row_check.hpp"

#include <map>

using namespace walcast;

namespace {

class Stream {
public:
    explicit Stream(RowCheck& rows) : rows_(rows) {}

    void take(std::string_view message) {
        auto sorted = streaming_.sort(message);
        if (const auto* part = std::get_if<PgoutputStreaming::Part>(&sorted))
            kept_[part->xid].push_back(part->kind + std::string(part->body));
        else if (const auto* abort = std::get_if<PgoutputStreaming::Abort>(&sorted))
            kept_.erase(abort->xid);
        else if (const auto* commit = std::get_if<PgoutputStreaming::Commit>(&sorted))
            replay(*commit);
        else if (std::holds_alternative<PgoutputStreaming::Whole>(sorted))
            decode(message);
    }

private:
    void replay(const PgoutputStreaming::Commit& commit) {
        auto messages = kept_.extract(commit.transaction.xid);
        if (messages.empty()) return;
        decode(commit.begin_message());
        for (const auto& message : messages.mapped()) passes<DecodeError>([&] { decode(message); });
        decode(commit.commit_message());
    }

    void decode(std::string_view message) {
        for (const auto& event : decoder_.decode(message, Lsn{0x1000})) rows_.look_at(event);
    }

    RowCheck& rows_;
    PgoutputStreaming streaming_;
    PgoutputDecoder decoder_;
    std::map<std::uint32_t, std::vector<std::string>> kept_;
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static RowCheck rows;
    Stream stream(rows);
    for (const auto& message : split_messages(view_of(data, size)))
        passes<DecodeError>([&] { stream.take(message); });
    return 0;
}
