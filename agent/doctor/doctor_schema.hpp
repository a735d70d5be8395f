#pragma once

#include "agent/config.hpp"
#include "agent/doctor/doctor_facts.hpp"
#include "agent/pg_connection.hpp"

#include <optional>

namespace walcast {

// Reads from the catalogs what the agent would get to see. Nothing when the publication is not
// there.
asio::awaitable<std::optional<DatabaseFacts>> read_database(PgConnection& connection,
                                                            const Config& config);

}  // namespace walcast
