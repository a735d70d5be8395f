#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// An event that no row stands for: of pg_logical_emit_message(…, 'walcast:event', …), or of a row
// of the outbox (docs/protocol.md).
struct PublishedEvent {
    static constexpr std::string_view prefix = "walcast:event";

    std::vector<std::string> channels = {};  // None: only its receipt tells of it.
    std::string mutation_id = {};            // Empty: that of the transaction, if any.
    bool is_rejected = false;
    std::string reason_json = {};  // Empty: none.
    std::string fields = {};       // `"name":"note.added","data":{…}`, as messages bear them.

    void add_field(std::string_view name, std::string_view json);
};

// What applications may call the channels of their events.
struct EventChannels {
    std::string prefix = {};            // Before each name, as before those of rules.
    std::string reserved = "walcast:";  // Of the keys, after which control and receipts are named.

    // Throws ValueError for a name that is walcast's own.
    std::vector<std::string> named(std::vector<std::string> names) const;
};

// Reads the content of such a message. Throws ValueError, which says what is wrong.
PublishedEvent parse_event(std::string_view content);

}  // namespace walcast
