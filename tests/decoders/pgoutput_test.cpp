#include "decoders/pgoutput.hpp"

#include "decoders/row_json.hpp"
#include "tests/support/pgoutput_messages.hpp"
#include "tests/support/random_bytes.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <ostream>

namespace walcast {

static Relation todos() {
    return relation_of("todos").oid(1).key("id").column("title").column("body");
}

// Decodes one message that gives one event, which is valid until the next call.
template <typename Kind>
static Kind decode_one(PgoutputDecoder& decoder, std::string message) {
    static std::string kept;
    kept = std::move(message);
    auto events = decoder.decode(kept);
    EXPECT_EQ(events.size(), 1U);
    return std::get<Kind>(events[0]);
}

// A decoder that has seen these.
static PgoutputDecoder after(std::initializer_list<std::string> messages) {
    PgoutputDecoder decoder;
    for (const auto& message : messages) decoder.decode(message);
    return decoder;
}

static PgoutputDecoder in_todos() {
    return after({begin_message(), relation_message(todos())});
}

// A tuple as `7|null|unchanged`.
static std::string show(const Tuple* tuple) {
    if (tuple == nullptr) return "none";
    std::string out;
    for (const auto& value : *tuple) {
        if (!out.empty()) out += '|';
        switch (value.kind) {
            case Value::Kind::null: out += "null"; break;
            case Value::Kind::unchanged: out += "unchanged"; break;
            case Value::Kind::text: out += value.text; break;
            case Value::Kind::binary: out += "binary:" + std::string(value.text); break;
        }
    }
    return out;
}

// --- the vectors of reference/pgoutput.md, section 3.1, that belong to protocol version 1 ---

namespace vector {
static const auto begin = from_hex("4200000000088f7518 000303c0c2d8067a 00004cb7");
static const auto type = from_hex("59 00004288 7300 6d6f6f6400");
static const auto relation_t = from_hex(
    "52 0000428b 7300 7400 64 0004  01 696400 00000017 ffffffff  00 6100 00000413 00000009"
    "00 6d00 00004288 ffffffff  00 62696700 00000019 ffffffff");
static const auto insert = from_hex("49 0000428b 4e 0004 74 00000001 32 6e 6e 6e");
static const auto update_unchanged =
    from_hex("55 0000428b 4e 0004 74 00000001 31 74 00000001 63 74 00000002 6f6b 75");
static const auto update_key =
    from_hex("55 0000428b 4b 0004 74 00000001 32 6e6e6e 4e 0004 74 00000001 33 6e6e6e");
static const auto remove = from_hex("44 0000428b 4b 0004 74 00000001 33 6e6e6e");
static const auto update_full =
    from_hex("55 00004293 4f 0002 74 00000001 31 74 00000001 61 4e 0002 74 00000001 31 6e");
static const auto truncate = from_hex("54 00000001 02 00004293");
static const auto message = from_hex("4d 01 00000000088f7518 707800 00000002 6869");
static const auto commit = from_hex("43 00 00000000088f7518 00000000088f7548 000303c0c2d8067a");
static const auto insert_binary =
    from_hex("49 0000428b 4e 0004 62 00000004 00000004 62 00000002 c3a9 62 00000002 6f6b 6e");

// s.f, which section 3.1 describes only inside a stream block.
static const auto relation_f = relation_message(
    relation_of("f").oid(0x4293).schema("s").key("id").column("a").full_identity());
}  // namespace vector

class PgoutputVector : public testing::Test {
protected:
    PgoutputVector() {
        for (const auto& message :
             {vector::begin, vector::type, vector::relation_t, vector::relation_f})
            decoder.decode(message);
    }

