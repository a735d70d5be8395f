#include "agent/doctor/doctor_facts.hpp"
#include "agent/doctor/doctor_finding.hpp"
#include "agent/doctor/doctor_identity.hpp"
#include "agent/doctor/doctor_rules.hpp"
#include "agent/doctor/secret_names.hpp"
#include "tests/support/relations.hpp"
#include "tests/support/throws.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace walcast {

namespace {

// A table as the catalogs tell it: `table_of("orders").key("id").column("user_id")`.
class TableBuilder {
public:
    explicit TableBuilder(std::string name) {
        static std::uint32_t next = 20'000;
        table_.oid = ++next;
        table_.schema = "public";
        table_.name = std::move(name);
    }
    TableBuilder& key(std::string name, std::uint32_t type_oid = type::int4) {
        keys_.push_back(name);
        return add(
            {.name = std::move(name), .type_oid = type_oid, .is_key = true, .is_not_null = true});
    }
    TableBuilder& column(std::string name, std::uint32_t type_oid = type::int4) {
        return add(
            {.name = std::move(name), .type_oid = type_oid, .is_large = type_oid == type::text});
    }
    TableBuilder& not_null() {
        table_.columns.back().is_not_null = true;
        return *this;
    }
    TableBuilder& unpublished(char generated = ' ') {
        table_.columns.back().is_published = false;
        table_.columns.back().generated = generated;
        table_.has_column_list = generated == ' ';
        return *this;
    }
    TableBuilder& full_identity() {
        table_.replica_identity = 'f';
        for (auto& column : table_.columns) column.is_key = true;
        return *this;
    }
    TableBuilder& no_identity() {
        keys_.clear();
        table_.has_identity = false;
        for (auto& column : table_.columns) column.is_key = false;
        return *this;
    }
    TableBuilder& partition(PartitionFacts partition) {
        table_.is_partitioned = true;
        table_.partitions.push_back(std::move(partition));
        return *this;
    }
    TableBuilder& row_filter(std::string filter) {
        table_.row_filter = std::move(filter);
        return *this;
    }
    TableBuilder& in_filter() {  // The last column.
        table_.columns.back().is_in_filter = true;
        return *this;
    }

    const TableFacts& facts() const { return table_; }
    const std::vector<std::string>& keys() const { return keys_; }

private:
    TableBuilder& add(ColumnFacts column) {
        table_.columns.push_back(std::move(column));
        return *this;
    }

    TableFacts table_;
    std::vector<std::string> keys_;
};

TableBuilder table_of(std::string name) {
    return TableBuilder(std::move(name));
}

DatabaseFacts database_of(const std::vector<TableBuilder>& tables) {
    DatabaseFacts database;
    database.publication.name = "walcast";
    for (const auto& table : tables) {
        database.tables.push_back(table.facts());
        database.catalog.set_primary_key(table.facts().oid, table.keys());
        if (table.facts().replica_identity == 'f' && !table.facts().partitions.empty())
            database.catalog.set_partial_old_rows(table.facts().oid);
    }
    return database;
}

Rule rule_of(std::string_view table, std::initializer_list<std::string_view> channels) {
    Rule rule;
    rule.table = table;
    rule.file = "walcast.toml";
    rule.line = 3;
    for (auto channel : channels) rule.channels.push_back(parse_channel_template(channel));
    return rule;
}

std::vector<std::string> checks_of(const Findings& findings) {
    std::vector<std::string> checks;
    for (const auto& finding : findings) checks.emplace_back(finding.check);
    return checks;
}

using Checks = std::vector<std::string>;

TableBuilder orders() {
    return table_of("orders").key("id").column("user_id").not_null().column("status", type::text);
}

}  // namespace

// --- replica identity ---

TEST(Doctor, FindsNothingWhereTheKeyTellsAll) {
    auto database = database_of({orders()});

    EXPECT_EQ(checks_of(check_rules({rule_of("public.orders", {"order:{id}", "all"})}, database)),
              Checks{});
}

