#include "decoders/wal2json.hpp"

#include "tests/support/random_bytes.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

// The frames are those of wal2json 2.5 on PostgreSQL 15, unless a test says otherwise.

namespace walcast {

using Format = Wal2jsonDecoder::Format;

// --- what the catalog says ---

class TableBuilder {
public:
    explicit TableBuilder(std::string name) {
        table_.oid = 16400;
        table_.schema = "public";
        table_.name = std::move(name);
    }
    TableBuilder& key(std::string name, std::uint32_t type_oid = type::int4) {
        table_.primary_key.push_back(name);
        return add({{.name = std::move(name), .type_oid = type_oid, .is_key = true}});
    }
    TableBuilder& column(std::string name, std::uint32_t type_oid = type::int4) {
        return add({{.name = std::move(name), .type_oid = type_oid}});
    }
    TableBuilder& large(std::string name, std::uint32_t type_oid = type::text) {
        return add({{.name = std::move(name), .type_oid = type_oid}, true});
    }
    TableBuilder& generated(std::string name) {
        return add({{.name = std::move(name), .type_oid = type::int4}, false, true});
    }
    TableBuilder& full_identity() {
        table_.replica_identity = 'f';
        for (auto& column : table_.columns) column.is_key = true;
        return *this;
    }
    operator TableDescription() const { return table_; }  // NOLINT(google-explicit-constructor)

private:
    TableBuilder& add(TableDescription::Column column) {
        table_.columns.push_back(std::move(column));
        return *this;
    }
    TableDescription table_;
};

static TableBuilder table(std::string name) {
    return TableBuilder(std::move(name));
}

// --- what the decoder gives ---

static std::string show(const Tuple* tuple) {
    if (tuple == nullptr) return "none";
    std::string out;
    for (const auto& value : *tuple) {
        if (!out.empty()) out += '|';
        switch (value.kind) {
            case Value::Kind::null: out += "null"; break;
            case Value::Kind::unchanged: out += "unchanged"; break;
            case Value::Kind::text: out += value.text; break;
            case Value::Kind::binary: out += "binary"; break;
        }
    }
    return out;
}

static std::string show(const Relation& relation) {
    auto out = relation.schema + '.' + relation.name + '(';
    for (const auto& column : relation.columns)
        out += column.name + (column.is_key ? "*" : "") + ' ';
    if (out.back() == ' ') out.pop_back();
    return out + ')';
}

static std::string show(const Event& event) {
    if (const auto* begin = std::get_if<Begin>(&event))
        return fmt::format("begin {} {}", begin->transaction.xid, begin->transaction.commit_lsn);
    if (const auto* commit = std::get_if<Commit>(&event))
        return fmt::format("commit {} {}", commit->commit_lsn, commit->end_lsn);
    if (const auto* described = std::get_if<Described>(&event))
        return "described " + described->relation->schema + '.' + described->relation->name;
    if (const auto* truncate = std::get_if<Truncate>(&event))
        return "truncate " + show(*truncate->relations->front());
    if (const auto* message = std::get_if<LogicalMessage>(&event))
        return fmt::format("message {} {} {}={}", message->is_transactional, message->lsn,
                           message->prefix, message->content);
    const auto& change = std::get<Change>(event);
    static const std::map<Change::OldTuple, std::string> kinds{{Change::OldTuple::none, ""},
                                                               {Change::OldTuple::key, " key "},
                                                               {Change::OldTuple::full, " full "}};
    auto old = change.old_tuple == nullptr ? "" : show(change.old_tuple);
    return fmt::format("{} {}{}{} to {}", name_of(change.action), show(*change.relation),
                       kinds.at(change.old_kind), old, show(change.new_tuple));
}

// A decoder with a catalog that answers as a session would.
class Stream {
public:
    explicit Stream(Format format, std::vector<TableDescription> catalog = {},
                    std::string opening = {})
        : decoder(format), catalog_(std::move(catalog)) {
        if (!opening.empty()) read(std::move(opening));
    }

    // What a frame gives, event by event, once the catalog has been asked as often as wanted.
    std::string read(std::string frame, Lsn start = Lsn{0x100}) {
        kept_ = std::move(frame);
        for (auto tries = 0; tries < 2; ++tries) {
            auto events = decoder.decode(kept_, start);
            std::string out;
            for (const auto& event : events) out += (out.empty() ? "" : ", ") + show(event);
            const auto* described =
                events.size() == 1 ? std::get_if<Described>(&events[0]) : nullptr;
            if (described == nullptr) return out;
            EXPECT_TRUE(described->is_incomplete);
            ++asked;
            decoder.learn(find(*described->relation));
        }
        ADD_FAILURE() << "asks again: " << kept_;
        return {};
    }
    const Relation& relation_of(const std::string& frame) {
        read(frame);
        return *std::get<Change>(decoder.decode(kept_, {})[0]).relation;
    }
    void now(TableDescription table) { catalog_ = {std::move(table)}; }

