#include "decoders/pgoutput.hpp"

#include "decoders/json_type.hpp"
#include "decoders/stream_message.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace walcast {

static const char* name_of_message(char kind) {
    switch (kind) {
        case 'B': return "pgoutput Begin";
        case 'C': return "pgoutput Commit";
        case 'O': return "pgoutput Origin";
        case 'R': return "pgoutput Relation";
        case 'Y': return "pgoutput Type";
        case 'I': return "pgoutput Insert";
        case 'U': return "pgoutput Update";
        case 'D': return "pgoutput Delete";
        case 'T': return "pgoutput Truncate";
        case 'M': return "pgoutput Message";
        case 'b':
        case 'P':
        case 'K':
        case 'r': return "pgoutput two-phase message";
        case 'S':
        case 'E':
        case 'c':
        case 'A':
        case 'p': return "pgoutput streaming message";
        default: return "pgoutput message";
    }
}

std::span<const Event> PgoutputDecoder::decode(std::string_view message, Lsn /*start*/) {
    ByteReader in(message, message.empty() ? "pgoutput message" : name_of_message(message[0]));
    switch (auto kind = in.u8()) {
        case 'I': insert(in); return yield();
        case 'U': update(in); return yield();
        case 'D': remove(in); return yield();
        case 'B': begin(in); return yield();
        case 'C': commit(in); return yield();
        case 'T': truncate(in); return yield();
        case 'M': logical_message(in); return yield();
        case 'R': return relation(in) ? yield() : std::span<const Event>{};
        case 'O':  // Int64(LSN of the commit on the origin) String(name): where a change first came
                   // from.
            expect_transaction(in);
            in.lsn();
            in.string();
            in.expect_end();
            return {};
        case 'Y':  // Int32(type) String(namespace) String(name): values come as text, whatever
                   // their type.
            expect_transaction(in);
            in.u32();
            in.string();
            in.string();
            in.expect_end();
            return {};
        case 'b':
        case 'P':
        case 'K':
        case 'r': two_phase(in, static_cast<char>(kind)); return yield();
        case 'A':  // Int32(xid) Int32(subxid): void is what was sent in progress, and that is
                   // nothing. PostgreSQL 18 has been seen to send it all the same.
            if (state_ != State::outside) in.fail("inside a transaction");
            in.u64();
            in.expect_end();
            return {};
        case 'S':
        case 'E':
        case 'c':
        case 'p': in.fail("of a transaction in progress, which was not asked for");
        default: in.fail(fmt::format("unknown kind 0x{:02x}", kind));
    }
}

void PgoutputDecoder::expect_transaction(const ByteReader& in) const {
    if (state_ == State::outside) in.fail("outside a transaction");
}

// Int64(final LSN) Int64(commit time) Int32(xid).
void PgoutputDecoder::begin(ByteReader& in) {
    if (state_ != State::outside) in.fail("inside a transaction");
    TransactionInfo transaction;
    transaction.commit_lsn = in.lsn();
    transaction.commit_time = read_timestamp(in);
    transaction.xid = in.u32();
    in.expect_end();
    state_ = State::in_transaction;
    final_lsn_ = transaction.commit_lsn;
    event_ = Begin{transaction};
}

// Int8(flags) Int64(commit LSN) Int64(end LSN) Int64(commit time).
void PgoutputDecoder::commit(ByteReader& in) {
    if (state_ != State::in_transaction) in.fail("outside a transaction");
    Commit commit;
    in.u8();
    commit.commit_lsn = in.lsn();
    commit.end_lsn = in.lsn();
    in.u64();
    in.expect_end();
    if (commit.commit_lsn != final_lsn_)
        in.fail(fmt::format("commits {} but {} began", commit.commit_lsn, final_lsn_));
    if (commit.end_lsn <= commit.commit_lsn) in.fail("ends before its commit record");
    state_ = State::outside;
    event_ = commit;
}