    PgoutputDecoder decoder;
};

TEST_F(PgoutputVector, Begin) {
    PgoutputDecoder fresh;

    auto transaction = decode_one<Begin>(fresh, vector::begin).transaction;

    EXPECT_EQ(transaction.commit_lsn, Lsn{0x88F7518});
    EXPECT_EQ(transaction.xid, 19639U);
    EXPECT_EQ(transaction.commit_time.time_since_epoch().count(),
              0x000303C0C2D8067A + 946'684'800'000'000);
}

TEST_F(PgoutputVector, TypeGivesNoEvent) {
    PgoutputDecoder fresh;
    fresh.decode(vector::begin);

    EXPECT_TRUE(fresh.decode(vector::type).empty());
}

TEST_F(PgoutputVector, RelationIsDescribedOnce) {
    PgoutputDecoder fresh;
    fresh.decode(vector::begin);

    auto described = decode_one<Described>(fresh, vector::relation_t);

    EXPECT_EQ(described.relation->name, "t");
    EXPECT_FALSE(described.is_known);
    EXPECT_FALSE(described.is_incomplete);
    EXPECT_TRUE(decode_one<Described>(fresh, vector::relation_t).is_known);  // It has an enum.
}

TEST(PgoutputDecoder, DescribesATableAgainOnlyWhereItsDescriptionDoesNotTellAll) {
    auto decoder = in_todos();
    EXPECT_TRUE(decoder.decode(relation_message(todos())).empty());

    auto full = todos();
    full.replica_identity = 'f';
    EXPECT_TRUE(decode_one<Described>(decoder, relation_message(full)).is_known);
    EXPECT_TRUE(decode_one<Described>(decoder, relation_message(full)).is_known);
}

TEST_F(PgoutputVector, Relation) {
    const auto& relation = *decode_one<Change>(decoder, vector::insert).relation;

    EXPECT_EQ(relation.oid, 0x428BU);
    EXPECT_EQ(relation.schema, "s");
    EXPECT_EQ(relation.name, "t");
    EXPECT_EQ(relation.replica_identity, 'd');
    std::vector<Column> columns{
        {.name = "id", .type_oid = 23, .type_modifier = -1, .is_key = true},
        {.name = "a", .type_oid = 1043, .type_modifier = 9, .is_key = false},
        {.name = "m", .type_oid = 17032, .type_modifier = -1, .is_key = false},
        {.name = "big", .type_oid = 25, .type_modifier = -1, .is_key = false}};
    EXPECT_EQ(relation.columns, columns);
}

TEST_F(PgoutputVector, Insert) {
    auto change = decode_one<Change>(decoder, vector::insert);

    EXPECT_EQ(change.action, Action::insert);
    EXPECT_EQ(change.old_kind, Change::OldTuple::none);
    EXPECT_EQ(show(change.old_tuple), "none");
    EXPECT_EQ(show(change.new_tuple), "2|null|null|null");
}

TEST_F(PgoutputVector, UpdateWithoutOldRow) {
    auto change = decode_one<Change>(decoder, vector::update_unchanged);

    EXPECT_EQ(change.action, Action::update);
    EXPECT_EQ(change.old_kind, Change::OldTuple::none);
    EXPECT_EQ(show(change.old_tuple), "none");
    EXPECT_EQ(show(change.new_tuple), "1|c|ok|unchanged");
}

TEST_F(PgoutputVector, UpdateOfTheKey) {
    auto change = decode_one<Change>(decoder, vector::update_key);

    EXPECT_EQ(change.action, Action::update);
    EXPECT_EQ(change.old_kind, Change::OldTuple::key);
    EXPECT_EQ(show(change.old_tuple), "2|null|null|null");
    EXPECT_EQ(show(change.new_tuple), "3|null|null|null");
}

TEST_F(PgoutputVector, UpdateUnderFullIdentity) {
    auto change = decode_one<Change>(decoder, vector::update_full);

    EXPECT_EQ(change.relation->name, "f");
    EXPECT_EQ(change.old_kind, Change::OldTuple::full);
    EXPECT_EQ(show(change.old_tuple), "1|a");
    EXPECT_EQ(show(change.new_tuple), "1|null");
}

TEST_F(PgoutputVector, Delete) {
    auto change = decode_one<Change>(decoder, vector::remove);

    EXPECT_EQ(change.action, Action::remove);
    EXPECT_EQ(change.old_kind, Change::OldTuple::key);
    EXPECT_EQ(show(change.old_tuple), "3|null|null|null");
    EXPECT_EQ(change.new_tuple, nullptr);
}

TEST_F(PgoutputVector, TruncateRestartIdentity) {
    auto truncate = decode_one<Truncate>(decoder, vector::truncate);

    ASSERT_EQ(truncate.relations->size(), 1U);
    EXPECT_EQ((*truncate.relations)[0]->name, "f");
}

TEST_F(PgoutputVector, TransactionalMessage) {
    auto message = decode_one<LogicalMessage>(decoder, vector::message);

    EXPECT_TRUE(message.is_transactional);
    EXPECT_EQ(message.lsn, Lsn{0x88F7518});
    EXPECT_EQ(message.prefix, "px");
    EXPECT_EQ(message.content, "hi");
}

TEST_F(PgoutputVector, Commit) {
    auto commit = decode_one<Commit>(decoder, vector::commit);

    EXPECT_EQ(commit.commit_lsn, Lsn{0x88F7518});
    EXPECT_EQ(commit.end_lsn, Lsn{0x88F7548});
}

TEST_F(PgoutputVector, InsertOfBinaryValues) {
    auto change = decode_one<Change>(decoder, vector::insert_binary);

    EXPECT_EQ(show(change.new_tuple),
              "binary:" + from_hex("00000004") + "|binary:é|binary:ok|null");
}

// --- every message, cut and extended ---

struct MessageSample {
    const char* name;
    std::string bytes;
    bool is_in_transaction = true;

