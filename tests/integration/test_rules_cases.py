"""What channel rules mean in cases that random work (test_rules_model.py) seldom meets."""

import time

import pytest

from support.world import World


@pytest.fixture
def world(postgres, redis):
    """Call it to get a world with the agent running."""
    worlds = []

    def make(rule, tables, **options):
        rules = [{"table": "public.t", "model": "T", **one} for one in (rule if isinstance(rule, list) else [rule])]
        worlds.append(World(rules, postgres, redis, tables, **options).__enter__())
        worlds[-1].init().agent()
        return worlds[-1]

    yield make
    for one in worlds:
        one.__exit__(None, None, None)


def shapes(one, channel):
    return [(item.sync_id, item.action, item.model_id) for item in one.actions(channel)]


def resets(one):
    return [(item["modelName"], item["reason"], item["lastSyncId"]) for item in one.control()]


TEXT = "create table t (id int primary key, code text unique, status text, body text)"


def test_an_id_that_the_replica_identity_does_not_have_may_have_changed(world):
    one = world({"id": ["code"], "channels": ["all"]}, TEXT)
    one.sql("insert into t values (1, 'a'); update t set code = 'b'")
    one.settle()

    # Nobody can say that "a" is gone.
    assert shapes(one, "all") == [(1, "insert", "a"), (3, "update", "b")]
    assert resets(one) == [("T", "unroutable", 3)]


def test_an_old_id_of_a_row_that_may_have_been_hidden(world):
    one = world({"where": "status = 'open'", "channels": ["all"]}, TEXT)
    one.sql("insert into t values (1, 'a', 'open')")
    one.sql("update t set id = 2")
    one.settle()

    # Had it been hidden its old id would be nobody's business; had it not, it must go.
    assert shapes(one, "all") == [(1, "insert", "1"), (3, "insert", "2")]
    assert resets(one) == [("T", "unroutable", 3)]


def test_a_partition_that_logs_another_key_than_its_root(world):
    one = world({"channels": ["all"]}, """create table t (id int, region int, code text not null, primary key (id, region)) partition by list (region);
        create table t1 partition of t for values in (1); create unique index t1_code on t1 (code); alter table t1 replica identity using index t1_code""")
    one.sql("insert into t values (1, 1, 'a')")
    one.sql("delete from t")
    one.settle()

    # Not a delete of an id that nobody has.
    assert shapes(one, "all") == [(1, "insert", "1,1")] and resets(one) == [("T", "unroutable", 2)]


def test_a_row_that_may_have_been_hidden_stays_without_a_reset(world):
    one = world({"where": "status = 'open'", "channels": ["all"]}, TEXT + "; alter table t alter body set storage external")
    one.sql("insert into t values (1, 'a', 'closed', repeat('x', 5000)); update t set status = 'open'")
    one.settle()

    (item,) = one.actions("all")
    # A reader that does not have the row fetches what is unchanged.
    assert (item.action, item.model_id, item.unchanged) == ("update", "1", ("body",)) and not resets(one)


@pytest.mark.parametrize("data, changed", [("delta", {"n": 2}), ("patch", [{"op": "add", "path": "/n", "value": 2}])])
def test_a_row_that_leaves_a_channel_comes_whole_where_it_stays(world, data, changed):
    one = world({"data": data, "channels": ["all", "{team}"]}, "create table t (id int primary key, team text, n int); alter table t replica identity full")
    one.sql("insert into t values (1, 'a', 1)")
    one.sql("update t set n = 2")
    one.sql("update t set team = 'b'")
    one.settle()

    # Whoever listens to "a" and "all" and keeps their rows together has just removed it.
    assert shapes(one, "a") == [(1, "insert", "1"), (3, "update", "1"), (4, "delete", "1")]
    assert [item.data for item in one.actions("all")] == [
        {"id": 1, "team": "a", "n": 1}, changed, {"id": 1, "team": "b", "n": 2}]
    kinds = [item.get("dataKind") for message in one.messages("all") for item in message["sync"]]
    assert kinds == [None, data, None]


def test_a_patch_can_be_applied_to_a_row_from_before_a_column_was_added(world):
    one = world({"data": "patch", "channels": ["all"]}, "create table t (id int primary key); alter table t replica identity full")
    one.sql("insert into t values (1)")
    one.settle()
    one.sql("alter table t add column n int; update t set n = 2")
    one.settle()

    # RFC 6902: "replace" would need the member to be there.
    assert [item.data for item in one.actions("all")] == [{"id": 1}, [{"op": "add", "path": "/n", "value": 2}]]


ARRAYS = "create table t (id int primary key, a int[], b int[]); alter table t replica identity full"


def test_a_row_has_up_to_1024_channels(world):
    one = world({"columns": ["id"], "channels": ["c:{a}"]}, ARRAYS)
    one.sql("insert into t select 1, array_agg(i) from generate_series(1, 1024) i")
    one.sql("insert into t select 2, array_agg(i) from generate_series(1, 1025) i")
    one.sql("update t set a = a || 7 where id = 1")
    one.sql("update t set a = a || 0 where id = 1")
    one.sql("update t set a = '{5}' where id = 1")
    one.settle()

    assert shapes(one, "c:1024") == [(1, "insert", "1"), (4, "update", "1")]
    assert shapes(one, "c:5") == [(1, "insert", "1"), (4, "update", "1"), (8, "update", "1")]
    assert "c:1025" not in one.histories() and "c:0" not in one.histories()
    assert resets(one) == [("T", "unroutable", 2), ("T", "unroutable", 6), ("T", "unroutable", 8)]
    one.assert_sound()


