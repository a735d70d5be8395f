#include "agent/recording/recording.hpp"

#include "agent/errors.hpp"
#include "agent/recording/keyed_hash.hpp"
#include "decoders/byte_reader.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

namespace walcast {

static constexpr std::string_view magic = "walcast recording 1\n";
static constexpr std::size_t head_bytes = 5;
static constexpr std::size_t check_bytes = 4;
static constexpr std::size_t body_bytes_max = 0x7FFFFFFF;  // A message of Postgres is below 1 GiB.
static constexpr std::size_t buffer_bytes = 64 * 1024;

namespace {

enum Kind : char {
    header = 'H',
    primary_key = 'K',
    partial_old_rows = 'O',
    types = 'Y',
    position = 'P',
    frame = 'F',
    table = 'T',
    cut_mark = 'C',
    end_mark = 'E',
};

void put(std::string& out, std::uint64_t value, unsigned bytes) {
    while (bytes-- > 0) out += static_cast<char>(value >> (8 * bytes));
}

void put_text(std::string& out, std::string_view text) {
    out += text;
    out += '\0';
}

std::uint32_t check_of(std::string_view entry) {
    return static_cast<std::uint32_t>(keyed_hash({}, entry));
}

// --- what entries hold ---

void put_types(std::string& out, const std::vector<TypeDescription>& all) {
    put(out, all.size(), 4);
    for (const auto& type : all) {
        put(out, type.oid, 4);
        put(out, static_cast<std::uint64_t>(type.kind), 1);
        put(out, type.of, 4);
        out += type.delimiter;
        put(out, type.fields.size(), 2);
        for (const auto& field : type.fields) {
            put_text(out, field.name);
            put(out, field.type_oid, 4);
        }
    }
}

std::vector<TypeDescription> read_types(ByteReader& in) {
    std::vector<TypeDescription> all;
    for (auto count = in.u32(); count > 0; --count) {
        auto& type = all.emplace_back();
        type.oid = in.u32();
        auto kind = in.u8();
        if (kind > static_cast<std::uint8_t>(TypeDescription::Kind::hstore))
            in.fail("a type's kind");
        type.kind = static_cast<TypeDescription::Kind>(kind);
        type.of = in.u32();
        type.delimiter = static_cast<char>(in.u8());
        for (auto fields = in.u16(); fields > 0; --fields) {
            auto& field = type.fields.emplace_back();
            field.name = in.string();
            field.type_oid = in.u32();
        }
    }
    return all;
}

void put_names(std::string& out, const std::vector<std::string>& names) {
    put(out, names.size(), 2);
    for (const auto& name : names) put_text(out, name);
}

std::vector<std::string> read_names(ByteReader& in) {
    std::vector<std::string> names;
    for (auto count = in.u16(); count > 0; --count) names.emplace_back(in.string());
    return names;
}

constexpr unsigned key_flag = 1;
constexpr unsigned large_flag = 2;
constexpr unsigned generated_flag = 4;

void put_table(std::string& out, const TableDescription& described) {
    put(out, described.oid, 4);
    put_text(out, described.schema);
    put_text(out, described.name);
    out += described.replica_identity;
    put(out, described.full_root_oid, 4);
    put(out, described.columns.size(), 2);
    for (const auto& column : described.columns) {
        put_text(out, column.name);
        put(out, column.type_oid, 4);
        put(out, static_cast<std::uint32_t>(column.type_modifier), 4);
        put(out,
            (column.is_key ? key_flag : 0U) | (column.is_large ? large_flag : 0U) |
                (column.is_generated ? generated_flag : 0U),
            1);
    }
    put_names(out, described.primary_key);
}

TableDescription read_table(ByteReader& in) {
    TableDescription described;
    described.oid = in.u32();
    described.schema = in.string();
    described.name = in.string();
    described.replica_identity = static_cast<char>(in.u8());
    described.full_root_oid = in.u32();
    for (auto count = in.u16(); count > 0; --count) {
        auto& column = described.columns.emplace_back();
        column.name = in.string();
        column.type_oid = in.u32();
        column.type_modifier = static_cast<std::int32_t>(in.u32());
        auto flags = in.u8();
        column.is_key = (flags & key_flag) != 0;
        column.is_large = (flags & large_flag) != 0;
        column.is_generated = (flags & generated_flag) != 0;
    }
    described.primary_key = read_names(in);
    return described;
}

RecordingHeader read_header(ByteReader& in) {
    RecordingHeader read;
    read.plugin = in.u8() == 0 ? Plugin::pgoutput : Plugin::wal2json;
    read.format_version = in.u8();
    read.server_version = static_cast<int>(in.u32());
    read.encoding = in.string();
    read.is_masked = in.u8() != 0;
    return read;
}

Position read_position(ByteReader& in) {
    Position read;
    read.epoch = in.string();
    read.sync_id = in.u64();
    read.lsn = in.lsn();
    return read;
}

}  // namespace

// --- writing ---

static std::string reason() {
    return std::strerror(errno);
}

RecordingWriter::RecordingWriter(std::string file, Masking masking) : file_(std::move(file)) {
    if (masking == Masking::values) masker_ = std::make_unique<Masker>(random_key());
    descriptor_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor_ < 0 && errno == EEXIST)
        throw ConfigError(fmt::format(
            "recording {}: there is such a file already, and it is not written over: name another",
            file_));
    if (descriptor_ < 0) throw ConfigError(fmt::format("recording {}: {}", file_, reason()));
    buffer_ = magic;
}

