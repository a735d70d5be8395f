#pragma once

#include "agent/rules/channel_template.hpp"
#include "agent/rules/predicate.hpp"
#include "decoders/sync_action.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace walcast {

// What happens to a change of which the stream does not tell whom it concerns: a delete, or an
// update that may have moved its row.
enum class Unroutable {
    reset,  // All clients fetch that model afresh.
    error,  // The agent stops.
    skip,   // It is counted and logged once a table.
};

// The columns of an outbox by what they hold; those that are not named have the usual names.
struct OutboxColumns {
    std::optional<std::string> sequence_id = {};
    std::optional<std::string> mutation_id = {};
    std::optional<std::string> channel = {};
    std::optional<std::string> name = {};
    std::optional<std::string> data = {};
    std::optional<std::string> rejected = {};
    std::optional<std::string> reason = {};
    std::optional<std::string> headers = {};

    bool operator==(const OutboxColumns&) const = default;
};

// Which rows become which model, and who hears of them.
struct Rule {
    struct Place {
        unsigned line = 0;
        unsigned column = 0;
    };
    std::string table;  // schema.table; `*` and `?` match as in a shell, within either name.
    std::string model;  // Empty: the table's name.
    std::vector<ChannelTemplate> channels;
    std::vector<std::string> id;           // Columns; empty: the primary key.
    std::optional<Predicate> where;        // Rows for which it is not true are not there.
    std::optional<Predicate> delete_when;  // Rows for which it is true are gone.
    unsigned operations = 0b111;           // A bit for each Action.
    std::vector<std::string> columns;      // Of the data; empty: all
    std::vector<std::string> exclude;      // but these.
    std::vector<std::pair<std::string, std::string>> rename;  // Column, and its name in the data.
    DataKind data = DataKind::full;
    bool are_ids_strings = false;  // In the data, too.
    bool has_metadata = false;     // Each action tells of its transaction.
    bool is_coalescing = false;    // Of a row's actions in one message only the net effect is sent.
    Unroutable unroutable = Unroutable::reset;
    std::optional<OutboxColumns> outbox;  // Each row inserted is an event, and of no model.

    // Where it stands: its own line, and that of each key: "where", "channels.1", "exclude.0".
    std::string file;
    unsigned line = 0;
    std::map<std::string, Place, std::less<>> places;

    bool takes(Action action) const {
        return (operations >> static_cast<unsigned>(action) & 1U) != 0;
    }
    // Whether `table` can name more than one.
    bool has_globs() const;

    // `walcast.toml:7:9`, `offset` bytes into the value of `key`; the rule's own place where the
    // key is not written.
    std::string place_of(std::string_view key, std::size_t offset = 0) const;
};

// Whether rows of a rule may be of this model: without a name of its own it is the table's.
bool may_be_of_model(const Rule& rule, const std::string& model);

// Names the models of `rules` that are like a name that none of them may have; empty if one may.
std::string mistake_of_model(const std::vector<Rule>& rules, const std::string& model);

// Does `table` of a rule name this table?
bool matches_table(const Rule& rule, const std::string& schema, const std::string& name);

// Could both name one table? Where letters in brackets would have to be compared, yes.
bool can_match_same(const Rule& a, const Rule& b);

}  // namespace walcast
