#include "decoders/wal2json_frame.hpp"

#include "decoders/byte_reader.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>

namespace walcast {

namespace ondemand = simdjson::ondemand;
using Frame = Wal2jsonFrame;

static constexpr std::size_t columns_max = 1600;
// Larger buffers are given back once frames are small again: the parser takes some six bytes for
// each of the largest frame.
static constexpr std::size_t kept_bytes_max = std::size_t{4} << 20U;

void Frame::fail(std::string_view why) const {
    auto of = schema && table ? fmt::format(" of {}.{}", *schema, *table) : std::string();
    throw DecodeError(fmt::format("wal2json frame at {}{}: {}", start, of, why));
}

struct Wal2jsonFrameReader::Parser {
    void clear(Lsn start);
    void parse(std::string_view text, std::string_view suffix);
    void read_members(ondemand::object members);
    void read_row_member(ondemand::raw_json_string key, ondemand::value found);
    void read_columns(ondemand::array columns, Frame::Row& row);
    void read_old_keys(ondemand::object members);
    void check_parallel() const;

    // The arrays of format 1: how many elements each had, of the row and of its old keys.
    struct Lengths {
        std::size_t names = 0;
        std::size_t types = 0;
        std::size_t values = 0;
    };

    ondemand::parser parser;
    std::string padded;  // The frame, and the bytes that simdjson may look at after it.
    Frame frame;
    Lengths columns;
    Lengths identity;
};

// --- scalars ---

static std::string_view token_of(ondemand::value& value) {
    std::string_view token = value.raw_json_token();
    return token.substr(0, token.find_last_not_of(" \t\r\n") + 1);
}

// A view into the frame where nothing is escaped, otherwise into the parser's own buffer, which has
// room for each string once.
static std::string_view to_string(const Frame& frame, ondemand::value value) {
    auto token = token_of(value);
    if (!token.starts_with('"'))
        frame.fail(fmt::format("{} where a string must be", token.substr(0, 40)));
    auto end = token.find('"', 1);
    if (end != token.npos && end + 1 == token.size()) {
        auto text = token.substr(1, end - 1);
        if (text.find('\\') == text.npos) return text;
    }
    return value.get_string();
}

static std::optional<std::string_view> to_string_unless_null(const Frame& frame,
                                                             ondemand::value value) {
    if (token_of(value) == "null") return std::nullopt;
    return to_string(frame, value);
}

template <typename Number>
static Number to_number(const Frame& frame, ondemand::value value) {
    auto token = token_of(value);
    Number number{};
    auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), number);
    if (error != std::errc{} || end != token.data() + token.size())
        frame.fail(fmt::format("{} where a number must be", token.substr(0, 40)));
    return number;
}

// Printed with its sign, so that the upper half of them is negative.
static std::uint32_t to_oid(const Frame& frame, ondemand::value value) {
    auto number = to_number<std::int64_t>(frame, value);
    if (number < std::numeric_limits<std::int32_t>::min() ||
        number > std::numeric_limits<std::uint32_t>::max())
        frame.fail(fmt::format("{} is no type", number));
    return static_cast<std::uint32_t>(number);
}

static bool to_bool(const Frame& frame, ondemand::value value) {
    auto token = token_of(value);
    if (token != "true" && token != "false")
        frame.fail(fmt::format("{} where true or false must be", token.substr(0, 40)));
    return token == "true";
}

static Lsn to_lsn(const Frame& frame, ondemand::value value) {
    auto text = to_string(frame, value);
    auto found = parse_lsn(text);
    if (!found) frame.fail(fmt::format("\"{}\" is no LSN", text.substr(0, 40)));
    return *found;
}

static bool is_json_number(std::string_view text) {
    auto skip_digits = [&] {
        auto count = std::min(text.find_first_not_of("0123456789"), text.size());
        text.remove_prefix(count);
        return count > 0;
    };
    auto skip = [&](char character) {
        auto is_there = text.starts_with(character);
        text.remove_prefix(is_there ? 1 : 0);
        return is_there;
    };
    skip('-');
    if (!skip_digits()) return false;
    if (skip('.') && !skip_digits()) return false;
    if (skip('e') || skip('E')) {
        if (!skip('+')) skip('-');
        if (!skip_digits()) return false;
    }
    return text.empty();
}