    friend void PrintTo(const MessageSample& shown, std::ostream* out) { *out << shown.name; }
};

static std::vector<MessageSample> samples() {
    Row row{text("7"), null, unchanged};
    Row old_row{text("6"), null, null};
    return {
        {"Begin", begin_message(), false},
        {"Commit", commit_message()},
        {"Origin", origin_message(Lsn{0x900}, "elsewhere")},
        {"Type", type_message(17032, "s", "mood")},
        {"Relation", relation_message(todos())},
        {"Insert", insert_message(1, {text("7"), text("milk"), text("")})},
        {"Update", update_message(1, row)},
        {"UpdateFromKey", update_message(1, 'K', old_row, row)},
        {"UpdateFromFull", update_message(1, 'O', old_row, row)},
        {"DeleteByKey", delete_message(1, 'K', old_row)},
        {"DeleteByFull", delete_message(1, 'O', old_row)},
        {"Truncate", truncate_message({1, 1}, 3)},
        {"Message", logical_message(Placement::in_transaction, Lsn{0x900}, "walcast", "{}")},
        {"MessageAlone", logical_message(Placement::alone, Lsn{0x900}, "walcast", "{}"), false},
    };
}

static PgoutputDecoder ready_for(const MessageSample& sample) {
    if (sample.is_in_transaction) return in_todos();
    return after({begin_message(), relation_message(todos()), commit_message()});
}

class PgoutputMessage : public testing::TestWithParam<MessageSample> {};

TEST_P(PgoutputMessage, IsReadWhole) {
    auto decoder = ready_for(GetParam());

    EXPECT_NO_THROW(decoder.decode(GetParam().bytes));
}

TEST_P(PgoutputMessage, IsRefusedWhenCutAtAnyByte) {
    const auto& bytes = GetParam().bytes;
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        auto decoder = ready_for(GetParam());

        EXPECT_THROW(decoder.decode(bytes.substr(0, size)), DecodeError) << "cut to " << size;
    }
}

TEST_P(PgoutputMessage, IsRefusedWithAByteTooMuch) {
    for (auto extra : {'\0', 'x', '\xff'}) {
        auto decoder = ready_for(GetParam());

        EXPECT_THROW(decoder.decode(GetParam().bytes + extra), DecodeError);
    }
}

TEST_P(PgoutputMessage, BelongsInsideOrOutsideOfATransactionOnly) {
    auto sample = GetParam();
    sample.is_in_transaction = !sample.is_in_transaction;
    auto decoder = ready_for(sample);

    EXPECT_THROW(decoder.decode(sample.bytes), DecodeError);
}

INSTANTIATE_TEST_SUITE_P(Pgoutput, PgoutputMessage, testing::ValuesIn(samples()),
                         [](const auto& tested) { return std::string(tested.param.name); });

// --- kinds ---

TEST(PgoutputDecoder, RefusesUnknownKindsInsideAndOutsideOfATransaction) {
    std::string known = "BCORYIUDTMbPKrA";
    for (auto code = 0; code < 256; ++code) {
        std::string message(1, static_cast<char>(code));
        if (known.find(message[0]) != std::string::npos) continue;
        PgoutputDecoder outside;
        auto inside = in_todos();

        EXPECT_THROW(outside.decode(message + std::string(40, '\0')), DecodeError) << code;
        EXPECT_THROW(inside.decode(message + std::string(40, '\0')), DecodeError) << code;
    }
}