RecordingWriter::~RecordingWriter() {
    if (!has_begun_) ::unlink(file_.c_str());
    ::close(descriptor_);
}

void RecordingWriter::append(char kind) {
    if (body_.size() > body_bytes_max)
        throw RecordingError(
            fmt::format("recording {}: an entry of {} bytes is too large", file_, body_.size()));
    auto begin = buffer_.size();
    buffer_ += kind;
    put(buffer_, body_.size(), 4);
    buffer_ += body_;
    put(buffer_, check_of(std::string_view(buffer_).substr(begin)), check_bytes);
    body_.clear();
    if (body_.capacity() > buffer_bytes) body_.shrink_to_fit();
    if (buffer_.size() >= buffer_bytes) flush();
}

void RecordingWriter::flush() {
    std::string_view left = buffer_;
    while (!left.empty()) {
        auto count = ::write(descriptor_, left.data(), left.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0)
            throw RecordingError(fmt::format("recording {}: write: {}", file_, reason()));
        left.remove_prefix(static_cast<std::size_t>(count));
    }
    buffer_.clear();
    if (buffer_.capacity() > 2 * buffer_bytes) buffer_.shrink_to_fit();
}

void RecordingWriter::start(RecordingHeader header) {
    if (masker_ && header.plugin != Plugin::pgoutput)
        throw ConfigError("recording: values are masked of plugin pgoutput only, not of wal2json");
    put(body_, header.plugin == Plugin::pgoutput ? 0 : 1, 1);
    put(body_, header.format_version, 1);
    put(body_, static_cast<std::uint32_t>(header.server_version), 4);
    put_text(body_, header.encoding);
    put(body_, masker_ ? 1 : 0, 1);
    append(Kind::header);
}

void RecordingWriter::note(const CatalogFact& fact) {
    if (const auto* key = std::get_if<PrimaryKey>(&fact)) {
        put(body_, key->oid, 4);
        put_names(body_, key->columns);
        append(Kind::primary_key);
    } else if (const auto* partial = std::get_if<PartialOldRows>(&fact)) {
        put(body_, partial->oid, 4);
        append(Kind::partial_old_rows);
    } else {
        const auto& all = std::get<std::vector<TypeDescription>>(fact);
        if (masker_) masker_->add_types(all);
        put_types(body_, all);
        append(Kind::types);
    }
}

void RecordingWriter::begin(const Position& position) {
    put_text(body_, position.epoch);
    put(body_, position.sync_id, 8);
    put(body_, position.lsn.value, 8);
    append(Kind::position);
    has_begun_ = true;
    flush();
}

void RecordingWriter::received(const WalData& data) {
    put(body_, data.start.value, 8);
    if (masker_)
        masker_->append_masked(body_, data.payload);
    else
        body_ += data.payload;
    append(Kind::frame);
}

void RecordingWriter::describe(const TableDescription& table) {
    put_table(body_, table);
    append(Kind::table);
}

void RecordingWriter::cut() {
    append(Kind::cut_mark);
    flush();
}

