#pragma once

#include "agent/doctor/doctor_facts.hpp"
#include "agent/doctor/doctor_finding.hpp"

#include <string>
#include <vector>

namespace walcast {

// Statements that let the stream carry more of a table's old rows: REPLICA IDENTITY FULL, with what
// the publication needs for it; or an index of the key and `needed`, where there can be one. None
// makes a write of the application fail.
std::vector<Mend> mend_identity(const TableFacts& table, const DatabaseFacts& database,
                                const std::vector<std::string>& needed);

// Gives an unpublished table to the publication, with a replica identity if it has none. Nothing
// where writes would begin to fail whatever is done.
std::vector<Mend> mend_publication(const UnpublishedTable& table, const DatabaseFacts& database);

// Sets a listed table's column list and row filter anew; empty: none.
std::vector<std::string> list_anew(const TableFacts& table, const DatabaseFacts& database,
                                   const std::vector<std::string>& columns,
                                   const std::string& row_filter);

Mend set_publication(const DatabaseFacts& database, std::string_view setting);

}  // namespace walcast
