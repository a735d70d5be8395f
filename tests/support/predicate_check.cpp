// What predicates are for rows, for tests/integration/test_predicate.py, which asks the server the
// same. Lines of words; texts and names are in hexadecimal digits.
//
//   enum OID | domain OID BASE_OID   a type
//   table NAME:OID...                begins anew
//   row CELL...                      =TEXT, or - null, ? not known
//   predicate TEXT                   is answered: `= ` and for each row one of t f n x (false or
//                                    null) ? (unknown), or `! ` and why it is refused

#include "agent/rules/bound_predicate.hpp"
#include "tests/support/relations.hpp"

#include <iostream>
#include <memory>
#include <sstream>

using namespace walcast;

static std::string from_hex(const std::string& digits) {
    std::string text;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
        text += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    return text;
}

static char letter(Truth truth) {
    if (truth.is_unknown()) return '?';
    if (truth.is_true()) return 't';
    if (truth.is_false()) return 'f';
    return truth == Truth::null() ? 'n' : 'x';
}

namespace {

struct Row {
    std::vector<std::string> texts;
    Tuple tuple;
};

class Check {
public:
    void read(const std::string& line) {
        std::istringstream words(line);
        std::string verb;
        words >> verb;
        if (verb == "enum" || verb == "domain") add_type(words, verb == "enum");
        if (verb == "table") set_table(words);
        if (verb == "row") add_row(words);
        if (verb == "predicate") answer(words);
    }

private:
    void add_type(std::istream& words, bool is_enum) {
        using Kind = TypeDescription::Kind;
        TypeDescription type{.kind = is_enum ? Kind::enumeration : Kind::domain};
        words >> type.oid >> type.of;
        types_.add({type});
    }

    void set_table(std::istream& words) {
        auto builder = relation_of("t");
        for (std::string column; words >> column;) {
            auto colon = column.rfind(':');
            builder.column(from_hex(column.substr(0, colon)),
                           static_cast<std::uint32_t>(std::stoul(column.substr(colon + 1))));
        }
        relation_ = builder;
        rows_.clear();
    }

    void add_row(std::istream& words) {
        auto row = std::make_unique<Row>();
        for (std::string cell; words >> cell;) row->texts.push_back(cell);
        for (auto& text : row->texts) {
            auto mark = text[0];
            text = from_hex(text.substr(1));
            auto kind = mark == '='   ? Value::Kind::text
                        : mark == '?' ? Value::Kind::unchanged
                                      : Value::Kind::null;
            row->tuple.push_back({.kind = kind, .text = text});
        }
        rows_.push_back(std::move(row));
    }

    void answer(std::istream& words) const {
        std::string text;
        words >> text;
        try {
            BoundPredicate predicate(parse_predicate(from_hex(text)), relation_, types_);
            std::string letters;
            for (const auto& row : rows_) {
                Change change{
                    .action = Action::insert, .relation = &relation_, .new_tuple = &row->tuple};
                letters += letter(predicate.evaluate(KnownRow::after(change)));
            }
            std::cout << "= " << letters << std::endl;
        } catch (const PredicateError& error) {
            std::cout << "! " << error.what() << std::endl;
        }
    }

    JsonTypes types_;
    Relation relation_;
    std::vector<std::unique_ptr<Row>> rows_;
};

}  // namespace

int main() {
    Check check;
    for (std::string line; std::getline(std::cin, line);) check.read(line);
}
