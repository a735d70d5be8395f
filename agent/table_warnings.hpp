#pragma once

#include "agent/change_stream.hpp"
#include "agent/config.hpp"
#include "agent/rules/rule.hpp"

#include <string>
#include <vector>

namespace walcast {

// What an operator should hear of before streaming: rules that match no table, and tables of which
// the stream will not tell all. Pure.
std::vector<std::string> table_warnings(const std::vector<Rule>& rules, const StreamFacts& facts,
                                        Plugin plugin, unsigned format_version);

// The tables of these rules that were published before, and are no more.
std::vector<std::string> unpublished_tables(const std::vector<Rule>& rules,
                                            const std::vector<StreamFacts::Published>& before,
                                            const std::vector<StreamFacts::Published>& now);

}  // namespace walcast