void RecordingWriter::end() {
    if (!has_begun_) return;
    append(Kind::end_mark);
    flush();
}

// --- reading ---

RecordingReader::RecordingReader(std::string file) : file_(std::move(file)) {
    descriptor_ = ::open(file_.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) throw ConfigError(fmt::format("recording {}: {}", file_, reason()));
    if (has(magic.size()) && buffer_.starts_with(magic)) {
        at_ = magic.size();
        return;
    }
    ::close(std::exchange(descriptor_, -1));
    auto is_other_version = buffer_.starts_with(magic.substr(0, magic.size() - 2));
    throw RecordingError(fmt::format("recording {}: {}", file_,
                                     is_other_version
                                         ? "made by another version of walcast, of another format"
                                         : "not a recording, which `walcast tail --record` makes"));
}

RecordingReader::~RecordingReader() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

void RecordingReader::fail(std::string_view why) const {
    throw RecordingError(fmt::format("recording {}: at byte {}: {}", file_, entry_, why));
}

// False at the end of the file.
bool RecordingReader::read_more() {
    if (at_ > 0) {
        buffer_.erase(0, at_);
        taken_ += std::exchange(at_, 0);
        if (buffer_.size() < buffer_bytes && buffer_.capacity() > 8 * buffer_bytes)
            buffer_.shrink_to_fit();
    }
    auto size = buffer_.size();
    buffer_.resize(size + buffer_bytes);
    auto count = ::read(descriptor_, buffer_.data() + size, buffer_bytes);
    while (count < 0 && errno == EINTR)
        count = ::read(descriptor_, buffer_.data() + size, buffer_bytes);
    buffer_.resize(size + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0) throw RecordingError(fmt::format("recording {}: read: {}", file_, reason()));
    return count > 0;
}

bool RecordingReader::has(std::size_t bytes) {
    while (buffer_.size() - at_ < bytes)
        if (!read_more()) return false;
    return true;
}

std::optional<RecordingReader::Entry> RecordingReader::next() {
    if (has_ended_) return std::nullopt;
    entry_ = taken_ + at_;
    if (!has(1)) fail("it ends without the mark of its end: whoever wrote it was stopped short");
    constexpr std::string_view cut_short =
        "an entry is cut short: whoever wrote it was stopped short, or the disk was full";
    if (!has(head_bytes)) fail(cut_short);
    auto size = ByteReader(std::string_view(buffer_).substr(at_ + 1), "").u32();
    if (size > body_bytes_max) fail("damaged: an entry of impossible size");
    if (!has(head_bytes + size + check_bytes)) fail(cut_short);
    auto entry = std::string_view(buffer_).substr(at_, head_bytes + size);
    at_ += entry.size();
    auto check = ByteReader(std::string_view(buffer_).substr(at_), "").u32();
    at_ += check_bytes;
    if (check != check_of(entry)) fail("damaged: an entry is not what was written");
    if (entry[0] == Kind::end_mark) {
        has_ended_ = true;
        if (has(1)) fail("more behind the mark of its end");
        return std::nullopt;
    }
    try {
        return read_entry(entry[0], entry.substr(head_bytes));
    } catch (const DecodeError& error) {
        fail(error.what());
    }
}

RecordingReader::Entry RecordingReader::read_entry(char kind, std::string_view body) const {
    ByteReader in(body, "entry");
    Entry entry;
    switch (kind) {
        case Kind::header: entry = read_header(in); break;
        case Kind::primary_key: {
            auto oid = in.u32();
            entry = CatalogFact(PrimaryKey{oid, read_names(in)});
            break;
        }
        case Kind::partial_old_rows: entry = CatalogFact(PartialOldRows{in.u32()}); break;
        case Kind::types: entry = CatalogFact(read_types(in)); break;
        case Kind::position: entry = read_position(in); break;
        case Kind::frame: {
            auto start = in.lsn();
            return WalData{start, in.rest()};
        }
        case Kind::table: entry = read_table(in); break;
        case Kind::cut_mark: entry = RecordedCut{}; break;
        default: in.fail(fmt::format("unknown kind 0x{:02x}", static_cast<unsigned char>(kind)));
    }
    in.expect_end();
    return entry;
}

}  // namespace walcast
