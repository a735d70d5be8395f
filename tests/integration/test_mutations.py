"""What transactions say of themselves: annotations, events, rejections that survive ROLLBACK, the outbox, receipts, progress."""

import json
import os
import pathlib
import random
import re
import threading
import time

import psycopg2
import pytest

from support import history
from support.servers import Postgres, postgres_bindir, wait_until
from support.world import Subscriber, World

SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
FUNCTIONS = pathlib.Path(__file__).parents[2] / "sql" / "functions.sql"
TABLES = """
    create table todos (id int primary key, room text not null, title text);
    create table quiet (id int primary key);
    create table outbox (sequence_id serial primary key, mutation_id text not null, channel text not null, name text not null,
                         rejected boolean not null default false, data jsonb, headers jsonb,
                         locked_by text, lock_expiry timestamptz, processed boolean not null default false)
"""
RULES = [{"table": "public.todos", "model": "Todo", "channels": ["room:{room}"]}]
VERSION = int(os.environ.get("WALCAST_PG", 15))
PLUGINS = ["pgoutput", "wal2json"] if (postgres_bindir(VERSION) / "../lib/wal2json.so").exists() else ["pgoutput"]


@pytest.fixture(scope="module")
def postgres():
    with Postgres(postgres_bindir(VERSION), {"output_plugin_libraries": "pgoutput, test_decoding, wal2json"}) as server:
        yield server


@pytest.fixture
def world_with(postgres, redis):
    def make(**options):
        world = World(RULES, tables=TABLES, postgres=postgres, redis=redis, **{"outbox": {"table": "public.outbox"}, **options})
        world.sql(FUNCTIONS.read_text())
        return world
    return make


def receipt(world, mutation):
    text = world.client.get(world.prefix + "receipt:" + mutation)
    return json.loads(text) if text else None


def said(world, channel):
    """(type, lastSyncId, mutationId) of each message of a history."""
    return [(m["type"], m["lastSyncId"], m.get("mutationId")) for m in world.messages(channel)]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_transaction_says_whose_it_is(world_with, plugin):
    with world_with(plugin=plugin) as world:
        world.init().agent()
        world.transaction("""select walcast.annotate('m-1', '{"userId": "u1"}')""", "insert into todos values (1, 'a', 'x')",
                          "insert into todos values (2, 'b', 'y')")
        world.sql("insert into todos values (3, 'a', 'z')")
        world.settle()

        assert said(world, "room:a") == [("sync", 1, "m-1"), ("sync", 3, None)]
        assert said(world, "room:b") == [("sync", 2, "m-1")]
        assert world.messages("room:a")[0]["userId"] == "u1"
        assert receipt(world, "m-1") == {"mutationId": "m-1", "status": "committed", "epoch": world.position()["epoch"], "lastSyncId": 2}
        assert 0 < world.client.ttl("walcast:receipt:m-1") <= 3600


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_rejection_survives_rollback(world_with, plugin):
    with world_with(plugin=plugin) as world:
        world.init().agent()
        world.transaction("select walcast.annotate('m-1')", "insert into todos values (1, 'a', '')",
                          "select walcast.reject('m-1', 'title is required', 'room:a')", end="rollback")
        world.sql("select walcast.reject('m-2', 'no')")
        world.settle()

        message, = world.messages("room:a")
        assert {key: message.get(key) for key in ("type", "lastSyncId", "mutationId", "rejected", "reason", "xid", "commitTime")} == {
            "type": "event", "lastSyncId": 1, "mutationId": "m-1", "rejected": True, "reason": "title is required", "xid": None, "commitTime": None}
        assert receipt(world, "m-1")["status"] == "rejected" and receipt(world, "m-1")["reason"] == "title is required"
        assert receipt(world, "m-2") == {"mutationId": "m-2", "status": "rejected", "epoch": world.position()["epoch"], "lastSyncId": 2, "reason": "no"}
        assert list(world.histories()) == ["room:a"]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_events_need_no_table(world_with, plugin):
    with world_with(plugin=plugin) as world, Subscriber(world.redis) as subscriber:
        world.init().agent()
        data = {"deep": [1, {"ä\"\\\n": None}], "n": 0.1}
        world.transaction("insert into todos values (1, 'a', 'x')",
                          f"select walcast.publish('room:a', 'note', $j${json.dumps(data)}$j$, '{{\"h\": 1}}')",
                          "select walcast.publish('elsewhere', 'n')", "insert into todos values (2, 'a', 'y')")
        world.transaction("select walcast.publish('room:a', 'never')", end="rollback")
        world.transaction("savepoint s", "select walcast.publish('room:a', 'never')", "rollback to s", "insert into todos values (3, 'a', 'z')")
        world.settle()

        messages = world.messages("room:a")
        assert [(m["type"], m["lastSyncId"]) for m in messages] == [("sync", 1), ("event", 2), ("sync", 4), ("sync", 5)]
        assert messages[1]["name"] == "note" and messages[1]["data"] == data and messages[1]["headers"] == {"h": 1}
        assert [m["lastSyncId"] for m in world.messages("elsewhere")] == [3]
        world.assert_sound()
        wait_until(lambda: len(subscriber.of("room:a")) == 4, what="all was published")
        assert subscriber.of("room:a") == [entry.message for entry in world.entries("room:a")]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_outbox_is_emptied_in_the_same_transaction(world_with, plugin):
    with world_with(plugin=plugin) as world:
        world.init().agent()
        world.transaction(
            "insert into todos values (1, 'a', 'x')",
            "insert into outbox (mutation_id, channel, name, data) values ('m-1', 'posts:1', 'post.added', '{\"id\": 1}')",
            "insert into outbox (mutation_id, channel, name, rejected) values ('m-2', 'posts:1', 'post.added', true)",
            "delete from outbox")
        world.sql("update outbox set processed = true")
        world.settle()

        assert said(world, "posts:1") == [("event", 2, "m-1"), ("event", 3, "m-2")]
        assert world.messages("posts:1")[0]["data"] == {"id": 1} and world.messages("posts:1")[1]["rejected"] is True
        assert receipt(world, "m-1")["status"] == "committed" and receipt(world, "m-2")["status"] == "rejected"
        assert sorted(world.histories()) == ["posts:1", "room:a"]
        world.assert_sound()


