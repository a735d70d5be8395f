#pragma once

#include <simdjson.h>

#include <functional>
#include <string>
#include <string_view>

namespace walcast {

// One member of an object that somebody else wrote.
struct JsonMember {
    std::string_view name;
    simdjson::dom::element value;  // A number in it may be another one.
    std::string_view text;         // The value as it stands there, numbers to the last digit.
};

// Calls `see` with each member, once the whole text is known to be an object; no member comes
// twice. What `see` gets is valid during the call. Throws ValueError, which says what is wrong.
void for_each_checked_member(std::string_view text,
                             const std::function<void(const JsonMember& member)>& see);

}  // namespace walcast
