#include "sinks/redis_position.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace walcast {

std::uint64_t read_number(std::string_view field, std::string_view text) {
    std::uint64_t number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size())
        throw SinkError(
            fmt::format("redis: the position's {} is \"{}\", not a number: was it edited by "
                        "hand? Delete the key to begin a new epoch",
                        field, text));
    return number;
}

static Lsn read_lsn(std::string_view field, std::string_view text) {
    auto lsn = parse_lsn(text);
    if (!lsn)
        throw SinkError(
            fmt::format("redis: the position's {} is \"{}\", not an LSN: was it edited by "
                        "hand? Delete the key to begin a new epoch",
                        field, text));
    return *lsn;
}

std::string text_of(const std::optional<TransactionInfo>& transaction) {
    if (!transaction) return {};
    auto time = static_cast<std::uint64_t>(transaction->commit_time.time_since_epoch().count());
    return fmt::format("{} {} {}", transaction->commit_lsn, transaction->xid, time);
}

static TransactionInfo read_transaction(std::string_view field, std::string_view text) {
    auto take_word = [&] {
        auto word = text.substr(0, text.find(' '));
        text.remove_prefix(std::min(text.size(), word.size() + 1));
        return word;
    };
    TransactionInfo transaction;
    transaction.commit_lsn = read_lsn(field, take_word());
    transaction.xid = static_cast<std::uint32_t>(read_number(field, take_word()));
    auto time = static_cast<std::int64_t>(read_number(field, take_word()));
    transaction.commit_time = Timestamp{std::chrono::microseconds{time}};
    return transaction;
}

std::optional<Stored> read_stored(const Reply& reply, std::string* resetting) {
    Stored stored;
    PartialTransaction partial;
    auto is_partial = false;
    auto has_sync_id = false;
    auto has_lsn = false;
    for (std::size_t i = 0; i + 1 < reply.items.size(); i += 2) {
        const auto& field = reply.items[i].text;
        const auto& value = reply.items[i + 1].text;
        if (field == "epoch")
            stored.position.epoch = value;
        else if (field == "sync_id")
            stored.position.sync_id = read_number(field, value), has_sync_id = true;
        else if (field == "lsn")
            stored.position.lsn = read_lsn(field, value), has_lsn = true;
        else if (field == "commit_lsn")
            partial.commit_lsn = read_lsn(field, value), is_partial = true;
        else if (field == "xid")
            partial.xid = static_cast<std::uint32_t>(read_number(field, value));
        else if (field == "changes")
            partial.changes = read_number(field, value);
        else if (field == "hash")
            partial.hash = read_number(field, value);
        else if (field == "last_transaction" && !value.empty())
            stored.position.last = read_transaction(field, value);
        else if (field == "system_id")
            stored.source.system_id = value;
        else if (field == "timeline")
            stored.source.timeline = static_cast<std::uint32_t>(read_number(field, value));
        else if (field == "slot")
            stored.source.slot = value;
        else if (field == "fingerprint")
            stored.source.fingerprint = value;
        else if (field == "rules")
            stored.rules = value;
        else if (field == "resetting" && resetting != nullptr)
            *resetting = value;
    }
    if (stored.position.epoch.empty()) return std::nullopt;
    if (!has_sync_id || !has_lsn)
        throw SinkError(fmt::format(
            "redis: the position has no {}: was it edited by hand? Delete the key to begin a new "
            "epoch",
            has_sync_id ? "lsn" : "sync_id"));
    if (is_partial) stored.position.partial = partial;
    return stored;
}

Timestamp read_clock(const Reply& reply) {
    for (std::size_t i = 0; i + 1 < reply.items.size(); i += 2)
        if (reply.items[i].text == "clock") {
            auto time = static_cast<std::int64_t>(read_number("clock", reply.items[i + 1].text));
            return Timestamp{std::chrono::microseconds{time}};
        }
    return {};
}

std::vector<std::string> fields_of(const Position& position, const Source& source) {
    return {"epoch",
            position.epoch,
            "sync_id",
            fmt::to_string(position.sync_id),
            "lsn",
            fmt::to_string(position.lsn),
            "last_transaction",
            text_of(position.last),
            "floor",
            fmt::to_string(position.sync_id),
            "system_id",
            source.system_id,
            "timeline",
            fmt::to_string(source.timeline),
            "slot",
            source.slot,
            "fingerprint",
            source.fingerprint};
}

void append_position(std::string& out, const Position& position) {
    append_argument(out, position.sync_id);
    append_argument(out, std::string_view(fmt::to_string(position.lsn)));
    if (position.partial) {
        append_argument(out, std::string_view(fmt::to_string(position.partial->commit_lsn)));
        append_argument(out, std::uint64_t{position.partial->xid});
        append_argument(out, position.partial->changes);
        append_argument(out, position.partial->hash);
    } else {
        for (auto i = 0; i < 4; ++i) append_argument(out, std::string_view{});
    }
}

}  // namespace walcast