def test_who_waits_is_told_the_end(world_with):
    """Of a write whose last change went elsewhere, or nowhere: a client that waits for its id must not wait for ever."""
    with world_with() as world, Subscriber(world.redis) as subscriber:
        world.init().agent()
        world.transaction("""select walcast.annotate('m-1', '{"channels": ["lobby"]}')""", "insert into todos values (1, 'a', 'x')",
                          "insert into todos values (2, 'b', 'x')")
        world.transaction("""select walcast.annotate('m-2', '{"channels": ["room:a"]}')""")
        world.settle()

        def progress(channel):
            return [(m["prevSyncId"], m["lastSyncId"], m["mutationId"]) for m in map(history.parse, (d for n, d in list(subscriber.received) if n == channel))
                    if history.is_progress(m)]
        wait_until(lambda: len(progress("room:a")) == 2, what="progress is told")
        assert progress("room:a") == [(1, 2, "m-1"), (1, 2, "m-2")]
        assert progress("lobby") == [(0, 2, "m-1")]
        assert progress("room:b") == []
        assert receipt(world, "m-2")["lastSyncId"] == 2
        assert sorted(world.histories()) == ["room:a", "room:b"]  # None for who only waits,
        world.sql("insert into todos values (3, 'lobby', 'x'), (4, 'a', 'x')")
        world.settle()
        world.assert_sound()
        receipts = [json.loads(d)["mutationId"] for n, d in subscriber.received if n.startswith("walcast:receipt:")]
        assert receipts == ["m-1", "m-2"]


