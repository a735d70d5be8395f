// A channel's name as a rule gives it, and a value that goes into one.

#include "agent/rules/channel_template.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace walcast;

static std::string quoted(const std::string& name) {
    std::string text = "\"";
    for (auto character : name) text.append(character == '"' ? 2 : 1, character);
    return text + '"';
}

// Not as it was written: any name may stand in quotes.
static std::string printed(const ChannelTemplate& parsed) {
    std::string text;
    for (const auto& part : parsed.parts) {
        if (part.is_column) {
            text += '{' + quoted(part.text);
            for (const auto& key : part.keys) text += '.' + quoted(key);
            text += '}';
            continue;
        }
        for (auto character : part.text)
            text.append(character == '{' || character == '}' ? 2 : 1, character);
    }
    return text;
}

static std::string decoded(std::string_view value) {
    std::string bytes;
    for (std::size_t i = 0; i < value.size(); ++i) {
        auto is_escape = value[i] == '%';
        bytes +=
            is_escape
                ? static_cast<char>(std::stoul(std::string(value.substr(i + 1, 2)), nullptr, 16))
                : value[i];
        if (is_escape) i += 2;
    }
    return bytes;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto text = view_of(data, size);
    passes<std::invalid_argument>([&] {
        auto parsed = parse_channel_template(text);
        require(!parsed.parts.empty(), "a channel has a name");
        std::size_t bytes = 0;
        for (const auto& part : parsed.parts) {
            require(!part.text.empty(), "no part is empty");
            bytes += part.text.size();
        }
        require(bytes <= size, "the parts are no longer than the text");
        auto again = parse_channel_template(printed(parsed));
        require(printed(again) == printed(parsed), "printed and read again it is the same");
        std::string made;
        for (const auto& part : parsed.parts) {
            if (part.is_column)
                append_channel_value(made, text);
            else
                made += part.text;
        }
        require(made.size() > 4096 || parsed.can_make(made), "it can make what it makes");
    });

    std::string value;
    append_channel_value(value, text);
    require(value.find_first_of(":{}/ \"\\*?[]\r\n") == std::string::npos,
            "a value stays within its part");
    require(decoded(value) == text, "a value can be read back");
    return 0;
}
