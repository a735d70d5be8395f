"""Ably LiveSync: unmodified `@ably-labs/models` and `ably` over a loopback relay (ably_relay.mjs), fed by the `ably` envelope.

    WALCAST_ROUNDS=200 WALCAST_SEED=17 /usr/bin/python3 -m pytest -s tests/clients/test_ably.py
"""

import json
import os
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.application import RULES, TABLE_OF, TABLES, Application, Writers
from support.node import Node
from support.servers import Postgres, free_port, wait_until
from support.world import World

ROUNDS = int(os.environ.get("WALCAST_ROUNDS") or 10)
SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
CHANNELS = ["list.a", "list.b", "user.u1"]
OUTPUT = """
[[output]]
envelope = "ably"
channel = "ably:{channel}"
"""


def todo(key, **fields):
    return {"id": key, "list_id": "a", "assignee": None, "title": "Buy milk", "done": False, "position": 1, "body": None, **fields}


class Models:
    """Models of the SDK, one for each name, over one relay."""

    def __init__(self, redis, application, channels=CHANNELS):
        self.application, self.channels = application, {}
        self.node = Node("ably.mjs")
        self.node.call("relay", url=redis.url(), prefix="walcast:", channels=channels, before="ably:")

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if error:
            print(self.node.log()[-8000:])
        self.node.close()

    def open(self, name, channel):
        self.channels[name] = channel
        self.node.call("open", name=name, channel=channel, application=self.application.url)

    def state(self, name):
        return self.node.call("state", name=name)

    def wait_for(self, name, condition, what):
        last = {}

        def holds():
            last.update(self.state(name))
            assert not last["faults"], f"{name}: {last['faults'][:3]}"
            return last["state"] == "ready" and condition(last)
        wait_until(holds, 60, lambda: f"{name}: {what}: {str(last)[:2000]}", every=0.03)
        return last

    def converge(self, name):
        rows = self.application.expected([self.channels[name]])
        total = sum(entry["amount"] for entry in rows["Entry"].values())

        def converged(state):
            confirmed = state["confirmed"]
            return (confirmed["rows"], confirmed["total"], confirmed["entries"]) == (rows["Todo"], total, len(rows["Entry"])) and \
                (state["optimistic"]["rows"], state["optimistic"]["total"]) == (rows["Todo"], total)
        return self.wait_for(name, converged, f"converges with {total} of {len(rows['Entry'])} entries, {len(rows['Todo'])} todos")


def message(sync_id, name, data, mutation=None, rejects=False):
    headers = {"x-ably-models-event-uuid": mutation or f"sync:{sync_id}", **({"x-ably-models-reject": "true"} if rejects else {})}
    return {"id": str(sync_id), "name": name, "data": data, "timestamp": 1767261600000, "extras": {"headers": headers}}


class Canned:
    """Redis as an agent would fill it, by hand: the messages of reference 2c. What the clients make of them is the clients'."""

    def __init__(self, redis):
        self.client = redis.client()
        self.client.flushall()
        self.at(1040)

    def at(self, sync_id):
        self.client.hset("walcast:position", mapping={"epoch": "e", "sync_id": sync_id, "floor": 0})

    def publish(self, *messages):
        for one in messages:
            self.client.publish("ably:list.a", json.dumps(one))


def test_canned_messages_are_merged_confirmed_and_rejected(redis):
    canned = Canned(redis)
    with Application(None) as application:
        application.routes[("GET", "/bootstrap")] = lambda *_: {"lastSyncId": 1040, "rows": {"Todo": [], "Entry": []}}
        with Models(redis, application) as models:
            # What is in the relay's history when the model comes, then live.
            canned.publish(message(1041, "Todo.insert", todo("t1"), "m-71"))
            models.open("one", "list.a")
            models.wait_for("one", lambda state: state["confirmed"]["rows"] == {"t1": todo("t1")}, "rewinds")
            models.node.call("write", name="one", mutationId="m-72", event="Todo.update", data=todo("t1", title="Buy oat milk"))
            models.wait_for("one", lambda state: state["optimistic"]["rows"]["t1"]["title"] == "Buy oat milk", "shows the write")
            assert models.state("one")["confirmed"]["rows"]["t1"]["title"] == "Buy milk"
            canned.publish(message(1042, "Todo.update", todo("t1", title="Buy oat milk"), "m-72"))
            models.wait_for("one", lambda state: state["writes"] == {"m-72": "confirmed"}, "confirms")

            models.node.call("write", name="one", mutationId="m-73", event="Todo.update", data=todo("t1", title=""))
            canned.publish(message(1044, "Todo.update", None, "m-73", rejects=True))
            state = models.wait_for("one", lambda state: state["writes"]["m-73"].startswith("rejected"), "rejects")
            assert state["optimistic"]["rows"] == state["confirmed"]["rows"] == {"t1": todo("t1", title="Buy oat milk")}

            canned.publish(message(1045, "Todo.delete", {"id": "t1"}))
            models.wait_for("one", lambda state: state["confirmed"]["rows"] == {}, "deletes")
            assert models.state("one")["syncs"] == 1