TEST(Doctor, FindsNothingUnderFullIdentity) {
    auto database = database_of({orders().full_identity()});
    auto rule = rule_of("public.orders", {"user:{user_id}"});
    rule.where = parse_predicate("status = 'open'");
    rule.data = DataKind::delta;

    EXPECT_EQ(checks_of(check_rules({rule}, database)), Checks{});
}

TEST(Doctor, FindsDeletesAndUpdatesThatCannotBeRouted) {
    auto database = database_of({orders()});

    auto findings = check_rules({rule_of("public.orders", {"user:{user_id}"})}, database);

    ASSERT_EQ(checks_of(findings), (Checks{"delete-unroutable", "update-unroutable"}));
    EXPECT_EQ(findings[0].what,
              "a delete of public.orders cannot be routed: user_id is not part of the replica "
              "identity; unroutable = \"reset\": all clients fetch orders afresh each time");
    EXPECT_EQ(findings[0].place, "walcast.toml:3:1");
    EXPECT_EQ(findings[0].columns, std::vector<std::string>{"user_id"});
    ASSERT_EQ(findings[0].mends.size(), 2U);
    EXPECT_EQ(findings[0].mends[0].lines,
              std::vector<std::string>{"ALTER TABLE \"public\".\"orders\" REPLICA IDENTITY FULL;"});
    EXPECT_EQ(
        findings[0].mends[1].lines,
        (std::vector<std::string>{"CREATE UNIQUE INDEX CONCURRENTLY \"orders_walcast_identity\" ON "
                                  "\"public\".\"orders\" (\"id\", \"user_id\");",
                                  "ALTER TABLE \"public\".\"orders\" REPLICA IDENTITY USING INDEX "
                                  "\"orders_walcast_identity\";"}));
    EXPECT_EQ(findings[1].mends, findings[0].mends);
}

TEST(Doctor, OffersNoIndexOfColumnsThatMayBeNullOrLarge) {
    auto database = database_of({table_of("a").key("id").column("user_id"),
                                 table_of("b").key("id").column("slug", type::text).not_null()});

    for (const auto& finding :
         check_rules({rule_of("public.a", {"user:{user_id}"}), rule_of("public.b", {"s:{slug}"})},
                     database))
        EXPECT_EQ(finding.mends.size(), 1U) << finding.what;
}

TEST(Doctor, HeedsTheOperationsOfARule) {
    auto database = database_of({orders()});
    auto rule = rule_of("public.orders", {"user:{user_id}"});

    rule.operations = 0b001;
    EXPECT_EQ(checks_of(check_rules({rule}, database)), Checks{});
    rule.operations = 0b011;
    EXPECT_EQ(checks_of(check_rules({rule}, database)), Checks{"update-unroutable"});
    rule.operations = 0b101;
    EXPECT_EQ(checks_of(check_rules({rule}, database)), Checks{"delete-unroutable"});
}

TEST(Doctor, SaysWhatTheRuleDoesWithWhatCannotBeRouted) {
    auto database = database_of({orders()});
    auto rule = rule_of("public.orders", {"user:{user_id}"});

    rule.unroutable = Unroutable::error;
    EXPECT_TRUE(contains(check_rules({rule}, database)[0].what, "the agent stops"));
    rule.unroutable = Unroutable::skip;
    EXPECT_TRUE(contains(check_rules({rule}, database)[0].what, "never hear"));
}

TEST(Doctor, FindsAConditionThatOldRowsDoNotTell) {
    auto database = database_of({orders()});
    auto rule = rule_of("public.orders", {"all"});
    rule.where = parse_predicate("user_id > 5");

    auto findings = check_rules({rule}, database);

    ASSERT_EQ(checks_of(findings), (Checks{"delete-unroutable", "update-unroutable"}));
    EXPECT_TRUE(contains(findings[1].what, "after which `where` is not true"));
}