TEST(PgoutputDecoder, NamesTheKindItDoesNotKnow) {
    PgoutputDecoder decoder;

    auto error = error_of<DecodeError>([&] { decoder.decode("Z"); });

    EXPECT_TRUE(contains(error, "unknown kind 0x5a")) << error;
}

// --- prepared transactions: the vectors of protocol version 3 ---

namespace vector {
static const auto begin_prepare =
    from_hex("62 00000000088f8210 00000000088f8308 000303c0c3156492 00004cba 673100");
static const auto prepare =
    from_hex("50 00 00000000088f8210 00000000088f8308 000303c0c3156492 00004cba 673100");
static const auto commit_prepared =
    from_hex("4b 00 00000000088f8308 00000000088f8340 000303c0c315653a 00004cba 673100");
static const auto rollback_prepared = from_hex(
    "72 00 00000000088f8478 00000000088f84b0 000303c0c31566bf 000303c0c31566f1 00004cbb 673200");
}  // namespace vector

TEST(PgoutputTwoPhase, IsReadStepByStep) {
    using Step = TwoPhase::Step;
    PgoutputDecoder decoder;

    auto begin = decode_one<TwoPhase>(decoder, vector::begin_prepare);
    EXPECT_EQ(begin.step, Step::begin);
    EXPECT_EQ(begin.xid, 0x4CBAU);
    EXPECT_EQ(begin.lsn, Lsn{0x88F8210});
    EXPECT_EQ(begin.end_lsn, Lsn{0x88F8308});
    EXPECT_EQ(begin.gid, "g1");
    decoder.decode(relation_message(todos()));
    decode_one<Change>(decoder, insert_message(1, {text("7"), null, null}));
    EXPECT_EQ(decode_one<TwoPhase>(decoder, vector::prepare).step, Step::prepare);
    EXPECT_EQ(decode_one<TwoPhase>(decoder, vector::commit_prepared).step, Step::commit);
    auto rollback = decode_one<TwoPhase>(decoder, vector::rollback_prepared);
    EXPECT_EQ(rollback.step, Step::rollback);
    EXPECT_EQ(rollback.end_lsn, Lsn{0x88F84B0});
    EXPECT_EQ(rollback.gid, "g2");
}

TEST(PgoutputTwoPhase, KeepsItsOrder) {
    for (const auto& message :
         {vector::begin_prepare, vector::commit_prepared, vector::rollback_prepared}) {
        auto inside = in_todos();
        EXPECT_THROW(inside.decode(message), DecodeError);
        auto in_prepared = after({vector::begin_prepare});
        EXPECT_THROW(in_prepared.decode(message), DecodeError);
    }
    auto prepared = after({vector::begin_prepare});
    EXPECT_THROW(prepared.decode(commit_message()), DecodeError);
    EXPECT_THROW(PgoutputDecoder().decode(vector::prepare), DecodeError);
}

TEST(PgoutputTwoPhase, IsRefusedWhenCutAtAnyByte) {
    for (const auto& message :
         {vector::begin_prepare, vector::commit_prepared, vector::rollback_prepared})
        for (std::size_t size = 0; size < message.size(); ++size)
            EXPECT_THROW(PgoutputDecoder().decode(message.substr(0, size)), DecodeError) << size;
    for (std::size_t size = 0; size < vector::prepare.size(); ++size)
        EXPECT_THROW(after({vector::begin_prepare}).decode(vector::prepare.substr(0, size)),
                     DecodeError);
}

TEST(PgoutputDecoder, TakesAnAbortOfWhatWasNeverSentForNothing) {
    PgoutputDecoder decoder;
    EXPECT_TRUE(decoder.decode(from_hex("41 00004cbf 00004cc0")).empty());
    EXPECT_THROW(decoder.decode(from_hex("41 00004cbf 00004c")), DecodeError);
    auto inside = in_todos();
    EXPECT_THROW(inside.decode(from_hex("41 00004cbf 00004cc0")), DecodeError);
}

