"""`init` makes the publication, the slot and the first position; `drop` takes slot and publication away."""

import re

import pytest

from support.servers import Postgres, wait_until
from support.world import World

RULES = [{"table": "public.todos", "model": "Todo", "channels": ["all"]}, {"table": "notes.pages", "model": "Page", "channels": ["all"]}]
TABLES = """create table todos (id int primary key); create schema notes; create table notes.pages (id int primary key);
            create table other (id int primary key);"""


@pytest.fixture
def world(postgres, redis):
    with World(RULES, postgres, redis, TABLES) as world:
        yield world


def published(world):
    return world.sql("select schemaname, tablename from pg_publication_tables where pubname = 'walcast' order by 1, 2")


def publications(world):
    return world.sql("select pubname, puballtables from pg_publication")


def test_init_publishes_exactly_the_tables_of_the_rules(world):
    world.init()

    assert publications(world) == [("walcast", False)]
    assert published(world) == [("notes", "pages"), ("public", "todos")]
    slot = world.postgres.slot(world.slot)
    assert (slot["plugin"], slot["two_phase"], slot["temporary"], slot["active"]) == ("pgoutput", False, False, False)
    position = world.position()
    assert position["sync_id"] == "0" and position["floor"] == "0" and position["epoch"]
    assert world.position_lsn() >= world.confirmed()


def test_init_twice_says_what_exists_and_changes_nothing(world):
    world.init()
    before = world.position(), world.postgres.slot(world.slot), publications(world)

    again = world.walcast("init")

    assert again.returncode == 0
    assert "exist" in again.stdout + again.stderr
    assert (world.position(), world.postgres.slot(world.slot), publications(world)) == before


def test_init_goes_on_where_an_earlier_one_stopped(world):
    world.sql("create publication walcast for table todos, notes.pages")
    world.init()
    world.agent()
    world.sql("insert into todos values (1)")
    world.settle()

    assert [item.sync_id for item in world.actions("all")] == [1]


def test_a_dry_run_prints_the_sql_and_changes_nothing(world):
    result = world.walcast("init", "--dry-run")

    assert result.returncode == 0
    sql = result.stdout.lower()
    assert sql.index("create publication") < sql.index("pg_create_logical_replication_slot"), "the publication comes before the slot"
    assert "todos" in sql and "pages" in sql and "for all tables" not in sql
    assert publications(world) == [] and world.postgres.slot(world.slot) is None and world.position() == {}


def test_the_sql_of_a_dry_run_works(world):
    lines = world.walcast("init", "--dry-run").stdout.splitlines()
    statements = "\n".join(line for line in lines if not line.lstrip().startswith(("--", "#")))
    for statement in filter(str.strip, statements.split(";")):
        world.sql(statement)

    assert published(world) == [("notes", "pages"), ("public", "todos")]
    assert world.postgres.slot(world.slot)["plugin"] == "pgoutput"


def test_init_names_a_table_that_is_not_there(world):
    rules = [{"table": "public.nowhere", "model": "X", "channels": ["all"]}]

    result = world.walcast("init", config_text=world.config(rules=rules))

    assert result.returncode in (1, 2)
    assert "nowhere" in result.stderr
    assert publications(world) == [] and world.postgres.slot(world.slot) is None, "nothing is left half made"


def test_init_of_names_that_need_quotes(postgres, redis):
    rules = [{"table": 'public.Odd Table', "model": "Odd", "channels": ["all"]}]
    with World(rules, postgres, redis, 'create table "Odd Table" (id int primary key)', publication='My "pub", x\'y') as world:
        world.init()
        agent = world.agent()
        world.sql('insert into "Odd Table" values (1)')
        world.settle()

        assert [item.sync_id for item in world.actions("all")] == [1]
        agent.stop()
        assert world.walcast("drop").returncode == 0
        assert publications(world) == []


def test_drop_removes_slot_and_publication(world):
    world.init()

    assert world.walcast("drop").returncode == 0
    assert publications(world) == [] and world.postgres.slot(world.slot) is None


def test_drop_keeps_a_publication_that_another_slot_may_be_read_with(world):
    world.init()
    world.sql("select pg_create_logical_replication_slot('another', 'pgoutput')")
    try:
        result = world.walcast("drop")
        assert result.returncode == 0
        assert 'publication "walcast" is kept, since slot "another"' in result.stdout
        assert world.postgres.slot(world.slot) is None
        assert publications(world) == [("walcast", False)]
    finally:
        world.sql("select pg_drop_replication_slot('another')")


def test_drop_twice_is_fine(world):
    world.init()
    world.walcast("drop")

    again = world.walcast("drop")

    assert again.returncode == 0, again.stderr
    assert world.postgres.slot(world.slot) is None


def test_drop_refuses_while_an_agent_streams(world):
    world.init()
    agent = world.agent()

    result = world.walcast("drop")

    assert result.returncode == 1
    (pid,) = world.postgres.walsender_pids()
    assert str(pid) in result.stderr
    assert world.postgres.slot(world.slot) and publications(world), "refused before anything was removed"
    assert agent.alive()


def test_init_after_drop_begins_a_new_epoch_or_goes_on_above(world):
    world.init()
    agent = world.agent()
    world.sql("insert into todos values (1)")
    world.settle()
    epoch = world.position()["epoch"]
    agent.stop()
    world.walcast("drop")
    world.sql("insert into todos values (2)")
    world.init()
    world.agent()
    world.sql("insert into todos values (3)")
    world.settle()

    # Todo 2 was never streamed: that may not look like an unbroken history.
    assert world.position()["epoch"] != epoch
    first = world.messages("all")[0]
    assert first["type"] == "reset" and first["lastSyncId"] > 1


def test_init_says_how_to_let_wal2json_be_loaded(redis):
    with Postgres() as server:
        if not server.knows("output_plugin_libraries"):
            pytest.skip("this minor release loads any plugin")
        with World(RULES, server, redis, TABLES, plugin="wal2json") as one:
            refused = one.walcast("init")
            assert refused.returncode == 1
            statement, = re.findall(r"(ALTER SYSTEM SET output_plugin_libraries = [^;]*);", refused.stderr)
            assert one.client.exists("walcast:position") == 0 and one.postgres.slot(one.slot) is None

            # As it says.
            one.sql(statement)
            one.sql("select pg_reload_conf()")
            wait_until(lambda: "wal2json" in one.postgres.execute("show output_plugin_libraries")[0][0], what="setting is in force")
            one.init().agent()
            assert publications(one) == []
            one.sql("insert into todos values (1)")
            one.settle()
            assert len(one.actions("all")) == 1
            one.agents[0].stop()

            dropped = one.walcast("drop")
            assert dropped.returncode == 0, dropped.stderr
            assert one.postgres.slot(one.slot) is None


def test_a_slot_of_the_other_plugin_is_named(postgres, redis):
    with World(RULES, postgres, redis, TABLES, plugin="wal2json") as one:
        text = one.config().replace('plugin = "wal2json"', 'plugin = "pgoutput"')
        assert one.walcast("init", config_text=text).returncode == 0
        wrong = one.walcast("init")
        assert wrong.returncode == 1 and "has plugin \"pgoutput\", not wal2json" in wrong.stderr
