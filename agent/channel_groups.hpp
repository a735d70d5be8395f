#pragma once

#include "agent/rules/name_index.hpp"
#include "agent/rules/router.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace walcast {

// Which channels hear of the same routes of a change: those get one message. Used again from row to
// row, so that nothing is allocated.
class ChannelGroups {
public:
    struct Group {
        std::vector<std::size_t> channels;  // Their places in Routes::channels.
        std::vector<std::size_t> routes;
    };

    // Those of one change: what ends with the first id before what ends with the second. Valid
    // until the next call.
    std::span<const Group> of(const Routes& routes);

private:
    struct Hearing {  // What one channel hears.
        std::size_t channel = 0;
        std::vector<std::size_t> routes;
    };
    Hearing& hearing_of(const Routes& routes, std::size_t channel);
    Group& new_group();
    Group& group_of(const std::vector<std::size_t>& routes);

    std::vector<Hearing> heard_;
    std::size_t heard_count_ = 0;
    NameIndex heard_index_;
    std::vector<Group> groups_;
    std::size_t group_count_ = 0;
};

}  // namespace walcast