// Begin Prepare:     Int64(prepare LSN) Int64(end LSN) Int64(time) Int32(xid) String(gid).
// Prepare:           the same after Int8(flags).
// Commit Prepared:   Int8(flags) Int64(commit LSN) Int64(end LSN) Int64(time) Int32(xid)
//                    String(gid).
// Rollback Prepared: Int8(flags) Int64(end LSN of the prepare) Int64(end LSN) Int64(time of the
//                    prepare) Int64(time) Int32(xid) String(gid).
void PgoutputDecoder::two_phase(ByteReader& in, char kind) {
    TwoPhase step;
    auto is_prepare = kind == 'P';
    if (is_prepare != (state_ == State::in_prepared) || state_ == State::in_transaction)
        in.fail(is_prepare ? "outside a prepared transaction" : "inside a transaction");
    if (kind != 'b') in.u8();
    step.lsn = in.lsn();
    step.end_lsn = in.lsn();
    in.u64();
    if (kind == 'r') in.u64();
    step.xid = in.u32();
    step.gid = in.string();
    in.expect_end();
    switch (kind) {
        case 'b': step.step = TwoPhase::Step::begin; break;
        case 'P': step.step = TwoPhase::Step::prepare; break;
        case 'K': step.step = TwoPhase::Step::commit; break;
        default: step.step = TwoPhase::Step::rollback; break;
    }
    if (is_prepare && step.lsn != final_lsn_)
        in.fail(fmt::format("prepares {} but {} began", step.lsn, final_lsn_));
    if (kind == 'b') final_lsn_ = step.lsn;
    state_ = kind == 'b' ? State::in_prepared : State::outside;
    event_ = step;
}

// Otherwise a table may change without a difference in its description: what its types are made
// of, and under full identity its primary key.
static bool tells_all(const Relation& relation) {
    return relation.replica_identity != 'f' &&
           std::all_of(relation.columns.begin(), relation.columns.end(),
                       [](const Column& column) { return column.type_oid < first_catalog_oid; });
}

// Int32(oid) String(schema) String(name) Int8(replica identity) Int16(columns), then for each
// column Int8(flags) String(name) Int32(type) Int32(type modifier). False when nothing is new.
bool PgoutputDecoder::relation(ByteReader& in) {
    expect_transaction(in);
    Relation found;
    found.oid = in.u32();
    found.schema = in.string();
    if (found.schema.empty()) found.schema = "pg_catalog";
    found.name = in.string();
    found.replica_identity = static_cast<char>(in.u8());
    auto column_count = in.u16();
    if (column_count > 1600) in.fail("more columns than a table can have");
    found.columns.reserve(column_count);
    for (auto i = 0; i < column_count; ++i) {
        Column column;
        column.is_key = (in.u8() & 1U) != 0;
        column.name = in.string();
        column.type_oid = in.u32();
        column.type_modifier = static_cast<std::int32_t>(in.u32());
        found.columns.push_back(std::move(column));
    }
    in.expect_end();

    auto& kept = relations_[found.oid];
    if (!kept) kept = std::make_unique<Relation>();
    // Sent again after VACUUM, GRANT and the like; only a real difference makes a new generation.
    auto is_same = kept->generation != 0 && kept->is_described_as(found);
    event_ = Described{
        .relation = kept.get(), .is_known = kept->generation != 0, .tells_all = tells_all(found)};
    if (is_same) return !tells_all(found);
    found.generation = ++generations_;
    *kept = std::move(found);
    return true;
}

const Relation& PgoutputDecoder::find_relation(ByteReader& in) {
    auto oid = in.u32();
    if (last_relation_ != nullptr && last_relation_->oid == oid) return *last_relation_;
    auto found = relations_.find(oid);
    if (found == relations_.end()) in.fail(fmt::format("relation {} was never described", oid));
    last_relation_ = found->second.get();
    return *last_relation_;
}

