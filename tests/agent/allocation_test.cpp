#include "agent/batch_builder.hpp"
#include "agent/numbering.hpp"
#include "decoders/pgoutput.hpp"
#include "tests/support/pgoutput_messages.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/rules.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

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

// Decodes, numbers, routes and writes rows into batches that are used again, as a session does.
class AllocationTest : public testing::Test {
protected:
    AllocationTest() {
        decoder.decode(begin_message());
        numbering.begin({.commit_lsn = Lsn{0x1000}, .xid = 738, .commit_time = {}});
        builder.begin({.commit_lsn = Lsn{0x1000}, .xid = 738, .commit_time = {}});
    }

    void take(std::string_view message) {
        for (const auto& event : decoder.decode(message)) {
            const auto& change = std::get<Change>(event);
            auto id = numbering.take(message, change.action == Action::update ? 2 : 1);
            builder.add(change, *id);
            if (++rows % 100 != 0) continue;
            spare = builder.take(std::move(spare));
            bytes += spare.bytes.size();
        }
    }

    RouterFixture fixture{{
        rule_for("public.*").model("Todo").id({"id"}).channel("w:{workspace}").channel("todo:{id}"),
        rule_for("public.*").model("Index").id({"id", "workspace"}).channel("index"),
    }};
    BatchBuilder builder{fixture.router, {}};
    Numbering numbering{{.epoch = "e", .sync_id = 0, .lsn = {}, .partial = std::nullopt}};
    PgoutputDecoder decoder;
    Batch spare;
    std::size_t rows = 0;
    std::size_t bytes = 0;
};

// Inserts, updates that stay, move and change the id, and deletes; texts and ids of several
// lengths.
static std::vector<std::string> changes_of_all_kinds(std::uint32_t oid, char identity) {
    std::vector<std::string> messages;
    for (auto i = 0; i < 40; ++i) {
        auto id = text(std::to_string(i * 37));
        auto title = text(std::string(static_cast<std::size_t>(i * 5), i % 3 == 0 ? '"' : 'x'));
        Row row{id, text(std::to_string(i % 3)), title, text("12.50"),
                text("2024-01-02 03:04:05+00")};
        Row key{id, row[1], null, null, null};
        auto old_row = identity == 'f' ? row : key;
        auto kind = identity == 'f' ? 'O' : 'K';
        auto moved = row;
        moved[1] = text("elsewhere");
        auto renamed = row;
        renamed[0] = text("999" + std::to_string(i));
        messages.push_back(insert_message(oid, row));
        messages.push_back(identity == 'f' ? update_message(oid, 'O', row, row)
                                           : update_message(oid, row));
        messages.push_back(update_message(oid, kind, old_row, moved));
        messages.push_back(update_message(oid, kind, old_row, renamed));
        messages.push_back(delete_message(oid, kind, old_row));
    }
    return messages;
}

TEST_F(AllocationTest, NothingIsAllocatedForARowOnceAllIsWarm) {
    auto by_key = relation_of("by_key")
                      .oid(16400)
                      .key("id")
                      .key("workspace")
                      .column("title")
                      .column("price", type::numeric)
                      .column("at", type::timestamptz);
    auto by_full = by_key;
    by_full.oid(16401).full_identity();
    decoder.decode(relation_message(by_key));
    decoder.decode(relation_message(by_full));
    auto messages = changes_of_all_kinds(16400, 'd');
    for (auto& message : changes_of_all_kinds(16401, 'f')) messages.push_back(std::move(message));
    for (auto i = 0; i < 5; ++i)
        for (const auto& message : messages) take(message);
    rows = bytes = 0;

    auto before = allocations;
    for (auto i = 0; i < 25; ++i)
        for (const auto& message : messages) take(message);
    auto counted = allocations - before;

    EXPECT_GT(before, 0U);  // It does count.
    EXPECT_EQ(counted, 0U);
    EXPECT_EQ(rows, 25 * messages.size());
    EXPECT_GT(bytes, rows * 100);
}

}  // namespace walcast
