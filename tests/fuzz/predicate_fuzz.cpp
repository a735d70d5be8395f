// A predicate, made ready for a table of each type, and rows of it. The predicate ends at the first
// NUL; after it come the rows' values, each ended by a NUL. Of a value the first byte says whether
// it is text, null or not known.

#include "agent/rules/bound_predicate.hpp"
#include "decoders/json_string.hpp"
#include "decoders/utf8.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <array>

using namespace walcast;

namespace {

constexpr std::uint32_t enum_oid = 16500;
constexpr std::uint32_t domain_oid = 16501;

// Of columns a, b, c and so on. int4 bool text numeric float4 float8 bpchar date time timestamp
// timestamptz uuid bytea name "char" oid jsonb, and ours.
constexpr auto column_types =
    std::to_array<std::uint32_t>({23, 16, 25, 1700, 700, 701, 1042, 1082, 1083, 1114, 1184, 2950,
                                  17, 19, 18, 26, 3802, enum_oid, domain_oid});

Relation make_relation() {
    Relation relation{.oid = 16400, .schema = "public", .name = "t"};
    for (auto oid : column_types) {
        auto letter = static_cast<char>('a' + static_cast<char>(relation.columns.size()));
        relation.columns.push_back({.name = std::string(1, letter), .type_oid = oid});
    }
    return relation;
}

JsonTypes make_types() {
    JsonTypes types;
    types.add({{.oid = enum_oid, .kind = TypeDescription::Kind::enumeration},
               {.oid = domain_oid, .kind = TypeDescription::Kind::domain, .of = 23}});
    return types;
}

Value take_value(std::string_view& input) {
    auto text = take_until(input, '\0');
    auto mark = take_byte(text);
    if (mark == '-' || mark == 0) return {};
    if (mark == '?') return {.kind = Value::Kind::unchanged};
    return {.kind = Value::Kind::text, .text = text};
}

void check_nodes(const Predicate& predicate) {
    const auto& nodes = predicate.nodes;
    require(!nodes.empty() && nodes[0].size == nodes.size(), "a predicate is one tree");
    for (const auto& node : nodes) {
        const auto& condition = node.condition;
        require(condition.offset <= predicate.text.size(), "a column is in the text");
        for (const auto& literal : condition.literals)
            require(literal.offset < predicate.text.size(), "a literal is in the text");
    }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto relation = make_relation();
    static const auto types = make_types();
    auto values = view_of(data, size);
    auto text = take_until(values, '\0');
    try {
        auto predicate = parse_predicate(text);
        check_nodes(predicate);
        BoundPredicate bound(predicate, relation, types);
        do {
            Tuple tuple;
            for (std::size_t i = 0; i < relation.columns.size(); ++i)
                tuple.push_back(take_value(values));
            auto row = KnownRow::after(
                {.action = Action::insert, .relation = &relation, .new_tuple = &tuple});
            passes<ValueError>([&] {
                auto truth = bound.evaluate(row);
                require(truth.is_true() + truth.is_not_true() + truth.is_unknown() == 1,
                        "it is true, or not, or unknown");
                require(BoundPredicate(bound).evaluate(row) == truth, "a copy says the same");
            });
        } while (!values.empty());
    } catch (const PredicateError& error) {
        require(error.offset <= text.size(), "an error is in the text");
        require(is_utf8(error.what()), "an error is UTF-8");
    }
    return 0;
}
