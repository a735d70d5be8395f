#pragma once

#include "agent/published_event.hpp"
#include "agent/rules/table_rule.hpp"
#include "decoders/event.hpp"

namespace walcast {

// The event that a row of an outbox stands for. Throws ValueError, which says what is wrong.
PublishedEvent outbox_event(const TableRule::Outbox& outbox, const Tuple& row);

}  // namespace walcast
