// A stream of wal2json, a frame a line, and its rows as JSON. The first byte is the format, the
// second what the catalog says of tables.

#include "decoders/wal2json.hpp"
#include "tests/fuzz/row_check.hpp"

using namespace walcast;

// A description that fits the stream more or less, as `how` tells.
static TableDescription describe(const Relation& relation, std::uint8_t how) {
    TableDescription table{
        .oid = how % 16 == 15 ? 0U : 16400U,
        .schema = relation.schema,
        .name = (how & 16U) != 0 ? "parent" : relation.name,
        .replica_identity = "dnfi"[how % 4],
    };
    constexpr std::array<std::string_view, 6> names{"id", "title", "b", "done", "extra", "x"};
    for (std::size_t i = 0; i < names.size(); ++i) {
        if ((how & 32U) != 0 && i == 4) continue;
        TableDescription::Column column;
        column.name = names[i];
        column.type_oid = i == 0 ? 23 : fuzz_types[(how + i * 7) % fuzz_types.size()];
        column.is_key = i == 0 || how % 4 == 2;
        column.is_large = i == 1;
        column.is_generated = (how & 64U) != 0 && i == 5;
        table.columns.push_back(column);
    }
    for (const auto& known : relation.columns) {
        TableDescription::Column column;
        static_cast<Column&>(column) = known;
        auto is_same = [&](const auto& other) { return other.name == known.name; };
        if (std::none_of(table.columns.begin(), table.columns.end(), is_same))
            table.columns.push_back(column);
    }
    if ((how & 128U) == 0) table.primary_key = {"id"};
    return table;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static RowCheck rows;
    auto input = view_of(data, size);
    auto is_v1 = take_byte(input) == 1;
    auto how = take_byte(input);
    Wal2jsonDecoder decoder(is_v1 ? Wal2jsonDecoder::Format::v1 : Wal2jsonDecoder::Format::v2);
    Lsn start{0x1000};
    while (!input.empty()) {
        std::string frame(take_until(input, '\n'));
        ++start.value;
        // Asked, it must not ask for the same again.
        for (auto asked = 0, is_done = 0; is_done == 0; ++asked) {
            require(asked <= 2, "a frame is read once its table is known");
            is_done = 1;
            passes<DecodeError>([&] {
                for (const auto& event : decoder.decode(frame, start)) {
                    rows.look_at(event);
                    const auto* described = std::get_if<Described>(&event);
                    if (described == nullptr) continue;
                    if (described->is_incomplete) is_done = 0;
                    auto table = describe(*described->relation, how);
                    if (described->is_incomplete) decoder.learn(table);
                }
            });
        }
    }
    return 0;
}