@pytest.mark.parametrize("how", ["kill -9", "postgres", "redis"])
def test_the_end_and_the_receipts_know_what_was_said_before_a_cut(world_with, how):
    """Of a long transaction: channels that heard only of the part before it, and mutations of events there."""
    with world_with() as world, Subscriber(world.redis) as subscriber:
        agent = world.init().agent()
        for attempt in range(10):
            first = 100000 * attempt
            world.transaction(f"select walcast.annotate('m-{attempt}')", f"insert into todos values ({first}, 'first', 'x')",
                              f"select walcast.publish('first', 'n', mutation_id => 'n-{attempt}')",
                              f"insert into outbox (mutation_id, channel, name) values ('o-{attempt}', 'outbox', 'n')",
                              f"insert into outbox (mutation_id, channel, name, rejected) values ('r-{attempt}', 'outbox', 'n', true)",
                              f"insert into todos select {first} + n, 'a', repeat('x', 1000) from generate_series(1, 20000) n")
            wait_until(lambda count=attempt: len(world.entries("outbox")) >= 2 * count + 2, 30, "its beginning is in", every=0.001)
            was_within = how == "redis" or receipt(world, f"m-{attempt}") is None
            if how == "kill -9":
                agent.kill9()
                was_within = world.client.hexists("walcast:position", "xid")
                agent = world.agent(streaming=False)
            if how == "postgres":
                world.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where active_pid is not null")
            if how == "redis":
                world.client.execute_command("CLIENT", "KILL", "TYPE", "normal")
            world.settle(60)

            last = world.position()["sync_id"]
            assert {name: receipt(world, f"{name}-{attempt}")["lastSyncId"] for name in "mno"} == dict.fromkeys("mno", int(last))
            rejected = receipt(world, f"r-{attempt}")
            assert rejected["status"] == "rejected" and rejected["lastSyncId"] == world.messages("outbox")[-1]["lastSyncId"]

            def told(channel, last=int(last)):
                messages = [history.parse(data) for name, data in list(subscriber.received) if name == channel]
                return [m["mutationId"] for m in messages if history.is_progress(m) and m["lastSyncId"] == last]
            for channel in ("room:first", "first", "outbox"):
                wait_until(lambda channel=channel: told(channel) == [f"m-{attempt}"], 10, f"{channel} is told the end")
            if was_within:
                break
        assert was_within, "never cut inside a transaction"
        world.assert_sound()


def test_what_is_wrong_is_told_and_stops_nothing(world_with):
    with world_with() as world:
        agent = world.init().agent()
        wrong = [("walcast", "{"), ("walcast", '{"sync": 1}'), ("walcast:event", "nonsense"), ("walcast:event", '{"channel": "walcast:control"}'),
                 ("walcast:event", '{"name": "nobody"}'), ("walcast:event", '{"channel": "a", "rejected": true}')]
        for prefix, content in wrong:
            world.sql("select pg_logical_emit_message(true, %s, %s)", [prefix, content])
        world.sql("select pg_logical_emit_message(false, 'walcast', '{}')")
        world.sql("insert into todos values (1, 'a', 'x')")
        world.settle()

        assert said(world, "room:a") == [("sync", 5, None)]  # Each event took its id.
        letters = [fields for _, fields in world.client.xrange("walcast:dead-letters")]
        assert [(letter[b"table"], letter[b"raw"].decode()) for letter in letters] == [(b"walcast:event", content) for prefix, content in wrong if prefix != "walcast"]
        assert b"names no channel" in letters[2][b"reason"]
        agent.wait_log("an annotation was ignored: not JSON.*xid=")
        assert list(world.histories()) == ["room:a"]


def test_an_annotation_that_comes_late_is_told(world_with):
    with world_with() as world:
        agent = world.init().agent()
        world.transaction("insert into todos select n, 'a', repeat('x', 1000) from generate_series(1, 20000) n", "select walcast.annotate('late')")
        world.transaction("select walcast.annotate('early')", "insert into todos select n, 'b', repeat('x', 1000) from generate_series(20001, 40000) n")
        world.settle(60)

        agent.wait_log("came after messages of its transaction had gone.*first statement")
        assert {mutation for _, _, mutation in said(world, "room:b")} == {"early"}
        assert receipt(world, "late")["lastSyncId"] == 20000 and receipt(world, "early")["lastSyncId"] == 40000


def test_a_late_commit_is_not_skipped(world_with):
    """The usual outbox is read by `sequence_id > last seen`: a transaction that took its number early and commits late is lost."""
    with world_with() as world:
        world.init().agent()
        add = "insert into outbox (mutation_id, channel, name) values ('{0}', 'posts', '{0}')"
        slow = world.connect().cursor()
        slow.execute("begin")
        slow.execute(add.format("early number, late commit"))
        seen = 0
        polled = []

        def poll():
            nonlocal seen
            for number, name in world.sql("select sequence_id, name from outbox where sequence_id > %s order by sequence_id", [seen]):
                seen, _ = number, polled.append(name)
        world.sql(add.format("late number, early commit"))
        poll()
        slow.execute("commit")
        poll()
        world.settle()

        assert polled == ["late number, early commit"]  # What that pattern loses,
        assert [(m["lastSyncId"], m["name"]) for m in world.messages("posts")] == [  # and we do not.
            (1, "late number, early commit"), (2, "early number, late commit")]


