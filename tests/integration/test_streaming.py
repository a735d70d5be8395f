"""In-progress transactions streamed and spooled: the same actions as without, nothing before commit, nothing left behind."""

import contextlib
import ctypes
import os
import pathlib
import re

import pytest

from support import history
from support.servers import Postgres, wait_until
from support.world import ConfirmedWatch, World

MIB = 1024 * 1024
RULES = [{"table": "public.*", "channels": ["all"], "unroutable": "reset"}]
TABLES = "create table rows (id int primary key, title text); create table others (id int primary key);"


@pytest.fixture(scope="module")
def postgres():
    with Postgres(settings={"logical_decoding_work_mem": "64kB"}) as server:
        yield server


@pytest.fixture
def world(postgres, redis, tmp_path):
    """Call it to get a world whose agent streams, with an empty directory for its spool."""
    worlds = []

    def make(tables=TABLES, rules=RULES, size="8GB", directory=tmp_path, **options):
        one = World(rules, postgres, redis, tables, streaming=True, spool={"directory": str(directory), "size": size}, **options).__enter__()
        one.spool = pathlib.Path(directory)
        worlds.append(one)
        one.init().agent()
        return one

    yield make
    for one in worlds:
        for connection in one._connections:
            connection.close()
        one.__exit__(None, None, None)


def rows(first, last, table="rows"):
    return f"insert into {table} select i, repeat(md5(i::text), 8) from generate_series({first}, {last}) i"


def streamed(one, slot=None):
    """How many bytes of unfinished transactions the server has sent on this slot."""
    ((count,),) = one.sql("select coalesce(sum(stream_bytes), 0) from pg_stat_replication_slots where slot_name = %s", [slot or one.slot])
    return count


def wait_streamed(one, more_than=0):
    return wait_until(lambda: streamed(one) > more_than and streamed(one), what=lambda: f"the server streams\n{one.logs()}")


