#pragma once

#include "agent/doctor/doctor_facts.hpp"
#include "agent/doctor/doctor_finding.hpp"
#include "agent/rules/rule.hpp"
#include "agent/rules/table_rule.hpp"

#include <optional>
#include <vector>

namespace walcast {

// Checks each rule against the tables, and the tables against the rules. Pure.
Findings check_rules(const std::vector<Rule>& rules, const DatabaseFacts& database);

// The parts of it.

// Whether the agent could use a rule for a table; the rule made ready where it could.
std::optional<TableRule> check_fit(const Rule& rule, const TableFacts& table,
                                   const DatabaseFacts& database, Findings& findings);

// A rule made ready, and its table.
struct FittedRule {
    TableRule ready;
    const TableFacts* table = nullptr;
};

// Rows of two tables that clients could not tell apart, and rows that they would be told twice.
void check_sharing(const std::vector<FittedRule>& fitted, Findings& findings);

// Columns that look secret and are part of the data.
void check_secrets(const FittedRule& fitted, Findings& findings);

// Tables that rules name and the publication lacks, and the other way round.
void check_coverage(const std::vector<Rule>& rules, const DatabaseFacts& database,
                    Findings& findings);

}  // namespace walcast
