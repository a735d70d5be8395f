#pragma once

#include "agent/config.hpp"
#include "agent/explain/explanation.hpp"
#include "agent/explain/explanation_view.hpp"
#include "agent/numbering.hpp"
#include "agent/recording/replay.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace walcast {

// Which changes of a recording are explained.
struct RecordedSelection {
    std::optional<std::uint32_t> xid;
    std::string table;  // schema.table, or table, globs allowed; empty: all.
};

// The changes of a recording, explained under the rules of one configuration.
class RecordedChanges {
public:
    // The configuration must outlive it. Throws as Replay.
    RecordedChanges(const std::string& file, const Config& config, std::string control,
                    RecordedSelection selection);

    struct Told {
        ExplainedChange change;
        Explanation explanation;
    };
    // The next one that is selected, nothing at the end. Throws RecordingError and DecodeError.
    std::optional<Told> next();

    bool is_masked() const { return replay_.header().is_masked; }

private:
    std::optional<Told> take(const Replay::Step& step);
    Told explain(const Change& change, SyncId id);
    Told explain(const Truncate& truncate, SyncId id);
    bool is_wanted(const Relation& relation) const;
    ExplainedChange head(std::string_view action, std::string table, SyncId id) const;

    RecordedSelection selection_;
    Replay replay_;
    Explainer explainer_;
    Numbering numbering_;
    std::string epoch_;
    TransactionInfo transaction_;
};

}  // namespace walcast
