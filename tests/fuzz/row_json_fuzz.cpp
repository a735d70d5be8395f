// A value as the server prints it: the first byte is its type, the second the policy.

#include "decoders/row_json.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/fuzz/json.hpp"
#include "tests/fuzz/types.hpp"

using namespace walcast;

static const JsonTypes& types_under(std::uint8_t policy) {
    using Numbers = JsonPolicy::Numbers;
    static const auto all = [] {
        std::vector<JsonTypes> made;
        for (auto numbers : {Numbers::exact, Numbers::strings, Numbers::numbers})
            for (auto bytes : {JsonPolicy::Bytes::hex, JsonPolicy::Bytes::base64})
                made.push_back(make_fuzz_types({.numbers = numbers, .bytes = bytes}));
        return made;
    }();
    return all[policy % all.size()];
}

// What it writes, or nothing when it refuses.
static std::string written(ValueWriter& writer, const JsonType& type, std::string_view text) {
    std::string json;
    return passes<ValueError>([&] { writer.append(json, type, text); }) ? json : std::string();
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static ValueWriter used;  // By all that came before.
    static JsonCheck is_json;
    auto text = view_of(data, size);
    auto oid = fuzz_types[take_byte(text) % fuzz_types.size()];
    const auto& type = types_under(take_byte(text)).of(oid);

    ValueWriter fresh;
    auto json = written(fresh, type, text);
    require(written(used, type, text) == json, "a writer keeps nothing of other values");
    if (json.empty()) return 0;
    require(is_utf8(json), "a value is UTF-8");
    require(embeds_json(type) || is_json(json), "a value is JSON");
    require(type.form != JsonForm::json || !is_json(text) || is_json(json), "JSON stays JSON");
    require(json.size() <= 8 * size + 64 * 1024, "a value is not blown up");
    return 0;
}