    Wal2jsonDecoder decoder;
    int asked = 0;
    std::vector<std::pair<std::string, TableDescription>> leaves;  // By their own names.

private:
    TableDescription find(const Relation& relation) const {
        for (const auto& [name, table] : leaves)
            if (name == relation.name) return table;
        for (const auto& table : catalog_)
            if (table.schema == relation.schema && table.name == relation.name) return table;
        return {};
    }

    std::vector<TableDescription> catalog_;
    std::string kept_;
};

// --- frames ---

static const std::string begin2 =
    R"({"action":"B","xid":732,"timestamp":"2026-11-21 10:24:02.525376+00","lsn":"0/1540580","nextlsn":"0/15405B0"})";
static const std::string commit2 =
    R"({"action":"C","xid":732,"timestamp":"2026-11-21 10:24:02.525376+00","lsn":"0/1540580","nextlsn":"0/15405B0"})";
static const std::string begin1 =
    R"({"xid":753,"nextlsn":"0/1556998","timestamp":"2026-11-21 10:24:02.531479+00","change":[)";

// A change of public.t in format 2, from `"columns":[...]` and the like.
static std::string frame2(char action, const std::string& members) {
    return std::string(R"({"action":")") + action +
           R"(","xid":732,"timestamp":"2026-11-21 10:24:02.525376+00","lsn":"0/1540448","schema":"public","table":"t")" +
           members + '}';
}

// From `id:23=1`, with the value as JSON.
static std::string columns2(const std::string& name, const std::vector<std::string>& columns) {
    std::string out;
    for (const auto& column : columns) {
        auto colon = column.find(':');
        auto equals = column.find('=');
        out += fmt::format(R"({}{{"name":"{}","typeoid":{},"value":{}}})", out.empty() ? "" : ",",
                           column.substr(0, colon), column.substr(colon + 1, equals - colon - 1),
                           column.substr(equals + 1));
    }
    return fmt::format(R"(,"{}":[{}])", name, out);
}
static std::string insert2(const std::vector<std::string>& columns) {
    return frame2('I', columns2("columns", columns));
}
static std::string update2(const std::vector<std::string>& columns,
                           const std::vector<std::string>& identity) {
    return frame2('U', columns2("columns", columns) + columns2("identity", identity));
}
static std::string delete2(const std::vector<std::string>& identity) {
    return frame2('D', columns2("identity", identity));
}

static std::string arrays1(const std::string& prefix, const std::vector<std::string>& columns) {
    std::string names;
    std::string types;
    std::string values;
    for (const auto& column : columns) {
        auto colon = column.find(':');
        auto equals = column.find('=');
        auto comma = names.empty() ? "" : ",";
        names += comma + ('"' + column.substr(0, colon) + '"');
        types += comma + column.substr(colon + 1, equals - colon - 1);
        values += comma + column.substr(equals + 1);
    }
    return fmt::format(R"("{0}names":[{1}],"{0}typeoids":[{2}],"{0}values":[{3}])", prefix, names,
                       types, values);
}
static std::string frame1(const std::string& kind, const std::string& members) {
    return R"({"kind":")" + kind + R"(","schema":"public","table":"t",)" + members + '}';
}
static std::string insert1(const std::vector<std::string>& columns) {
    return frame1("insert", arrays1("column", columns));
}
static std::string update1(const std::vector<std::string>& columns,
                           const std::vector<std::string>& identity) {
    return frame1("update",
                  arrays1("column", columns) + R"(,"oldkeys":{)" + arrays1("key", identity) + '}');
}
static std::string delete1(const std::vector<std::string>& identity) {
    return frame1("delete", R"("oldkeys":{)" + arrays1("key", identity) + '}');
}

static Stream in_transaction(Format format, std::vector<TableDescription> catalog) {
    return Stream(format, std::move(catalog), format == Format::v2 ? begin2 : begin1);
}

