#include "agent/http/data_query.hpp"

#include "decoders/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <stdexcept>

namespace walcast {

static constexpr std::size_t channels_max = 50;
static constexpr std::size_t name_bytes_max = 1024;
static constexpr std::uint64_t messages_max = 1000;
static constexpr std::uint64_t wait_max = 30;

// --- forms ---

static std::string decode(std::string_view text, char space) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == space) {
            out += ' ';
        } else if (text[i] != '%') {
            out += text[i];
        } else {
            unsigned char byte = 0;
            const auto* begin = text.data() + i + 1;
            const auto* end = begin + std::min<std::size_t>(2, text.size() - i - 1);
            auto [stop, error] = std::from_chars(begin, end, byte, 16);
            if (error != std::errc{} || stop != begin + 2)
                throw std::invalid_argument(
                    "the query: % is followed by two hexadecimal digits; a % itself is %25");
            out += static_cast<char>(byte);
            i += 2;
        }
    }
    if (!is_utf8(out)) throw std::invalid_argument("the query is not UTF-8");
    return out;
}

std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query) {
    std::vector<std::pair<std::string, std::string>> found;
    while (!query.empty()) {
        auto part = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), part.size() + 1));
        if (part.empty()) continue;
        auto equals = part.find('=');
        auto value = equals == std::string_view::npos ? "" : part.substr(equals + 1);
        found.emplace_back(decode(part.substr(0, equals), '+'), decode(value, '+'));
    }
    return found;
}

std::string decode_path(std::string_view text) {
    return decode(text, ' ');
}

// --- what they ask for ---

static void set_once(std::optional<std::string>& to, const std::string& name, std::string value) {
    if (to) throw std::invalid_argument(fmt::format("{}: is given twice", name));
    to = std::move(value);
}

[[noreturn]] static void refuse(const std::string& name, std::string_view expected) {
    throw std::invalid_argument(fmt::format("there is no {}: expected {}", name, expected));
}

static std::uint64_t read_number(std::string_view name, std::string_view text, std::uint64_t min,
                                 std::uint64_t max) {
    std::uint64_t number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || number < min || number > max)
        throw std::invalid_argument(
            fmt::format("{}: expected a whole number from {} to {}", name, min, max));
    return number;
}

std::vector<SyncId> read_after(std::string_view text, std::size_t channels) {
    std::vector<SyncId> after;
    for (std::size_t comma = 0; comma != std::string_view::npos;) {
        comma = text.find(',');
        auto number = text.substr(0, comma);
        after.push_back(read_number("after", number, 0, (std::uint64_t{1} << 53U) - 1));
        text.remove_prefix(std::min(text.size(), number.size() + 1));
    }
    if (after.size() == 1) after.resize(channels, after[0]);
    if (after.size() != channels)
        throw std::invalid_argument(
            fmt::format("after: expected one number for all, or {} with commas between them: one "
                        "for each channel, then one for control",
                        channels));
    return after;
}

static void add_channel(std::vector<std::string>& channels, std::string name,
                        const std::string& control) {
    if (name.empty() || name.size() > name_bytes_max)
        throw std::invalid_argument("channel: expected a name of 1 to 1,024 bytes");
    if (name == control) throw std::invalid_argument("channel: control is always read");
    if (std::find(channels.begin(), channels.end(), name) != channels.end())
        throw std::invalid_argument("channel: one is given twice");
    channels.push_back(std::move(name));
    if (channels.size() > channels_max)
        throw std::invalid_argument(fmt::format("channel: at most {} at once", channels_max));
}

DeltaRequest read_delta_query(std::string_view query, const std::string& control) {
    constexpr auto expected = "channel=..&epoch=..&after=..[&limit=..]";
    DeltaRequest request;
    std::optional<std::string> epoch;
    std::optional<std::string> after;
    std::optional<std::string> limit;
    for (auto& [name, value] : parse_query(query)) {
        if (name == "channel")
            add_channel(request.channels, std::move(value), control);
        else if (name == "epoch")
            set_once(epoch, name, std::move(value));
        else if (name == "after")
            set_once(after, name, std::move(value));
        else if (name == "limit")
            set_once(limit, name, std::move(value));
        else
            refuse(fmt::format("parameter \"{}\"", name), expected);
    }
    if (request.channels.empty()) refuse("channel", expected);
    if (!epoch) refuse("epoch", expected);
    if (!after) refuse("after", expected);
    request.channels.push_back(control);
    request.epoch = std::move(*epoch);
    request.after = read_after(*after, request.channels.size());
    if (limit) request.messages_max = read_number("limit", *limit, 1, messages_max);
    return request;
}

ChorusQuery read_chorus_query(std::string_view query, const std::string& control) {
    constexpr auto expected =
        "channel=..&initial=true, or channel=..&after=.., and perhaps until=..";
    ChorusQuery found;
    std::optional<std::string> initial;
    std::optional<std::string> after;
    std::optional<std::string> until;
    for (auto& [name, value] : parse_query(query)) {
        if (name == "channel")
            add_channel(found.channels, std::move(value), control);
        else if (name == "initial")
            set_once(initial, name, std::move(value));
        else if (name == "after")
            set_once(after, name, std::move(value));
        else if (name == "until")
            set_once(until, name, std::move(value));
        else
            refuse(fmt::format("parameter \"{}\"", name), expected);
    }
    if (found.channels.empty()) refuse("channel", expected);
    if (initial && *initial != "true") throw std::invalid_argument("initial: expected true");
    if (initial && after)
        throw std::invalid_argument("initial and after: expected only one of the two");
    found.is_initial = initial.has_value();
    if (after) found.after = read_uuid(*after);
    if (until) found.until = read_uuid(*until);
    if (until && !found.until)
        throw std::invalid_argument("until: expected the latest_harmonic_id of /chorus/schema");
    return found;
}

ReceiptRequest read_receipt_query(std::string_view query) {
    constexpr auto expected = "mutationId=..[&wait=SECONDS]";
    std::optional<std::string> mutation_id;
    std::optional<std::string> wait;
    for (auto& [name, value] : parse_query(query)) {
        if (name == "mutationId")
            set_once(mutation_id, name, std::move(value));
        else if (name == "wait")
            set_once(wait, name, std::move(value));
        else
            refuse(fmt::format("parameter \"{}\"", name), expected);
    }
    if (!mutation_id || mutation_id->empty()) refuse("mutationId", expected);
    ReceiptRequest request;
    request.mutation_id = std::move(*mutation_id);
    if (wait) request.wait = std::chrono::seconds(read_number("wait", *wait, 0, wait_max));
    return request;
}

}  // namespace walcast