def test_kill_9_costs_no_receipt_and_repeats_none(world_with):
    """Random mutations, committed and rejected, annotated and by outbox, under kill -9: each has its one receipt and messages."""
    print(f"WALCAST_SEED={SEED}")
    chance = random.Random(SEED)
    with world_with(history={"length": 1000000, "age": "24h"}) as world:
        agent = world.init().agent()
        wanted = {}  # Mutation: status, how many messages.
        ends = threading.Event()

        def write(number):
            mine = random.Random(f"{SEED} {number}")
            cursor = world.connect().cursor()
            for count in range(10**9):
                if ends.is_set():
                    return
                mutation = f"m-{number}-{count}"
                kind = mine.choice(["rows", "rows", "nothing", "reject", "rollback", "outbox", "event"])
                cursor.execute("begin")
                if kind in ("rows", "nothing", "rollback"):
                    cursor.execute("select walcast.annotate(%s)", [mutation])
                if kind in ("rows", "rollback"):
                    rows = mine.choice([1, 1, 3, 200])
                    cursor.execute("insert into todos select %s + n, 'r' || n %% 2, repeat('x', 200) from generate_series(1, %s) n",
                                   [number * 10**7 + count * 1000, rows])
                if kind in ("reject", "rollback"):
                    cursor.execute("select walcast.reject(%s, 'no', 'rejections')", [mutation])
                if kind == "outbox":
                    cursor.execute("insert into outbox (mutation_id, channel, name) values (%s, 'outbox', 'n'); delete from outbox where mutation_id = %s", [mutation] * 2)
                if kind == "event":
                    cursor.execute("select walcast.publish('events', 'n', mutation_id => %s)", [mutation])
                cursor.execute("rollback" if kind == "rollback" else "commit")
                wanted[mutation] = kind
        writers = [threading.Thread(target=write, args=[number]) for number in range(3)]
        for writer in writers:
            writer.start()
        for _ in range(int(os.environ.get("WALCAST_ROUNDS", 8))):
            time.sleep(chance.uniform(0.05, 0.6))
            agent.kill9() if chance.random() < 0.7 else agent.stop()
            agent = world.agent()
        ends.set()
        for writer in writers:
            writer.join()
        world.settle(60)
        histories = world.assert_sound()

        bearing = {}
        for name, entries in histories.items():
            for message in (history.parse(entry.message) for entry in entries):
                bearing.setdefault(message.get("mutationId"), []).append((name, message))
        assert None not in bearing
        for mutation, kind in wanted.items():
            found = receipt(world, mutation)
            assert found, f"{mutation} ({kind}) has no receipt"
            messages = bearing.pop(mutation, [])
            assert found["status"] == ("rejected" if kind in ("reject", "rollback") else "committed"), (kind, found)
            if kind == "nothing":
                assert messages == []
            elif kind == "rows":
                assert found["lastSyncId"] == max(message["lastSyncId"] for _, message in messages)
            else:
                after = 1 if kind == "outbox" else 0  # The row is deleted again.
                assert [(name, message["lastSyncId"] + after) for name, message in messages] == [
                    ({"reject": "rejections", "rollback": "rejections", "outbox": "outbox", "event": "events"}[kind], found["lastSyncId"])]
        assert bearing == {}
        assert len(wanted) > 50


@pytest.mark.skipif(VERSION >= 17, reason="the message is written out at once")
def test_a_rejection_does_not_wait_for_an_idle_server(world_with):
    """The end of a transaction with an xid wakes the WAL writer, which sleeps for seconds otherwise (seen: 5 to 8)."""
    world = world_with()
    world.sql("begin")
    world.sql("select walcast.reject('m-1', 'no')")
    assert world.sql("select pg_current_xact_id_if_assigned() is not null") == [(True,)]
    world.sql("rollback")


