#pragma once

#include "decoders/event.hpp"
#include "decoders/row_json.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/fuzz/json.hpp"
#include "tests/fuzz/types.hpp"

#include <algorithm>
#include <functional>
#include <string>

namespace walcast {

// Looks at each byte of the events that a decoder gives, and writes their rows.
class RowCheck {
public:
    void look_at(const Event& event) {
        if (const auto* change = std::get_if<Change>(&event)) {
            look_at(*change);
        } else if (const auto* truncate = std::get_if<Truncate>(&event)) {
            for (const auto* relation : *truncate->relations) touch(relation->name);
        } else if (const auto* message = std::get_if<LogicalMessage>(&event)) {
            touch(message->prefix);
            touch(message->content);
        } else if (const auto* described = std::get_if<Described>(&event)) {
            touch(described->relation->name);
        } else if (const auto* commit = std::get_if<Commit>(&event)) {
            require(commit->end_lsn > commit->commit_lsn, "a commit ends after it begins");
        }
    }

private:
    void look_at(const Change& change) {
        require(change.relation != nullptr, "a change has a relation");
        require((change.new_tuple == nullptr) == (change.action == Action::remove),
                "all but a delete have a new row");
        require((change.old_tuple == nullptr) == (change.old_kind == Change::OldTuple::none),
                "an old row is there when it is said to be");
        require(change.new_tuple != nullptr || change.old_tuple != nullptr, "a change has a row");
        if (change.old_tuple != nullptr) write(*change.relation, *change.old_tuple);
        if (change.new_tuple != nullptr) write(*change.relation, *change.new_tuple);
    }

    void write(const Relation& relation, const Tuple& tuple) {
        require(tuple.size() == relation.columns.size(), "a value for each column");
        passes<ValueError>([&] {
            RowJson row(relation, types_);
            json_.clear();
            auto gaps = append_row(json_, row, tuple, value_bytes_max, writer_);
            require(is_utf8(json_), "a row is UTF-8");
            auto has_json =
                std::any_of(row.columns.begin(), row.columns.end(),
                            [](const auto& column) { return embeds_json(*column.type); });
            require(has_json || is_json_(json_), "a row is JSON");
            if (gaps.has_unchanged) append_unchanged_keys(json_ = "", row, tuple);
            if (gaps.has_omitted) append_omitted_keys(json_ = "", row, tuple, value_bytes_max);
            require(has_json || is_json_(json_), "the keys left out are JSON");
        });
    }

    void touch(std::string_view bytes) { touched_ ^= std::hash<std::string_view>()(bytes); }

    static constexpr std::size_t value_bytes_max = 1024;

    JsonTypes types_ = make_fuzz_types({});
    ValueWriter writer_;
    JsonCheck is_json_;
    std::string json_;
    std::size_t touched_ = 0;
};

}  // namespace walcast
