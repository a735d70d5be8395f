#pragma once

#include "agent/rules/table_rule.hpp"
#include "decoders/event.hpp"

#include <string>
#include <vector>

namespace walcast {

// What SQL can say of the rows that a rule puts into some channels, so that an index finds them. It
// may say it of others too: the router decides.
struct ChannelCondition {
    enum class Rows { none, some, any };
    Rows rows = Rows::none;
    std::string sql;  // some: a condition on the columns of `r`.

    bool operator==(const ChannelCondition&) const = default;
};

// `is_utf8`: what the database's encoding is. Pure.
ChannelCondition condition_of(const TableRule& rule, const Relation& relation,
                              const std::vector<std::string>& channels, bool is_utf8);

}  // namespace walcast
