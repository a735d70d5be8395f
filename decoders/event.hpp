#pragma once

#include "decoders/lsn.hpp"
#include "decoders/sync_action.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace walcast {

struct Column {
    std::string name;
    std::uint32_t type_oid = 0;
    std::int32_t type_modifier = -1;
    bool is_key = false;  // Part of the replica identity, which need not be the primary key.

    bool operator==(const Column&) const = default;
};

// A table as the stream describes it. Its address stays the same for the life of the decoder.
struct Relation {
    std::uint32_t oid = 0;
    std::string schema;
    std::string name;
    char replica_identity = 'd';  // d default, n nothing, f full, i index
    std::vector<Column> columns;
    // Rises whenever the description changes, so that what was derived from it can be told stale.
    std::uint64_t generation = 0;

    bool is_described_as(const Relation& other) const {
        return oid == other.oid && schema == other.schema && name == other.name &&
               replica_identity == other.replica_identity && columns == other.columns;
    }
};

// What the catalog tells of a table and the stream may not. As of when it was asked, which may be
// later than the place in the stream.
struct TableDescription {
    struct Column : walcast::Column {
        bool is_large = false;      // May be stored out of line, and so be left out of an update.
        bool is_generated = false;  // Virtual: not stored, so that the stream cannot know it.
    };
    std::uint32_t oid = 0;  // 0: there is no such table any more.
    // Of the topmost partitioned table, where the table is a partition.
    std::string schema;
    std::string name;
    char replica_identity = 'd';
    std::vector<Column> columns;  // In the order of the table named above.
    std::vector<std::string> primary_key;
    // Set where it is a partition whose root's replica identity is full and its own is not.
    std::uint32_t full_root_oid = 0;
};

// One column of a row as the stream gives it. `text` is a view into the message being decoded.
struct Value {
    enum class Kind : std::uint8_t { null, unchanged, text, binary };
    Kind kind = Kind::null;  // unchanged: an update left a large value alone
    std::string_view text;
};
using Tuple = std::vector<Value>;  // One value a column, in the relation's order; reused.

struct Begin {
    TransactionInfo transaction;
};

// A table that is new to the decoder, or may have changed: the catalog is to be asked about it and
// its types before its next row is read.
struct Described {
    const Relation* relation = nullptr;
    bool is_known = false;   // Was described before.
    bool tells_all = false;  // But for the order of the primary key, nothing else can change.
    // The message could not be read further without Decoder::learn; give it again after that.
    bool is_incomplete = false;
};

struct Change {
    enum class OldTuple : std::uint8_t { none, key, full };
    Action action = Action::insert;
    const Relation* relation = nullptr;
    // Under `key` only the key columns mean anything; the other values are null and absent.
    OldTuple old_kind = OldTuple::none;
    const Tuple* old_tuple = nullptr;
    const Tuple* new_tuple = nullptr;  // Null for a delete.
};

struct Truncate {
    const std::vector<const Relation*>* relations = nullptr;
};

struct LogicalMessage {
    bool is_transactional = false;
    Lsn lsn;  // The end of its record.
    std::string_view prefix;
    std::string_view content;  // Raw bytes.
};

struct Commit {
    Lsn commit_lsn;
    Lsn end_lsn;  // What to confirm once the transaction is done; never one more.
};

// A step of a prepared transaction, which only a slot made with two_phase sends.
struct TwoPhase {
    enum class Step : std::uint8_t { begin, prepare, commit, rollback };
    Step step = Step::begin;
    std::uint32_t xid = 0;
    Lsn lsn;  // Of the record: prepare, commit; rollback: where the prepare ended.
    Lsn end_lsn;
    std::string_view gid;
};

// Views and pointers are valid until the decoder's next call.
using Event = std::variant<Begin, Change, Truncate, LogicalMessage, Commit, Described, TwoPhase>;

}  // namespace walcast
