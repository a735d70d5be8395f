#include "agent/output_check.hpp"

#include "agent/errors.hpp"
#include "agent/own_names.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace walcast {

namespace {

class OutputCheck {
public:
    OutputCheck(const Config& config, const std::vector<OutputSettings>& outputs)
        : config_(config), outputs_(outputs) {}

    void check();

private:
    [[noreturn]] void refuse(const Rule& rule, std::string_view key, std::string_view why) const {
        throw ConfigError(fmt::format("{}: {}", rule.place_of(key), why));
    }
    [[noreturn]] void refuse(std::size_t output, std::string_view why) const {
        throw ConfigError(fmt::format("{}[[output]] {}: {}",
                                      config_.file.empty() ? "" : config_.file + ": ", output + 1,
                                      why));
    }
    void check_data(const OutputSettings& output, const Rule& rule) const;
    void check_ids(const OutputSettings& output) const;
    void check_models(std::size_t output) const;
    void check_outbox(std::size_t output) const;
    void check_own_names(std::size_t output) const;
    void check_apart(std::size_t first, std::size_t second) const;

    const Config& config_;
    const std::vector<OutputSettings>& outputs_;
};

bool takes(const OutputSettings& output, const Rule& rule) {
    if (rule.outbox || output.has_sequence_ids) return false;  // Events, of no model.
    return output.models.empty() ||
           std::any_of(output.models.begin(), output.models.end(),
                       [&](const auto& model) { return may_be_of_model(rule, model); });
}

// The names of Redis channels that an output makes of a rule's.
ChannelTemplate wrapped(const OutputSettings& output, const ChannelTemplate& channel) {
    auto result = channel;
    auto& parts = result.parts;
    if (!output.channel_before.empty())
        parts.insert(parts.begin(), {.text = output.channel_before, .keys = {}});
    if (!output.channel_after.empty()) parts.push_back({.text = output.channel_after, .keys = {}});
    return result;
}

void OutputCheck::check_data(const OutputSettings& output, const Rule& rule) const {
    if (output.envelope == EnvelopeKind::chorus && rule.data != DataKind::full)
        refuse(rule, "data",
               "data: Chorus replaces the whole record with what it is sent: an output with "
               "envelope = \"chorus\" needs data = \"full\", or models without this one");
    if (output.is_correcting && rule.data != DataKind::delta)
        refuse(rule, "data",
               "data: a correction holds what changed: an output with corrections = true needs "
               "data = \"delta\", or models without this one");
}

// One message has one id there, and an action's id is its change's.
void OutputCheck::check_ids(const OutputSettings& output) const {
    const auto& rules = config_.rules;
    for (std::size_t i = 0; i < rules.size(); ++i)
        for (std::size_t j = 0; j < i; ++j) {
            if (!takes(output, rules[i]) || !takes(output, rules[j])) continue;
            if (!can_match_same(rules[i], rules[j])) continue;
            for (std::size_t a = 0; a < rules[i].channels.size(); ++a)
                for (const auto& other : rules[j].channels)
                    if (can_make_same(rules[i].channels[a], other))
                        refuse(rules[i], fmt::format("channels.{}", a),
                               fmt::format("channels: another rule of this table sends to {} too, "
                                           "and Ably has one message with one id: give an output "
                                           "with envelope = \"ably\" models with one of the two",
                                           other.text));
        }
}

void OutputCheck::check_models(std::size_t output) const {
    const auto& settings = outputs_[output];
    const auto& rules = config_.rules;
    if (rules.empty()) return;
    for (const auto& model : settings.models)
        if (auto mistake = mistake_of_model(rules, model); !mistake.empty())
            refuse(output, fmt::format("models: {}", mistake));
    if (settings.envelope != EnvelopeKind::synchrotron || settings.is_correcting) return;
    for (const std::string model : {"action_records", "action_modified_rows"}) {
        auto is_taken = [&](const Rule& rule) {
            return may_be_of_model(rule, model) && takes(settings, rule) &&
                   rule.takes(Action::insert);
        };
        if (std::none_of(rules.begin(), rules.end(), is_taken))
            refuse(output,
                   fmt::format("Synchrotron's log is made of the inserts of two models, "
                               "\"action_records\" and \"action_modified_rows\", and it has no "
                               "\"{0}\": a [[rule]] with table = \"public.{0}\" makes them; "
                               "corrections = true needs neither",
                               model));
    }
}

void OutputCheck::check_outbox(std::size_t output) const {
    auto has_outbox = std::any_of(config_.rules.begin(), config_.rules.end(),
                                  [](const Rule& rule) { return rule.outbox.has_value(); });
    if (outputs_[output].has_sequence_ids && !has_outbox)
        refuse(output, "ids = \"sequence\": they are the outbox's, and there is no [outbox]");
}

void OutputCheck::check_own_names(std::size_t output) const {
    const auto& prefix = config_.redis.prefix;
    const auto& before = outputs_[output].channel_before;
    // An application's event may be on any channel that does not begin with the prefix.
    auto is_open = !before.empty() && (before.starts_with(prefix) || prefix.starts_with(before));
    if (is_open && !prefix.empty())
        refuse(output, fmt::format("channel: with \"{}\" before it, it could be one of walcast's "
                                   "own, which begin with \"{}\"",
                                   before, prefix));
    for (const auto& rule : config_.rules)
        for (const auto& channel : rule.channels)
            if (auto own = own_name_of(wrapped(outputs_[output], channel), prefix))
                refuse(output, fmt::format("channel: a row could make \"{}\" of it, which is "
                                           "walcast's own by [redis] prefix: begin it with other "
                                           "text",
                                           *own));
}

void OutputCheck::check_apart(std::size_t first, std::size_t second) const {
    const auto& one = outputs_[first];
    const auto& other = outputs_[second];
    // Events have no model, and reach every output.
    auto is_same =
        one.channel_before == other.channel_before && one.channel_after == other.channel_after;
    for (const auto& a : config_.rules)
        for (const auto& b : config_.rules) {
            if (!takes(one, a) || !takes(other, b)) continue;
            for (const auto& channel : a.channels)
                for (const auto& another : b.channels)
                    is_same =
                        is_same || can_make_same(wrapped(one, channel), wrapped(other, another));
        }
    if (is_same)
        refuse(second,
               fmt::format("channel: output {} could publish on the same Redis channel: give one "
                           "of them another, as channel = \"{}:{{channel}}\"",
                           first + 1, name_of(other.envelope)));
}

void OutputCheck::check() {
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
        check_models(i);
        for (const auto& rule : config_.rules)
            if (takes(outputs_[i], rule)) check_data(outputs_[i], rule);
        if (outputs_[i].envelope == EnvelopeKind::ably) check_ids(outputs_[i]);
        check_outbox(i);
        check_own_names(i);
        for (std::size_t j = 0; j < i; ++j) check_apart(j, i);
    }
}

}  // namespace

void check_outputs(const Config& config, const std::vector<OutputSettings>& outputs) {
    OutputCheck(config, outputs).check();
}

}  // namespace walcast
