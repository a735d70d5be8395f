#include "agent/http/chorus_tables.hpp"

#include "tests/support/relations.hpp"
#include "tests/support/rules.hpp"

#include <gtest/gtest.h>

namespace walcast {

static std::string fields_of(const Rule& rule) {
    Catalog catalog;
    Relation relation = relation_of("todos")
                            .column("title")
                            .key("id")
                            .column("secret")
                            .column("list_id", type::int8)
                            .column("a+b");
    return dexie_fields(make_ready(rule, relation, catalog));
}

TEST(ChorusFields, BeginWithTheKey) {
    EXPECT_EQ(fields_of(rule_for("public.todos").channel("c")), "id, title, secret, list_id");
}

TEST(ChorusFields, AreThoseOfTheData) {
    EXPECT_EQ(fields_of(rule_for("public.todos")
                            .channel("c")
                            .exclude({"secret"})
                            .rename("list_id", "listId")
                            .rename("id", "key")),
              "key, title, listId");
}

TEST(ChorusFields, OfAKeyOfSeveralColumnsAreCompound) {
    EXPECT_EQ(fields_of(rule_for("public.todos").channel("c").id({"list_id", "title"})),
              "[list_id+title], id, secret");
}

}  // namespace walcast
