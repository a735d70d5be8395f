#include "agent/batch_builder.hpp"
#include "agent/numbering.hpp"
#include "agent/recording/replay.hpp"
#include "decoders/pgoutput.hpp"
#include "decoders/row_json.hpp"
#include "decoders/wal2json.hpp"
#include "tests/support/pgoutput_messages.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/rules.hpp"
#include "tests/support/wal2json_frames.hpp"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdlib>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

// Rows and bytes a second of what is done for each row, without sockets. Bytes are those that the
// server sends, or, for encoding, those of the JSON written. `--replay FILE` measures a recording
// of `walcast tail --record` instead, from the file to its messages.

namespace walcast {

static constexpr std::size_t row_count = 64;  // Of each table, again and again.

struct Table {
    std::string name;
    Relation relation;
    std::vector<Row> rows;
};

// --- the tables ---

static Table narrow() {
    Table table{.name = "narrow",
                .relation = relation_of("narrow")
                                .key("id")
                                .column("workspace")
                                .column("title")
                                .column("at", type::timestamptz),
                .rows = {}};
    for (std::size_t i = 0; i < row_count; ++i)
        table.rows.push_back({text(std::to_string(i * 1001)), text(std::to_string(i % 7)),
                              text("buy milk, number " + std::to_string(i)),
                              text("2024-01-02 03:04:05.123456+00")});
    return table;
}

static Table wide() {
    auto relation = relation_of("wide").key("id").column("workspace");
    Row row{text("7"), text("3")};
    for (auto i = 0; i < 8; ++i) {
        auto name = [&](const char* of) { return fmt::format("{}_{}", of, i); };
        relation.column(name("count"), type::int8)
            .column(name("title"))
            .column(name("price"), type::numeric)
            .column(name("at"), type::timestamptz)
            .column(name("done"), type::boolean)
            .column(name("ratio"), type::float8);
        row.insert(row.end(), {text("123456789012"), text("a title of some words"), text("1234.50"),
                               text("2024-01-02 03:04:05.123456+00"), text("t"),
                               i % 4 == 0 ? null : text("0.30000000000000004")});
    }
    return {.name = "wide", .relation = relation, .rows = std::vector<Row>(row_count, row)};
}

static Table large() {
    std::string body;
    while (body.size() < std::size_t{100} * 1024)
        body += "Some words of a long \"text\", and at its end a line.\n";
    return {.name = "large",
            .relation = relation_of("large").key("id").column("workspace").column("body"),
            .rows = std::vector<Row>(row_count, {text("7"), text("3"), text(body)})};
}

// A user's composite type, and an array of it.
static constexpr std::uint32_t composite_oid = 16500;
static constexpr std::uint32_t composites_oid = 16501;
static std::vector<TypeDescription> user_types() {
    using Kind = TypeDescription::Kind;
    return {
        {.oid = composite_oid, .kind = Kind::composite, .fields = {{"count", 23}, {"label", 25}}},
        {.oid = composites_oid, .kind = Kind::array, .of = composite_oid, .fields = {}}};
}

static Table nested() {
    auto relation = relation_of("nested")
                        .key("id")
                        .column("workspace")
                        .column("numbers", 1007)
                        .column("words", 1009)
                        .column("times", 1185)
                        .column("one", composite_oid)
                        .column("many", composites_oid)
                        .column("document", type::jsonb)
                        .column("bytes", 17);
    Row row{text("7"),
            text("3"),
            text("{1,2,3,4,5,6,7,8,9,10}"),
            text(R"({plain,"two words","a \"quote\"",NULL})"),
            text(R"({"2024-01-02 03:04:05+00","2024-01-02 03:04:05.5+00"})"),
            text(R"((7,"two words"))"),
            text(R"x({"(1,a)","(2,\"two words\")","(3,)"})x"),
            text(R"({"a": [1, 2, {"b": null}], "c": "some text"})"),
            text(R"(\x00112233445566778899aabbccddeeff)")};
    return {.name = "nested", .relation = relation, .rows = std::vector<Row>(row_count, row)};
}

// --- the stream of one table, as each plugin sends it ---

enum class Format { pgoutput, wal2json_v1, wal2json_v2 };

static std::string name_of(Format format) {
    switch (format) {
        case Format::pgoutput: return "pgoutput";
        case Format::wal2json_v1: return "wal2json_v1";
        case Format::wal2json_v2: return "wal2json_v2";
    }
    return {};
}

// A decoder inside a transaction, which knows the table; and the inserts to come.
struct Stream {
    std::unique_ptr<Decoder> decoder;
    std::vector<std::string> messages;
    std::size_t bytes = 0;  // Of all messages.

    Stream(Format format, const Table& table) {
        auto version = format == Format::wal2json_v1 ? 1 : 2;
        if (format == Format::pgoutput) {
            decoder = std::make_unique<PgoutputDecoder>();
            decoder->decode(begin_message(), {});
            decoder->decode(relation_message(table.relation), {});
        } else {
            decoder = std::make_unique<Wal2jsonDecoder>(version == 1 ? Wal2jsonDecoder::Format::v1
                                                                     : Wal2jsonDecoder::Format::v2);
            decoder->decode(wal2json::begin_frame(version), {});
        }
        for (const auto& row : table.rows) {
            messages.push_back(
                format == Format::pgoutput
                    ? insert_message(table.relation.oid, row)
                    : wal2json::change_frame(version, table.relation, nullptr, &row));
            bytes += messages.back().size();
        }
        if (format == Format::pgoutput) return;
        decoder->decode(messages.front(), {});
        decoder->learn(wal2json::description_of(table.relation));
        decoder->decode(messages.front(), {});
    }
};

