#pragma once

#include "agent/explain/explanation.hpp"
#include "agent/explain/found_id.hpp"
#include "agent/rules/rule.hpp"
#include "decoders/sync_action.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// What was explained: `insert into public.todos`.
struct ExplainedChange {
    std::string action;
    std::string table;
    std::vector<std::string> notes;
    SyncId sync_id = 0;
    std::uint32_t xid = 0;  // 0 where it is no transaction's.
};

// How explanations look in a terminal or for a program. Pure; text in, text out: what could steer a
// terminal is taken out of it.
class ExplanationView {
public:
    enum class Form { text, json };
    enum class Colours { none, ansi };

    ExplanationView(Form form, Colours colours) : form_(form), colours_(colours) {}

    // JSON: one line, with the bytes of each message as a string.
    std::string show(const ExplainedChange& change, const Explanation& explanation) const;

    // What changes when the rules of `after_file` take the place of those of `before_file`.
    std::string show(const ExplainedChange& change, const Explanation& before,
                     const Explanation& after, std::string_view before_file,
                     std::string_view after_file) const;
    std::string show_summary(std::uint64_t same, std::uint64_t other) const;

    // What was found of a sync id, and which rules could have made it.
    std::string show(SyncId id, const FoundId& found, const std::vector<Rule>& rules,
                     std::string_view control) const;

    // What in the bytes stands for what only the agent knows.
    std::string show_placeholders(bool is_recorded) const;

private:
    class Text;

    Form form_;
    Colours colours_;
};

// Rules and templates of theirs that may have put an action into a channel, as `walcast.toml:7:9`
// and why; by the names alone.
std::vector<std::string> possible_rules(const std::vector<Rule>& rules, std::string_view model,
                                        std::string_view channel);

}  // namespace walcast
