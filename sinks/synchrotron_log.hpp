#pragma once

#include "sinks/envelope.hpp"
#include "sinks/recent_names.hpp"

#include <unordered_map>

namespace walcast {

// The sync log of Synchrotron: at the end of each transaction, for each audience, the rows that it
// inserted into `action_modified_rows` for that audience, with the rows of `action_records` that
// they are the effect of, whatever channel those are on. Where they are not all known, the audience
// is told to fetch.
class SynchrotronLog final : public Envelope {
public:
    explicit SynchrotronLog(OutputSettings output) : output_(std::move(output)) {}

    void wrap(const ChannelMessage& message, Published& out) override;
    void end_transaction(Published& out) override;
    void miss_some(Published& out) override;
    void miss(std::string_view channel, Published& out) override { wake_once(channel, out); }
    void forget() override;

    // What is kept of a transaction at most.
    static constexpr std::size_t bytes_max = std::size_t{4} << 20U;

private:
    struct Audience {
        std::string channel;
        std::string rows;                  // Comma-separated.
        std::vector<std::string> actions;  // Their ids, as JSON.
    };

    void keep_action(const ActionView& action);
    void keep_row(std::string_view channel, const ActionView& action);
    bool tell(const Audience& audience, Published& out) const;
    void wake(std::string_view channel, Published& out) const;
    void wake_once(std::string_view channel, Published& out);
    void drop();

    OutputSettings output_;
    bool is_missing_some_ = false;
    RecentNames woken_;  // Since then.
    std::size_t bytes_ = 0;
    std::vector<std::string> actions_;                     // In the order of the log.
    std::unordered_map<std::string, std::size_t> places_;  // Of an action in it, by id.
    std::vector<Audience> audiences_;
    std::unordered_map<std::string, std::size_t> audience_places_;
};

}  // namespace walcast
