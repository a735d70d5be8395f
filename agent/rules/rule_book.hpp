#pragma once

#include "agent/config.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace walcast {

// The channel rules of one file.
struct RuleSet {
    std::vector<Rule> rules;
    std::string text = {};  // As TOML; the same for rules that say the same.
    std::string file = {};
    std::string channel_prefix = {};  // Before the channels of events; those of rules have it.

    static std::unique_ptr<const RuleSet> of(Config config) {
        return std::make_unique<const RuleSet>(
            RuleSet{.rules = std::move(config.rules),
                    .text = std::move(config.rules_text),
                    .file = std::move(config.file),
                    .channel_prefix = std::move(config.channel_prefix)});
    }
};

// The rules that route now, and those that replace them once no transaction is in flight.
struct RuleBook {
    std::unique_ptr<const RuleSet> in_force;
    std::unique_ptr<const RuleSet> due;

    const RuleSet& newest() const { return due ? *due : *in_force; }
};

}  // namespace walcast
