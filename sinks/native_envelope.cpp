#include "sinks/native_envelope.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace walcast {

static void append_number(std::string& out, std::uint64_t number) {
    std::array<char, 20> digits{};
    auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    out.append(digits.data(), end);
}

static void append_hex(std::string& out, std::uint64_t number) {
    std::array<char, 16> digits{};
    auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16);
    std::transform(digits.data(), end, digits.data(), [](char digit) {
        return digit >= 'a' ? static_cast<char>(digit - 'a' + 'A') : digit;
    });
    out.append(digits.data(), end);
}

static void append_padded(std::string& out, std::int64_t number, int width) {
    std::array<char, 8> digits{};
    for (auto i = width; i > 0; --i, number /= 10)
        digits[static_cast<std::size_t>(i - 1)] = static_cast<char>('0' + number % 10);
    out.append(digits.data(), static_cast<std::size_t>(width));
}

void append_timestamp(std::string& out, Timestamp time) {
    using namespace std::chrono;
    constexpr Timestamp first = sys_days{year{0} / January / 1};
    constexpr Timestamp last = sys_days{year{10000} / January / 1} - microseconds{1};
    time = std::clamp(time, first, last);
    auto day = floor<days>(time);
    year_month_day date{day};
    hh_mm_ss clock{time - day};
    append_padded(out, static_cast<int>(date.year()), 4);
    out += '-';
    append_padded(out, static_cast<unsigned>(date.month()), 2);
    out += '-';
    append_padded(out, static_cast<unsigned>(date.day()), 2);
    out += 'T';
    append_padded(out, clock.hours().count(), 2);
    out += ':';
    append_padded(out, clock.minutes().count(), 2);
    out += ':';
    append_padded(out, clock.seconds().count(), 2);
    out += '.';
    append_padded(out, clock.subseconds().count(), 6);
    out += 'Z';
}

void append_action_head(std::string& out, SyncId sync_id, Action action,
                        std::string_view model_name) {
    out += "{\"syncId\":";
    append_number(out, sync_id);
    out += ",\"action\":\"";
    out += name_of(action);
    out += "\",\"modelName\":";
    out += model_name;
    out += ",\"modelId\":";
}

static std::string_view type_of(Message::Kind kind) {
    switch (kind) {
        case Message::Kind::event: return "event";
        case Message::Kind::reset: return "reset";
        default: return "sync";
    }
}

static bool has_actions(const Message& message) {
    return message.kind == Message::Kind::sync || message.kind == Message::Kind::progress;
}

void append_message_head(std::string& out, const Batch& batch, const Message& message,
                         std::string_view epoch, std::optional<SyncId> prev_sync_id) {
    const auto& transaction = message.transaction;
    out += "{\"type\":\"";
    out += type_of(message.kind);
    out += "\",\"epoch\":\"";
    out += epoch;
    out += "\",\"prevSyncId\":";
    if (prev_sync_id) append_number(out, *prev_sync_id);
    out += ",\"lastSyncId\":";
    append_number(out, message.last_sync_id);
    out += ",\"lsn\":\"";
    append_hex(out, transaction.commit_lsn.value >> 32U);
    out += '/';
    append_hex(out, transaction.commit_lsn.value & 0xFFFFFFFFU);
    out += '"';
    // An event outside any transaction has neither xid nor commit time.
    if (message.kind != Message::Kind::event || transaction.xid != 0) {
        out += ",\"xid\":";
        append_number(out, transaction.xid);
        out += ",\"commitTime\":\"";
        append_timestamp(out, transaction.commit_time);
        out += '"';
    }
    out += batch.text(message.annotations_begin, message.annotations_end);
    if (has_actions(message))
        out += ",\"sync\":[";
    else if (message.body_begin < message.body_end)
        out += ',';
}

std::string_view message_end(const Message& message) {
    return has_actions(message) ? "]}" : "}";
}

void append_message(std::string& out, const Batch& batch, const Message& message,
                    std::string_view epoch, SyncId prev_sync_id) {
    append_message_head(out, batch, message, epoch, prev_sync_id);
    out += batch.text(message.body_begin, message.body_end);
    out += message_end(message);
}

void append_receipt(std::string& out, const Batch& batch, const Batch::Receipt& receipt,
                    std::string_view epoch) {
    out += "{\"mutationId\":";
    out += batch.text(receipt.mutation_id_json);
    out += ",\"status\":";
    out += receipt.is_rejected ? "\"rejected\"" : "\"committed\"";
    out += ",\"epoch\":\"";
    out += epoch;
    out += "\",\"lastSyncId\":";
    append_number(out, receipt.last_sync_id);
    if (receipt.reason.begin != receipt.reason.end) {
        out += ",\"reason\":";
        out += batch.text(receipt.reason);
    }
    out += '}';
}

}  // namespace walcast