TEST(Doctor, LetsDeleteWhenLookAtAnythingSmall) {
    auto database = database_of({orders()});
    auto rule = rule_of("public.orders", {"order:{id}"});

    rule.delete_when = parse_predicate("user_id is null");
    EXPECT_EQ(checks_of(check_rules({rule}, database)), Checks{});
    rule.delete_when = parse_predicate("status = 'gone'");
    EXPECT_EQ(checks_of(check_rules({rule}, database)), Checks{"large-column"});
}

TEST(Doctor, FindsLargeColumnsInChannels) {
    auto database = database_of({orders()});

    auto findings = check_rules({rule_of("public.orders", {"status:{status}"})}, database);

    EXPECT_EQ(checks_of(findings),
              (Checks{"delete-unroutable", "update-unroutable", "large-column"}));
}

TEST(Doctor, FindsAnIdThatOldRowsDoNotTell) {
    auto database = database_of({orders()});
    auto rule = rule_of("public.orders", {"all"});
    rule.id = {"user_id"};

    EXPECT_EQ(checks_of(check_rules({rule}, database)),
              (Checks{"delete-unroutable", "update-unroutable"}));
}

TEST(Doctor, SaysThatDeltasNeedOldRows) {
    auto database = database_of({orders()});
    auto rule = rule_of("public.orders", {"all"});
    rule.data = DataKind::patch;

    auto findings = check_rules({rule}, database);

    ASSERT_EQ(checks_of(findings), Checks{"data-without-old-rows"});
    EXPECT_EQ(findings[0].mends.size(), 1U);
}

TEST(Doctor, FindsTablesWhoseWritesFail) {
    auto database = database_of({orders().no_identity()});
    auto rule = rule_of("public.orders", {"all"});
    rule.id = {"id"};

    auto findings = check_rules({rule}, database);

    ASSERT_EQ(checks_of(findings), Checks{"no-identity"});
    EXPECT_TRUE(contains(findings[0].what, "fails"));
}

TEST(Doctor, NamesThePartitionsThatDiffer) {
    PartitionFacts whole{.schema = "public", .name = "orders_1", .replica_identity = 'f'};
    PartitionFacts key{.schema = "public", .name = "orders_2", .identity = {"id"}};
    auto database = database_of({orders().full_identity().partition(whole).partition(key)});

    auto findings = check_rules({rule_of("public.orders", {"user:{user_id}"})}, database);

    ASSERT_EQ(checks_of(findings), Checks{"partition-identity"});
    EXPECT_TRUE(contains(findings[0].what, "public.orders_2"));
    EXPECT_EQ(
        findings[0].mends[0].lines,
        std::vector<std::string>{"ALTER TABLE \"public\".\"orders_2\" REPLICA IDENTITY FULL;"});
}

TEST(Doctor, NamesThePartitionsThatDifferForAnyRule) {
    PartitionFacts key{.schema = "public", .name = "orders_1", .identity = {"id"}};
    auto database = database_of({orders().full_identity().partition(key)});
    auto rule = rule_of("public.orders", {"all"});

    EXPECT_EQ(checks_of(check_rules({rule}, database)), Checks{"partition-identity"});
}

TEST(Doctor, FindsPartitionsThatLogLessThanTheirRootPromises) {
    PartitionFacts other{
        .schema = "public", .name = "orders_1", .replica_identity = 'i', .identity = {"user_id"}};
    auto database = database_of({orders().partition(other)});

    EXPECT_EQ(checks_of(check_rules({rule_of("public.orders", {"order:{id}"})}, database)),
              Checks{"partition-identity"});
}

TEST(Doctor, FindsRowFiltersThatMakeWritesFail) {
    auto table = table_of("orders").key("id").in_filter().column("user_id").in_filter();
    auto database = database_of({table});
    auto rule = rule_of("public.orders", {"all"});

    auto findings = check_rules({rule}, database);
    ASSERT_EQ(checks_of(findings), Checks{"no-identity"});
    EXPECT_EQ(findings[0].columns, std::vector<std::string>{"user_id"});

    database.publication.operations = 1;  // Inserts only: no old rows.
    auto checks = checks_of(check_rules({rule}, database));
    EXPECT_EQ(std::count(checks.begin(), checks.end(), "no-identity"), 0);
    EXPECT_TRUE(check_rules({rule}, database_of({table.full_identity()})).empty());
}