def test_canned_messages_come_after_a_lost_connection(redis):
    canned = Canned(redis)
    with Application(None) as application:
        application.routes[("GET", "/bootstrap")] = lambda *_: {"lastSyncId": 1040, "rows": {"Entry": []}}
        with Models(redis, application) as models:
            models.open("one", "list.a")
            for sync_id in range(1041, 1061):
                if sync_id % 5 == 0:
                    models.node.call("drop")
                canned.publish(message(sync_id, "Entry.insert", {"id": f"e{sync_id}", "list_id": "a", "amount": 1}))
            models.wait_for("one", lambda state: state["confirmed"]["total"] == 20, "has all twenty")
            assert models.state("one")["syncs"] == 1 and models.node.call("counts")["resumed"] >= 1


@pytest.fixture
def world(postgres, redis):
    port = free_port()
    with World(RULES, postgres, redis, TABLES, http={"listen": f"127.0.0.1:{port}"}) as world:
        world.agent_port = port
        world.init()
        start(world)
        yield world


def start(world):
    return world.agent(config_text=world.config() + OUTPUT)


def test_a_model_rewinds_follows_and_confirms(world):
    with Application(world, world.agent_port) as application, Models(world.redis, application) as models:
        stale = application.bootstrap(None, {"channel": ["list.a"]})
        world.sql("insert into todos values ('t1', 'a', null, 'Buy milk', false, 1, null)")
        world.sql("insert into entries values ('e1', 'a', 5)")
        world.settle()
        # State as a cache would give it: what was committed since is in the channel's history.
        application.routes[("GET", "/bootstrap")] = lambda *_: stale
        models.open("one", "list.a")
        models.converge("one")

        world.sql("update todos set done = true")
        world.transaction("insert into entries select 'f' || i, 'a', i from generate_series(1, 50) i", "delete from todos")
        models.converge("one")

        models.node.call("write", name="one", mutationId="m-1", event="Todo.insert", data=todo("t2"))
        application.write(None, {"mutationId": "m-1", "put": [["Todo", todo("t2")]]})
        models.wait_for("one", lambda state: state["writes"] == {"m-1": "confirmed"}, "confirms")
        models.node.call("write", name="one", mutationId="m-2", event="Todo.insert", data=todo("t3", title=""))
        answer = application.write(None, {"mutationId": "m-2", "put": [["Todo", todo("t3", title="")]],
                                          "rejects": {"channel": "list.a", "reason": "title is required"}})
        assert answer == {"ok": False, "error": "server", "reason": "title is required"}
        models.wait_for("one", lambda state: state["writes"]["m-2"].startswith("rejected"), "rejects")
        assert models.converge("one")["syncs"] == 1


@pytest.mark.limit(120 + 20 * ROUNDS)
def test_models_converge_with_the_tables(world):
    """A sum does not tolerate a change twice, nor one left out."""
    print(f"WALCAST_SEED={SEED}")
    chooser = random.Random(SEED)
    done = dict.fromkeys(["drop", "join", "kill", "forget"], 0)
    with Application(world, world.agent_port) as application, Models(world.redis, application) as models:
        with Writers(application, SEED) as writers:
            for channel in CHANNELS:
                models.open(channel, channel)
            for number in range(ROUNDS):
                wait_until(writers.has_done(40), 120, "the writers go on")
                what = list(done)[number] if number < 4 else chooser.choice(["drop"] * 3 + list(done))
                done[what] += 1
                if what == "join":
                    models.open(f"late {number}", chooser.choice(CHANNELS))
                elif what == "kill":
                    world.agents[-1].kill9()
                    start(world)
                else:
                    models.node.call(what)
        world.settle(60)
        for name in models.channels:
            models.converge(name)
    assert all(done.values()) and application.snapshots


def snapshot_of(application, **how):
    """A `sync()` of rows that nobody stands still for: its endpoint asks the agent which id they belong to."""
    def bootstrap(_, parameters):
        rows, position = application.as_seen(lambda cursor: {model: application.rows(cursor, parameters["channel"], model) for model in TABLE_OF}, **how)
        return {**position, "rows": rows} if not how else {"lastSyncId": position["lastSyncId"], "rows": rows}
    return bootstrap


