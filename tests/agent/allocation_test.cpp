#include "agent/batch_builder.hpp"
#include "agent/numbering.hpp"
#include "agent/rules/bound_predicate.hpp"
#include "decoders/pgoutput.hpp"
#include "decoders/wal2json.hpp"
#include "tests/support/pgoutput_messages.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/rules.hpp"
#include "tests/support/wal2json_frames.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <optional>
#include <string>
#include <vector>

// An executable of its own: it counts every allocation of the program.

static std::size_t allocations = 0;

void* operator new(std::size_t size) {
    ++allocations;
    if (auto* memory = std::malloc(size == 0 ? 1 : size)) return memory;
    throw std::bad_alloc();
}
void* operator new[](std::size_t size) {
    return operator new(size);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    ++allocations;
    return std::malloc(size == 0 ? 1 : size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    ++allocations;
    return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete[](void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace walcast {

static constexpr TransactionInfo transaction{
    .commit_lsn = Lsn{0x1000}, .xid = 738, .commit_time = {}};

// Decodes, numbers, routes and writes rows into batches that are used again, as a session does.
class AllocationTest : public testing::Test {
protected:
    AllocationTest() {
        numbering.begin(transaction);
        builder.begin(transaction);
    }

    void take(Decoder& decoder, std::string_view message) {
        for (const auto& event : decoder.decode(message, Lsn{0x1000})) {
            const auto& change = std::get<Change>(event);
            auto id = numbering.take(message, change.action == Action::update ? 2 : 1);
            builder.add(change, *id);
            if (++rows % 100 != 0) continue;
            spare = builder.take(std::move(spare));
            bytes += spare.bytes.size();
        }
    }

    // What `decoder` and all after it allocate for `messages`, each a row, once all is warm.
    std::size_t count(Decoder& decoder, const std::vector<std::string>& messages) {
        for (auto i = 0; i < 5; ++i)
            for (const auto& message : messages) take(decoder, message);
        rows = bytes = 0;
        auto before = allocations;
        for (auto i = 0; i < 25; ++i)
            for (const auto& message : messages) take(decoder, message);
        auto counted = allocations - before;
        EXPECT_GT(before, 0U);  // It does count.
        EXPECT_EQ(rows, 25 * messages.size());
        EXPECT_GT(bytes, rows * 100);
        return counted;
    }

    RouterFixture fixture{{
        rule_for("public.*").model("Todo").id({"id"}).channel("w:{workspace}").channel("todo:{id}"),
        rule_for("public.*").model("Index").id({"id", "workspace"}).channel("index"),
        rule_for("public.rich")
            .model("Word")
            .id({"id"})
            .channel("word:{words}")
            .channel("document:{document.a}:{workspace}")
            .where("id <> 5 and day > '2020-01-01'")
            .delete_when("workspace = '2'")
            .exclude({"bytes"})
            .data(DataKind::delta),
        rule_for("public.crowd").model("Post").id({"id"}).channel("member:{members}"),
        rule_for("public.rich").model("Patch").id({"id"}).channel("patch").data(DataKind::patch),
    }};
    BatchBuilder builder{fixture.router, {}};
    Numbering numbering{{.epoch = "e", .sync_id = 0, .lsn = {}, .partial = std::nullopt}};
    Batch spare;
    std::size_t rows = 0;
    std::size_t bytes = 0;
};

// --- the rows ---

// One change of a row; the old row is whole, whatever the identity leaves of it.
struct RowChange {
    std::optional<Row> old_row;
    std::optional<Row> new_row;
};

// Inserts, updates that stay, move and change the id, and deletes.
static std::vector<RowChange> changes_of(const std::vector<Row>& rows) {
    std::vector<RowChange> changes;
    for (const auto& row : rows) {
        auto moved = row;
        moved[1] = text("elsewhere");
        auto renamed = row;
        renamed[0] = text("999" + row[0].text);
        changes.push_back({{}, row});
        changes.push_back({row, row});
        changes.push_back({row, moved});
        changes.push_back({row, renamed});
        changes.push_back({row, {}});
    }
    return changes;
}

static RelationBuilder plain_table() {
    return relation_of("plain")
        .key("id")
        .key("workspace", type::text)
        .column("title")
        .column("price", type::numeric)
        .column("at", type::timestamptz);
}

// Texts and ids of several lengths.
static std::vector<Row> plain_rows() {
    std::vector<Row> rows;
    for (auto i = 0; i < 40; ++i)
        rows.push_back({text(std::to_string(i * 37)), text(std::to_string(i % 3)),
                        text(std::string(static_cast<std::size_t>(i * 5), i % 3 == 0 ? '"' : 'x')),
                        text("12.50"), text("2024-01-02 03:04:05+00")});
    return rows;
}

// A user's composite type (count int4, label text, times timestamptz[]), and an array of it.
static constexpr std::uint32_t composite_oid = 16500;
static constexpr std::uint32_t composites_oid = 16501;
static std::vector<TypeDescription> user_types() {
    using Kind = TypeDescription::Kind;
    return {{.oid = composite_oid,
             .kind = Kind::composite,
             .fields = {{"count", 23}, {"label", 25}, {"times", 1185}}},
            {.oid = composites_oid, .kind = Kind::array, .of = composite_oid, .fields = {}}};
}

static RelationBuilder rich_table() {
    return relation_of("rich")
        .oid(16402)
        .key("id")
        .key("workspace", type::text)
        .column("numbers", 1007)
        .column("matrix", 1016)
        .column("words", 1009)
        .column("local", type::timestamp)
        .column("at", type::timestamptz)
        .column("times", 1185)
        .column("day", 1082)
        .column("document", type::jsonb)
        .column("bytes", 17)
        .column("many bytes", 1001)
        .column("one", composite_oid)
        .column("many", composites_oid);
}

static std::vector<Row> rich_rows() {
    std::vector<Row> rows;
    for (auto i = 0; i < 20; ++i) {
        std::string hex = "\\x";
        std::string numbers = "{NULL";
        for (auto j = 0; j < i * 3; ++j) {
            hex += fmt::format("{:02x}", j);
            numbers += fmt::format(",{}", j * 1000);
        }
        rows.push_back({text(std::to_string(i)), text(std::to_string(i % 3)), text(numbers + '}'),
                        text("{{1,9007199254740993},{NULL,4}}"),
                        text("{plain,\"a b\",\"c\\\"d\",\"NULL\",NULL}"),
                        text("2024-01-02 03:04:05.12"), text("2024-01-02 03:04:05.123456+00"),
                        text("{\"2024-01-02 03:04:05+00\",infinity}"), text("2024-01-02"),
                        text("{\"a\": [1, null, \"caf\u00e9\"]}"), text(hex),
                        text("{\"\\\\x00ff\",NULL}"),
                        text("(7,\"a \"\"b\"\" c\",\"{\"\"2024-01-02 03:04:05+00\"\"}\")"),
                        text("{\"(1,x,)\",\"(,\\\"y z\\\",{})\",NULL}")});
    }
    return rows;
}

// --- as each plugin sends them ---

static std::vector<std::string> pgoutput_messages(const Relation& relation,
                                                  const std::vector<Row>& rows) {
    auto is_full = relation.replica_identity == 'f';
    auto kind = is_full ? 'O' : 'K';
    auto old_row_of = [&](Row row) {
        for (std::size_t i = 0; i < row.size(); ++i)
            if (!is_full && !relation.columns[i].is_key) row[i] = null;
        return row;
    };
    std::vector<std::string> messages;
    for (const auto& change : changes_of(rows)) {
        auto is_alone = change.old_row == change.new_row && !is_full;  // The key stays: not sent.
        if (!change.old_row)
            messages.push_back(insert_message(relation.oid, *change.new_row));
        else if (!change.new_row)
            messages.push_back(delete_message(relation.oid, kind, old_row_of(*change.old_row)));
        else if (is_alone)
            messages.push_back(update_message(relation.oid, *change.new_row));
        else
            messages.push_back(
                update_message(relation.oid, kind, old_row_of(*change.old_row), *change.new_row));
    }
    return messages;
}

static std::vector<std::string> wal2json_messages(int version, const Relation& relation,
                                                  const std::vector<Row>& rows) {
    std::vector<std::string> messages;
    for (const auto& change : changes_of(rows))
        messages.push_back(wal2json::change_frame(version, relation,
                                                  change.old_row ? &*change.old_row : nullptr,
                                                  change.new_row ? &*change.new_row : nullptr));
    return messages;
}

// --- the promises ---

TEST(BoundPredicateAllocation, NothingIsAllocatedForARow) {
    auto relation = static_cast<Relation>(relation_of("t")
                                              .column("n", type::numeric)
                                              .column("d", type::float8)
                                              .column("t", type::text)
                                              .column("at", type::timestamptz));
    BoundPredicate predicate(
        parse_predicate("n > 12345678901234567890123456789 and not (d = 0.1 or t in ('a', 'b')) "
                        "and t like '%x_' and at < '2024-01-01 00:00:00+02'"),
        relation, JsonTypes());
    Tuple tuple{{Value::Kind::text, "12345678901234567890123456789.5"},
                {Value::Kind::text, "0.30000000000000004"},
                {Value::Kind::text, "a long text that no string holds in itself, xy"},
                {Value::Kind::text, "2023-12-31 21:59:59.999999+00"}};
    auto row =
        KnownRow::after({.action = Action::insert, .relation = &relation, .new_tuple = &tuple});

    auto before = allocations;
    auto truth = predicate.evaluate(row);

    EXPECT_EQ(allocations, before);
    EXPECT_TRUE(truth.is_true());
}

TEST_F(AllocationTest, NothingIsAllocatedForARowOnceAllIsWarm) {
    PgoutputDecoder decoder;
    Relation by_key = plain_table().oid(16400);
    Relation by_full = plain_table().oid(16401).full_identity();
    decoder.decode(begin_message(), {});
    decoder.decode(relation_message(by_key), {});
    decoder.decode(relation_message(by_full), {});
    auto messages = pgoutput_messages(by_key, plain_rows());
    for (auto& message : pgoutput_messages(by_full, plain_rows()))
        messages.push_back(std::move(message));

    EXPECT_EQ(count(decoder, messages), 0U);
}

TEST_F(AllocationTest, NothingIsAllocatedForArraysTimesDocumentsAndBytes) {
    fixture.catalog.add_types(user_types());
    PgoutputDecoder decoder;
    Relation relation = rich_table();
    decoder.decode(begin_message(), {});
    decoder.decode(relation_message(relation), {});

    EXPECT_EQ(count(decoder, pgoutput_messages(relation, rich_rows())), 0U);
}

TEST_F(AllocationTest, NothingIsAllocatedForARowOfManyChannels) {
    PgoutputDecoder decoder;
    Relation relation = relation_of("crowd")
                            .key("id")
                            .column("workspace")
                            .column("members", 1007)
                            .oid(16410)
                            .full_identity();
    decoder.decode(begin_message(), {});
    decoder.decode(relation_message(relation), {});
    std::string members = "{1";
    for (auto i = 2; i <= 50; ++i) members += ',' + std::to_string(i);
    // Enough of them that both batches are warm.
    std::vector<Row> posts(100, {text("1"), text("one"), text(members + '}')});

    EXPECT_EQ(count(decoder, pgoutput_messages(relation, posts)), 0U);
}

TEST_F(AllocationTest, NothingIsAllocatedForBytesInBase64) {
    fixture.catalog = Catalog({.bytes = JsonPolicy::Bytes::base64});
    fixture.catalog.add_types(user_types());
    PgoutputDecoder decoder;
    Relation relation = rich_table();
    decoder.decode(begin_message(), {});
    decoder.decode(relation_message(relation), {});

    EXPECT_EQ(count(decoder, pgoutput_messages(relation, rich_rows())), 0U);
}

class Wal2jsonAllocationTest : public AllocationTest, public testing::WithParamInterface<int> {
protected:
    // Begins a transaction, and has the decoder learn of `relation` by its first row.
    void begin(const Relation& relation, const std::string& first) {
        decoder.decode(wal2json::begin_frame(GetParam()), {});
        auto events = decoder.decode(first, {});
        ASSERT_EQ(events.size(), 1U);
        ASSERT_TRUE(std::holds_alternative<Described>(events[0]));
        decoder.learn(wal2json::description_of(relation));
        decoder.decode(first, {});  // With a word of the table that it has come to know.
    }

    Wal2jsonDecoder decoder{GetParam() == 1 ? Wal2jsonDecoder::Format::v1
                                            : Wal2jsonDecoder::Format::v2};
};

TEST_P(Wal2jsonAllocationTest, NothingIsAllocatedForARowOnceAllIsWarm) {
    Relation relation = plain_table();
    auto messages = wal2json_messages(GetParam(), relation, plain_rows());
    begin(relation, messages.front());

    EXPECT_EQ(count(decoder, messages), 0U);
}

TEST_P(Wal2jsonAllocationTest, NothingIsAllocatedForArraysTimesDocumentsAndBytes) {
    fixture.catalog.add_types(user_types());
    Relation relation = rich_table();
    auto messages = wal2json_messages(GetParam(), relation, rich_rows());
    begin(relation, messages.front());

    EXPECT_EQ(count(decoder, messages), 0U);
}

INSTANTIATE_TEST_SUITE_P(Wal2json, Wal2jsonAllocationTest, testing::Values(1, 2));

}  // namespace walcast
