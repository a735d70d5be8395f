#include "decoders/wal2json.hpp"

#include "decoders/wal2json_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <chrono>
#include <map>
#include <string>
#include <utility>

namespace walcast {

struct Wal2jsonDecoder::State {
    explicit State(Format of) : format(of) {}

    void decode(std::string_view message, Lsn start);
    void decode_v1(std::string_view message, Lsn start);
    void decode_v2();
    void begin(Lsn commit_lsn, Lsn end_lsn);
    void commit();
    void logical_message(Lsn lsn);
    void change(Action action);
    void truncate();

    Wal2jsonTable& find_table();
    void ask(Wal2jsonTable& table);
    void expect_transaction() const;
    void yield(const Event& event) { events[events_count++] = event; }

    Format format;
    Wal2jsonFrameReader reader;
    const Wal2jsonFrame* frame = nullptr;  // The one being decoded.
    Wal2jsonFrame bare;                    // Stands for what is no JSON by itself.

    std::map<std::pair<std::string, std::string>, Wal2jsonTable> tables;
    Wal2jsonTable* last_table = nullptr;  // Rows of one table come in series.
    Wal2jsonTable* asked = nullptr;
    std::uint64_t generations = 0;

    bool is_in_transaction = false;
    std::uint64_t transactions = 0;
    Commit announced;