TEST(PgoutputDecoder, RefusesTransactionsInProgress) {
    for (const auto* hex : {"53 00004cbc 01", "45",
                            "63 00004cbc 00 00000000088f8de0 00000000088f8ef8 000303c0c3373585",
                            "70 00 00000000088f9980 00000000088f9a78 000303c0c371a6a3 00004cc2"
                            "673300"}) {
        PgoutputDecoder decoder;

        auto error = error_of<DecodeError>([&] { decoder.decode(from_hex(hex)); });

        EXPECT_TRUE(contains(error, "not asked for")) << error;
    }
}

// --- transactions ---

TEST(PgoutputDecoder, TakesTheNextTransactionAfterACommit) {
    auto decoder = after({begin_message(Lsn{0x1000}), commit_message(Lsn{0x1000}, Lsn{0x1030})});

    auto begin = decode_one<Begin>(decoder, begin_message(Lsn{0x2000}, 739));

    EXPECT_EQ(begin.transaction.xid, 739U);
}

TEST(PgoutputDecoder, RefusesACommitOfAnotherTransaction) {
    auto decoder = after({begin_message(Lsn{0x1000})});

    EXPECT_THROW(decoder.decode(commit_message(Lsn{0x1008}, Lsn{0x1030})), DecodeError);
}

TEST(PgoutputDecoder, RefusesACommitThatEndsBeforeItsRecord) {
    for (auto end : {0x0FFFU, 0x1000U}) {
        auto decoder = after({begin_message(Lsn{0x1000})});

        EXPECT_THROW(decoder.decode(commit_message(Lsn{0x1000}, Lsn{end})), DecodeError) << end;
    }
}

TEST(PgoutputDecoder, TakesUnknownFlagsOfACommit) {
    auto decoder = after({begin_message(Lsn{0x1000})});
    auto commit = commit_message(Lsn{0x1000}, Lsn{0x1030});
    commit[1] = '\x40';

    EXPECT_NO_THROW(decoder.decode(commit));
}

TEST(PgoutputDecoder, KeepsRelationsFromTransactionToTransaction) {
    auto decoder =
        after({begin_message(), relation_message(todos()), commit_message(), begin_message()});

    auto change = decode_one<Change>(decoder, insert_message(1, {text("7"), null, null}));

    EXPECT_EQ(change.relation->name, "todos");
}

TEST(PgoutputDecoder, ReadsExtremeCommitTimesWithoutFail) {
    for (auto time : {std::uint64_t{0}, std::uint64_t{0x7FFFFFFFFFFFFFFF},
                      std::uint64_t{0x8000000000000000}, ~std::uint64_t{0}}) {
        PgoutputDecoder decoder;
        auto begin = Bytes().kind('B').u64(0x1000).u64(time).u32(1).str();

        EXPECT_NO_THROW(decoder.decode(begin)) << time;
    }
}

// --- relations ---

TEST(PgoutputDecoder, RefusesChangesOfRelationsNeverDescribed) {
    for (const auto& message :
         {insert_message(2, {null}), update_message(2, {null}), delete_message(2, 'K', {null}),
          truncate_message({2}), truncate_message({1, 2})}) {
        auto decoder = in_todos();

        auto error = error_of<DecodeError>([&] { decoder.decode(message); });

        EXPECT_TRUE(contains(error, "relation 2 was never described")) << error;
    }
}

TEST(PgoutputDecoder, RefusesRowsOfAnotherWidth) {
    for (const auto& row : {Row{}, Row{text("7"), null}, Row{text("7"), null, null, null}}) {
        auto decoder = in_todos();

        EXPECT_THROW(decoder.decode(insert_message(1, row)), DecodeError) << row.size();
        EXPECT_THROW(decoder.decode(update_message(1, row)), DecodeError) << row.size();
        EXPECT_THROW(decoder.decode(delete_message(1, 'K', row)), DecodeError) << row.size();
    }
}

TEST(PgoutputDecoder, NamesTheTableOfARowOfAnotherWidth) {
    auto decoder = in_todos();

    auto error = error_of<DecodeError>([&] { decoder.decode(insert_message(1, {null})); });

    EXPECT_TRUE(contains(error, "1 values for the 3 columns of public.todos")) << error;
}

