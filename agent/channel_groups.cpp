#include "agent/channel_groups.hpp"

#include <algorithm>

namespace walcast {

std::span<const ChannelGroups::Group> ChannelGroups::of(const Routes& all) {
    group_count_ = 0;
    const auto& routes = all.routes;
    if (routes.size() == 1) {
        auto& group = new_group();
        group.routes.push_back(0);
        for (std::size_t i = routes[0].channels_begin; i < routes[0].channels_end; ++i)
            group.channels.push_back(i);
        return {groups_.data(), group_count_};
    }
    // First what each channel hears,
    heard_count_ = 0;
    heard_index_.clear();
    for (std::size_t r = 0; r < routes.size(); ++r)
        for (std::size_t i = routes[r].channels_begin; i < routes[r].channels_end; ++i)
            hearing_of(all, i).routes.push_back(r);
    // then those that hear the same together,
    for (std::size_t i = 0; i < heard_count_; ++i)
        group_of(heard_[i].routes).channels.push_back(heard_[i].channel);
    // and what ends with the first id before what ends with the second.
    auto ends_first = [&](const Group& group) {
        return !routes[group.routes.back()].has_second_id;
    };
    auto* first = groups_.data();
    for (auto* group = groups_.data(); group != groups_.data() + group_count_; ++group)
        if (ends_first(*group)) std::rotate(first++, group, group + 1);
    return {groups_.data(), group_count_};
}

ChannelGroups::Hearing& ChannelGroups::hearing_of(const Routes& routes, std::size_t channel) {
    auto name_of = [&](std::size_t i) { return routes.channels[heard_[i].channel]; };
    if (auto found = heard_index_.find(routes.channels[channel], name_of)) return heard_[*found];
    if (heard_.size() == heard_count_) heard_.emplace_back();
    auto& hearing = heard_[heard_count_++];
    hearing.channel = channel;
    hearing.routes.clear();
    heard_index_.put(heard_count_ - 1, name_of);
    return hearing;
}

ChannelGroups::Group& ChannelGroups::new_group() {
    if (groups_.size() == group_count_) groups_.emplace_back();
    auto& group = groups_[group_count_++];
    group.channels.clear();
    group.routes.clear();
    return group;
}

// Of the routes of one change there are few combinations.
ChannelGroups::Group& ChannelGroups::group_of(const std::vector<std::size_t>& routes) {
    for (std::size_t i = 0; i < group_count_; ++i)
        if (groups_[i].routes == routes) return groups_[i];
    auto& group = new_group();
    group.routes = routes;
    return group;
}

}  // namespace walcast
