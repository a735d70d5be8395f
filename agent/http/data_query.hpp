#pragma once

#include "agent/delta/delta.hpp"
#include "sinks/uuid.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace walcast {

// What follows the question mark. All throw std::invalid_argument that says what would do.

// Names and values, decoded as those of a form: `+` is a space, `%2B` a plus.
std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query);

// `channel=..[&channel=..]&epoch=..&after=..[&limit=..]`. `control` is always read, too.
DeltaRequest read_delta_query(std::string_view query, const std::string& control);

// The known ids of so many channels: one for all, or one for each.
std::vector<SyncId> read_after(std::string_view text, std::size_t channels);

// `channel=..[&channel=..]` with `initial=true` or `after=HARMONIC`, and perhaps `until=HARMONIC`.
struct ChorusQuery {
    std::vector<std::string> channels;
    bool is_initial = false;
    // Nothing where none is given, or one that is not of walcast.
    std::optional<UuidParts> after = {};
    std::optional<UuidParts> until = {};
};
ChorusQuery read_chorus_query(std::string_view query, const std::string& control);

// A name in a path, where only `%` and two digits stand for something else.
std::string decode_path(std::string_view text);

// `mutationId=..[&wait=SECONDS]`
struct ReceiptRequest {
    std::string mutation_id;
    std::chrono::seconds wait{0};
};
ReceiptRequest read_receipt_query(std::string_view query);

}  // namespace walcast