@pytest.mark.limit(120 + 20 * ROUNDS)
def test_sums_are_right_from_snapshots_beside_writers(world):
    """The SDK takes one id: the endpoint asks until the snapshot has seen nothing above its own."""
    print(f"WALCAST_SEED={SEED}")
    with Application(world, world.agent_port) as application, Models(world.redis, application) as models:
        application.routes[("GET", "/bootstrap")] = snapshot_of(application, is_settled=True)
        with Writers(application, SEED) as writers:
            for number in range(ROUNDS):
                wait_until(writers.has_done(15), 120, "the writers go on")
                models.open(f"model {number}", CHANNELS[number % 2])
        world.settle(60)
        for name in models.channels:
            models.converge(name)
        assert application.snapshots >= ROUNDS


def test_what_a_snapshot_has_seen_above_its_id_is_not_merged_again(redis):
    """A commit that waits for a standby is in the stream, and a later one is visible before it."""
    port = free_port()
    # The threads last: what they wait for may be that all else has ended.
    with ThreadPoolExecutor(2) as threads, Postgres() as postgres, World(RULES, postgres, redis, TABLES, http={"listen": f"127.0.0.1:{port}"}) as world:
        world.init()
        start(world)
        with Application(world, port) as application, Models(world.redis, application) as models:
            world.sql("insert into entries values ('e0', 'a', 1)")  # Of a table that is new, the agent asks what nobody sees yet.
            world.settle()
            world.sql("alter system set synchronous_standby_names = 'nobody'")
            world.sql("select pg_reload_conf()")
            waiting, prompt = world.connect(), world.connect()
            with waiting.cursor() as cursor, prompt.cursor() as second:
                second.execute("set synchronous_commit = local")
                wait_until(lambda: world.sql("show synchronous_standby_names") == [("nobody",)], 30, "the setting holds")
                commit = threads.submit(cursor.execute, "insert into entries values ('e1', 'a', 5)")
                wait_until(lambda: world.sql("select count(*) from pg_stat_activity where wait_event = 'SyncRep'") == [(1,)], 30, "a commit waits")
                second.execute("insert into entries values ('e2', 'a', 7)")

                # Its merge is told what to pass over.
                application.routes[("GET", "/bootstrap")] = snapshot_of(application)
                models.open("told", "list.a")
                state = models.wait_for("told", lambda state: state["confirmed"]["entries"] == 3, "merges what waits")
                assert state["confirmed"]["visible"] == [[3, 3]] and state["confirmed"]["total"] == 13
                # Its endpoint asks again.
                application.routes[("GET", "/bootstrap")] = snapshot_of(application, is_settled=True)
                opened = threads.submit(models.open, "settled", "list.a")
                wait_until(lambda: application.unsettled >= 2, 30, "it is asked again")
                assert not opened.done() and application.snapshots == 1
                world.sql("alter system reset synchronous_standby_names")
                world.sql("select pg_reload_conf()")
                commit.result(30)
                opened.result(60)
            for name in models.channels:
                assert models.converge(name)["syncs"] == 1
            waiting.close()
            prompt.close()


# As the Ably database connector's documentation has it, with what only that needs.
OUTBOX = """
create table nodes (id text primary key, expiry timestamp without time zone not null);
create table outbox (sequence_id serial primary key, mutation_id text not null, channel text not null, name text not null,
    rejected boolean not null default false, data jsonb, headers jsonb,
    locked_by text, lock_expiry timestamp without time zone, processed boolean not null default false);
create function outbox_notify() returns trigger as $$
begin
    perform pg_notify('ably_adbc'::text, ''::text);
    return null;
exception when others then
    raise warning 'unexpected error in %s: %%', sqlerrm;
    return null;
end;
$$ language plpgsql;
create trigger outbox_trigger after insert on outbox for each statement execute procedure outbox_notify();
"""
SEND = "insert into outbox (mutation_id, channel, name, data, rejected) values (%s, 'list.a', %s, %s, %s)"


