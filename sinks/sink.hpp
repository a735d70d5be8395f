#pragma once

#include "decoders/sync_action.hpp"
#include "sinks/awaitable.hpp"

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace walcast {

// The part of a transaction that is done, when it was too large for one batch.
struct PartialTransaction {
    Lsn commit_lsn;
    std::uint32_t xid = 0;
    std::uint64_t changes = 0;  // Its first so many changes,
    std::uint64_t hash = 0;     // whose bytes hash to this.

    bool operator==(const PartialTransaction&) const = default;
};

// How far a sink has got.
struct Position {
    std::string epoch;
    SyncId sync_id = 0;
    Lsn lsn;  // All that ends at or below it is done.
    std::optional<PartialTransaction> partial;
    // The last whole transaction that took ids, by which the server is known again: one restored
    // from a backup may have written others in its place. With xid 0: none since the
    // epoch began at that LSN.
    std::optional<TransactionInfo> last = std::nullopt;

    bool operator==(const Position&) const = default;
};

// Which stream a position belongs to.
struct Source {
    std::string system_id;
    std::uint32_t timeline = 0;
    std::string slot;
    std::string
        fingerprint;  // Of plugin, options and publications: what decides the changes' order.
};

// What a sink remembers from before.
struct Stored {
    Position position;
    Source source;
    std::string rules = {};  // As the last batch that had some wrote them.
};

// One message: consecutive sync actions of one transaction for one set of channels; or an event; or
// that there is nothing more of a transaction; or a reset; or a row that could not be written, for
// the operator.
struct Message {
    enum class Kind : std::uint8_t { sync, event, progress, reset, dead_letter };
    Kind kind = Kind::sync;
    SyncId last_sync_id = 0;
    TransactionInfo transaction;
    // Parts of the batch. A reset has no channels: it goes to the control channel. A dead letter
    // has none either, and is not published.
    std::uint32_t channels_begin = 0;
    std::uint32_t channels_end = 0;
    // sync: the actions, comma-separated; event, reset: its own fields; dead letter: table,
    // commit LSN, xid and reason, a line each, then the raw bytes.
    std::size_t body_begin = 0;
    std::size_t body_end = 0;
    // What the transaction said of itself, as fields, each after a comma.
    std::size_t annotations_begin = 0;
    std::size_t annotations_end = 0;
    // sync: the same actions one by one, if outputs want that.
    std::uint32_t actions_begin = 0;
    std::uint32_t actions_end = 0;
};

// Messages that a sink commits in one step, and the position that they lead to. All text is in
// `bytes`, so that a batch is used again without allocating.
struct Batch {
    struct Slice {
        std::size_t begin = 0;
        std::size_t end = 0;
    };
    // What has become of a mutation. Kept for whoever asks by its id.
    struct Receipt {
        Slice mutation_id;       // As its key names it,
        Slice mutation_id_json;  // and as JSON.
        bool is_rejected = false;
        SyncId last_sync_id = 0;  // All of it is at or below.
        Slice reason = {};        // JSON; empty: none.
    };
    // What an action is made of.
    struct Action {
        SyncId sync_id = 0;
        unsigned ordinal = 0;  // Among those that one change gave this id.
        walcast::Action action = walcast::Action::insert;
        DataKind data_kind = DataKind::full;
        Slice model = {};
        Slice id = {};
        Slice data = {};  // These may be empty.
        Slice unchanged = {};
        Slice omitted = {};
        Slice key = {};      // Of `extras`: the id columns as the data has them,
        Slice reverse = {};  // and what takes the change back.
    };
    Position before;
    Position after;
    std::vector<Message> messages;
    std::vector<Slice> channels;
    std::vector<Receipt> receipts;
    std::vector<Action> actions;
    // Channels that heard of the transaction before the part that is sent now, where outputs want
    // to know.
    std::vector<Slice> missed;
    std::string bytes;
    std::string extras;
    std::string rules;  // What routes from here on; empty: as before.

    std::string_view text(std::size_t begin, std::size_t end) const {
        return std::string_view(bytes).substr(begin, end - begin);
    }
    std::string_view text(Slice slice) const { return text(slice.begin, slice.end); }
    void clear() {
        messages.clear();
        channels.clear();
        receipts.clear();
        actions.clear();
        missed.clear();
        bytes.clear();
        extras.clear();
        rules.clear();
    }
};

// A connection lost or a reply that refuses. The session waits and begins again.
struct SinkError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Another owner has taken over: this one must stop.
struct Fenced : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Where messages go, and who remembers how far they got. Nothing here retries or has a time limit.
class Sink {
public:
    virtual ~Sink() = default;

    // Connects and reads what is stored, changing nothing.
    virtual asio::awaitable<std::optional<Stored>> connect() = 0;

    // Shuts out any earlier owner, and says what is stored once none can write.
    virtual asio::awaitable<std::optional<Stored>> take_over() = 0;

    // Notes which stream the position goes on from now, and tells subscribers that the agent is up.
    // True when what is stored is as durable as was asked for; `accepted` tells later otherwise.
    virtual asio::awaitable<bool> adopt(Source source) = 0;

    // Tells subscribers that the agent goes, in good order.
    virtual asio::awaitable<void> leave() = 0;

    // Continuity is lost: a new epoch at `position`, every history dropped and begun anew with a
    // reset. Returns the position with its id raised to the largest in any history. Interrupted, it
    // is finished by the next `take_over`.
    virtual asio::awaitable<Position> begin_epoch(Position position, Source source,
                                                  std::string reason) = 0;

    // Sends all of the batch, in order, and its position: one atomic step, for which `accepted`
    // waits. The batch may change once this returns.
    virtual asio::awaitable<void> send(const Batch& batch) = 0;

    // Waits until the oldest batch sent is in; true when it is, with all before it, as durable as
    // was asked for. If it is not, a later one may be, if need be an empty one, which leads from a
    // position to the same. Throws SinkError when refused or unsure: the next `take_over` tells
    // which. Throws Fenced when another owner has taken over.
    virtual asio::awaitable<bool> accepted() = 0;
};

}  // namespace walcast
