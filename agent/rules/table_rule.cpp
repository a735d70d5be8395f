#include "agent/rules/table_rule.hpp"

#include "agent/errors.hpp"
#include "agent/rules/channel_template.hpp"
#include "agent/spelling.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

namespace walcast {

namespace {

using Part = TableRule::Part;

bool has(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

// A rule and a table being brought together.
class Fitting {
public:
    Fitting(const Rule& rule, const Relation& relation, const Catalog& catalog)
        : rule_(rule), relation_(relation), catalog_(catalog) {}

    TableRule make();
    TableRule::Outbox find_outbox() const;
    TableRule::Outbox make_outbox() const;

private:
    std::optional<TableRule::Outbox::Column> find_outbox_column(
        const std::optional<std::string>& written, const char* usual) const;
    std::optional<TableRule::Outbox::Column> find_sequence_id(
        const std::optional<std::string>& written) const;
    [[noreturn]] void fail(const std::string& place, const std::string& why) const {
        throw SetupError(
            fmt::format("{}: {}.{}: {}", place, relation_.schema, relation_.name, why));
    }
    const Column* column_named(const std::string& name) const;
    std::size_t find_column(const std::string& key, const std::string& name,
                            std::size_t offset = 0) const;
    Part make_part(const std::string& key, const ChannelTemplate::Part& part) const;
    void add_channels(TableRule& ready) const;
    void expect_apart(const std::string& key, const std::vector<Part>& parts) const;
    bool looks_misspelt(const std::string& name) const;
    std::vector<RowJson::Choice> choose_columns(const std::vector<std::size_t>& id) const;
    RowJson::Choice choose(std::size_t index, const std::vector<std::size_t>& id) const;
    std::optional<BoundPredicate> bind(const char* key,
                                       const std::optional<Predicate>& predicate) const;

    const Rule& rule_;
    const Relation& relation_;
    const Catalog& catalog_;
};

const Column* Fitting::column_named(const std::string& name) const {
    for (const auto& column : relation_.columns)
        if (column.name == name) return &column;
    return nullptr;
}

std::size_t Fitting::find_column(const std::string& key, const std::string& name,
                                 std::size_t offset) const {
    if (const auto* found = column_named(name))
        return static_cast<std::size_t>(found - relation_.columns.data());
    std::vector<std::string> names;
    for (const auto& column : relation_.columns) names.push_back(column.name);
    fail(rule_.place_of(key, offset),
         fmt::format("no column \"{}\" in the publication; did you mean \"{}\"? It has {}", name,
                     nearest(name, names), fmt::join(names, ", ")));
}

// --- channels ---

Part Fitting::make_part(const std::string& key, const ChannelTemplate::Part& part) const {
    if (!part.is_column) return {.text = part.text};
    auto index = find_column(key, part.text);
    const auto& type = catalog_.types().of(relation_.columns[index].type_oid);
    auto kind = type.form == JsonForm::array ? Part::Kind::array : Part::Kind::column;
    if (!part.keys.empty()) {
        kind = Part::Kind::json;
        if (type.form != JsonForm::json)
            fail(rule_.place_of(key),
                 fmt::format("column \"{0}\" is not json or jsonb, so {{{0}.{1}}} is not in it; a "
                             "column whose name has a dot stands in double quotes",
                             part.text, fmt::join(part.keys, ".")));
    }
    return {.kind = kind, .text = {}, .index = index, .type = &type, .keys = part.keys};
}

// How a value's text, in a channel's name, may look.
struct Alphabet {
    bool has_fixed_size = false;
    bool has_digits_only = false;  // And a minus.

    bool holds(char character) const {
        if (!has_digits_only) return is_in_channel_values(character) || character == '%';
        return character == '-' || (character >= '0' && character <= '9');
    }
};

Alphabet alphabet_of(const Part& part) {
    constexpr std::uint32_t int8 = 20, int2 = 21, int4 = 23, uuid = 2950;
    if (part.kind != Part::Kind::column) return {};
    auto oid = part.type->oid;
    return {.has_fixed_size = oid == uuid,
            .has_digits_only = oid == int2 || oid == int4 || oid == int8};
}

// Two rows may share a channel only if they agree in every column of its name: where one value ends
// and the next begins must be plain. It is where the text between holds a character that no value
// does; else the boundaries must be found all from the left, or all from the right.
void Fitting::expect_apart(const std::string& key, const std::vector<Part>& parts) const {
    auto is_plain = [](const std::string& text) {
        return std::any_of(text.begin(), text.end(),
                           [](char c) { return !is_in_channel_values(c) && c != '%'; });
    };
    auto is_from_left = true;
    auto is_from_right = true;
    for (std::size_t i = 0; i + 2 < parts.size(); ++i) {
        if (parts[i].kind == Part::Kind::literal) continue;
        const auto& between = parts[i + 1].text;
        if (is_plain(between)) {
            is_from_left = is_from_right = true;
            continue;
        }
        auto left = alphabet_of(parts[i]);
        auto right = alphabet_of(parts[i + 2]);
        is_from_left = is_from_left && (left.has_fixed_size || !left.holds(between.front()));
        is_from_right = is_from_right && (right.has_fixed_size || !right.holds(between.back()));
        if (is_from_left || is_from_right) continue;
        fail(rule_.place_of(key),
             fmt::format("channels: values of \"{}\" and \"{}\" may hold \"{}\" themselves, so one "
                         "row could reach the channel of another: put a character between that "
                         "values cannot hold, such as \":\"",
                         relation_.columns[parts[i].index].name,
                         relation_.columns[parts[i + 2].index].name, between));
    }
}

void Fitting::add_channels(TableRule& ready) const {
    for (std::size_t i = 0; i < rule_.channels.size(); ++i) {
        auto key = fmt::format("channels.{}", i);
        auto& parts = ready.channels.emplace_back();
        for (const auto& part : rule_.channels[i].parts) parts.push_back(make_part(key, part));
        expect_apart(key, parts);
    }
}

// --- data ---

// Whether the table lacks a column, and has one, not hidden itself, that is spelled much the same.
bool Fitting::looks_misspelt(const std::string& name) const {
    constexpr std::size_t letters_min = 5;  // Shorter names are like each other by chance.
    constexpr std::size_t mistakes_max = 2;
    if (column_named(name) != nullptr || name.size() < letters_min) return false;
    return std::any_of(relation_.columns.begin(), relation_.columns.end(), [&](const Column& one) {
        return !has(rule_.exclude, one.name) && edit_distance(one.name, name) <= mistakes_max;
    });
}

RowJson::Choice Fitting::choose(std::size_t index, const std::vector<std::size_t>& id) const {
    const auto& column = relation_.columns[index].name;
    auto is_id = std::find(id.begin(), id.end(), index) != id.end();
    RowJson::Choice choice{
        .index = index, .name = column, .is_string = is_id && rule_.are_ids_strings};
    for (const auto& [from, to] : rule_.rename)
        if (from == column) choice.name = to;
    return choice;
}

std::vector<RowJson::Choice> Fitting::choose_columns(const std::vector<std::size_t>& id) const {
    for (std::size_t i = 0; i < rule_.columns.size(); ++i)
        find_column(fmt::format("columns.{}", i), rule_.columns[i]);
    for (std::size_t i = 0; i < rule_.rename.size(); ++i)
        find_column(fmt::format("rename.{}", i), rule_.rename[i].first);
    // What should be hidden under a name that is wrong, or no longer right, is not published in the
    // hope that it is gone. Of many tables some may lack it.
    for (std::size_t i = 0; i < rule_.exclude.size(); ++i)
        if (!rule_.has_globs() || looks_misspelt(rule_.exclude[i]))
            find_column(fmt::format("exclude.{}", i), rule_.exclude[i]);

    std::vector<RowJson::Choice> choices;
    for (std::size_t i = 0; i < relation_.columns.size(); ++i) {
        const auto& column = relation_.columns[i].name;
        if (has(rule_.exclude, column)) continue;
        if (!rule_.columns.empty() && !has(rule_.columns, column)) continue;
        auto choice = choose(i, id);
        for (const auto& other : choices)
            if (other.name == choice.name)
                fail(rule_.place_of("rename.0"),
                     fmt::format("rename: two columns would be \"{}\"", choice.name));
        choices.push_back(choice);
    }
    return choices;
}

std::optional<BoundPredicate> Fitting::bind(const char* key,
                                            const std::optional<Predicate>& predicate) const {
    if (!predicate) return std::nullopt;
    try {
        return BoundPredicate(*predicate, relation_, catalog_.types());
    } catch (const PredicateError& error) {
        fail(rule_.place_of(key, error.offset), fmt::format("{}: {}", key, error.what()));
    }
}

std::optional<TableRule::Outbox::Column> Fitting::find_outbox_column(
    const std::optional<std::string>& written, const char* usual) const {
    auto name = written.value_or(usual);
    if (!written && column_named(name) == nullptr) return std::nullopt;
    auto index = find_column("", name);
    return TableRule::Outbox::Column{
        .index = index, .type = &catalog_.types().of(relation_.columns[index].type_oid)};
}

// A column that happens to have the usual name may be anything.
std::optional<TableRule::Outbox::Column> Fitting::find_sequence_id(
    const std::optional<std::string>& written) const {
    auto found = find_outbox_column(written, "sequence_id");
    if (!found) return found;
    constexpr std::uint32_t int8_oid = 20, int2_oid = 21, int4_oid = 23;
    auto oid = relation_.columns[found->index].type_oid;
    if (oid == int4_oid || oid == int8_oid || oid == int2_oid) return found;
    if (!written) return std::nullopt;
    fail(rule_.place_of(""), fmt::format("outbox: column \"{}\" of {}.{} is no integer: ids are "
                                         "compared as numbers",
                                         *written, relation_.schema, relation_.name));
}

TableRule::Outbox Fitting::find_outbox() const {
    auto find = [&](const std::optional<std::string>& written, const char* usual) {
        return find_outbox_column(written, usual);
    };
    const auto& columns = *rule_.outbox;
    TableRule::Outbox outbox{.sequence_id = find_sequence_id(columns.sequence_id),
                             .mutation_id = find(columns.mutation_id, "mutation_id"),
                             .channel = find(columns.channel, "channel"),
                             .name = find(columns.name, "name"),
                             .data = find(columns.data, "data"),
                             .rejected = find(columns.rejected, "rejected"),
                             .reason = find(columns.reason, "reason"),
                             .headers = find(columns.headers, "headers")};
    if (!outbox.channel) find_column("", "channel");
    return outbox;
}

TableRule::Outbox Fitting::make_outbox() const {
    try {
        return find_outbox();
    } catch (const SetupError& error) {
        return {.misfit =
                    fmt::format("{}: give the table such a column, or name another one in [outbox]",
                                error.what())};
    }
}

TableRule Fitting::make() {
    TableRule ready;
    ready.rule = &rule_;
    if (rule_.outbox) {
        ready.outbox = make_outbox();
        ready.row = RowJson(relation_, catalog_.types(), choose_columns({}));
        return ready;
    }
    ready.model = rule_.model.empty() ? relation_.name : rule_.model;
    append_json_string(ready.model_json, ready.model);
    add_channels(ready);
    for (std::size_t i = 0; i < rule_.id.size(); ++i)
        ready.id.push_back(find_column(fmt::format("id.{}", i), rule_.id[i]));
    if (rule_.id.empty()) ready.id = id_columns(relation_, catalog_);
    for (auto index : ready.id)
        if (has(rule_.exclude, relation_.columns[index].name))
            fail(rule_.place_of("exclude.0"),
                 fmt::format("exclude: \"{}\" is part of the id, and would be in every modelId; "
                             "columns = [...] leaves it out of the data only",
                             relation_.columns[index].name));
    ready.row = RowJson(relation_, catalog_.types(), choose_columns(ready.id));
    std::vector<RowJson::Choice> key;
    for (auto index : ready.id) key.push_back(choose(index, ready.id));
    ready.key = RowJson(relation_, catalog_.types(), key);
    ready.where = bind("where", rule_.where);
    ready.delete_when = bind("delete_when", rule_.delete_when);
    ready.is_old_null_unknown = catalog_.has_partial_old_rows(relation_.oid);
    ready.leaves_columns_out = ready.row.columns.size() != relation_.columns.size();
    return ready;
}

}  // namespace

TableRule make_ready(const Rule& rule, const Relation& relation, const Catalog& catalog) {
    return Fitting(rule, relation, catalog).make();
}

// --- rows ---

Membership membership_after(const TableRule& rule, const KnownRow& row) {
    auto is_unknown = false;
    if (rule.where) {
        auto is_in = rule.where->evaluate(row);
        if (is_in.is_not_true()) return Membership::out;
        is_unknown = is_in.is_unknown();
    }
    if (rule.delete_when) {
        auto is_gone = rule.delete_when->evaluate(row);
        if (is_gone.is_true()) return Membership::out;
        is_unknown = is_unknown || is_gone.is_unknown();
    }
    return is_unknown ? Membership::unknown : Membership::in;
}

Membership membership_before(const TableRule& rule, const KnownRow& row) {
    if (rule.delete_when && rule.delete_when->evaluate(row).is_true()) return Membership::out;
    if (!rule.where) return Membership::in;
    auto is_in = rule.where->evaluate(row);
    if (is_in.is_not_true()) return Membership::out;
    return is_in.is_unknown() ? Membership::unknown : Membership::in;
}

void append_model_id(std::string& out, std::string& scratch, const TableRule& rule,
                     const Tuple& row) {
    if (rule.id.size() == 1) {
        const auto& value = row[rule.id[0]];
        return append_json_string(out, value.kind == Value::Kind::null ? "\\N" : value.text);
    }
    scratch.clear();
    for (auto index : rule.id) {
        if (index != rule.id[0]) scratch += ',';
        if (row[index].kind == Value::Kind::null) scratch += "\\N";
        for (auto character : row[index].text) {
            if (character == ',' || character == '\\') scratch += '\\';
            scratch += character;
        }
    }
    append_json_string(out, scratch);
}

// The texts of several id columns; nothing for a null. A backslash stands before commas,
// backslashes, and the N of a null.
static std::vector<std::optional<std::string>> split_model_id(std::string_view text) {
    std::vector<std::optional<std::string>> parts(1, "");
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == ',') {
            parts.emplace_back("");
            continue;
        }
        auto is_escape = text[i] == '\\' && i + 1 < text.size();
        if (is_escape && text[++i] == 'N')
            parts.back().reset();
        else
            parts.back() = parts.back().value_or("") + text[i];
    }
    return parts;
}

void append_key_of_id(std::string& out, ValueWriter& writer, const TableRule& rule,
                      std::string_view model_id) {
    std::vector<std::optional<std::string>> texts;
    if (rule.id.size() > 1)
        texts = split_model_id(model_id);
    else if (model_id != "\\N")
        texts.emplace_back(model_id);
    else
        texts.emplace_back();
    if (texts.size() != rule.id.size())
        throw ValueError("it has another number of columns than the id");
    Tuple row(*std::max_element(rule.id.begin(), rule.id.end()) + 1);
    for (std::size_t i = 0; i < texts.size(); ++i)
        if (texts[i]) row[rule.id[i]] = {Value::Kind::text, *texts[i]};
    append_row(out, rule.key, row, std::numeric_limits<std::size_t>::max(), writer);
}

}  // namespace walcast
