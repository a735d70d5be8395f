#pragma once

#include "agent/delta/delta.hpp"

#include <chrono>
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

// `mutationId=..[&wait=SECONDS]`
struct ReceiptRequest {
    std::string mutation_id;
    std::chrono::seconds wait{0};
};
ReceiptRequest read_receipt_query(std::string_view query);

}  // namespace walcast
