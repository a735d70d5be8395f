#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// The disk does not take what must be kept. Nothing is lost: the server still has it.
struct SpoolError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A transaction that came in parts holds what can be taken only of a whole one.
struct NeedsWhole : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Keeps the messages of transactions in progress until they commit or abort: in temporary files
// without a name, so that nothing is left behind whatever ends the process. A transaction costs its
// write buffer and 16 bytes for each subtransaction in memory.
class Spool {
public:
    struct Settings {
        std::string directory = "/var/tmp";
        std::uint64_t bytes_max = 8ULL << 30U;  // Of all files together.
    };

    explicit Spool(Settings settings);
    ~Spool();
    Spool(const Spool&) = delete;
    Spool& operator=(const Spool&) = delete;

    // Appends a message of transaction `xid`, made within its subtransaction `subxid`. Throws
    // SpoolError.
    void append(std::uint32_t xid, std::uint32_t subxid, char kind, std::string_view body);

    // Takes the first message of `subxid` and all after it back; a transaction or subtransaction
    // that was never seen has none.
    void abort(std::uint32_t xid, std::uint32_t subxid);

    // Reads a transaction's messages in order; one at a time.
    class Reader;
    Reader read(std::uint32_t xid);

    // The transaction is done with.
    void drop(std::uint32_t xid);

    std::uint64_t bytes() const { return bytes_; }  // Of messages kept.

private:
    struct Subtransaction {
        std::uint32_t xid = 0;
        std::uint64_t begin = 0;  // Of its first message.
    };
    struct Transaction {
        int file = -1;
        std::uint64_t written = 0;                    // Bytes in the file;
        std::string tail;                             // and those that follow.
        std::vector<Subtransaction> subtransactions;  // By xid.
    };

    Transaction& open(std::uint32_t xid);
    void write_tail(Transaction& transaction);
    void truncate(Transaction& transaction, std::uint64_t size);

    Settings settings_;
    std::map<std::uint32_t, Transaction> transactions_;
    std::uint64_t bytes_ = 0;
};

class Spool::Reader {
public:
    // The next message, valid until the next call; nothing at the end. Throws SpoolError.
    bool next(std::string_view& message);

private:
    friend Spool;
    Reader(const Transaction& from, const std::string& directory)
        : from_(&from), directory_(directory) {}
    void fill(std::size_t bytes);

    const Transaction* from_;
    const std::string& directory_;
    std::uint64_t read_ = 0;  // Bytes of the transaction taken into the buffer.
    std::string buffer_;
    std::size_t at_ = 0;  // In the buffer.
};

}  // namespace walcast