def test_the_outbox_of_the_database_connector(postgres, redis):
    """Its rows are the messages; one whose sequence_id is below those that were committed before it is not skipped."""
    with World([], postgres, redis, TABLES + OUTBOX, outbox={"table": "public.outbox"}) as world:
        world.init()
        start(world)
        with Application(world) as application, Models(world.redis, application) as models:
            def bootstrap(_, parameters):
                rows, _, sync_id = application.stand_still(
                    lambda cursor: {model: application.rows(cursor, parameters["channel"], model) for model in ("Todo", "Entry")}, ["todos", "entries", "outbox"])
                return {"lastSyncId": sync_id, "rows": rows}

            application.routes[("GET", "/bootstrap")] = bootstrap
            models.open("early", "list.a")
            late, prompt = world.connect(autocommit=False), world.connect()
            with late.cursor() as first, prompt.cursor() as second:
                for number in range(20):
                    if number == 10:
                        models.open("between", "list.a")
                    for cursor, name in ((first, "late"), (second, "prompt")):
                        entry = {"id": f"{name}{number}", "list_id": "a", "amount": number}
                        cursor.execute("insert into entries values (%(id)s, %(list_id)s, %(amount)s)", entry)
                        cursor.execute(SEND, [f"m-{name}{number}", "Entry.insert", json.dumps(entry), False])
                    late.commit()
            for name in ("early", "between"):
                assert models.converge(name)["confirmed"]["entries"] == 40

            # Written and deleted in one transaction, so that no row stays behind; then a rejection.
            models.node.call("write", name="early", mutationId="m-1", event="Todo.insert", data=todo("t1"))
            with late.cursor() as cursor:
                cursor.execute("insert into todos values ('t1', 'a', null, 'Buy milk', false, 1, null)")
                cursor.execute(SEND, ["m-1", "Todo.insert", json.dumps(todo("t1")), False])
                cursor.execute("delete from outbox")
            late.commit()
            models.wait_for("early", lambda state: state["writes"] == {"m-1": "confirmed"}, "confirms")
            models.node.call("write", name="early", mutationId="m-2", event="Todo.insert", data=todo("t2"))
            world.sql(SEND, ["m-2", "Todo.insert", json.dumps(todo("t2")), True])
            models.wait_for("early", lambda state: state["writes"]["m-2"].startswith("rejected"), "rejects")
            assert models.converge("early")["syncs"] == 1


def test_the_outbox_with_the_connectors_own_ids(postgres, redis):
    """An unmodified endpoint, which asks MAX(sequence_id): right as long as no transaction commits after a higher number was seen."""
    with World([], postgres, redis, TABLES + OUTBOX, outbox={"table": "public.outbox"}) as world:
        world.init()
        world.agent(config_text=world.config() + OUTPUT + 'ids = "sequence"\n')
        with Application(world) as application, Models(world.redis, application) as models:
            def bootstrap(_, parameters):
                connection = application.connect(autocommit=False)
                with connection, connection.cursor() as cursor:
                    cursor.execute("set transaction isolation level repeatable read read only")
                    rows = {model: application.rows(cursor, parameters["channel"], model) for model in TABLE_OF}
                    cursor.execute("select coalesce(max(sequence_id), 0) from outbox")
                    (sequence_id,) = cursor.fetchone()
                connection.close()
                return {"lastSyncId": sequence_id, "rows": rows}

            def add(cursor, name, amount):
                entry = {"id": name, "list_id": "a", "amount": amount}
                cursor.execute("insert into entries values (%(id)s, %(list_id)s, %(amount)s)", entry)
                cursor.execute(SEND, [f"m-{name}", "Entry.insert", json.dumps(entry), False])

            application.routes[("GET", "/bootstrap")] = bootstrap
            models.open("early", "list.a")
            writer = world.connect(autocommit=False)
            with writer.cursor() as cursor:
                for number in range(40):
                    if number % 10 == 5:
                        models.open(f"at {number}", "list.a")
                    add(cursor, f"e{number}", number)
                    # As the connector does: the newest one stays, for MAX.
                    cursor.execute("update outbox set processed = true, locked_by = 'node', lock_expiry = now() where not processed")
                    cursor.execute("delete from outbox where sequence_id < currval('outbox_sequence_id_seq')")
                    writer.commit()
            for name in models.channels:
                assert models.converge(name)["confirmed"]["last"] == 40
            models.node.call("write", name="early", mutationId="m-2", event="Todo.insert", data=todo("t2"))
            world.sql(SEND, ["m-2", "Todo.insert", json.dumps(todo("t2")), True])
            models.wait_for("early", lambda state: state["writes"]["m-2"].startswith("rejected"), "rejects")

            # The hole of the pattern: 43 is committed, and read, before 42 is.
            late = world.connect(autocommit=False)
            with late.cursor() as first, writer.cursor() as second:
                add(first, "late", 100)
                add(second, "prompt", 1)
                writer.commit()
                stale = bootstrap(None, {"channel": ["list.a"]})
                late.commit()
            world.settle()
            application.routes[("GET", "/bootstrap")] = lambda *_: stale
            models.open("stale", "list.a")
            world.sql(SEND, ["m-3", "Todo.insert", json.dumps(todo("t3")), False])
            state = models.wait_for("stale", lambda state: state["confirmed"]["last"] == 44, "goes on")
            assert state["confirmed"]["entries"] == 41 and len(application.expected(["list.a"])["Entry"]) == 42 and state["syncs"] == 1
            for connection in (late, writer):
                connection.close()
