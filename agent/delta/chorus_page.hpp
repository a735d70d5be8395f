#pragma once

#include "sinks/uuid.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace walcast {

// What a Chorus client that has heard of one table up to some harmonic has to put or to delete
// since: of each record the last that was told of it. Its client applies creates, then updates,
// then deletes, whatever their order; so there are no creates, and each record comes once.
class ChorusPage {
public:
    // What is looked for.
    struct Request {
        std::string model;
        UuidParts after;
        std::optional<UuidParts> until = {};  // Nothing above it.
        std::size_t bytes_max = std::size_t{4} << 20U;
    };
    // Appends a row's id as its data would have it, `{"id":7}`, from its modelId's text. Throws
    // ValueError.
    using WriteKey = std::function<void(std::string& out, std::string_view model_id)>;

    ChorusPage(Request request, WriteKey write_key);

    // The next message, in the order of ids over all histories.
    void add(std::string_view message);

    // Why the client must fetch the table afresh: `reason` is `reset`, `incomplete` or `too_large`.
    struct Refusal {
        std::string_view reason;
        std::string detail;
    };
    const std::optional<Refusal>& refusal() const { return refusal_; }

    // Once all that was published up to `last_sync_id` has been added, and the clock was `clock` at
    // that id or before: `{"latest_harmonic_id":"..","harmonics":[..]}`, or a refusal.
    std::string finish(SyncId last_sync_id, Timestamp clock);

private:
    struct Change {
        SyncId sync_id = 0;
        Timestamp clock;
        Timestamp commit_time;
        bool is_removed = false;
        bool is_whole = true;
        std::string data;
    };
    void refuse(std::string_view reason, std::string detail);
    void add_action(std::string_view action, Timestamp commit_time);
    void append_harmonics(std::string& out);

    Request request_;
    WriteKey write_key_;
    std::string model_;  // In quotes.
    Timestamp clock_;    // The latest commit time so far: at most what live harmonics bear.
    std::map<std::string, Change, std::less<>> changes_;  // By modelId, in quotes.
    std::size_t bytes_ = 0;
    std::optional<Refusal> refusal_;
};

// A page of a first load: `{"latest_harmonic_id":"..","records":[..]}` out of a bootstrap's lines.
class ChorusRecords {
public:
    // The page's id is `until`, where that is given; otherwise one that sorts below all harmonics
    // that the rows have not seen, whatever their clock.
    explicit ChorusRecords(std::optional<UuidParts> until) : until_(until) {}

    // Some lines, each whole, become a piece of the page.
    void rewrite(std::string& lines);

private:
    void append(std::string& out, std::string_view line);

    std::optional<UuidParts> until_;
    bool is_first_ = true;
};

}  // namespace walcast