    Wal2jsonRow row;
    std::vector<const Relation*> truncated;
    std::array<Event, 2> events;
    std::size_t events_count = 0;
};

Wal2jsonDecoder::Wal2jsonDecoder(Format format) : state_(std::make_unique<State>(format)) {}
Wal2jsonDecoder::~Wal2jsonDecoder() = default;

std::span<const Event> Wal2jsonDecoder::decode(std::string_view message, Lsn start) {
    state_->decode(message, start);
    return {state_->events.data(), state_->events_count};
}

void Wal2jsonDecoder::learn(const TableDescription& table) {
    assert(state_->asked != nullptr);
    state_->asked->learn(table, state_->transactions);
    state_->asked = nullptr;
}

void Wal2jsonDecoder::State::decode(std::string_view message, Lsn start) {
    events_count = 0;
    row.built.clear();
    row.built.reserve(message.size());
    if (format == Format::v1) return decode_v1(message, start);
    frame = &reader.read(message, {}, start);
    decode_v2();
}

template <typename Found>
static const Found& need(const Wal2jsonFrame& frame, const std::optional<Found>& found,
                         std::string_view name) {
    if (!found) frame.fail(fmt::format("\"{}\" is missing", name));
    return *found;
}

// --- format 2: each frame is an object ---

void Wal2jsonDecoder::State::decode_v2() {
    auto action = need(*frame, frame->action, "action");
    if (action == "I") return change(Action::insert);
    if (action == "U") return change(Action::update);
    if (action == "D") return change(Action::remove);
    if (action == "T") return truncate();
    if (action == "M") return logical_message(need(*frame, frame->lsn, "lsn"));
    if (action == "B")
        return begin(need(*frame, frame->lsn, "lsn"), need(*frame, frame->nextlsn, "nextlsn"));
    if (action != "C") frame->fail(fmt::format("unknown action \"{}\"", action.substr(0, 40)));
    expect_transaction();
    auto commit_lsn = need(*frame, frame->lsn, "lsn");
    auto end_lsn = need(*frame, frame->nextlsn, "nextlsn");
    if (commit_lsn != announced.commit_lsn || end_lsn != announced.end_lsn)
        frame->fail(fmt::format("commits {} to {} but {} to {} began", commit_lsn, end_lsn,
                                announced.commit_lsn, announced.end_lsn));
    commit();
}

// --- format 1 in chunks: `{"xid":7,...,"change":[`, `{...}`, `,{...}`, `]}` ---

void Wal2jsonDecoder::State::decode_v1(std::string_view message, Lsn start) {
    static constexpr std::string_view alone = R"({"change":[)";
    bare.start = start;
    frame = &bare;
    if (message == "]}") {
        expect_transaction();
        return commit();
    }
    auto is_open = message.ends_with('[');
    auto is_alone = !is_open && message.starts_with(alone) && message.ends_with("]}");
    if (is_alone) {
        message.remove_prefix(alone.size());
        message.remove_suffix(2);
        if (is_in_transaction) frame->fail("a transaction inside another");
    }
    // Before 2.6 a message alone has a comma too many, after a transaction of several changes.
    if ((is_alone || is_in_transaction) && message.starts_with(",{")) message.remove_prefix(1);
    frame = &reader.read(message, is_open ? "]}" : "", start);
    if (is_open && !frame->has_changes) frame->fail("cut short");

    if (frame->has_changes) {
        auto end_lsn = need(*frame, frame->nextlsn, "nextlsn");
        if (end_lsn == Lsn{}) frame->fail("nextlsn is 0/0");
        // The last byte of the commit record stands for its first, which format 1 does not tell.
        begin(Lsn{end_lsn.value - 1}, end_lsn);
        if (!is_open) commit();
        return;
    }
    auto kind = need(*frame, frame->action, "kind");
    if (kind == "message") return logical_message(start);
    if (kind == "insert") return change(Action::insert);
    if (kind == "update") return change(Action::update);
    if (kind == "delete") return change(Action::remove);
    frame->fail(fmt::format("unknown kind \"{}\"", kind.substr(0, 40)));
}

// --- transactions ---

// `2026-11-21 04:21:33.558015+00`, as a session whose TimeZone is UTC prints it.
static Timestamp read_timestamp(const Wal2jsonFrame& frame, std::string_view text) {
    auto left = text;
    auto is_good = true;
    auto number = [&](std::size_t digits_min, std::size_t digits_max) {
        auto digits = std::min(left.find_first_not_of("0123456789"), left.size());
        is_good = is_good && digits >= digits_min && digits <= digits_max;
        auto read = 0;
        if (is_good) std::from_chars(left.data(), left.data() + digits, read);
        left.remove_prefix(digits);
        return read;
    };
    auto skip = [&](std::string_view separator) {
        is_good = is_good && left.starts_with(separator);
        if (is_good) left.remove_prefix(separator.size());
    };
    auto year = number(4, 5);
    skip("-");
    auto month = number(2, 2);
    skip("-");
    auto day = number(2, 2);
    skip(" ");
    auto hour = number(2, 2);
    skip(":");
    auto minute = number(2, 2);
    skip(":");
    auto second = number(2, 2);
    auto microseconds = 0;
    if (left.starts_with('.')) {
        skip(".");
        auto before = left.size();
        microseconds = number(1, 6);
        for (auto digits = before - left.size(); digits < 6; ++digits) microseconds *= 10;
    }
    skip("+00");
    std::chrono::year_month_day date{std::chrono::year{year},
                                     std::chrono::month{static_cast<unsigned>(month)},
                                     std::chrono::day{static_cast<unsigned>(day)}};
    auto is_time = year <= 32767 && date.ok() && hour < 24 && minute < 60 && second <= 60;
    if (!is_good || !left.empty() || !is_time)
        frame.fail(fmt::format("\"{}\" is no time in UTC", text.substr(0, 40)));
    return std::chrono::sys_days{date} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
           std::chrono::seconds{second} + std::chrono::microseconds{microseconds};
}

void Wal2jsonDecoder::State::begin(Lsn commit_lsn, Lsn end_lsn) {
    if (is_in_transaction) frame->fail("a transaction inside another");
    if (end_lsn <= commit_lsn) frame->fail("ends before its commit record");
    TransactionInfo transaction{
        .commit_lsn = commit_lsn,
        .xid = need(*frame, frame->xid, "xid"),
        .commit_time = read_timestamp(*frame, need(*frame, frame->timestamp, "timestamp"))};
    is_in_transaction = true;
    ++transactions;
    announced = {.commit_lsn = commit_lsn, .end_lsn = end_lsn};
    yield(Begin{transaction});
}

void Wal2jsonDecoder::State::commit() {
    is_in_transaction = false;
    yield(announced);
}

void Wal2jsonDecoder::State::expect_transaction() const {
    if (!is_in_transaction) frame->fail("outside a transaction");
}

void Wal2jsonDecoder::State::logical_message(Lsn lsn) {
    LogicalMessage message{
        .is_transactional = need(*frame, frame->is_transactional, "transactional"),
        .lsn = lsn,
        .prefix = need(*frame, frame->prefix, "prefix"),
        .content = need(*frame, frame->content, "content")};
    if (message.is_transactional != is_in_transaction)
        frame->fail(is_in_transaction ? "a non-transactional message inside a transaction"
                                      : "a transactional message outside a transaction");
    yield(message);
}

// --- rows ---

Wal2jsonTable& Wal2jsonDecoder::State::find_table() {
    auto schema = need(*frame, frame->schema, "schema");
    auto name = need(*frame, frame->table, "table");
    if (last_table != nullptr && last_table->name() == name && last_table->schema() == schema)
        return *last_table;
    auto old_nulls =
        format == Format::v2 ? Wal2jsonTable::Nulls::shown : Wal2jsonTable::Nulls::left_out;
    auto [found, is_new] =
        tables.try_emplace({std::string(schema), std::string(name)}, old_nulls, schema, name);
    last_table = &found->second;
    return *last_table;
}

void Wal2jsonDecoder::State::ask(Wal2jsonTable& table) {
    table.forget(*frame);
    asked = &table;
    yield(Described{.relation = &table.relation(), .is_incomplete = true});
}

void Wal2jsonDecoder::State::change(Action action) {
    expect_transaction();
    auto& table = find_table();
    if (action != Action::remove && !frame->columns.is_given) frame->fail("no new row");
    if (action != Action::insert && !frame->identity.is_given) frame->fail("no old row");
    if (!table.read(action, *frame, transactions, generations, row)) return ask(table);
    yield(Change{.action = action,
                 .relation = &table.relation(),
                 .old_kind = row.old_kind,
                 .old_tuple = row.old_kind == Change::OldTuple::none ? nullptr : &row.old_tuple,
                 .new_tuple = action == Action::remove ? nullptr : &row.new_tuple});
}

void Wal2jsonDecoder::State::truncate() {
    expect_transaction();
    auto& table = find_table();
    if (!table.read_truncate(*frame, generations)) return ask(table);
    if (table.is_partition()) return;
    truncated.assign({&table.relation()});
    yield(Truncate{.relations = &truncated});
}

}  // namespace walcast