// The same row in both formats.
class Wal2jsonRows : public testing::TestWithParam<Format> {
protected:
    Stream stream_with(std::vector<TableDescription> catalog) const {
        return in_transaction(GetParam(), std::move(catalog));
    }
    static std::string insert(const std::vector<std::string>& columns) {
        return GetParam() == Format::v2 ? insert2(columns) : insert1(columns);
    }
    static std::string update(const std::vector<std::string>& columns,
                              const std::vector<std::string>& identity) {
        return GetParam() == Format::v2 ? update2(columns, identity) : update1(columns, identity);
    }
    static std::string remove(const std::vector<std::string>& identity) {
        return GetParam() == Format::v2 ? delete2(identity) : delete1(identity);
    }
};
INSTANTIATE_TEST_SUITE_P(Format, Wal2jsonRows, testing::Values(Format::v1, Format::v2),
                         [](const auto& tested) {
                             return tested.param == Format::v1 ? "v1" : "v2";
                         });

// --- transactions and messages ---

TEST(Wal2json, Version2BeginsAndCommits) {
    Stream stream(Format::v2);

    EXPECT_EQ(stream.read(begin2), "begin 732 0/1540580");
    EXPECT_EQ(stream.read(commit2), "commit 0/1540580 0/15405B0");
}

TEST(Wal2json, CommitTimeIsInMicrosecondsSince1970) {
    Wal2jsonDecoder decoder(Format::v2);

    auto begin = std::get<Begin>(decoder.decode(begin2, {})[0]);

    EXPECT_EQ(begin.transaction.commit_time.time_since_epoch().count(), 1'795'256'642'525'376);
}

TEST(Wal2json, RefusesACommitTimeThatIsNotUtc) {
    for (const std::string time : {"2026-11-21 10:24:02+01", "2026-13-21 10:24:02+00", "infinity",
                                   "2026-11-21 10:24:02.1234567+00", "2026-11-21 10:24:02"}) {
        auto frame =
            R"({"action":"B","xid":1,"timestamp":")" + time + R"(","lsn":"0/1","nextlsn":"0/2"})";
        Stream stream(Format::v2);
        auto error = error_of<DecodeError>([&] { stream.read(frame); });
        EXPECT_TRUE(contains(error, time)) << error;
    }
}

TEST(Wal2json, Version1TakesTheLastByteOfTheCommitRecordForItsFirst) {
    Stream stream(Format::v1);

    EXPECT_EQ(stream.read(begin1), "begin 753 0/1556997");
    EXPECT_EQ(stream.read("]}"), "commit 0/1556997 0/1556998");
}

TEST(Wal2json, Version1HasEmptyTransactionsInOneFrame) {
    Stream stream(Format::v1);

    EXPECT_EQ(stream.read(begin1 + "]}"), "begin 753 0/1556997, commit 0/1556997 0/1556998");
    EXPECT_EQ(stream.read(begin1), "begin 753 0/1556997");
}

TEST(Wal2json, Version2Messages) {
    Stream stream(Format::v2);

    EXPECT_EQ(
        stream.read(
            R"({"action":"M","xid":null,"timestamp":null,"lsn":"0/15569E0","transactional":false,"prefix":"walcast","content":"{\"a\":1}"})"),
        R"(message false 0/15569E0 walcast={"a":1})");
    stream.read(begin2);
    EXPECT_EQ(
        stream.read(
            R"({"action":"M","xid":753,"timestamp":"2026-11-21 10:24:02.531479+00","lsn":"0/1556968","transactional":true,"prefix":"pre \"fix","content":"con\\t"})"),
        R"(message true 0/1556968 pre "fix=con\t)");
}

TEST(Wal2json, Version1MessagesStandWhereTheirFrameDoes) {
    Stream stream(Format::v1);
    const std::string alone =
        R"({"change":[{"kind":"message","transactional":false,"prefix":"alone","content":"x]}"}]})";

    EXPECT_EQ(stream.read(alone, Lsn{0x1556AA8}), "message false 0/1556AA8 alone=x]}");
    stream.read(begin1);
    EXPECT_EQ(stream.read(R"({"kind":"message","transactional":true,"prefix":"p","content":"x"})",
                          Lsn{0x1556968}),
              "message true 0/1556968 p=x");
    EXPECT_EQ(stream.read(R"(,{"kind":"message","transactional":true,"prefix":"p","content":"x"})",
                          Lsn{0x1556970}),
              "message true 0/1556970 p=x");
}

TEST(Wal2json, Version1MessageWithTheCommaThatEarlierVersionsWrite) {
    Stream stream(Format::v1);
    const std::string frame =
        R"({"change":[,{"kind":"message","transactional":false,"prefix":"walcast","content":"{}"}]})";

    EXPECT_EQ(stream.read(frame, Lsn{0x10}), "message false 0/10 walcast={}");

    auto twice = frame;
    twice.insert(twice.find(','), ",");
    EXPECT_THROW(stream.read(twice), DecodeError);
    stream.read(begin1);
    EXPECT_THROW(stream.read(frame), DecodeError);
}