def spooled(one, agent=None):
    """The bytes of files in the spool that the agent holds open; a file with a name would be a fault."""
    assert list(one.spool.iterdir()) == [], "the spool's files have no names"
    total = 0
    for link in pathlib.Path(f"/proc/{(agent or one.agents[-1]).pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(link).startswith(str(one.spool)):
                total += link.stat().st_size
    return total


def expect_rows(one, ids, channel="all"):
    """Exactly these rows were inserted, in this order, with their texts and ids from 1 without holes."""
    found = [(item.sync_id, item.action, item.model_id) for item in one.actions(channel)]
    assert found == [(at, "insert", str(number)) for at, number in enumerate(ids, start=1)], f"{len(found)} actions, {len(ids)} due"
    assert one.position()["sync_id"] == str(len(ids))
    one.assert_sound()


def replica(one):
    """The tables that a client builds from the actions."""
    tables = {}
    for item in one.actions("all"):
        table = tables.setdefault(item.model, {})
        old = table.get(item.model_id, {})
        if item.action == "delete":
            del table[item.model_id]
        else:
            assert item.action == "update" or item.model_id not in table or item.unchanged
            table[item.model_id] = {**{name: old[name] for name in item.unchanged if name in old}, **item.data}
    return tables


def source(one):
    tables = [name for (name,) in one.sql("select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")]
    return {name: {str(row["id"]): row for (row,) in one.sql(f"select to_jsonb(t) from {name} t")} for name in tables}


EMIT = "select pg_logical_emit_message(true, 'other', repeat('x', 5000))"
BIG = "(select string_agg(md5(i::text), '') from generate_series(1, 300) i)"
TRANSACTIONS = {
    "plain": [rows(1, 2000)],
    "savepoint": [rows(1, 1000), "savepoint s", rows(1001, 2000), "rollback to s", rows(2001, 2010)],
    "savepoint_at_once": ["savepoint s", rows(1, 1000), "rollback to s", rows(2001, 3000)],
    "savepoint_last": [rows(1, 1000), "savepoint s", rows(1001, 2000), "rollback to s"],
    "savepoints_nested": [
        rows(1, 500), "savepoint a", rows(501, 1000), "savepoint b", rows(1001, 1500), "rollback to b", rows(1501, 2000), "savepoint c",
        rows(2001, 2500), "release c", "savepoint d", rows(2501, 3000), "release a", "savepoint e", rows(3001, 3500), "savepoint f",
        rows(3501, 4000), "release f", "rollback to e", rows(4001, 4010)],
    "savepoint_again_and_again": ["savepoint s", *(word for at in range(20) for word in (rows(at * 500 + 1, at * 500 + 500), "rollback to s")),
                                  rows(20001, 20500)],
    "savepoint_outer_undone": [rows(1, 500), "savepoint a", rows(501, 1000), "savepoint b", rows(1001, 1500), "release b", "rollback to a", rows(1501, 2000)],
    "messages": [EMIT, rows(1, 500), "savepoint s", EMIT, rows(501, 1000), EMIT, "rollback to s", EMIT, rows(1001, 1500), EMIT],
    "changes_undone": [rows(1, 500), "savepoint s", "update rows set title = 'undone' || id", "delete from rows where id < 100", "rollback to s",
                       "update rows set title = 'done' || id where id > 400", "delete from rows where id = 1"],
    "ddl": [rows(1, 500), "alter table rows add n int default 5", rows(501, 1000), "savepoint s", "alter table rows drop title",
            "alter table rows add undone int default 1", "insert into rows select i, i from generate_series(2001, 4000) i", "rollback to s",
            rows(4001, 4500), "alter table rows rename n to m", rows(4501, 5000), "update rows set m = id where id < 300",
            "alter table rows alter m type text", "update rows set m = m || 'x'"],
    "tables_made_inside": [rows(1, 500), "create type pair as (x int, y text)", "create table made (id int primary key, p pair)",
                           "alter publication walcast add table made", "insert into made select i, (i, 'y')::pair from generate_series(1, 2000) i",
                           rows(501, 1000)],
    "large_values": ["alter table rows alter title set storage external", *(f"insert into rows values ({i}, {BIG})" for i in range(1, 30)),
                     "update rows set id = id", "savepoint s", "update rows set title = title || 'x'", "rollback to s",
                     "alter table rows replica identity full", "update rows set id = id + 100"],
    "identity_inside": [rows(1, 500), "update rows set id = id + 10000", "alter table rows replica identity full", "update rows set id = id + 10000",
                        "delete from rows where id % 2 = 0", "alter table rows replica identity default", "delete from rows where id % 3 = 0"],
}
# What stays of those that only insert.
INSERTED = {
    "plain": [(1, 2000)], "savepoint": [(1, 1000), (2001, 2010)], "savepoint_at_once": [(2001, 3000)], "savepoint_last": [(1, 1000)],
    "savepoints_nested": [(1, 1000), (1501, 3000), (4001, 4010)], "savepoint_again_and_again": [(20001, 20500)],
    "savepoint_outer_undone": [(1, 500), (1501, 2000)], "messages": [(1, 500), (1001, 1500)]}


def with_headers(one, prefix):
    """Each action with what its message says of the transaction; where a message is cut is left open."""
    found = history.histories(one.client, prefix)["all"]
    return [(message["lsn"], message["xid"], message["commitTime"], item)
            for message in (history.parse_exactly(entry.message) for entry in found) for item in message["sync"]]


@pytest.mark.parametrize("name", TRANSACTIONS)
def test_a_streamed_transaction_is_what_it_is_unstreamed(world, name):
    one = world()
    plain = one.config(slot=one.record_slot, prefix="plain:", streaming=False)
    assert one.walcast("init", config_text=plain).returncode == 0
    one.agent(config_text=plain)
    one.transaction(*TRANSACTIONS[name])
    one.sql("insert into others values (1)")
    one.settle()
    end = one.position()["sync_id"]
    wait_until(lambda: history.position(one.client, "plain:")["sync_id"] == end, what=lambda: f"the other agent reaches {end}\n{one.logs()}")

    assert streamed(one) > 0 == streamed(one, one.record_slot), "one was streamed, the other not"
    assert with_headers(one, "walcast:") == with_headers(one, "plain:")
    if name in INSERTED:
        due = [i for first, last in INSERTED[name] for i in range(first, last + 1)]
        expect_rows(one, [*due, 1])
    assert replica(one) == source(one)
    assert spooled(one, one.agents[0]) < MIB, "what was published is let go of"


def test_a_transaction_rolled_back_is_never_seen(world):
    one = world()
    one.transaction(rows(1, 2000), "savepoint s", rows(2001, 4000), end="rollback")
    wait_streamed(one)
    one.transaction(rows(1, 2000), end=f"prepare transaction '{one.slot}'")
    one.sql(f"rollback prepared '{one.slot}'")
    one.settle()
    assert (one.histories(), one.position()["sync_id"]) == ({}, "0")
    one.sql("insert into rows values (7, 'last')")
    one.settle()

    expect_rows(one, [7])
    assert spooled(one) < MIB


def test_a_prepared_transaction_comes_at_its_commit(world):
    one = world()
    one.transaction(rows(1, 2000), end=f"prepare transaction '{one.slot}'")
    wait_streamed(one)
    one.sql("insert into rows values (5000, 'between')")
    one.settle()
    expect_rows(one, [5000])
    one.agents[-1].restart()
    one.sql(f"commit prepared '{one.slot}'")
    one.settle()
    expect_rows(one, [5000, *range(1, 2001)])


def test_nothing_is_published_before_the_commit(world):
    one = world()
    with ConfirmedWatch(one) as watch:
        first, second = one.connect(autocommit=False), one.connect(autocommit=False)
        for at in range(0, 3000, 500):  # Two at once, block by block.
            first.cursor().execute(rows(at + 1, at + 500))
            second.cursor().execute(rows(10000 + at + 1, 10000 + at + 500))
        wait_streamed(one, 500_000)
        wait_until(lambda: spooled(one) > 500_000, what="the transactions are in the spool")
        assert one.histories() == {}
        one.sql("insert into rows values (9999, 'small')")
        one.settle()
        expect_rows(one, [9999])
        second.commit()
        one.settle()
        expect_rows(one, [9999, *range(10001, 13001)])
        first.commit()
        one.settle()
        expect_rows(one, [9999, *range(10001, 13001), *range(1, 3001)])
        watch.assert_kept()


def disturb(one, how):
    if how == "killed":
        one.agents[-1].kill9()
        assert list(one.spool.iterdir()) == []
        one.agent()
    elif how == "stopped":
        one.agents[-1].restart()
        one.agents[-1].wait_streaming()
    else:
        one.sql("select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = %s", [one.slot])


@pytest.mark.parametrize("how", ["killed", "stopped", "disconnected"])
def test_an_interrupted_transaction_arrives_whole_and_once(world, how):
    one = world()
    writer = one.connect(autocommit=False)
    for first in (1, 1001, 2001):
        before = streamed(one)
        writer.cursor().execute(rows(first, first + 999))
        one.sql("select pg_logical_emit_message(false, 'wake', '')")
        wait_streamed(one, before)
        disturb(one, how)
    writer.commit()
    one.settle()
    expect_rows(one, range(1, 3001))
    assert spooled(one) < MIB


@pytest.mark.limit(180)
def test_a_kill_while_it_is_published_costs_nothing(world):
    one = world()
    writer = one.connect()
    writer.cursor().execute(rows(1, 200_000))
    for part in (1, 80_000, 150_000):
        wait_until(lambda: int(one.position()["sync_id"]) >= part, 30, lambda: f"{part} are published\n{one.logs()}")
        one.agents[-1].kill9()
        one.agent()
    one.settle(60)
    expect_rows(one, range(1, 200_001))


@contextlib.contextmanager
def small_disk(directory):
    """A file system of one megabyte."""
    libc = ctypes.CDLL(None, use_errno=True)
    directory.mkdir()
    if libc.mount(b"tmpfs", bytes(directory), b"tmpfs", 0, b"size=1m") != 0:
        pytest.skip(f"cannot mount: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        libc.umount2(bytes(directory), 2)


@pytest.mark.parametrize("limit", ["disk", "size"])
def test_a_full_spool_is_an_error_and_loses_nothing(world, tmp_path, limit):
    with small_disk(tmp_path / "disk") if limit == "disk" else contextlib.nullcontext():
        one = world(directory=tmp_path / "disk" if limit == "disk" else tmp_path, size="8GB" if limit == "disk" else "1MB")
        writer = one.connect(autocommit=False)
        writer.cursor().execute(rows(1, 20_000))  # More than 5 MB.
        one.sql("insert into others values (1)")
        one.agents[-1].wait_log(r"(?i)spool.*(full|space|size|large)|(full|no space).*spool", 20)
        one.settle(60)
        writer.commit()
        one.settle(60)
        one.transaction(rows(20_001, 20_010))
        one.settle()

        assert one.agents[-1].alive()
        expect_rows(one, [1, *range(1, 20_011)])
        for agent in one.agents:
            agent.kill9()


def test_a_spool_that_cannot_be_made_is_named(postgres, redis, tmp_path):
    with World(RULES, postgres, redis, TABLES, streaming=True, spool={"directory": str(tmp_path / "nowhere"), "size": "1GB"}) as one:
        one.init()
        agent = one.agent(streaming=False)
        assert agent.wait() in (1, 2)
        assert str(tmp_path / "nowhere") in agent.log()


def test_an_event_inside_a_streamed_transaction_has_it_taken_whole(world):
    """Also where some of it has been published by then, and where its savepoint was rolled back."""
    one = world()
    event = """select pg_logical_emit_message(true, 'walcast:event', '{"channel":"c","name":"%s","data":1}')"""
    epoch = one.position()["epoch"]
    one.transaction(rows(1, 20_000), event % "kept", "savepoint s", rows(20_001, 21_000), event % "undone", "rollback to s", rows(21_001, 22_000))
    one.transaction(rows(30_001, 34_000), event % "later", rows(34_001, 35_000))
    one.settle(60)

    agent = one.agents[-1]
    assert agent.alive() and one.position()["epoch"] == epoch
    assert len(re.findall("was sent in progress and holds a walcast:event.*are taken when they commit", agent.log())) == 1
    assert [item.model_id for item in one.actions("all")] == [str(n) for n in (*range(1, 20_001), *range(21_001, 22_001), *range(30_001, 35_001))]
    assert [message["name"] for message in one.messages("c")] == ["kept", "later"]
    one.assert_sound()


def test_an_event_in_a_streamed_transaction_that_was_sent_before_stops_nobody(world):
    """Sent whole and in Redis, but not yet confirmed, when the agent ended: it comes again, in parts now."""
    one = world()
    one.agents[-1].kill9()
    one.agent(config_text=one.config(streaming=False).replace("[redis]\n", "[redis]\nconfirm_delay = \"60s\"\n"))
    one.transaction(rows(1, 2000), """select pg_logical_emit_message(true, 'walcast:event', '{"channel":"c","name":"n","data":1}')""")
    one.settle()
    one.agents[-1].kill9()
    before = one.position()
    one.agent()
    wait_streamed(one)
    one.sql(rows(3001, 3002))
    one.settle()
    assert int(one.position()["sync_id"]) == int(before["sync_id"]) + 2
    one.assert_sound()


@pytest.mark.limit(180)
def test_a_table_that_its_transaction_changes_is_asked_about_once(world):
    one = world(tables=TABLES + "alter table rows replica identity full;")

    def connections():
        one.sql("select pg_stat_clear_snapshot()")
        return one.sql("select sessions from pg_stat_database where datname = %s", [one.db])[0][0]

    one.sql("begin")
    one.sql("alter table rows add note text")
    for first in range(0, 20_000, 200):  # Its parts begin with the table's description again, each.
        one.sql(rows(first, first + 199).replace("select i,", "select i, repeat('x', 200),").replace("into rows", "into rows (id, note, title)"))
    one.sql("commit")
    wait_streamed(one)
    before = connections()
    one.settle()
    assert len(one.actions("all")) == 20_000
    assert connections() - before < 40, "there were more than a hundred"
    one.assert_sound()


def test_a_streamed_transaction_of_a_million_rows_passes_within_64_mib(world):
    one = world(history={"length": 10_000_000, "age": "24h"})
    one.sql("insert into rows select i, 'row number ' || i from generate_series(1, 1000000) i")
    one.settle(150)

    assert streamed(one) > 0
    peak = one.agents[-1].rss_max()
    assert peak < 64 * MIB, f"{peak / MIB:.1f} MiB"
    expected = 1
    for entry in one.entries("all"):
        for item in history.parse(entry.message)["sync"]:
            assert item["syncId"] == expected and item["data"] == {"id": expected, "title": f"row number {expected}"}
            expected += 1
    assert expected == 1_000_001
    assert spooled(one) < MIB
