#pragma once

#include "agent/catalog.hpp"
#include "agent/rules/bound_predicate.hpp"
#include "agent/rules/known_row.hpp"
#include "agent/rules/rule.hpp"
#include "decoders/event.hpp"
#include "decoders/row_json.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace walcast {

// A rule made ready for one table.
struct TableRule {
    // A piece of a channel's name.
    struct Part {
        enum class Kind { literal, column, array, json } kind = Kind::literal;
        std::string text;       // literal
        std::size_t index = 0;  // Of the column.
        const JsonType* type = nullptr;
        std::vector<std::string> keys = {};  // json
    };
    // Where a row of an outbox holds what; some columns may be missing.
    struct Outbox {
        struct Column {
            std::size_t index = 0;
            const JsonType* type = nullptr;
        };
        std::optional<Column> sequence_id = {};  // An integer.
        std::optional<Column> mutation_id = {};
        std::optional<Column> channel = {};
        std::optional<Column> name = {};
        std::optional<Column> data = {};
        std::optional<Column> rejected = {};
        std::optional<Column> reason = {};
        std::optional<Column> headers = {};
        std::string misfit = {};  // Why no row of this table can be read; empty: they can.
    };
    const Rule* rule = nullptr;
    std::optional<Outbox> outbox;
    std::string model;       // As written.
    std::string model_json;  // In quotes.
    std::vector<std::vector<Part>> channels;
    std::vector<std::size_t> id;
    RowJson row;
    RowJson key;  // The id columns, as `row` writes them.
    std::optional<BoundPredicate> where;
    std::optional<BoundPredicate> delete_when;
    bool is_old_null_unknown = false;  // A null of an old row may be one that was not told.
    bool leaves_columns_out = false;   // Whose values may go nowhere.
};

// `rule` and `catalog` must outlive it; without an id where the table has none. Throws SetupError,
// with file, line and column, when the rule does not fit the table, and ValueError when its names
// cannot be written. An outbox that does not fit says so itself: what nobody can read any more must
// not keep the agent from all else.
TableRule make_ready(const Rule& rule, const Relation& relation, const Catalog& catalog);

// Whether a rule sees a row as there.
enum class Membership {
    in,
    out,      // `where` is not true of it, or `delete_when` is.
    unknown,  // It hangs on a column that the stream does not tell.
};

// The row after a change.
Membership membership_after(const TableRule& rule, const KnownRow& row);

// The row before a change. One of which only `delete_when` is unknown is taken for there: to remove
// what has been removed does no harm. (Of a row that `where` may hide not even the id is told.)
Membership membership_before(const TableRule& rule, const KnownRow& row);

// A row's id as a JSON string: a single column's text; several joined by commas, where `\` stands
// before a comma or backslash of the text, and null is `\N`. `scratch` is overwritten.
void append_model_id(std::string& out, std::string& scratch, const TableRule& rule,
                     const Tuple& row);

// Reads such a text again: `{"id":7}`, the id columns as the data has them. Throws ValueError where
// the text is no id of this rule.
void append_key_of_id(std::string& out, ValueWriter& writer, const TableRule& rule,
                      std::string_view model_id);

}  // namespace walcast