def test_many_elements_that_are_the_same_cost_little(world):
    one = world({"columns": ["id"], "channels": ["c:{a}:{b}"]}, ARRAYS)
    begin = time.monotonic()
    one.sql("insert into t select 1, array_agg(1), array_agg(2) from generate_series(1, 100000)")
    one.sql("insert into t select 2, array_agg(i), array_agg(i) from generate_series(1, 100000) i")
    one.settle()

    assert time.monotonic() - begin < 10
    assert list(one.histories()) == ["c:1:2"] and shapes(one, "c:1:2") == [(1, "insert", "1")]
    assert resets(one) == [("T", "unroutable", 2)]


def test_many_names_that_are_too_long_cost_little(world):
    one = world({"columns": ["id"], "channels": ["c:{a}:{b}"]}, ARRAYS.replace("int[]", "text[]"))
    begin = time.monotonic()
    one.sql("""insert into t select 1, array_agg(repeat('x', 600) || i), array_agg(repeat('y', 600) || i) from generate_series(1, 20000) i""")
    one.settle()

    assert time.monotonic() - begin < 10 and not one.histories()


@pytest.mark.parametrize("identity", ["default", "full"])
def test_a_name_of_more_than_1024_bytes_does_not_exist(world, identity):
    one = world({"columns": ["id"], "channels": ["all", "c:{code}"]}, TEXT + f"; alter table t replica identity {identity}")
    one.sql("insert into t values (1, repeat('x', 1022)), (2, repeat('x', 1023)), (3, repeat('é', 511)), (4, repeat(':', 341))")
    one.settle()

    names = {"all", "c:" + "x" * 1022, "c:" + "é" * 511}
    assert set(one.histories()) == names
    agent = one.agents[-1]
    assert agent.log().count("1,024 bytes") == 1 and "xxx" not in agent.log()
    if identity == "full":
        one.sql("update t set code = code || 'y' where id = 1")
        one.sql("update t set code = 'z' where id = 2")
        one.settle()
        assert shapes(one, "c:" + "x" * 1022)[-1] == (5, "delete", "1") and shapes(one, "c:z") == [(8, "insert", "2")]
        assert not resets(one)


@pytest.mark.parametrize("unroutable", ["reset", "skip", "error"])
def test_what_cannot_be_routed(world, unroutable):
    one = world({"where": "status = 'open'", "channels": ["c:{code}"], "unroutable": unroutable}, TEXT)
    one.sql("insert into t values (1, 'a', 'open')")
    one.sql("update t set code = 'b'")
    agent = one.agents[-1]
    if unroutable == "error":
        assert agent.wait() in (1, 2)
        assert "REPLICA IDENTITY FULL" in agent.log() and "c:b" not in one.histories()
        return
    one.sql("update t set status = 'closed'")
    one.sql("delete from t")
    one.settle()

    assert shapes(one, "c:a") == [(1, "insert", "1")] and shapes(one, "c:b") == [(3, "update", "1")]
    assert resets(one) == ([("T", "unroutable", 3), ("T", "unroutable", 5), ("T", "unroutable", 6)] if unroutable == "reset" else [])
    assert agent.log().count("cannot be routed") >= 1


def test_a_soft_delete_again_is_simply_a_delete_again(world):
    one = world({"delete_when": "status = 'gone'", "channels": ["all"]}, TEXT)
    one.sql("insert into t values (1, 'a', 'gone'), (2, 'b', 'here')")
    one.sql("update t set status = 'gone', code = code || 'x'")
    one.sql("update t set status = 'here' where id = 1")
    one.sql("delete from t")
    one.settle()

    assert shapes(one, "all")[:4] == [(2, "insert", "2"), (3, "delete", "1"), (5, "delete", "2"), (8, "update", "1")]
    assert sorted(shapes(one, "all")[4:]) == [(9, "delete", shapes(one, "all")[4][2]), (10, "delete", shapes(one, "all")[5][2])]
    assert not resets(one)


def test_two_models_of_one_table_in_one_channel(world):
    one = world([{"model": "A", "where": "status = 'a'", "channels": ["all"]}, {"model": "B", "where": "status = 'b'", "channels": ["all"]}],
                TEXT + "; alter table t replica identity full")
    one.sql("insert into t values (1, 'x', 'a')")
    one.sql("update t set status = 'b'")
    one.settle()

    assert [(item.sync_id, item.action, item.model) for item in one.actions("all")] == [(1, "insert", "A"), (2, "delete", "A"), (3, "insert", "B")]
    assert len(one.messages("all")[-1]["sync"]) in (2, 3)
    one.assert_sound()


def test_init_publishes_a_table_without_those_that_inherit_it(world):
    one = world({"channels": ["all"]}, "create table t (id int primary key, a text); create table child (extra text) inherits (t)")
    one.sql("insert into child values (1, 'a', 'x')")
    one.sql("update child set extra = 'y'")  # Would fail if it were published: it has no key.
    one.sql("insert into t values (2, 'b')")
    one.settle()

    assert shapes(one, "all") == [(1, "insert", "2")]


def test_a_table_that_is_renamed_away_from_its_rule_is_told_of(world):
    one = world({"channels": ["all"]}, "create table t (id int primary key)")
    one.sql("insert into t values (1)")
    one.settle()
    one.sql("alter table t rename to other")
    one.sql("insert into other values (2)")
    one.sql("create table u (id int); select 1")
    one.settle()
    one.agents[0].stop()

    assert shapes(one, "all") == [(1, "insert", "1")]
    assert "table=public.other was=public.t is taken by no rule any more" in one.agents[0].log()
