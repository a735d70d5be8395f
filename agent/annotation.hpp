#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// What a transaction says of itself by pg_logical_emit_message(true, 'walcast', …):
// docs/protocol.md.
struct Annotation {
    static constexpr std::string_view prefix = "walcast";

    std::string mutation_id = {};            // Empty: none.
    std::vector<std::string> names = {};     // Of the other members,
    std::string members = {};                // which are these: `,"userId":"u1"`
    std::vector<std::string> channels = {};  // To be told its end, whatever they hear of it.

    bool is_empty() const { return mutation_id.empty() && members.empty() && channels.empty(); }
};

// Reads the content of such a message. Throws ValueError, which says what is wrong.
Annotation parse_annotation(std::string_view content);

// Adds what a second one says; it may say more, not something else. Throws ValueError; then nothing
// is added.
void add(Annotation& annotation, Annotation more);

// Throws ValueError where `id` cannot name a receipt.
void expect_mutation_id(std::string_view id);

// Throws ValueError where `name` cannot name a channel.
void expect_channel(std::string_view name);

// The channels that a string, or a list of strings, names. Throws ValueError.
struct JsonMember;
std::vector<std::string> channels_of(const JsonMember& member);

}  // namespace walcast