// --- columns ---

TEST(Doctor, FindsEveryColumnThatIsNotThere) {
    auto database = database_of({orders()});
    auto rule = rule_of("public.orders", {"user:{usr_id}", "order:{id}", "x:{nowhere}"});
    rule.exclude = {"sttus"};
    rule.where = parse_predicate("uzer_id = 5");

    auto findings = check_rules({rule}, database);

    EXPECT_EQ(checks_of(findings), Checks(4, "rule-does-not-fit"));
    EXPECT_TRUE(contains(findings[0].what, "did you mean \"user_id\""));
}

TEST(Doctor, PlacesWhatTheAgentWouldSay) {
    auto database = database_of({orders()});
    auto rule = rule_of("public.orders", {"all", "user:{usr_id}"});
    rule.places["channels.1"] = {7, 20};

    EXPECT_EQ(check_rules({rule}, database)[0].place, "walcast.toml:7:20");
}

TEST(Doctor, FindsColumnsThatAreNotPublished) {
    auto database =
        database_of({table_of("orders").key("id").column("user_id").column("note").unpublished()});
    auto rule = rule_of("public.orders", {"note:{note}"});

    auto findings = check_rules({rule}, database);

    ASSERT_EQ(checks_of(findings), Checks{"column-unpublished"});
    EXPECT_TRUE(contains(findings[0].what, "column list"));
    EXPECT_EQ(findings[0].mends[0].lines[2],
              "ALTER PUBLICATION \"walcast\" ADD TABLE \"public\".\"orders\" (\"id\", \"user_id\", "
              "\"note\");");
}

TEST(Doctor, FindsGeneratedColumns) {
    auto table = table_of("orders").key("id").column("total").unpublished('s');
    auto database = database_of({table});
    auto rule = rule_of("public.orders", {"total:{total}"});

    auto findings = check_rules({rule}, database);
    ASSERT_EQ(checks_of(findings), Checks{"column-unpublished"});
    EXPECT_TRUE(findings[0].mends.empty());

    database.server_version = 180000;
    EXPECT_EQ(check_rules({rule}, database)[0].mends[0].lines[0],
              "ALTER PUBLICATION \"walcast\" SET (publish_generated_columns = stored);");
}

TEST(Doctor, TellsOfRowFilters) {
    auto database = database_of({orders().row_filter("(id > 5)")});

    auto findings = check_rules({rule_of("public.orders", {"all"})}, database);

    ASSERT_EQ(checks_of(findings), Checks{"row-filter"});
    EXPECT_TRUE(contains(findings[0].what, "(id > 5)"));
}

TEST(Doctor, FindsOperationsThatAreNotPublished) {
    auto database = database_of({orders()});
    database.publication.operations = 0b011;

    auto findings = check_rules({rule_of("public.orders", {"all"})}, database);

    ASSERT_EQ(checks_of(findings), Checks{"operation-unpublished"});
    EXPECT_TRUE(contains(findings[0].what, "delete"));
}

// --- tables and rules ---

TEST(Doctor, FindsRulesWithoutTableAndTablesWithoutRule) {
    auto database = database_of({orders()});

    auto findings = check_rules({rule_of("public.order", {"all"})}, database);

    ASSERT_EQ(checks_of(findings), (Checks{"rule-without-table", "table-without-rule"}));
    EXPECT_TRUE(contains(findings[0].what, "did you mean \"public.orders\""));
    EXPECT_EQ(findings[1].mends[0].lines[0],
              "ALTER PUBLICATION \"walcast\" DROP TABLE \"public\".\"orders\";");
}

