#pragma once

#include "sinks/envelope.hpp"

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace walcast {

// Writes made outside of Synchrotron, as one correction for each transaction, or for each part of
// it that is sent in one batch, since nobody could fetch what a restart had lost: patches that its
// clients apply without running any action. Its clock is the latest commit time so far, its counter
// the last sync id, so that it rises in commit order. Each audience is told it with its own rows,
// and a client of several applies all of them at once, in the order of the changes. Experimental.
class SynchrotronCorrections final : public Envelope {
public:
    explicit SynchrotronCorrections(OutputSettings output) : output_(std::move(output)) {}

    void wrap(const ChannelMessage& message, Published& out) override;
    void end_transaction(Published& out) override;
    void end_batch(Published& out) override { end_transaction(out); }

private:
    struct Row {
        std::size_t audience = 0;
        SyncId sync_id = 0;
        Action action = Action::insert;
        std::string table;  // These are JSON.
        std::string row_id;
        std::string forward;
        std::string reverse;

        // An update to a row, without what takes it back.
        bool is_whole() const { return action == Action::update && reverse.empty(); }
    };
    struct Moved {
        std::string old_row;
        std::string new_row;
    };

    std::size_t audience_of(std::string_view channel);
    void sort_rows();
    void replace_updates();
    std::optional<Moved> moved_by(const Row& update) const;
    std::vector<std::string> texts(std::string_view action_id) const;
    void tell(Published& out) const;

    OutputSettings output_;
    Timestamp clock_;
    std::vector<Row> rows_;  // Of a batch at most, which holds as much.
    std::vector<std::string> channels_;
    std::unordered_map<std::string, std::size_t> places_;  // Of them.
};

}  // namespace walcast
