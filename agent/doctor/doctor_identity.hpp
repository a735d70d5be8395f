#pragma once

#include "agent/doctor/doctor_facts.hpp"
#include "agent/doctor/doctor_finding.hpp"
#include "agent/rules/table_rule.hpp"

namespace walcast {

// Which changes of a table cannot be told whom they concern, since its old rows lack columns: what
// `route` would find, beforehand. `ready` is the rule made ready for the table.
void check_identity(const TableRule& ready, const TableFacts& table, const DatabaseFacts& database,
                    Findings& findings);

// Writes of the application that fail because the table is published.
void check_writes(const TableFacts& table, const DatabaseFacts& database, const std::string& place,
                  Findings& findings);

}  // namespace walcast
