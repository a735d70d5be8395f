// A configuration file, and the environment. The file ends at the first NUL; after it come the
// values of variables, each ended by a NUL, in the order in which they are looked up.

#include "agent/config.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace walcast;

static void read(std::string_view text, std::string_view values) {
    auto environment = [&](const std::string& name) -> std::optional<std::string> {
        require(name.starts_with("WALCAST_"), "only our variables are looked up");
        auto value = take_until(values, '\0');
        if (value.empty()) return std::nullopt;
        return std::string(value);
    };
    passes<ConfigError>([&] {
        auto config = parse_config(text, "fuzz.toml", environment);
        for (const auto& rule : config.rules) {
            require(!rule.table.empty() && (rule.outbox || !rule.channels.empty()),
                    "a rule has table and channels");
            matches_table(rule, "public", "todos");
        }
    });
}

static void keep_secret(std::string_view rest) {
    constexpr std::string_view secret = "dont-tell";
    if (rest.find(secret) != std::string_view::npos) return;
    auto environment = [&](const std::string& name) -> std::optional<std::string> {
        if (name != "WALCAST_REDIS_URL") return std::nullopt;
        return "redis://user:" + std::string(secret) + std::string(rest);
    };
    try {
        auto shown = default_config(environment).redis.address.shown();
        require(rest.find('@') == std::string_view::npos || shown.find(secret) == std::string::npos,
                "an address is shown without its password");
    } catch (const ConfigError& error) {
        require(std::string_view(error.what()).find(secret) == std::string_view::npos,
                "no error repeats a password");
    }
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto values = view_of(data, size);
    auto text = take_until(values, '\0');
    read(text, values);
    keep_secret(text);
    return 0;
}
