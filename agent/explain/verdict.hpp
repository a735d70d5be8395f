#pragma once

#include "agent/rules/known_row.hpp"
#include "agent/rules/predicate.hpp"
#include "agent/rules/truth.hpp"
#include "decoders/event.hpp"
#include "decoders/json_type.hpp"

#include <string>
#include <vector>

namespace walcast {

// What a predicate says of a row, and the conditions within it that decide that.
struct Verdict {
    struct Decider {
        std::string condition;  // As SQL.
        std::string column;
        Truth truth = Truth::null();
    };
    Truth truth = Truth::null();
    std::vector<Decider> deciders;
};

// The predicate must fit the relation. Throws ValueError as BoundPredicate::evaluate.
Verdict judge(const Predicate& predicate, const Relation& relation, const JsonTypes& types,
              const KnownRow& row);

// `true`, `false`, `null`, `false or null`, `not known`.
std::string_view name_of(Truth truth);

// `status = 'open'`
std::string to_sql(const Predicate::Condition& condition);

}  // namespace walcast
