#include "agent/annotation.hpp"

#include "agent/json_document.hpp"
#include "decoders/json_string.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace walcast {

// Every message bears them: it is not the place for data.
static constexpr std::size_t annotation_bytes_max = 4096;
static constexpr std::size_t mutation_id_bytes_max = 256;
static constexpr std::size_t channel_bytes_max = 1024;
static constexpr std::size_t channels_max = 1000;

// What messages have themselves.
static constexpr std::array reserved{"type",     "epoch",      "prevSyncId", "lastSyncId", "lsn",
                                     "xid",      "commitTime", "sync",       "name",       "data",
                                     "rejected", "reason",     "headers",    "modelName"};

static bool has_control_character(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](char character) { return static_cast<unsigned char>(character) < 0x20; });
}

void expect_mutation_id(std::string_view id) {
    if (id.empty()) throw ValueError("mutationId is empty");
    if (id.size() > mutation_id_bytes_max)
        throw ValueError(
            fmt::format("mutationId has {} bytes, above {}", id.size(), mutation_id_bytes_max));
    if (has_control_character(id)) throw ValueError("mutationId holds a control character");
}

void expect_channel(std::string_view name) {
    if (name.empty()) throw ValueError("a channel's name is empty");
    if (name.size() > channel_bytes_max)
        throw ValueError(fmt::format("a channel's name is above {} bytes", channel_bytes_max));
    if (has_control_character(name)) throw ValueError("a channel's name holds a control character");
}

static std::string channel_of(const simdjson::dom::element& element) {
    std::string_view name;
    if (element.get(name) != simdjson::SUCCESS) throw ValueError("a channel is not a string");
    expect_channel(name);
    return std::string(name);
}

std::vector<std::string> channels_of(const JsonMember& member) {
    simdjson::dom::array names;
    if (member.value.get(names) != simdjson::SUCCESS) return {channel_of(member.value)};
    if (names.size() > channels_max)
        throw ValueError(fmt::format("more than {} channels", channels_max));
    std::vector<std::string> channels;
    for (auto name : names) {
        auto channel = channel_of(name);
        if (std::find(channels.begin(), channels.end(), channel) == channels.end())
            channels.push_back(std::move(channel));
    }
    return channels;
}

Annotation parse_annotation(std::string_view content) {
    if (content.size() > annotation_bytes_max)
        throw ValueError(
            fmt::format("{} bytes, above {}: every message of the transaction would bear them",
                        content.size(), annotation_bytes_max));
    Annotation annotation;
    for_each_checked_member(content, [&](const JsonMember& member) {
        if (member.name == "channels") {
            annotation.channels = channels_of(member);
            return;
        }
        if (member.name == "mutationId") {
            std::string_view id;
            if (member.value.get(id) != simdjson::SUCCESS)
                throw ValueError("mutationId is not a string");
            expect_mutation_id(id);
            annotation.mutation_id = id;
            return;
        }
        if (std::find(reserved.begin(), reserved.end(), member.name) != reserved.end()) {
            throw ValueError(
                fmt::format("\"{}\" is a member that messages have themselves", member.name));
        }
        annotation.names.emplace_back(member.name);
        annotation.members += ',';
        append_json_string(annotation.members, member.name);
        annotation.members += ':';
        annotation.members += member.text;
    });
    return annotation;
}

void add(Annotation& annotation, Annotation more) {
    if (!more.mutation_id.empty() && !annotation.mutation_id.empty())
        throw ValueError(fmt::format("the transaction has said that it is mutation {} already",
                                     annotation.mutation_id));
    for (const auto& name : more.names)
        if (std::find(annotation.names.begin(), annotation.names.end(), name) !=
            annotation.names.end())
            throw ValueError(fmt::format("the transaction has said what \"{}\" is already", name));
    auto channels = annotation.channels;
    for (auto& channel : more.channels)
        if (std::find(channels.begin(), channels.end(), channel) == channels.end())
            channels.push_back(std::move(channel));
    if (annotation.members.size() + more.members.size() > annotation_bytes_max ||
        channels.size() > channels_max)
        throw ValueError("too much together with what the transaction has said before");
    if (!more.mutation_id.empty()) annotation.mutation_id = std::move(more.mutation_id);
    annotation.members += more.members;
    annotation.names.insert(annotation.names.end(), more.names.begin(), more.names.end());
    annotation.channels = std::move(channels);
}

}  // namespace walcast