TEST(Doctor, FindsTablesThatAreNotPublished) {
    auto database = database_of({});
    database.unpublished = {{.schema = "public", .name = "orders"},
                            {.schema = "public", .name = "bare", .has_identity = false}};

    auto findings =
        check_rules({rule_of("public.orders", {"all"}), rule_of("public.bare", {"all"})}, database);

    ASSERT_EQ(checks_of(findings), (Checks{"table-unpublished", "table-unpublished"}));
    EXPECT_EQ(findings[0].mends[0].lines.size(), 1U);
    EXPECT_EQ(findings[1].mends[0].lines[0],
              "ALTER TABLE \"public\".\"bare\" REPLICA IDENTITY FULL;");
}

TEST(Doctor, SaysUnderWhichNamePartitionsGoOut) {
    auto database = database_of({orders()});
    database.unpublished = {
        {.schema = "public", .name = "orders_1", .root_schema = "public", .root_name = "orders"}};

    auto findings = check_rules(
        {rule_of("public.orders", {"all"}), rule_of("public.orders_1", {"all"})}, database);

    ASSERT_EQ(checks_of(findings), Checks{"table-unpublished"});
    EXPECT_EQ(findings[0].mends[0].lines[0], "table = \"public.orders\"");
}

TEST(Doctor, SaysHowARootIsPublishedUnderItsName) {
    auto database = database_of({table_of("orders_1").key("id")});
    database.unpublished = {{.schema = "public",
                             .name = "orders",
                             .kind = 'p',
                             .partitions = {{.schema = "public", .name = "orders_1"}}}};

    auto findings = check_rules({rule_of("public.orders", {"all"})}, database);

    ASSERT_FALSE(findings.empty());
    EXPECT_EQ(findings[0].mends[0].lines[0],
              "ALTER PUBLICATION \"walcast\" SET (publish_via_partition_root = true);");
}

// --- channels of two rules ---

static Checks sharing(std::vector<Rule> rules, const DatabaseFacts& database) {
    for (std::size_t i = 0; i < rules.size(); ++i)
        rules[i].line = static_cast<unsigned>(10 * i + 1);
    return checks_of(check_rules(rules, database));
}

TEST(Doctor, FindsTwoTablesUnderOneName) {
    auto database = database_of({table_of("a").key("id"), table_of("b").key("id")});
    auto a = rule_of("public.a", {"all"});
    auto b = rule_of("public.b", {"all"});
    EXPECT_EQ(sharing({a, b}, database), Checks{});

    a.model = b.model = "Thing";
    EXPECT_EQ(sharing({a, b}, database), Checks{"model-of-two-tables"});

    b.channels = {parse_channel_template("b:{id}")};
    EXPECT_EQ(sharing({a, b}, database), Checks{});
}

TEST(Doctor, FindsOneTableTwice) {
    auto database = database_of({orders().full_identity()});
    auto a = rule_of("public.orders", {"user:{user_id}"});
    auto b = rule_of("public.orders", {"user:{id}"});
    EXPECT_EQ(sharing({a, b}, database), Checks{"model-twice"});

    a.where = parse_predicate("user_id > 5");
    b.where = parse_predicate("user_id <= 5");
    EXPECT_EQ(sharing({a, b}, database), Checks{});

    b.where.reset();
    b.model = "Other";
    EXPECT_EQ(sharing({a, b}, database), Checks{});
}

TEST(Doctor, FindsTablesOfOneGlobUnderOneName) {
    auto database = database_of({table_of("a_x").key("id"), table_of("a_y").key("id")});
    auto rule = rule_of("public.a_*", {"all"});
    EXPECT_EQ(sharing({rule}, database), Checks{});

    rule.model = "Thing";
    EXPECT_EQ(sharing({rule}, database), Checks{"model-of-two-tables"});

    constexpr std::uint32_t uuid = 2950;
    EXPECT_EQ(sharing({rule}, database_of({table_of("a_x").key("id", uuid),
                                           table_of("a_y").key("id", uuid)})),
              Checks{});
}