// As the server prints it, digit by digit.
static Value to_value(const Frame& frame, ondemand::value value) {
    auto token = token_of(value);
    if (token.starts_with('"')) return {Value::Kind::text, to_string(frame, value)};
    if (token == "null") return {Value::Kind::null, {}};
    if (token == "true") return {Value::Kind::text, "t"};
    if (token == "false") return {Value::Kind::text, "f"};
    if (!is_json_number(token))
        frame.fail(fmt::format("{} where a value must be", token.substr(0, 40)));
    return {Value::Kind::text, token};
}

// --- rows ---

static Frame::Cell& cell_at(const Frame& frame, Frame::Row& row, std::size_t index) {
    if (index >= columns_max) frame.fail("more columns than a table can have");
    if (index >= row.cells.size()) row.cells.emplace_back();
    return row.cells[index];
}

// [{"name":"id","typeoid":23,"value":1},...]
void Wal2jsonFrameReader::Parser::read_columns(ondemand::array of, Frame::Row& row) {
    row.is_given = true;
    for (auto item : of) {
        auto& cell = cell_at(frame, row, row.cells.size());
        auto has_name = false;
        auto has_value = false;
        ondemand::object members = item.get_object();
        for (auto member : members) {
            ondemand::raw_json_string key = member.key();
            ondemand::value found = member.value();
            if (key == "name") {
                cell.name = to_string(frame, found);
                has_name = true;
            } else if (key == "typeoid") {
                cell.type_oid = to_oid(frame, found);
            } else if (key == "value") {
                cell.value = to_value(frame, found);
                has_value = true;
            }
        }
        if (!has_name || !has_value) frame.fail("a column without its name or value");
    }
}

template <typename Read>
static void read_array(const Frame& frame, ondemand::value found, Frame::Row& row,
                       std::size_t& count, Read read) {
    row.is_given = true;
    ondemand::array elements = found.get_array();
    for (auto element : elements) read(cell_at(frame, row, count++), element.value());
}

static void read_names(const Frame& frame, ondemand::value found, Frame::Row& row,
                       std::size_t& count) {
    read_array(frame, found, row, count, [&](Frame::Cell& cell, ondemand::value element) {
        cell.name = to_string(frame, element);
    });
}

static void read_types(const Frame& frame, ondemand::value found, Frame::Row& row,
                       std::size_t& count) {
    read_array(frame, found, row, count, [&](Frame::Cell& cell, ondemand::value element) {
        cell.type_oid = to_oid(frame, element);
    });
}

static void read_values(const Frame& frame, ondemand::value found, Frame::Row& row,
                        std::size_t& count) {
    read_array(frame, found, row, count, [&](Frame::Cell& cell, ondemand::value element) {
        cell.value = to_value(frame, element);
    });
}

// {"keynames":["id"],"keytypeoids":[23],"keyvalues":[1]}
void Wal2jsonFrameReader::Parser::read_old_keys(ondemand::object members) {
    frame.identity.is_given = true;
    for (auto member : members) {
        ondemand::raw_json_string key = member.key();
        ondemand::value found = member.value();
        if (key == "keynames")
            read_names(frame, found, frame.identity, identity.names);
        else if (key == "keytypeoids")
            read_types(frame, found, frame.identity, identity.types);
        else if (key == "keyvalues")
            read_values(frame, found, frame.identity, identity.values);
    }
}

void Wal2jsonFrameReader::Parser::read_row_member(ondemand::raw_json_string key,
                                                  ondemand::value found) {
    if (key == "columns")
        read_columns(found.get_array(), frame.columns);
    else if (key == "identity")
        read_columns(found.get_array(), frame.identity);
    else if (key == "columnnames")
        read_names(frame, found, frame.columns, columns.names);
    else if (key == "columntypeoids")
        read_types(frame, found, frame.columns, columns.types);
    else if (key == "columnvalues")
        read_values(frame, found, frame.columns, columns.values);
    else if (key == "oldkeys")
        read_old_keys(found.get_object());
}