// The one row of a message. A plugin that gives anything else is not worth measuring.
static const Change& decode_row(Decoder& decoder, std::string_view message) {
    auto events = decoder.decode(message, {});
    const auto* change = events.size() == 1 ? std::get_if<Change>(&events[0]) : nullptr;
    if (change == nullptr) std::abort();
    return *change;
}

static void report(benchmark::State& state, std::size_t bytes_a_round) {
    auto rounds = static_cast<std::int64_t>(state.iterations());
    state.SetItemsProcessed(rounds * static_cast<std::int64_t>(row_count));
    state.SetBytesProcessed(rounds * static_cast<std::int64_t>(bytes_a_round));
}

// --- what is measured ---

static void decode(benchmark::State& state, Format format, const Table& table) {
    Stream stream(format, table);
    for (auto _ : state)
        for (const auto& message : stream.messages)
            benchmark::DoNotOptimize(decode_row(*stream.decoder, message));
    report(state, stream.bytes);
}

static void encode(benchmark::State& state, const Table& table) {
    JsonTypes types;
    types.add(user_types());
    RowJson row(table.relation, types);
    ValueWriter writer;
    std::vector<Tuple> tuples;
    for (const auto& cells : table.rows) {
        auto& tuple = tuples.emplace_back();
        for (const auto& cell : cells)
            tuple.push_back({cell.kind == 'n' ? Value::Kind::null : Value::Kind::text, cell.text});
    }
    std::string out;
    for (auto _ : state) {
        out.clear();
        for (const auto& tuple : tuples)
            append_row(out, row, tuple, std::numeric_limits<std::size_t>::max(), writer);
        benchmark::DoNotOptimize(out.data());
    }
    report(state, out.size());
}

// Decodes, numbers, routes and writes into batches that are used again, as a session does.
static void whole(benchmark::State& state, Format format, const Table& table) {
    RouterFixture fixture{
        {rule_for("public.*").model("Todo").id({"id"}).channel("workspace:{workspace}")}};
    fixture.catalog.add_types(user_types());
    TransactionInfo transaction{.commit_lsn = Lsn{0x1000}, .xid = 738, .commit_time = {}};
    Numbering numbering{{.epoch = "e", .sync_id = 0, .lsn = {}, .partial = std::nullopt}};
    BatchBuilder builder(fixture.router, {});
    numbering.begin(transaction);
    builder.begin(transaction);
    Stream stream(format, table);
    Batch spare;
    for (auto _ : state) {
        for (const auto& message : stream.messages) {
            auto id = numbering.take(message, 1);
            builder.add(decode_row(*stream.decoder, message), *id);
            if (builder.is_full()) spare = builder.take(std::move(spare));
        }
    }
    report(state, stream.bytes);
}

// Reads a recording, and does all of it that a tail does but for showing.
static void replay(benchmark::State& state, const std::string& file) {
    const std::vector<Rule> rules{rule_for("*.*").channel("tail")};
    std::int64_t rows = 0;
    std::int64_t bytes = 0;
    for (auto _ : state) {
        Replay replay(file);
        ReplayedBatches batches(replay, rules);
        while (const auto* batch = batches.next())
            bytes += static_cast<std::int64_t>(batch->bytes.size());
        rows += static_cast<std::int64_t>(batches.rows());
    }
    state.SetItemsProcessed(rows);
    state.SetBytesProcessed(bytes);
}

// Takes `--replay FILE` out of the arguments.
static std::string take_replay(int& argc, char** argv) {
    std::string file;
    for (auto i = 1; i + 1 < argc; ++i) {
        if (std::string_view(argv[i]) != "--replay") continue;
        file = argv[i + 1];
        for (auto j = i + 2; j < argc; ++j) argv[j - 2] = argv[j];
        argc -= 2;
    }
    return file;
}

}  // namespace walcast

int main(int argc, char** argv) {
    using namespace walcast;
    static const std::vector<Table> tables{narrow(), wide(), large(), nested()};
    for (const auto& table : tables) {
        for (auto format : {Format::pgoutput, Format::wal2json_v2, Format::wal2json_v1}) {
            auto name = [&](const char* of) {
                return fmt::format("{}/{}/{}", of, name_of(format), table.name);
            };
            benchmark::RegisterBenchmark(
                name("decode").c_str(),
                [=, &table](benchmark::State& state) { decode(state, format, table); });
            benchmark::RegisterBenchmark(
                name("whole").c_str(),
                [=, &table](benchmark::State& state) { whole(state, format, table); });
        }
        benchmark::RegisterBenchmark(("encode/" + table.name).c_str(),
                                     [&table](benchmark::State& state) { encode(state, table); });
    }
    auto recording = take_replay(argc, argv);
    if (!recording.empty()) {
        benchmark::ClearRegisteredBenchmarks();
        benchmark::RegisterBenchmark("replay",
                                     [=](benchmark::State& state) { replay(state, recording); });
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