TEST(PgoutputDecoder, NamesTheColumnOfAValueOfUnknownKind) {
    auto decoder = in_todos();

    auto error = error_of<DecodeError>([&] {
        decoder.decode(insert_message(1, {null, {'z'}, null}));
    });

    EXPECT_TRUE(contains(error, "unknown value kind 0x7a in column title of public.todos"))
        << error;
}

TEST(PgoutputDecoder, CallsTheEmptySchemaPgCatalog) {
    auto decoder =
        after({begin_message(), relation_message(relation_of("t").oid(1).schema("").key("id"))});

    auto change = decode_one<Change>(decoder, insert_message(1, {text("7")}));

    EXPECT_EQ(change.relation->schema, "pg_catalog");
}

TEST(PgoutputDecoder, ReadsATableWithoutColumns) {
    auto decoder = after({begin_message(), relation_message(relation_of("empty").oid(1))});

    auto change = decode_one<Change>(decoder, insert_message(1, {}));

    EXPECT_TRUE(change.new_tuple->empty());
}

TEST(PgoutputDecoder, KeepsTheGenerationWhenARelationIsSentAgainTheSame) {
    auto decoder = in_todos();
    auto row = insert_message(1, {text("7"), null, null});
    auto before = decode_one<Change>(decoder, row).relation->generation;

    decoder.decode(relation_message(todos()));

    EXPECT_EQ(decode_one<Change>(decoder, row).relation->generation, before);
}

static std::vector<Relation> altered_todos() {
    std::vector<Relation> altered(9, todos());
    altered[0].schema = "other";
    altered[1].name = "tasks";
    altered[2].replica_identity = 'f';
    altered[3].columns[1].name = "headline";
    altered[4].columns[1].type_oid = 1043;
    altered[5].columns[1].type_modifier = 9;
    altered[6].columns[1].is_key = true;
    altered[7].columns.pop_back();
    altered[8].columns.push_back({.name = "done"});
    return altered;
}

TEST(PgoutputDecoder, RaisesTheGenerationWithEachDifferenceOfARelation) {
    for (const auto& altered : altered_todos()) {
        auto decoder = in_todos();
        const auto* before =
            decode_one<Change>(decoder, insert_message(1, {null, null, null})).relation;
        auto generation = before->generation;

        auto described = decode_one<Described>(decoder, relation_message(altered));
        EXPECT_TRUE(described.is_known);
        Row row(altered.columns.size(), null);
        const auto* found = decode_one<Change>(decoder, insert_message(1, row)).relation;

        EXPECT_GT(found->generation, generation);
        EXPECT_EQ(found->columns, altered.columns);
        EXPECT_EQ(found->name, altered.name);
        EXPECT_EQ(found->schema, altered.schema);
        EXPECT_EQ(found->replica_identity, altered.replica_identity);
    }
}

TEST(PgoutputDecoder, KeepsARelationsAddressWhenItChanges) {
    auto decoder = in_todos();
    const auto* before =
        decode_one<Change>(decoder, insert_message(1, {null, null, null})).relation;

    decoder.decode(relation_message(altered_todos()[1]));
    for (std::uint32_t oid = 2; oid < 200; ++oid)
        decoder.decode(relation_message(relation_of("other").oid(oid)));

    EXPECT_EQ(decode_one<Change>(decoder, insert_message(1, {null, null, null})).relation, before);
}

TEST(PgoutputDecoder, TellsInterleavedRelationsApart) {
    auto decoder = in_todos();
    decoder.decode(relation_message(relation_of("users").oid(2).key("id")));

    for (auto i = 0; i < 3; ++i) {
        auto todo = decode_one<Change>(decoder, insert_message(1, {text("7"), null, null}));
        EXPECT_EQ(todo.relation->name, "todos");
        auto user = decode_one<Change>(decoder, insert_message(2, {text("1")}));
        EXPECT_EQ(user.relation->name, "users");
    }
}

TEST(PgoutputDecoder, ListsTruncatedRelationsInTheirOrder) {
    auto decoder = in_todos();
    decoder.decode(relation_message(relation_of("users").oid(2).key("id")));

    auto truncate = decode_one<Truncate>(decoder, truncate_message({2, 1}));

    ASSERT_EQ(truncate.relations->size(), 2U);
    EXPECT_EQ((*truncate.relations)[0]->name, "users");
    EXPECT_EQ((*truncate.relations)[1]->name, "todos");
}