// --- secrets ---

TEST(Doctor, FindsSecretsThatAreInTheData) {
    auto database = database_of({table_of("users")
                                     .key("id")
                                     .column("password_hash", type::text)
                                     .column("api_key", type::text)});
    auto rule = rule_of("public.users", {"all"});

    auto findings = check_rules({rule}, database);
    ASSERT_EQ(checks_of(findings), Checks{"secret-column"});
    EXPECT_EQ(findings[0].mends[0].lines[0], R"(exclude = ["password_hash", "api_key"])");

    rule.exclude = {"password_hash", "api_key"};
    EXPECT_EQ(checks_of(check_rules({rule}, database)), Checks{});
}

TEST(SecretNames, AreKnownByTheirWords) {
    for (const auto* name : {"password",
                             "Password",
                             "user_password",
                             "passwordHash",
                             "hashed_password",
                             "passwd",
                             "pwd",
                             "secret",
                             "client_secret",
                             "token",
                             "access_token",
                             "refreshToken",
                             "api_key",
                             "apikey",
                             "APIKey",
                             "private_key",
                             "ssn",
                             "credit_card",
                             "card_number",
                             "cvv",
                             "otp",
                             "password_salt",
                             "encrypted_password",
                             "token2",
                             "old_passwords"})
        EXPECT_TRUE(looks_secret(name)) << name;
    for (const auto* name : {"tokenized_at",
                             "token_expires_at",
                             "password_changed_at",
                             "has_password",
                             "token_count",
                             "secretary",
                             "passenger",
                             "key",
                             "public_key",
                             "hash",
                             "id",
                             "",
                             "__",
                             "compassword",
                             "salty",
                             "is_secret",
                             "credit_card_brand",
                             "primary_key",
                             "card",
                             "number"})
        EXPECT_FALSE(looks_secret(name)) << name;
}

// --- what is shown ---

TEST(Findings, AreHarmlessToATerminal) {
    Findings findings{{.check = "x", .place = "p", .what = "evil \x1b[2J \xC2\x9B name\nline"}};

    auto text = show_text(findings);

    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_EQ(text.find('\xC2'), std::string::npos);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
}

TEST(Findings, SayOnceWhatMendsSeveral) {
    Mend mend{.lines = {"ALTER;"}};
    Findings findings{{.check = "a", .place = "p", .what = "one", .mends = {mend}},
                      {.check = "b", .place = "p", .what = "two", .mends = {mend}}};

    EXPECT_EQ(show_text(findings),
              "p: error: one\np: error: two\n    ALTER;\n2 errors, 0 warnings, 0 notes\n");
}

TEST(Findings, AreOneJsonObject) {
    Findings findings{{.level = Finding::Level::warning,
                       .check = "a",
                       .place = "f:1:2",
                       .table = "public.\"x\"",
                       .columns = {"c"},
                       .what = "w\xFF",
                       .mends = {{.lines = {"A;", "B;"}}}}};

    EXPECT_EQ(show_json(findings),
              "{\"findings\":[{\"level\":\"warning\",\"check\":\"a\",\"place\":\"f:1:2\",\"table\":"
              "\"public.\\\"x\\\"\",\"columns\":[\"c\"],\"what\":\"w?\",\"mend\":[{\"sql\":[\"A;\","
              "\"B;\"]}]}],\"errors\":0,\"warnings\":1,\"notes\":0}\n");
}

TEST(Findings, QuoteNamesAsPostgresReadsThem) {
    EXPECT_EQ(printable_identifier("plain"), R"("plain")");
    EXPECT_EQ(printable_identifier(R"(a"b\c)"), R"("a""b\c")");
    EXPECT_EQ(printable_identifier("a\nb\\c"), R"(U&"a\000Ab\\c")");
    EXPECT_EQ(printable_identifier("\xC2\x9B[2J"), R"(U&"\009B[2J")");
}

}  // namespace walcast
