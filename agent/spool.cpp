#include "agent/spool.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace walcast {

static constexpr std::size_t tail_max = 16 * 1024;  // Many transactions may be open at once.
static constexpr std::size_t read_ahead = 256 * 1024;
static constexpr std::size_t length_bytes = sizeof(std::uint32_t);

[[noreturn]] static void fail(const std::string& directory, std::string_view attempted, int error) {
    throw SpoolError(
        fmt::format("spool: {} in {}: {}", attempted, directory, std::strerror(error)));
}

Spool::Spool(Settings settings) : settings_(std::move(settings)) {}

Spool::~Spool() {
    while (!transactions_.empty()) drop(transactions_.begin()->first);
}

Spool::Transaction& Spool::open(std::uint32_t xid) {
    auto found = transactions_.find(xid);
    if (found != transactions_.end()) return found->second;
    auto file = ::open(settings_.directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        // A file system without nameless files, as overlays on some are: the name goes at once.
        auto name = settings_.directory + "/walcast-spool-XXXXXX";
        file = ::mkostemp(name.data(), O_CLOEXEC);
        if (file >= 0) ::unlink(name.c_str());
    }
    if (file < 0) fail(settings_.directory, "open a file", errno);
    auto& transaction = transactions_[xid];
    transaction.file = file;
    transaction.tail.reserve(tail_max);
    return transaction;
}

void Spool::append(std::uint32_t xid, std::uint32_t subxid, char kind, std::string_view body) {
    auto& transaction = open(xid);
    auto begin = transaction.written + transaction.tail.size();
    if (subxid != xid) {
        auto& known = transaction.subtransactions;
        auto at = std::lower_bound(
            known.begin(), known.end(), subxid,
            [](const Subtransaction& one, std::uint32_t other) { return one.xid < other; });
        if (at == known.end() || at->xid != subxid) known.insert(at, {subxid, begin});
    }
    auto length = static_cast<std::uint32_t>(body.size() + 1);
    std::array<char, length_bytes + 1> head{};
    std::memcpy(head.data(), &length, length_bytes);
    head[length_bytes] = kind;
    auto is_full = transaction.tail.size() + head.size() + body.size() > tail_max;
    if (is_full) write_tail(transaction);
    transaction.tail.append(head.data(), head.size());
    transaction.tail += body;
    bytes_ += head.size() + body.size();
    if (bytes_ > settings_.bytes_max)
        throw SpoolError(fmt::format(
            "spool: transactions in progress need more than [source] spool size, {} bytes",
            settings_.bytes_max));
    if (transaction.tail.size() >= tail_max) write_tail(transaction);
}

void Spool::write_tail(Transaction& transaction) {
    std::string_view left = transaction.tail;
    while (!left.empty()) {
        auto count = ::pwrite(transaction.file, left.data(), left.size(),
                              static_cast<off_t>(transaction.written));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) fail(settings_.directory, "write", errno);
        transaction.written += static_cast<std::uint64_t>(count);
        left.remove_prefix(static_cast<std::size_t>(count));
    }
    transaction.tail.clear();
    if (transaction.tail.capacity() <= 2 * tail_max) return;
    transaction.tail = {};  // A giant row's.
    transaction.tail.reserve(tail_max);
}

void Spool::truncate(Transaction& transaction, std::uint64_t size) {
    bytes_ -= transaction.written + transaction.tail.size() - size;
    if (size >= transaction.written) {
        transaction.tail.resize(static_cast<std::size_t>(size - transaction.written));
        return;
    }
    transaction.tail.clear();
    transaction.written = size;
    if (::ftruncate(transaction.file, static_cast<off_t>(size)) != 0)
        fail(settings_.directory, "truncate", errno);
}

void Spool::abort(std::uint32_t xid, std::uint32_t subxid) {
    if (subxid == xid) return drop(xid);
    auto found = transactions_.find(xid);
    if (found == transactions_.end()) return;
    auto& known = found->second.subtransactions;
    auto at = std::find_if(known.rbegin(), known.rend(),
                           [&](const Subtransaction& one) { return one.xid <= subxid; });
    if (at == known.rend() || at->xid != subxid) return;
    auto begin = at->begin;
    truncate(found->second, begin);
    // Whatever began after it was within it. Its children have larger xids, so they stand at the
    // end.
    while (!known.empty() && known.back().begin >= begin) known.pop_back();
}

void Spool::drop(std::uint32_t xid) {
    auto found = transactions_.find(xid);
    if (found == transactions_.end()) return;
    bytes_ -= found->second.written + found->second.tail.size();
    ::close(found->second.file);
    transactions_.erase(found);
}

// --- reading ---

Spool::Reader Spool::read(std::uint32_t xid) {
    static const Transaction nothing;
    auto found = transactions_.find(xid);
    return {found == transactions_.end() ? nothing : found->second, settings_.directory};
}

bool Spool::Reader::next(std::string_view& message) {
    if (at_ == buffer_.size() && read_ == from_->written + from_->tail.size()) return false;
    fill(length_bytes);
    std::uint32_t length = 0;
    std::memcpy(&length, buffer_.data() + at_, length_bytes);
    fill(length_bytes + length);
    message = std::string_view(buffer_).substr(at_ + length_bytes, length);
    at_ += length_bytes + length;
    return true;
}

// Has so many bytes ready from at_ on.
void Spool::Reader::fill(std::size_t bytes) {
    if (buffer_.size() - at_ >= bytes) return;
    if (buffer_.capacity() > 4 * read_ahead && bytes <= read_ahead)
        buffer_ = buffer_.substr(at_);  // A giant row's buffer is not kept.
    else
        buffer_.erase(0, at_);
    at_ = 0;
    auto wanted = std::max(bytes, read_ahead);
    while (buffer_.size() < wanted && read_ < from_->written) {
        auto have = buffer_.size();
        auto count = std::min<std::uint64_t>(wanted - have, from_->written - read_);
        buffer_.resize(have + static_cast<std::size_t>(count));
        auto got = ::pread(from_->file, buffer_.data() + have, static_cast<std::size_t>(count),
                           static_cast<off_t>(read_));
        auto error = errno;
        buffer_.resize(have + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (got < 0 && error == EINTR) continue;
        if (got < 0) fail(directory_, "read", error);
        if (got == 0) throw SpoolError(fmt::format("spool: a file in {} is cut short", directory_));
        read_ += static_cast<std::uint64_t>(got);
    }
    if (buffer_.size() < bytes && read_ >= from_->written) {
        buffer_.append(from_->tail, static_cast<std::size_t>(read_ - from_->written));
        read_ = from_->written + from_->tail.size();
    }
}

}  // namespace walcast