// --- rows ---

TEST(PgoutputDecoder, GivesValuesAsViewsIntoTheMessage) {
    auto decoder = in_todos();
    auto message = insert_message(1, {text("7"), text("milk"), text("")});

    auto change = std::get<Change>(decoder.decode(message)[0]);

    const auto& title = (*change.new_tuple)[1].text;
    EXPECT_GE(title.data(), message.data());
    EXPECT_LE(title.data() + title.size(), message.data() + message.size());
    EXPECT_EQ(show(change.new_tuple), "7|milk|");
}

TEST(PgoutputDecoder, TellsANullFromAnEmptyText) {
    auto decoder = in_todos();

    auto change = decode_one<Change>(decoder, insert_message(1, {text("7"), null, text("")}));

    EXPECT_EQ((*change.new_tuple)[1].kind, Value::Kind::null);
    EXPECT_EQ((*change.new_tuple)[2].kind, Value::Kind::text);
}

TEST(PgoutputDecoder, FillsUnchangedValuesFromAFullOldRow) {
    auto decoder = in_todos();
    Row old_row{text("7"), text("milk"), text("long")};

    auto change =
        decode_one<Change>(decoder, update_message(1, 'O', old_row, {text("7"), null, unchanged}));

    EXPECT_EQ(show(change.new_tuple), "7|null|long");
}

// A large value is never null: this is the old row of a partition that logs only its key.
TEST(PgoutputDecoder, LeavesUnchangedWhatTheFullOldRowDoesNotHold) {
    auto decoder = in_todos();
    Row old_row{text("7"), text("milk"), null};

    auto change =
        decode_one<Change>(decoder, update_message(1, 'O', old_row, {text("7"), null, unchanged}));

    EXPECT_EQ(show(change.new_tuple), "7|null|unchanged");
}

TEST(PgoutputDecoder, FillsUnchangedKeyColumnsFromTheKey) {
    auto decoder = in_todos();
    Row key{text("long key"), null, null};

    auto change =
        decode_one<Change>(decoder, update_message(1, 'K', key, {unchanged, text("milk"), null}));

    EXPECT_EQ(show(change.new_tuple), "long key|milk|null");
}

TEST(PgoutputDecoder, NeverFillsOtherColumnsFromTheKey) {
    auto decoder = in_todos();
    Row key{text("6"), null, null};

    auto change = decode_one<Change>(
        decoder, update_message(1, 'K', key, {text("7"), text("milk"), unchanged}));

    EXPECT_EQ(show(change.new_tuple), "7|milk|unchanged");
}

TEST(PgoutputDecoder, TellsTheKeyFromTheFullOldRow) {
    auto decoder = in_todos();
    Row row{text("7"), null, null};

    EXPECT_EQ(decode_one<Change>(decoder, update_message(1, row)).old_kind, Change::OldTuple::none);
    EXPECT_EQ(decode_one<Change>(decoder, update_message(1, 'K', row, row)).old_kind,
              Change::OldTuple::key);
    EXPECT_EQ(decode_one<Change>(decoder, update_message(1, 'O', row, row)).old_kind,
              Change::OldTuple::full);
    EXPECT_EQ(decode_one<Change>(decoder, delete_message(1, 'K', row)).old_kind,
              Change::OldTuple::key);
    EXPECT_EQ(decode_one<Change>(decoder, delete_message(1, 'O', row)).old_kind,
              Change::OldTuple::full);
}

TEST(PgoutputDecoder, RefusesTuplesOfUnknownKind) {
    Row row{text("7"), null, null};
    for (auto wrong : {'X', 'n', '\0'}) {
        auto decoder = in_todos();
        auto insert = insert_message(1, row);
        auto update = update_message(1, row);
        insert[5] = update[5] = wrong;

        EXPECT_THROW(decoder.decode(insert), DecodeError) << wrong;
        EXPECT_THROW(decoder.decode(update), DecodeError) << wrong;
        EXPECT_THROW(decoder.decode(delete_message(1, wrong, row)), DecodeError) << wrong;
    }
    auto decoder = in_todos();
    EXPECT_THROW(decoder.decode(delete_message(1, 'N', row)), DecodeError);
}