def test_what_functions_are_given_is_checked(world_with):
    with world_with() as world:
        world.init().agent()
        for call, says in (("annotate(null)", "annotate: mutation_id is missing"), ("annotate('')", "annotate: mutation_id is missing"),
                           ("annotate('m', '[1]')", "not a JSON object"), ("annotate('m', '{\"mutationId\": \"n\"}')", "another mutationId than m"),
                           ("publish(null, 'n')", "publish: channel is missing"), ("publish('', 'n')", "publish: channel is missing"),
                           ("reject(null)", "reject: mutation_id is missing")):
            with pytest.raises(psycopg2.Error, match=says):
                world.sql("select walcast." + call)
        world.transaction("select walcast.annotate('m-1', null)", "insert into todos values (1, 'a', 'x')")
        world.transaction("select walcast.annotate('m-2', '{\"mutationId\": \"m-2\", \"by\": null}')", "insert into todos values (2, 'a', 'x')")
        world.sql("select walcast.reject('m-3', channel => '')")
        world.settle()

        assert said(world, "room:a") == [("sync", 1, "m-1"), ("sync", 2, "m-2")] and world.messages("room:a")[1]["by"] is None
        assert [receipt(world, f"m-{n}")["status"] for n in (1, 2, 3)] == ["committed", "committed", "rejected"]
        assert list(world.histories()) == ["room:a"] and not world.client.exists("walcast:dead-letters")


def test_nobody_needs_to_be_a_superuser(world_with, postgres):
    with world_with() as world:
        world.sql("drop role if exists plain; create role plain login; grant insert on todos to plain")
        world.sql(FUNCTIONS.read_text())  # Twice is once.
        world.init().agent()
        cursor = world.connect(user="plain").cursor()
        cursor.execute("begin; select walcast.annotate('m'); insert into todos values (1, 'a', 'x'); select walcast.publish('room:a', 'n'); commit")
        cursor.execute("select walcast.reject('n', 'no')")
        world.settle()

        assert said(world, "room:a") == [("sync", 1, "m"), ("event", 2, "m")]
        assert receipt(world, "n")["status"] == "rejected"
        world.sql("drop owned by plain; drop role plain")


@pytest.mark.parametrize("plugin", PLUGINS)
def test_an_outbox_that_loses_a_column_stops_nothing(world_with, plugin):
    """What comes while its column has another name is among the dead letters, also for the agents that come after."""
    with world_with(plugin=plugin) as world:
        agent = world.init().agent()
        add = "insert into outbox (mutation_id, {0}, name) values ('{1}', 'c', '{1}')"
        world.sql(add.format("channel", "m-1"))
        world.sql("alter table outbox rename column channel to chan")
        world.sql(add.format("chan", "m-2"))
        world.sql(add.format("chan", "m-3"))
        world.settle()
        agent.kill9()
        world.sql(add.format("chan", "m-4"))
        world.sql("alter table outbox rename column chan to channel")
        world.sql(add.format("channel", "m-5"))
        world.sql("insert into todos values (1, 'a', 'x')")
        again = world.agent()
        world.settle()

        assert said(world, "c") == [("event", 1, "m-1"), ("event", 5, "m-5")] and said(world, "room:a") == [("sync", 6, None)]
        letters = [(letter[b"reason"].decode(), json.loads(letter[b"raw"])["name"]) for _, letter in world.client.xrange("walcast:dead-letters")]
        assert [name for _, name in letters] == ["m-2", "m-3", "m-4"]
        assert all('public.outbox: no column "channel" in the publication; did you mean "chan"?' in reason for reason, _ in letters)
        assert len(re.findall("public.outbox has rows that are no events", agent.log())) == 1
        assert "has rows that are no events" in again.log()


def test_the_outbox_is_checked_beforehand(world_with):
    with world_with(outbox={"table": "public.outbox", "channel": "topic"}) as world:
        world.init()
        agent = world.agent()
        world.sql("insert into outbox (mutation_id, channel, name) values ('m', 'a', 'n')")
        agent.wait_log("no column .*topic.* in the publication.*name another one in \\[outbox\\]")
        found = world.walcast("doctor")
        assert found.returncode == 3 and "topic" in found.stdout
    with world_with(outbox={"table": "public.outbox", "sequence_id": "name"}) as world:
        found = world.init().walcast("doctor")
        assert found.returncode == 3 and "\"name\" of public.outbox is no integer" in found.stdout
    with world_with(outbox={"table": "public.todos", "channel": "room"}, outputs=[{"envelope": "ably", "ids": "sequence"}]) as world:
        found = world.init().walcast("doctor")
        assert found.returncode == 3 and "sequence_id" in found.stdout
    with world_with(outbox={"table": "public.nowhere"}) as world:
        found = world.walcast("init")
        assert found.returncode == 1 and "no table matches \"public.nowhere\"" in found.stderr
