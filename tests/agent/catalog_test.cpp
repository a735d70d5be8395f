#include "agent/catalog.hpp"

#include "tests/support/relations.hpp"

#include <gtest/gtest.h>

namespace walcast {

using Indexes = std::vector<std::size_t>;

static Catalog catalog_with_key(const std::vector<std::string>& columns) {
    Catalog catalog;
    catalog.set_primary_key(16400, columns);
    return catalog;
}

TEST(Catalog, KnowsTablesWithAndWithoutAPrimaryKey) {
    Catalog catalog;
    catalog.set_primary_key(1, {});
    catalog.set_primary_key(2, {"id"});

    EXPECT_TRUE(catalog.knows_table(1));
    EXPECT_TRUE(catalog.knows_table(2));
    EXPECT_FALSE(catalog.knows_table(3));
    EXPECT_TRUE(catalog.primary_key(1).empty());
    EXPECT_EQ(catalog.primary_key(2), std::vector<std::string>{"id"});
    EXPECT_TRUE(catalog.primary_key(3).empty());
}

TEST(Catalog, KnowsARelationOnceItKnowsItsTypes) {
    Relation relation = relation_of("t").key("id").column("mood", 16999);
    auto catalog = catalog_with_key({"id"});
    EXPECT_FALSE(catalog.knows(relation));

    TypeDescription mood;
    mood.oid = 16999;
    catalog.add_types({mood});

    EXPECT_TRUE(catalog.knows(relation));
}

TEST(IdColumns, AreThePrimaryKeyInItsOwnOrder) {
    Relation relation = relation_of("t").key("a").column("x").key("b");

    EXPECT_EQ(id_columns(relation, catalog_with_key({"b", "a"})), (Indexes{2, 0}));
}

TEST(IdColumns, AreThePrimaryKeyAndNotEveryColumnUnderFullIdentity) {
    Relation relation = relation_of("t").column("x").key("id").column("y").full_identity();

    EXPECT_EQ(id_columns(relation, catalog_with_key({"id"})), Indexes{1});
}

TEST(IdColumns, AreTheReplicaIdentityWhereDeletesDoNotCarryThePrimaryKey) {
    Relation relation = relation_of("t").column("id").key("code");

    EXPECT_EQ(id_columns(relation, catalog_with_key({"id"})), Indexes{1});
}

TEST(IdColumns, AreTheReplicaIdentityWhereDeletesCarryPartOfThePrimaryKey) {
    Relation relation = relation_of("t").key("a").column("b").key("code");

    EXPECT_EQ(id_columns(relation, catalog_with_key({"a", "b"})), (Indexes{0, 2}));
}

TEST(IdColumns, AreTheReplicaIdentityWhereAColumnListLeavesThePrimaryKeyOut) {
    Relation relation = relation_of("t").column("x").key("code");

    EXPECT_EQ(id_columns(relation, catalog_with_key({"id"})), Indexes{1});
}

TEST(IdColumns, AreTheReplicaIdentityWhereThereIsNoPrimaryKey) {
    Relation relation = relation_of("t").column("x").key("a").key("b");

    EXPECT_EQ(id_columns(relation, catalog_with_key({})), (Indexes{1, 2}));
    EXPECT_EQ(id_columns(relation, Catalog()), (Indexes{1, 2}));
}

TEST(IdColumns, AreThePrimaryKeyOfATableOfWhichOnlyInsertsAreSent) {
    Relation relation = relation_of("t").column("x").column("id");

    EXPECT_EQ(id_columns(relation, catalog_with_key({"id"})), Indexes{1});
}

TEST(IdColumns, AreNoneWithoutAnyIdentity) {
    Relation relation = relation_of("t").column("x");

    EXPECT_TRUE(id_columns(relation, Catalog()).empty());
}

}  // namespace walcast