// --- messages ---

TEST(PgoutputDecoder, PassesAnyBytesOfAMessageOn) {
    std::string content("\0\xff\x80{\"", 5);
    PgoutputDecoder decoder;

    auto message = decode_one<LogicalMessage>(
        decoder, logical_message(Placement::alone, Lsn{0x900}, "walcast:event", content));

    EXPECT_FALSE(message.is_transactional);
    EXPECT_EQ(message.lsn, Lsn{0x900});
    EXPECT_EQ(message.prefix, "walcast:event");
    EXPECT_EQ(message.content, content);
}

// --- hostile bytes ---

TEST(PgoutputDecoder, RefusesLengthsBeyondTheMessage) {
    for (auto length : {5U, 0x7FFFFFFFU, 0x80000000U, 0xFFFFFFFFU}) {
        for (auto kind : {'t', 'b'}) {
            auto decoder = in_todos();
            auto insert =
                Bytes().kind('I').u32(1).kind('N').u16(3).kind(kind).u32(length).raw("abcd").str();
            EXPECT_THROW(decoder.decode(insert), DecodeError) << length;
        }
        auto decoder = in_todos();
        auto message = Bytes().kind('M').u8(1).u64(0x900).string("p").u32(length).raw("abcd").str();
        EXPECT_THROW(decoder.decode(message), DecodeError) << length;
    }
}

TEST(PgoutputDecoder, RefusesCountsBeyondTheMessage) {
    auto decoder = in_todos();
    for (auto count : {2U, 0x40000001U, 0x7FFFFFFFU, 0xFFFFFFFFU})
        EXPECT_THROW(decoder.decode(Bytes().kind('T').u32(count).u8(0).u32(1).str()), DecodeError)
            << count;
    for (std::uint16_t count :
         {std::uint16_t{1}, std::uint16_t{1600}, std::uint16_t{1601}, std::uint16_t{0xFFFF}}) {
        auto relation = Bytes().kind('R').u32(9).string("s").string("t").kind('d').u16(count);
        EXPECT_THROW(decoder.decode(relation.str()), DecodeError) << count;
        EXPECT_THROW(decoder.decode(Bytes().kind('I').u32(1).kind('N').u16(count).str()),
                     DecodeError)
            << count;
    }
}

TEST(PgoutputDecoder, KeepsARelationWhenABrokenOneComes) {
    auto decoder = in_todos();
    auto broken = relation_message(altered_todos()[8]);
    broken.pop_back();

    EXPECT_THROW(decoder.decode(broken), DecodeError);

    auto change = decode_one<Change>(decoder, insert_message(1, {text("7"), null, null}));
    EXPECT_EQ(change.relation->columns, todos().columns);
}

// Looks at every byte that a change gives, so that sanitizers see a view that leaves its message.
static void read_all(const Event& event) {
    const auto* change = std::get_if<Change>(&event);
    if (change == nullptr) return;
    static const JsonTypes types;
    static ValueWriter writer;
    std::string out;
    try {
        RowJson row(*change->relation, types);
        for (const auto* tuple : {change->old_tuple, change->new_tuple})
            if (tuple != nullptr)
                append_row(out, row, *tuple, std::numeric_limits<std::size_t>::max(), writer);
    } catch (const ValueError&) {
        // A row that cannot be written is named, not guessed.
    }
}

TEST(PgoutputDecoder, ThrowsNothingButDecodeErrorWhateverTheBytes) {
    auto seed = test_seed();
    RecordProperty("seed", std::to_string(seed));
    SCOPED_TRACE("WALCAST_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::vector<std::string> stream;
    for (const auto& sample : samples())
        if (sample.is_in_transaction && sample.bytes[0] != 'C') stream.push_back(sample.bytes);

    for (auto i = 0; i < 5000; ++i) {
        auto decoder = in_todos();
        auto broken = stream;
        flip_bits(broken[random() % broken.size()], random);
        flip_bits(broken[random() % broken.size()], random);
        for (const auto& message : broken) {
            try {
                for (const auto& event : decoder.decode(message)) read_all(event);
            } catch (const DecodeError&) {
                // The next message may find what this one left behind.
            }
        }
    }
}

}  // namespace walcast
