#include "agent/published_event.hpp"

#include "agent/annotation.hpp"
#include "agent/json_document.hpp"
#include "agent/own_names.hpp"
#include "decoders/json_string.hpp"

#include <fmt/format.h>

namespace walcast {

std::vector<std::string> EventChannels::named(std::vector<std::string> names) const {
    for (auto& name : names) {
        name.insert(0, prefix);
        if (is_own_name(name, reserved))
            throw ValueError(fmt::format("channel \"{}\" is walcast's own", name));
    }
    return names;
}

void PublishedEvent::add_field(std::string_view name, std::string_view json) {
    fmt::format_to(std::back_inserter(fields), "{}\"{}\":{}", fields.empty() ? "" : ",", name,
                   json);
}

static std::string_view string_of(const JsonMember& member) {
    std::string_view text;
    if (member.value.get(text) != simdjson::SUCCESS)
        throw ValueError(fmt::format("{} is not a string", member.name));
    return text;
}

PublishedEvent parse_event(std::string_view content) {
    PublishedEvent event;
    for_each_checked_member(content, [&](const JsonMember& member) {
        const auto& [name, value, text] = member;
        // Null says the same as nothing, but for the data.
        if (value.is_null() && name != "data") return;
        if (name == "channel") {
            event.channels = channels_of(member);
            return;
        }
        if (name == "mutationId") {
            event.mutation_id = string_of(member);
            return expect_mutation_id(event.mutation_id);
        }
        if (name == "rejected") {
            if (!value.is_bool()) throw ValueError("rejected is neither true nor false");
            event.is_rejected = value.get_bool().value();
            return;
        }
        if (name == "name" || name == "reason")
            string_of(member);
        else if (name == "headers" && !value.is_object())
            throw ValueError("headers is not an object");
        else if (name != "data" && name != "headers")
            throw ValueError(
                fmt::format("\"{}\" is none of channel, name, data, mutationId, "
                            "rejected, reason and headers",
                            name));
        if (name == "reason") event.reason_json = text;
        event.add_field(name, text);
    });
    if (event.is_rejected) event.add_field("rejected", "true");
    return event;
}

}  // namespace walcast
