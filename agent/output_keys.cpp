#include "agent/output_keys.hpp"

#include "agent/errors.hpp"
#include "agent/spelling.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <vector>

namespace walcast {

namespace {

constexpr std::string_view keys[] = {"envelope", "channel", "models", "name", "ids", "corrections"};
constexpr std::array kinds = {EnvelopeKind::native, EnvelopeKind::chorus, EnvelopeKind::ably,
                              EnvelopeKind::synchrotron};
constexpr std::string_view place_of_channel = "{channel}";

class OutputReader {
public:
    OutputReader(const toml::table& table, const std::string& file) : table_(table), file_(file) {}

    OutputSettings read();

private:
    [[noreturn]] void fail(toml::source_position at, std::string_view why) const {
        throw ConfigError(fmt::format("{}:{}:{}: {}", file_, at.line, at.column, why));
    }
    [[noreturn]] void fail(const toml::node& node, std::string_view why) const {
        fail(node.source().begin, why);
    }
    void refuse_unknown() const;
    std::string text(std::string_view key) const;
    EnvelopeKind read_envelope() const;
    void read_channel(OutputSettings& output) const;
    void read_models(OutputSettings& output) const;
    void read_ids(OutputSettings& output) const;
    // Throws where the key is given and is not of this envelope.
    const toml::node* node_of(std::string_view key, EnvelopeKind only,
                              const OutputSettings& output) const;

    const toml::table& table_;
    const std::string& file_;
};

void OutputReader::refuse_unknown() const {
    for (const auto& [key, node] : table_)
        if (std::find(std::begin(keys), std::end(keys), key.str()) == std::end(keys))
            fail(key.source().begin,
                 fmt::format("unknown key \"{}\" in [[output]]; did you mean \"{}\"?", key.str(),
                             nearest(key.str(), keys)));
}

std::string OutputReader::text(std::string_view key) const {
    const auto* node = table_.get(key);
    auto value = node->value_exact<std::string>();
    if (!value || value->empty()) fail(*node, fmt::format("{}: expected a string", key));
    return *value;
}

EnvelopeKind OutputReader::read_envelope() const {
    std::vector<std::string_view> names;
    for (auto kind : kinds) names.push_back(name_of(kind));
    if (table_.get("envelope") == nullptr)
        fail(table_, fmt::format("output: envelope is missing: one of {}", fmt::join(names, ", ")));
    auto word = text("envelope");
    for (auto kind : kinds)
        if (word == name_of(kind)) return kind;
    fail(*table_.get("envelope"), fmt::format("envelope: \"{}\"; did you mean \"{}\"? There are {}",
                                              word, nearest(word, names), fmt::join(names, ", ")));
}

void OutputReader::read_channel(OutputSettings& output) const {
    auto is_given = table_.get("channel") != nullptr;
    auto text = is_given ? this->text("channel") : std::string(default_channel(output.envelope));
    auto at = text.find(place_of_channel);
    auto rest = at == std::string::npos ? "" : text.substr(at + place_of_channel.size());
    auto before = text.substr(0, at);
    auto is_wrong = at == std::string::npos ||
                    (before + rest).find_first_of("{}") != std::string::npos ||
                    std::any_of(text.begin(), text.end(),
                                [](char c) { return static_cast<unsigned char>(c) < 0x20; });
    if (is_wrong)
        fail(*table_.get("channel"),
             fmt::format("channel: \"{}\": expected the Redis channel with {{channel}} once, where "
                         "the rule's channel stands: \"app:{{channel}}\"",
                         text));
    output.channel_before = before;
    output.channel_after = rest;
}

void OutputReader::read_models(OutputSettings& output) const {
    const auto* node = table_.get("models");
    if (node == nullptr) return;
    if (output.envelope == EnvelopeKind::native)
        fail(*node, "models: a native message holds all that its channel hears; rules choose");
    const auto* array = node->as_array();
    if (array == nullptr || array->empty())
        fail(*node, "models: expected a list of strings: models = [\"Todo\"]");
    for (const auto& item : *array) {
        auto model = item.value_exact<std::string>();
        if (!model || model->empty()) fail(item, "models: expected a string");
        output.models.push_back(*model);
    }
}

const toml::node* OutputReader::node_of(std::string_view key, EnvelopeKind only,
                                        const OutputSettings& output) const {
    const auto* node = table_.get(key);
    if (node != nullptr && output.envelope != only)
        fail(*node, fmt::format("{}: only with envelope = \"{}\"", key, name_of(only)));
    return node;
}

// The outbox's events alone have one, and those are of no model and have names of their own.
void OutputReader::read_ids(OutputSettings& output) const {
    const auto* node = node_of("ids", EnvelopeKind::ably, output);
    if (node == nullptr) return;
    auto word = text("ids");
    if (word != "sync" && word != "sequence")
        fail(*node, fmt::format("ids: \"{}\": expected \"sync\" or \"sequence\"", word));
    output.has_sequence_ids = word == "sequence";
    if (!output.has_sequence_ids) return;
    for (const auto* key : {"models", "name"})
        if (const auto* other = table_.get(key))
            fail(*other,
                 fmt::format("{}: with ids = \"sequence\" only the outbox is told of", key));
}

OutputSettings OutputReader::read() {
    refuse_unknown();
    OutputSettings output{.envelope = read_envelope()};
    read_channel(output);
    read_models(output);
    if (const auto* node = node_of("name", EnvelopeKind::ably, output)) {
        output.name = text("name");
        if (auto mistake = mistake_of_name(output.name); !mistake.empty())
            fail(*node, fmt::format("name: \"{}\": {}", output.name, mistake));
    }
    read_ids(output);
    if (const auto* node = node_of("corrections", EnvelopeKind::synchrotron, output)) {
        auto value = node->value_exact<bool>();
        if (!value) fail(*node, "corrections: expected true or false");
        output.is_correcting = *value;
    }
    return output;
}

}  // namespace

OutputSettings read_output(const toml::table& table, const std::string& file) {
    return OutputReader(table, file).read();
}

}  // namespace walcast