// --- values ---

TEST_P(Wal2jsonRows, ValuesAreTheServersText) {
    auto stream = stream_with({table("t")
                                   .key("id")
                                   .large("n", type::numeric)
                                   .large("b", 17)
                                   .column("f", type::boolean)
                                   .column("p", 16392)
                                   .large("bd", 16394)
                                   .column("o", 26)
                                   .column("w", type::float8)
                                   .large("s")
                                   .column("u")});

    EXPECT_EQ(stream.read(
                  insert({"id:23=1", "n:1700=123456789012345678901234567890.10", R"(b:17="00ff")",
                          "f:16=true", R"(p:16392="5")", R"(bd:16394="\\xbeef")", "o:26=4294967295",
                          "w:701=-1e-07", R"(s:25="l\nn\u0007\\ \"q\" é😀")", "u:23=null"})),
              "insert public.t(id* n b f p bd o w s u) to 1|123456789012345678901234567890.10|"
              "\\x00ff|t|5|\\xbeef|4294967295|-1e-07|l\nn\a\\ \"q\" é😀|null");
}

TEST_P(Wal2jsonRows, NumbersMayBeStrings) {  // wal2json 2.6, numeric-data-types-as-string
    auto stream = stream_with({table("t").key("id").large("n", type::numeric)});

    EXPECT_EQ(stream.read(insert({R"(id:23="1")", R"(n:1700="NaN")"})),
              "insert public.t(id* n) to 1|NaN");
}

TEST_P(Wal2jsonRows, ManyValuesOfBytesLeaveEachOtherAlone) {
    auto description = table("t").key("id");
    std::vector<std::string> columns{"id:23=1"};
    std::string expected = "1";
    for (auto i = 0; i < 200; ++i) {
        description.large("b" + std::to_string(i), 17);
        columns.push_back(fmt::format(R"(b{}:17="{:04x}")", i, i));
        expected += fmt::format("|\\x{:04x}", i);
    }
    auto stream = stream_with({description});

    auto shown = stream.read(insert(columns));

    EXPECT_EQ(shown.substr(shown.find(" to ") + 4), expected);
}

TEST_P(Wal2jsonRows, TableWithoutColumns) {
    auto stream = stream_with({table("t")});

    EXPECT_EQ(stream.read(insert({})), "insert public.t() to ");
}

// --- tables ---

TEST_P(Wal2jsonRows, TheCatalogIsAskedOnceByTheNameInTheFrame) {
    auto stream = stream_with({table("t").key("id")});
    auto frame = insert({"id:23=1"});

    auto events = stream.decoder.decode(frame, {});

    const auto& described = std::get<Described>(events[0]);
    EXPECT_TRUE(described.is_incomplete);
    EXPECT_EQ(show(*described.relation), "public.t(id)");
    EXPECT_EQ(described.relation->columns[0].type_oid, type::int4);
    EXPECT_EQ(stream.read(frame), "insert public.t(id*) to 1");
    stream.read(frame);
    EXPECT_EQ(stream.asked, 1);
}

TEST(Wal2json, NamesHoldWhatTheyLike) {
    TableDescription description = table("T\\t.\"q\"").key("a.\"b").large("A");
    description.schema = "S \"x\".é";
    auto stream = in_transaction(Format::v2, {description});

    EXPECT_EQ(
        stream.read(
            R"({"action":"I","xid":738,"lsn":"0/1548EE0","schema":"S \"x\".é","table":"T\\t.\"q\"","columns":[{"name":"a.\"b","typeoid":23,"value":1},{"name":"A","typeoid":25,"value":"x"}]})"),
        "insert S \"x\".é.T\\t.\"q\"(a.\"b* A) to 1|x");
}

TEST_P(Wal2jsonRows, ARelationKeepsItsAddressAndChangesItsGeneration) {
    auto stream = stream_with({table("t").key("id")});
    const auto& first = stream.relation_of(insert({"id:23=1"}));
    auto generation = first.generation;
    EXPECT_EQ(stream.relation_of(insert({"id:23=2"})).generation, generation);

    stream.now(table("t").key("id").column("n"));
    const auto& second = stream.relation_of(insert({"id:23=3", "n:23=4"}));

    EXPECT_EQ(&first, &second);
    EXPECT_GT(second.generation, generation);
    EXPECT_EQ(second.oid, 16400U);
}

TEST_P(Wal2jsonRows, WhatTheFrameHasWinsOverALaterCatalog) {
    auto stream = stream_with({table("t").key("id").large("added").column("type", type::text)});

    EXPECT_EQ(stream.read(insert({"id:23=1", "type:23=2", R"(dropped:25="x")"})),
              "insert public.t(id* type dropped) to 1|2|x");
    EXPECT_EQ(stream.read(insert({"id:23=1", "type:23=2", R"(dropped:25="x")"})),
              "insert public.t(id* type dropped) to 1|2|x");
    EXPECT_EQ(stream.asked, 1);
    // When the stream gets there.
    EXPECT_EQ(stream.read(insert({"id:23=1", R"(added:25="a")", R"(type:25="b")"})),
              "insert public.t(id* added type) to 1|a|b");
    EXPECT_EQ(stream.asked, 2);
}

TEST_P(Wal2jsonRows, AColumnThatChangesItsTypeIsAskedAbout) {
    auto stream = stream_with({table("t").key("id").column("n")});
    stream.read(insert({"id:23=1", "n:23=1"}));

    stream.now(table("t").key("id").column("n", type::int8));

    EXPECT_EQ(stream.relation_of(update({"id:23=1", "n:20=1"}, {"id:23=1"})).columns[1].type_oid,
              type::int8);
    EXPECT_EQ(stream.asked, 2);
}

TEST_P(Wal2jsonRows, ATableThatIsGoneIsWhatItsFramesShow) {
    auto stream = stream_with({});

    EXPECT_EQ(stream.read(insert({"id:23=1", R"(body:25="x")", "n:23=1"})),
              "insert public.t(id body n) to 1|x|1");
    EXPECT_EQ(stream.read(update({"id:23=1", "n:23=2"}, {"id:23=1"})),
              "update public.t(id* body n) to 1|unchanged|2");
    EXPECT_EQ(stream.read(remove({"id:23=1"})),
              "delete public.t(id* body n) key 1|null|null to none");
    EXPECT_LE(stream.asked, 2);
}

TEST_P(Wal2jsonRows, ADeleteFromATableThatIsGoneShowsItsKeyOnly) {
    auto stream = stream_with({});

    EXPECT_EQ(stream.read(remove({"id:23=1"})), "delete public.t(id*) key 1 to none");
    EXPECT_EQ(stream.read(remove({"id:23=2"})), "delete public.t(id*) key 2 to none");
}

TEST_P(Wal2jsonRows, PartitionsAreTheirRoot) {
    TableDescription root = table("root").key("id").column("k").large("v");
    auto stream = stream_with({});
    stream.leaves = {{"t", root}};

    EXPECT_EQ(stream.read(insert({R"(v:25="v")", "k:23=2", "id:23=1"})),
              "insert public.root(id* k v) to 1|2|v");
    EXPECT_EQ(stream.read(update({"k:23=3", "id:23=2"}, {"id:23=1"})),
              "update public.root(id* k v) key 1|null|null to 2|3|unchanged");
    EXPECT_EQ(stream.read(remove({"id:23=2"})),
              "delete public.root(id* k v) key 2|null|null to none");
    EXPECT_EQ(stream.asked, 1);
}

TEST_P(Wal2jsonRows, VirtualColumnsAreLeftOut) {
    auto stream = stream_with({table("t").key("id").generated("g").column("n")});

    EXPECT_EQ(stream.read(insert({"id:23=1", "g:23=null", "n:23=2"})),
              "insert public.t(id* n) to 1|2");
    EXPECT_EQ(stream.read(update({"id:23=1", "g:23=null", "n:23=3"}, {"id:23=1"})),
              "update public.t(id* n) to 1|3");
    EXPECT_EQ(stream.asked, 1);
}

TEST(Wal2json, Version2Truncates) {
    auto stream = in_transaction(Format::v2, {table("t").key("id").column("n")});

    EXPECT_EQ(stream.read(frame2('T', "")), "truncate public.t(id* n)");
}

TEST(Wal2json, TruncatesOfPartitionsAreToldByTheirRoot) {
    auto stream = in_transaction(Format::v2, {});
    stream.leaves = {{"t", table("root").key("id")}};

    EXPECT_EQ(stream.read(frame2('T', "")), "");
}

// --- updates and deletes ---

TEST_P(Wal2jsonRows, OldKeysAreToldOnlyWhereTheyChange) {
    auto stream = stream_with({table("t").key("id").column("n")});

    EXPECT_EQ(stream.read(update({"id:23=1", "n:23=2"}, {"id:23=1"})),
              "update public.t(id* n) to 1|2");
    EXPECT_EQ(stream.read(update({"id:23=2", "n:23=2"}, {"id:23=1"})),
              "update public.t(id* n) key 1|null to 2|2");
    EXPECT_EQ(stream.read(remove({"id:23=2"})), "delete public.t(id* n) key 2|null to none");
}

TEST_P(Wal2jsonRows, LargeValuesLeftAloneAreUnchanged) {
    auto stream = stream_with({table("t").key("id").large("body").column("n")});
    stream.read(insert({"id:23=1", R"(body:25="x")", "n:23=1"}));

    EXPECT_EQ(stream.read(update({"id:23=1", "n:23=2"}, {"id:23=1"})),
              "update public.t(id* body n) to 1|unchanged|2");
    EXPECT_EQ(stream.read(update({"id:23=1", "body:25=null", "n:23=2"}, {"id:23=1"})),
              "update public.t(id* body n) to 1|null|2");
    EXPECT_EQ(stream.asked, 1);
}

TEST_P(Wal2jsonRows, ALargeKeyLeftAloneIsInTheIdentity) {
    auto stream = stream_with({table("t").key("key", type::text).large("a")});

    EXPECT_EQ(stream.read(update({R"(a:25="b")"}, {R"(key:25="kkk")"})),
              "update public.t(key* a) to kkk|b");
}

TEST_P(Wal2jsonRows, AColumnMissingThoughItIsSmallWasDropped) {
    auto stream = stream_with({table("t").key("id").large("body").column("n").column("m")});
    stream.read(insert({"id:23=1", R"(body:25="x")", "n:23=1", "m:23=1"}));

    stream.now(table("t").key("id").large("body").column("m"));

    EXPECT_EQ(stream.read(update({"id:23=1", "m:23=2"}, {"id:23=1"})),
              "update public.t(id* body m) to 1|unchanged|2");
    EXPECT_EQ(stream.asked, 2);
}

TEST_P(Wal2jsonRows, AnUpdateOfATableThatHasChangedSinceKeepsItsLargeColumns) {
    auto stream = stream_with({table("t").key("id").column("n").large("body")});
    stream.read(insert({"id:23=1", "n:23=1", R"(body:25="x")"}));

    stream.now(table("t").key("id").large("later"));  // And body is gone by now.

    EXPECT_EQ(stream.read(update({"id:23=1", "m:23=1"}, {"id:23=1"})),
              "update public.t(id* later body m) to 1|unchanged|unchanged|1");
}

TEST_P(Wal2jsonRows, FullIdentityTellsTheWholeOldRow) {
    auto stream = stream_with({table("t").key("id").large("body").column("n").full_identity()});

    EXPECT_EQ(stream.read(update({"id:23=1", "n:23=2"}, {"id:23=1", R"(body:25="x")", "n:23=1"})),
              "update public.t(id* body* n*) full 1|x|1 to 1|x|2");
    EXPECT_EQ(stream.read(update({"id:23=1", R"(body:25="x")", "n:23=1"},
                                 {"id:23=1", R"(body:25="x")", "n:23=1"})),
              "update public.t(id* body* n*) full 1|x|1 to 1|x|1");
    EXPECT_EQ(stream.read(remove({"id:23=1", R"(body:25="x")", "n:23=2"})),
              "delete public.t(id* body* n*) full 1|x|2 to none");
    EXPECT_EQ(stream.asked, 1);
}

TEST(Wal2json, Version2TellsNullsOfOldRows) {
    auto stream =
        in_transaction(Format::v2, {table("t").key("id").large("a").column("n").full_identity()});

    EXPECT_EQ(stream.read(delete2({"id:23=1", "a:25=null", "n:23=null"})),
              "delete public.t(id* a* n*) full 1|null|null to none");
}

TEST(Wal2json, Version1LeavesNullsOfOldRowsOut) {
    auto stream =
        in_transaction(Format::v1, {table("t").key("id").large("a").column("n").full_identity()});

    EXPECT_EQ(stream.read(update1({"id:23=1", R"(a:25="x")", "n:23=null"}, {"id:23=1", "n:23=5"})),
              "update public.t(id* a* n*) full 1|null|5 to 1|x|null");
    EXPECT_EQ(stream.read(delete1({"id:23=1"})),
              "delete public.t(id* a* n*) full 1|null|null to none");
    EXPECT_EQ(stream.asked, 1);
}

TEST(Wal2json, Version1DoesNotTakeWhatTheIdentityLacksForNull) {
    auto description = table("t").key("id").large("body").column("n");
    auto stream = in_transaction(Format::v1, {description.full_identity()});
    stream.read(update1({"id:23=1", "n:23=1"}, {"id:23=1", R"(body:25="x")", "n:23=5"}));

    // ALTER TABLE t REPLICA IDENTITY DEFAULT.
    stream.now(table("t").key("id").large("body").column("n"));

    EXPECT_EQ(stream.read(update1({"id:23=1", "n:23=2"}, {"id:23=1"})),
              "update public.t(id* body n) to 1|unchanged|2");
    EXPECT_EQ(stream.asked, 2);
}

TEST(Wal2json, Version1AsksAboutAnOldRowThatMayBeAKeyOnceATransaction) {
    auto stream = in_transaction(Format::v1, {table("t").key("id").column("n").full_identity()});
    stream.read(delete1({"id:23=1", "n:23=5"}));
    stream.read("]}");
    stream.read(begin1);

    EXPECT_EQ(stream.read(delete1({"id:23=1"})), "delete public.t(id* n*) full 1|null to none");
    EXPECT_EQ(stream.asked, 2);
    stream.read(delete1({"id:23=2"}));
    EXPECT_EQ(stream.asked, 2);

    stream.read("]}");
    stream.read(begin1);
    stream.now(table("t").key("id").column("n"));
    EXPECT_EQ(stream.read(delete1({"id:23=1"})), "delete public.t(id* n) key 1|null to none");
}

TEST_P(Wal2jsonRows, TheIdentityOfTheFrameMakesTheKey) {
    auto stream = stream_with({table("t").key("id").large("code")});
    auto generation =
        stream.relation_of(update({"id:23=1", R"(code:25="x")"}, {"id:23=1"})).generation;

    EXPECT_EQ(stream.read(update({"id:23=1", R"(code:25="y")"}, {R"(code:25="x")"})),
              "update public.t(id code*) key null|x to 1|y");
    EXPECT_GT(stream.relation_of(remove({R"(code:25="y")"})).generation, generation);
}

TEST_P(Wal2jsonRows, FullIdentityThatBeganMeanwhile) {
    auto stream = stream_with({table("t").key("id").column("n")});
    stream.read(update({"id:23=1", "n:23=1"}, {"id:23=1"}));

    stream.now(table("t").key("id").column("n").full_identity());

    EXPECT_EQ(stream.read(update({"id:23=1", "n:23=2"}, {"id:23=1", "n:23=1"})),
              "update public.t(id* n*) full 1|1 to 1|2");
}

TEST_P(Wal2jsonRows, AKeyOfAllColumnsIsNoFullIdentity) {
    auto stream = stream_with({table("t").key("a").key("b")});

    EXPECT_EQ(stream.read(update({"a:23=1", "b:23=2"}, {"a:23=1", "b:23=2"})),
              "update public.t(a* b*) to 1|2");
    EXPECT_EQ(stream.read(update({"a:23=1", "b:23=3"}, {"a:23=1", "b:23=2"})),
              "update public.t(a* b*) key 1|2 to 1|3");
}

// --- what is refused ---

TEST(Wal2json, SaysWhatItCannotRead) {
    struct Case {
        std::string frame;
        std::string says;
    };
    auto row = insert2({"id:23=1"});
    for (
        const auto& [frame, says] : std::vector<Case>{
            {"", "JSON"},
            {"[]", "JSON"},
            {"{}", "\"action\" is missing"},
            {R"({"action":"X"})", "unknown action \"X\""},
            {R"({"action":7})", "7 where a string must be"},
            {begin2, "inside another"},
            {R"({"action":"C","lsn":"0/1","nextlsn":"0/2"})", "commits 0/1 to 0/2"},
            {R"({"action":"C","lsn":"0/1"})", "\"nextlsn\" is missing"},
            {R"({"action":"I","table":"t","columns":[]})", "\"schema\" is missing"},
            {frame2('I', ""), "public.t: no new row"},
            {frame2('D', ""), "public.t: no old row"},
            {frame2('I', R"(,"columns":[{"name":"a"}])"), "without its name or value"},
            {frame2('I', R"(,"columns":[{"name":"a","value":[1]}])"), "where a value must be"},
            {frame2('I', R"(,"columns":[{"name":"a","value":01x}])"), "where a value must be"},
            {frame2('I', R"(,"columns":{})"), "JSON"},
            {insert2({"id:23=1", "id:23=2"}), "named twice"},
            {row + "x", "JSON"},
            {row.substr(0, row.size() - 3), "JSON"},
            {insert2({"id:23=\"\xff\""}), "must be UTF8"},
            {R"({"action":"I","schema":"s","table":"t","columns":[{"name":"a","type":"S X"."T","value":1}]})",
             "pgoutput"}}) {
        auto stream = in_transaction(Format::v2, {});
        auto error = error_of<DecodeError>([&, &bad = frame] { stream.read(bad); });
        EXPECT_TRUE(contains(error, "wal2json frame at 0/100")) << error;
        EXPECT_TRUE(contains(error, says)) << frame << ": " << error;
    }
}

TEST(Wal2json, SaysWhatItCannotReadOfVersion1) {
    struct Case {
        std::string frame;
        std::string says;
    };
    for (const auto& [frame, says] : std::vector<Case>{
             {begin1, "inside another"},
             {R"({"kind":"truncate"})", "unknown kind"},
             {R"({"xid":1,"nextlsn":"0/2","change":[)", "inside another"},
             {frame1("insert", R"("columnnames":["a"],"columnvalues":[1,2])"),
              "1 names, 0 types and 2 values"},
             {R"({"kind":"insert","schema":"public","table":"t","columnnames":[)", "cut short"},
             {R"({"xid":1,"change":[{"kind":"insert"}]})", "write-in-chunks"},
             {"]", "JSON"}}) {
        auto stream = in_transaction(Format::v1, {});
        auto error = error_of<DecodeError>([&, &bad = frame] { stream.read(bad); });
        EXPECT_TRUE(contains(error, says)) << frame << ": " << error;
    }
}

TEST(Wal2json, RowsStandInTransactions) {
    Stream second(Format::v2);
    Stream first(Format::v1);

    EXPECT_THROW(second.read(insert2({"id:23=1"})), DecodeError);
    EXPECT_THROW(second.read(commit2), DecodeError);
    EXPECT_THROW(first.read(insert1({"id:23=1"})), DecodeError);
    EXPECT_THROW(first.read("]}"), DecodeError);
}

TEST(Wal2json, RefusesMoreColumnsThanATableCanHave) {
    auto stream = in_transaction(Format::v2, {});
    std::vector<std::string> columns;
    for (auto i = 0; i <= 1600; ++i) columns.push_back(fmt::format("c{}:23=1", i));

    EXPECT_THROW(stream.read(insert2(columns)), DecodeError);
}

// --- any bytes ---

static std::vector<std::string> some_frames(Format format) {
    if (format == Format::v2)
        return {begin2,
                insert2({"id:23=1", R"(body:25="x\"\u0007")", "n:1700=1.50", R"(b:17="00ff")"}),
                update2({"id:23=1", "n:1700=2", "b:17=null"}, {"id:23=2"}),
                delete2({"id:23=1"}),
                frame2('T', ""),
                R"({"action":"M","lsn":"0/1","transactional":true,"prefix":"p","content":"c"})",
                commit2};
    return {begin1,
            insert1({"id:23=1", R"(body:25="x\"\u0007")", "n:1700=1.50", R"(b:17="00ff")"}),
            "," + update1({"id:23=1", "n:1700=2", "b:17=null"}, {"id:23=2"}),
            "," + delete1({"id:23=1"}),
            R"(,{"kind":"message","transactional":true,"prefix":"p","content":"c"})",
            "]}",
            R"({"change":[,{"kind":"message","transactional":false,"prefix":"p","content":"c"}]})"};
}

static TableDescription described() {
    return table("t").key("id").large("body").large("n", type::numeric).large("b", 17);
}

TEST_P(Wal2jsonRows, AreRefusedWhenCutAtAnyByte) {
    Stream stream(GetParam(), {described()});
    for (const auto& frame : some_frames(GetParam())) {
        for (std::size_t size = 0; size < frame.size(); ++size)
            EXPECT_THROW(stream.read(frame.substr(0, size)), DecodeError) << frame.substr(0, size);
        EXPECT_THROW(stream.read(frame + '\0'), DecodeError);
        stream.read(frame);
    }
}

TEST_P(Wal2jsonRows, ThrowNothingButDecodeErrorWhateverTheirBytes) {
    auto seed = test_seed();
    SCOPED_TRACE("WALCAST_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    const std::string pieces = "{}[],:\"\\0159-.etrufalsn \n\x80";

    for (auto i = 0; i < 3000; ++i) {
        Stream stream(GetParam(), {described()});
        for (auto frame : some_frames(GetParam())) {
            if (random() % 4 == 0) flip_bits(frame, random);
            if (random() % 4 == 0)
                frame[random() % frame.size()] = pieces[random() % pieces.size()];
            if (random() % 8 == 0) frame.erase(random() % frame.size(), 1 + random() % 4);
            try {
                stream.read(frame);
            } catch (const DecodeError&) {
                // The next frame may find what this one left behind.
            }
        }
    }
}

}  // namespace walcast