// Int16(columns), then for each column Byte1(kind) and, for text and binary, Int32(length) bytes.
void PgoutputDecoder::read_tuple(ByteReader& in, const Relation& of, Tuple& tuple) const {
    auto count = in.u16();
    if (count != of.columns.size())
        in.fail(fmt::format("{} values for the {} columns of {}.{}", count, of.columns.size(),
                            of.schema, of.name));
    tuple.resize(count);
    for (auto& value : tuple) {
        switch (auto kind = in.u8()) {
            case 'n': value = {Value::Kind::null, {}}; break;
            case 'u': value = {Value::Kind::unchanged, {}}; break;
            case 't': value = {Value::Kind::text, in.bytes(in.u32())}; break;
            case 'b': value = {Value::Kind::binary, in.bytes(in.u32())}; break;
            default:
                in.fail(
                    fmt::format("unknown value kind 0x{:02x} in column {} of {}.{}", kind,
                                of.columns[static_cast<std::size_t>(&value - tuple.data())].name,
                                of.schema, of.name));
        }
    }
}

// Int32(relation) Byte1('N') tuple.
void PgoutputDecoder::insert(ByteReader& in) {
    expect_transaction(in);
    const auto& of = find_relation(in);
    if (in.u8() != 'N') in.fail("no new row");
    read_tuple(in, of, new_tuple_);
    in.expect_end();
    event_ = Change{.action = Action::insert, .relation = &of, .new_tuple = &new_tuple_};
}

// Int32(relation), then perhaps Byte1('K' or 'O') tuple, then Byte1('N') tuple.
void PgoutputDecoder::update(ByteReader& in) {
    expect_transaction(in);
    Change change{
        .action = Action::update, .relation = &find_relation(in), .new_tuple = &new_tuple_};
    auto part = in.u8();
    if (part == 'K' || part == 'O') {
        read_tuple(in, *change.relation, old_tuple_);
        change.old_kind = part == 'K' ? Change::OldTuple::key : Change::OldTuple::full;
        change.old_tuple = &old_tuple_;
        part = in.u8();
    }
    if (part != 'N') in.fail("no new row");
    read_tuple(in, *change.relation, new_tuple_);
    in.expect_end();
    // A large value that the update left alone may still be known: from the key, or the full old
    // row.
    if (change.old_tuple != nullptr) {
        for (std::size_t i = 0; i < new_tuple_.size(); ++i) {
            auto is_carried =
                change.old_kind == Change::OldTuple::full || change.relation->columns[i].is_key;
            // A partition that logs only its key leaves the rest of the old row null, though its
            // root promises it all: a large value is never null.
            auto is_known = is_carried && old_tuple_[i].kind != Value::Kind::null;
            if (new_tuple_[i].kind == Value::Kind::unchanged && is_known)
                new_tuple_[i] = old_tuple_[i];
        }
    }
    event_ = change;
}

// Int32(relation) Byte1('K' or 'O') tuple.
void PgoutputDecoder::remove(ByteReader& in) {
    expect_transaction(in);
    Change change{.action = Action::remove, .relation = &find_relation(in)};
    auto part = in.u8();
    if (part != 'K' && part != 'O') in.fail("no old row");
    change.old_kind = part == 'K' ? Change::OldTuple::key : Change::OldTuple::full;
    read_tuple(in, *change.relation, old_tuple_);
    in.expect_end();
    change.old_tuple = &old_tuple_;
    event_ = change;
}

// Int32(relations) Int8(1 cascade, 2 restart identity) Int32(relation)...
void PgoutputDecoder::truncate(ByteReader& in) {
    expect_transaction(in);
    auto count = in.u32();
    in.u8();
    if (in.left() != std::size_t{count} * 4) in.fail(fmt::format("{} relations announced", count));
    truncated_.clear();
    for (std::uint32_t i = 0; i < count; ++i) truncated_.push_back(&find_relation(in));
    event_ = Truncate{.relations = &truncated_};
}

// Int8(1 transactional) Int64(LSN) String(prefix) Int32(length) bytes.
void PgoutputDecoder::logical_message(ByteReader& in) {
    LogicalMessage message;
    message.is_transactional = (in.u8() & 1U) != 0;
    auto is_inside = state_ != State::outside;
    if (message.is_transactional != is_inside)
        in.fail(is_inside ? "non-transactional inside a transaction"
                          : "transactional outside a transaction");
    message.lsn = in.lsn();
    message.prefix = in.string();
    message.content = in.bytes(in.u32());
    in.expect_end();
    event_ = message;
}

}  // namespace walcast