void Wal2jsonFrameReader::Parser::check_parallel() const {
    for (const auto& lengths : {columns, identity}) {
        auto is_even = lengths.names == lengths.values &&
                       (lengths.types == 0 || lengths.types == lengths.names);
        if (!is_even)
            frame.fail(fmt::format("{} names, {} types and {} values", lengths.names, lengths.types,
                                   lengths.values));
    }
}

// --- frames ---

static void read_no_changes(Frame& frame, ondemand::value found) {
    ondemand::array changes = found.get_array();
    frame.has_changes = true;
    if (changes.begin().value() != changes.end().value())
        frame.fail("a whole transaction: the option write-in-chunks is not set");
}

// What begins a transaction, a row, a message; members that nobody asked for are passed over.
void Wal2jsonFrameReader::Parser::read_members(ondemand::object members) {
    for (auto member : members) {
        ondemand::raw_json_string key = member.key();
        ondemand::value found = member.value();
        if (key == "action" || key == "kind")
            frame.action = to_string(frame, found);
        else if (key == "xid")
            frame.xid = token_of(found) == "null"
                            ? std::nullopt
                            : std::optional(to_number<std::uint32_t>(frame, found));
        else if (key == "timestamp")
            frame.timestamp = to_string_unless_null(frame, found);
        else if (key == "lsn")
            frame.lsn = to_lsn(frame, found);
        else if (key == "nextlsn")
            frame.nextlsn = to_lsn(frame, found);
        else if (key == "schema")
            frame.schema = to_string(frame, found);
        else if (key == "table")
            frame.table = to_string(frame, found);
        else if (key == "transactional")
            frame.is_transactional = to_bool(frame, found);
        else if (key == "prefix")
            frame.prefix = to_string(frame, found);
        else if (key == "content")
            frame.content = to_string(frame, found);
        else if (key == "change")
            read_no_changes(frame, found);
        else
            read_row_member(key, found);
    }
}

void Wal2jsonFrameReader::Parser::clear(Lsn start) {
    auto column_cells = std::move(frame.columns.cells);
    auto identity_cells = std::move(frame.identity.cells);
    column_cells.clear();
    identity_cells.clear();
    frame = {};
    frame.start = start;
    frame.columns.cells = std::move(column_cells);
    frame.identity.cells = std::move(identity_cells);
    columns = identity = {};
}

void Wal2jsonFrameReader::Parser::parse(std::string_view text, std::string_view suffix) {
    auto size = text.size() + suffix.size();
    if (padded.capacity() > kept_bytes_max && size < padded.capacity() / 16) {
        padded = {};
        parser = ondemand::parser{};
    }
    padded.assign(text).append(suffix).append(simdjson::SIMDJSON_PADDING, '\0');
    if (parser.capacity() < size) {
        auto error = parser.allocate(std::max(size, parser.capacity() * 3 / 2));
        if (error != simdjson::SUCCESS) throw simdjson::simdjson_error(error);
    }
    ondemand::document document =
        parser.iterate(simdjson::padded_string_view(padded.data(), size, padded.size()));
    read_members(document.get_object());
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
        frame.fail("bytes after its end");
    check_parallel();
}

static std::string explain(simdjson::error_code error) {
    if (error == simdjson::UTF8_ERROR)
        return "is not UTF-8: wal2json sends the encoding of the database, which must be UTF8; or "
               "set plugin = \"pgoutput\"";
    return fmt::format(
        "is not the JSON that was expected ({}); the same bytes would come again: "
        "set plugin = \"pgoutput\"",
        simdjson::error_message(error));
}

Wal2jsonFrameReader::Wal2jsonFrameReader() : parser_(std::make_unique<Parser>()) {}
Wal2jsonFrameReader::~Wal2jsonFrameReader() = default;

const Wal2jsonFrame& Wal2jsonFrameReader::read(std::string_view text, std::string_view suffix,
                                               Lsn start) {
    parser_->clear(start);
    try {
        parser_->parse(text, suffix);
    } catch (const simdjson::simdjson_error& error) {
        parser_->frame.fail(explain(error.error()));
    }
    return parser_->frame;
}

}  // namespace walcast
