#include "agent/doctor/doctor_identity.hpp"

#include "agent/doctor/doctor_mends.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace walcast {

namespace {

using Names = std::vector<std::string>;
using Level = Finding::Level;

bool has(const Names& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

// Columns that the publication leaves out though writes ask for them, if the replica identity has
// them. Before PostgreSQL 18 generated columns were not asked for.
template <typename IsAsked>
Names hidden_columns(const TableFacts& table, const DatabaseFacts& database, IsAsked is_asked) {
    Names hidden;
    if (database.plugin != Plugin::pgoutput) return hidden;
    for (const auto& column : table.columns)
        if (is_asked(column) && !column.is_published &&
            (column.generated == ' ' || database.server_version >= 180000))
            hidden.push_back(column.name);
    return hidden;
}

// A column that a rule needs, and the key that needs it.
struct Use {
    std::string column;
    std::string key;
};

// The columns whose values decide where a change goes, each once.
struct Uses {
    std::vector<Use> channels;
    std::vector<Use> id;
    std::vector<Use> where;
    std::vector<Use> delete_when;
};

void add_use(std::vector<Use>& uses, std::string column, std::string key) {
    auto is_known =
        std::any_of(uses.begin(), uses.end(), [&](const Use& use) { return use.column == column; });
    if (!is_known) uses.push_back({std::move(column), std::move(key)});
}

Uses uses_of(const TableRule& ready, const Relation& relation) {
    Uses uses;
    const auto& rule = *ready.rule;
    for (std::size_t i = 0; i < ready.channels.size(); ++i)
        for (const auto& part : ready.channels[i])
            if (part.kind != TableRule::Part::Kind::literal)
                add_use(uses.channels, relation.columns[part.index].name,
                        fmt::format("channels.{}", i));
    for (std::size_t i = 0; i < ready.id.size(); ++i)
        add_use(uses.id, relation.columns[ready.id[i]].name, fmt::format("id.{}", i));
    if (rule.where)
        for (auto& column : rule.where->columns()) add_use(uses.where, column, "where");
    if (rule.delete_when)
        for (auto& column : rule.delete_when->columns())
            add_use(uses.delete_when, column, "delete_when");
    return uses;
}

std::string consequence(const TableRule& ready) {
    switch (ready.rule->unroutable) {
        case Unroutable::reset:
            return fmt::format("unroutable = \"reset\": all clients fetch {} afresh each time",
                               ready.model);
        case Unroutable::error: return "unroutable = \"error\": the agent stops there";
        case Unroutable::skip:
            return "unroutable = \"skip\": clients never hear of it, it is only counted";
    }
    return "";
}

// One rule, one table, and what is known of old rows of it or of some partition.
class IdentityCheck {
public:
    IdentityCheck(const TableRule& ready, const TableFacts& table, const DatabaseFacts& database,
                  Findings& findings)
        : ready_(ready),
          table_(table),
          database_(database),
          findings_(findings),
          uses_(uses_of(ready, table.relation())) {}

    void check_table();
    void check_partition(const PartitionFacts& partition);

private:
    using IsKnown = std::function<bool(const std::string& column)>;

    void check_delete(const std::string& name, const IsKnown& is_known);
    void check_update(const std::string& name, const IsKnown& is_known);
    void check_large(const IsKnown& is_known);
    void add(Level level, std::string_view check, const std::vector<Use>& missing,
             const std::string& what);
    static std::vector<Use> missing_of(std::initializer_list<const std::vector<Use>*> groups,
                                       const IsKnown& is_known);
    bool takes(Action action) const {
        return ready_.rule->takes(action) &&
               (database_.publication.operations >> static_cast<unsigned>(action) & 1U) != 0;
    }
    // Does nothing but delete_when use it? That much need not be in old rows.
    bool is_for_delete_when_only(const std::string& column) const {
        auto uses_it = [&](const Use& use) { return use.column == column; };
        return std::none_of(uses_.channels.begin(), uses_.channels.end(), uses_it) &&
               std::none_of(uses_.id.begin(), uses_.id.end(), uses_it) &&
               std::none_of(uses_.where.begin(), uses_.where.end(), uses_it);
    }
    bool is_large(const std::string& column) const {
        const auto* found = table_.column(column);
        return found != nullptr && found->is_large;
    }

    const TableRule& ready_;
    const TableFacts& table_;
    const DatabaseFacts& database_;
    Findings& findings_;
    Uses uses_;
};

Names names_of(const std::vector<Use>& uses) {
    Names names;
    for (const auto& use : uses) names.push_back(use.column);
    return names;
}

// `a is`, `a and b are`
std::string with_verb(const std::vector<Use>& uses) {
    return enumerate(names_of(uses)) + (uses.size() == 1 ? " is" : " are");
}

std::vector<Use> IdentityCheck::missing_of(std::initializer_list<const std::vector<Use>*> groups,
                                           const IsKnown& is_known) {
    std::vector<Use> missing;
    for (const auto* group : groups)
        for (const auto& use : *group)
            if (!is_known(use.column)) add_use(missing, use.column, use.key);
    return missing;
}

void IdentityCheck::add(Level level, std::string_view check, const std::vector<Use>& missing,
                        const std::string& what) {
    // What mends one of them mends all about this rule and table.
    Names needed;
    if (!missing.empty())
        needed =
            names_of(missing_of({&uses_.channels, &uses_.id, &uses_.where, &uses_.delete_when},
                                [&](const std::string& column) {
                                    return is_for_delete_when_only(column) && !is_large(column);
                                }));
    findings_.push_back({.level = level,
                         .check = check,
                         .place = ready_.rule->place_of(missing.empty() ? "data" : missing[0].key),
                         .table = table_.shown_name(),
                         .columns = names_of(missing),
                         .what = what,
                         .mends = mend_identity(table_, database_, needed)});
}

// An old row must tell the channels, the id and whether the rule saw it.
void IdentityCheck::check_delete(const std::string& name, const IsKnown& is_known) {
    auto missing = missing_of({&uses_.channels, &uses_.id, &uses_.where}, is_known);
    if (missing.empty() || !takes(Action::remove)) return;
    add(Level::error, "delete-unroutable", missing,
        fmt::format("a delete of {} cannot be routed: {} not part of the replica identity; {}",
                    name, with_verb(missing), consequence(ready_)));
}

// Without the old channels every update may have been a move. Where those are known, only an update
// that moves the row or makes `where` false cannot be told.
void IdentityCheck::check_update(const std::string& name, const IsKnown& is_known) {
    if (!takes(Action::update)) return;
    auto channels = missing_of({&uses_.channels}, is_known);
    auto where = missing_of({&uses_.where}, is_known);
    auto id = missing_of({&uses_.id}, is_known);
    if (!channels.empty()) {
        auto missing = missing_of({&uses_.channels, &uses_.where, &uses_.id}, is_known);
        add(Level::error, "update-unroutable", missing,
            fmt::format("nobody can tell whether an update of {} moved the row: {} not part of the "
                        "replica identity; {}",
                        name, with_verb(missing), consequence(ready_)));
    } else if (!where.empty()) {
        auto missing = missing_of({&uses_.where, &uses_.id}, is_known);
        add(Level::error, "update-unroutable", missing,
            fmt::format("an update of {} after which `where` is not true cannot be routed: {} not "
                        "part of the replica identity; {}",
                        name, with_verb(missing), consequence(ready_)));
    } else if (!id.empty()) {
        add(Level::error, "update-unroutable", id,
            fmt::format("an update of {} that moves the row cannot be routed, and one that changes "
                        "its id leaves the old one with clients: {} not part of the replica "
                        "identity; {}",
                        name, with_verb(id), consequence(ready_)));
    }
}

// A value stored out of line (TOAST) that an update leaves alone is in the stream only as part of
// the old row.
void IdentityCheck::check_large(const IsKnown& is_known) {
    if (!takes(Action::update)) return;
    auto missing =
        missing_of({&uses_.channels, &uses_.id, &uses_.where, &uses_.delete_when}, is_known);
    std::erase_if(missing, [&](const Use& use) { return !is_large(use.column); });
    if (missing.empty()) return;
    add(Level::warning, "large-column", missing,
        fmt::format("an update of {} that leaves a large value of {} alone does not carry it "
                    "(TOAST), and cannot be routed; {}",
                    table_.shown_name(), enumerate(names_of(missing)), consequence(ready_)));
}

void IdentityCheck::check_table() {
    auto is_known = [&](const std::string& name) {
        const auto* column = table_.column(name);
        return column != nullptr && column->is_key;
    };
    check_delete(table_.shown_name(), is_known);
    check_update(table_.shown_name(), is_known);
    check_large(is_known);
    auto has_old_rows = table_.replica_identity == 'f';
    if (ready_.rule->data == DataKind::full || has_old_rows || !takes(Action::update)) return;
    add(Level::warning, "data-without-old-rows", {},
        fmt::format("data = \"{}\" needs old rows: updates of {} carry the whole row, as its "
                    "replica identity is not FULL",
                    ready_.rule->data == DataKind::delta ? "delta" : "patch", table_.shown_name()));
}

// The old row is what the partition logs, read as the root's identity says: where that expects a
// column that the partition does not log, null stands for it. The agent then believes no null of
// any old row of that table, nor that an update without one left its identity alone.
void IdentityCheck::check_partition(const PartitionFacts& partition) {
    if (!table_.has_partial_old_rows(partition)) return;
    if (!takes(Action::remove) && !takes(Action::update)) return;
    Names lacking;
    for (const auto& column : table_.columns)
        if (column.is_key && !has(partition.identity, column.name)) lacking.push_back(column.name);
    auto missing = missing_of({&uses_.channels, &uses_.id, &uses_.where},
                              [&](const std::string& name) { return !has(lacking, name); });
    auto is_whole = table_.replica_identity == 'f';
    auto promised = is_whole ? std::string("is FULL") : fmt::format("has {}", enumerate(lacking));
    std::vector<Mend> mends;
    auto alter = fmt::format("ALTER TABLE {} REPLICA IDENTITY",
                             printable_table(partition.schema, partition.name));
    // Its writes fail under FULL where the root's would.
    if (hidden_columns(table_, database_, [](const ColumnFacts&) { return true; }).empty())
        mends.push_back({.lines = {alter + " FULL;"}});
    if (table_.replica_identity == 'd' && partition.replica_identity != 'd')
        mends.push_back({.lines = {alter + " DEFAULT;"}});
    findings_.push_back(
        {.level = Level::error,
         .check = "partition-identity",
         .place = ready_.rule->place_of(missing.empty() ? "table" : missing[0].key),
         .table = table_.shown_name(),
         .columns = names_of(missing),
         .what = fmt::format(
             "partition {}.{} logs less of old rows than {} promises, whose replica "
             "identity {}: updates and deletes of it cannot be routed; {}",
             partition.schema, partition.name, table_.shown_name(), promised, consequence(ready_)),
         .mends = std::move(mends)});
}

}  // namespace

void check_identity(const TableRule& ready, const TableFacts& table, const DatabaseFacts& database,
                    Findings& findings) {
    IdentityCheck check(ready, table, database, findings);
    check.check_table();
    for (const auto& partition : table.partitions) check.check_partition(partition);
}

void check_writes(const TableFacts& table, const DatabaseFacts& database, const std::string& place,
                  Findings& findings) {
    constexpr auto updates_and_deletes = 0b110U;
    if ((database.publication.operations & updates_and_deletes) == 0) return;
    auto add = [&](const std::string& of, const std::string& why, Names columns) {
        auto is_failing = database.plugin == Plugin::pgoutput;
        findings.push_back(
            {.check = "no-identity",
             .place = place,
             .table = table.shown_name(),
             .columns = std::move(columns),
             .what = fmt::format("{} {}: {}", of, why,
                                 is_failing ? "every UPDATE and DELETE of the application fails"
                                            : "wal2json does not send its updates and deletes"),
             .mends = mend_identity(table, database, {})});
    };
    constexpr std::string_view none = "has no primary key and no replica identity";
    if (!table.has_identity) add(table.shown_name(), std::string(none), {});
    for (const auto& partition : table.partitions)
        if (!partition.has_identity)
            add(fmt::format("partition {}.{}", partition.schema, partition.name), std::string(none),
                {});
    if (database.plugin != Plugin::pgoutput) return;
    auto hidden =
        hidden_columns(table, database, [](const ColumnFacts& column) { return column.is_key; });
    if (table.has_identity && !hidden.empty())
        add(table.shown_name(),
            fmt::format("has {} in its replica identity, which the publication leaves out",
                        enumerate(hidden)),
            hidden);
    // Postgres compares the row filter with the identity of the table that is written to.
    auto check_filter = [&](const std::string& of, char replica_identity, const auto& is_logged) {
        Names missing;
        for (const auto& column : table.columns)
            if (column.is_in_filter && !is_logged(column)) missing.push_back(column.name);
        if (replica_identity == 'f' || missing.empty()) return;
        add(of,
            fmt::format("lacks {} in its replica identity, which the publication's row filter uses",
                        enumerate(missing)),
            missing);
    };
    if (!table.is_partitioned && table.has_identity)
        check_filter(table.shown_name(), table.replica_identity,
                     [](const ColumnFacts& column) { return column.is_key; });
    for (const auto& partition : table.partitions)
        if (partition.has_identity)
            check_filter(fmt::format("partition {}.{}", partition.schema, partition.name),
                         partition.replica_identity, [&](const ColumnFacts& column) {
                             return has(partition.identity, column.name);
                         });
}

}  // namespace walcast
