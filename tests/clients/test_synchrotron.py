"""Synchrotron: consumers written to its rules (consumers/synchrotron.mjs), fed by the `synchrotron` envelope: its log by audience, and
corrections for writes made outside of it.

    WALCAST_ROUNDS=200 WALCAST_SEED=17 /usr/bin/python3 -m pytest -s tests/clients/test_synchrotron.py
"""

import json
import os
import random
import threading
import time
import uuid

import pytest

from support.application import Application, Writers
from support.node import Node
from support.servers import wait_until
from support.world import World

ROUNDS = int(os.environ.get("WALCAST_ROUNDS") or 10)
SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
AUDIENCES = ["user:u1", "user:u2", "team:t1"]
# As Synchrotron's server makes them.
TABLES = """
create table action_records (id text primary key, server_ingest_id bigint, _tag text not null, user_id text, client_id text not null,
    transaction_id float not null, clock jsonb not null, clock_time_ms bigint not null, clock_counter bigint not null, args jsonb not null,
    created_at timestamptz default now(), server_ingested_at timestamptz not null default now(), synced integer not null default 0);
create table action_modified_rows (id text primary key, table_name text not null, row_id text not null,
    action_record_id text not null references action_records on delete cascade, audience_key text not null, operation text not null,
    forward_patches jsonb default '{}', reverse_patches jsonb default '{}', sequence int not null);
create sequence ingest;
create table notes (id text primary key, audience_key text not null, also text, title text not null, body text);
alter table notes replica identity full;
"""
RULES = [
    {"table": "public.action_records", "model": "action_records", "channels": ["actions"]},
    {"table": "public.action_modified_rows", "model": "action_modified_rows", "channels": ["audience:{audience_key}"]},
]
OUTPUT = """
[[output]]
envelope = "synchrotron"
channel = "synchrotron:{channel}"
"""
# Some rows are in two audiences, which Synchrotron's own are not.
CORRECTION_RULES = [{"table": "public.notes", "model": "notes", "channels": ["audience:{audience_key}", "audience:{also}"], "data": "delta",
                     "exclude": ["audience_key", "also"]}]
CORRECTIONS = OUTPUT + "corrections = true\n"


def channel_of(audience):
    return "audience:" + audience.replace(":", "%3A")


class Server(Application):
    """Synchrotron's server: the log, and what clients fetch."""

    def __init__(self, world):
        super().__init__(world)
        self.notes, self._lock = {}, threading.Lock()  # row id: [audience, title, time of the last change]
        self.routes |= {("GET", "/actions"): self.actions, ("GET", "/snapshot"): self.snapshot}

    def actions(self, _, parameters):
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute("begin isolation level repeatable read")
                cursor.execute("select row_to_json(r) from action_modified_rows r where audience_key = any(%s)", [parameters["audience"]])
                rows = [row for (row,) in cursor.fetchall()]
                cursor.execute("select row_to_json(a) from action_records a where id = any(%s)", [[row["action_record_id"] for row in rows]])
                return {"actions": [{**action, "synced": 1} for (action,) in cursor.fetchall()], "modifiedRows": rows}
        finally:
            connection.close()

    def snapshot(self, _, parameters):
        rows, _, sync_id = self.stand_still(lambda cursor: self.rows_of_notes(cursor, parameters["audience"]), ["notes"])
        return {"tables": {"notes": rows}, "syncId": sync_id}

    def rows_of_notes(self, cursor, audiences):
        cursor.execute("select id, title, body from notes where audience_key = any(%s) or also = any(%s)", [audiences, audiences])
        return [dict(zip(["id", "title", "body"], row)) for row in cursor.fetchall()]

    # What actions do: one insert, updates of any row, deletes of the writer's own; some in two audiences at once.

    def write(self, chooser, connection, number, own):
        changes = []
        with connection.cursor() as cursor:
            for _ in range(chooser.choice([1, 1, 2, 3])):
                changes += self._act(chooser, cursor, number, own)
            if chooser.random() < 0.2:
                time.sleep(0.02)  # Its numbers are taken, and others commit before it.
        if chooser.random() < 0.1:
            connection.rollback()
            return
        connection.commit()
        with self._lock:
            for change in changes:
                change()

    def _act(self, chooser, cursor, number, own):
        with self._lock:
            known = list(self.notes.items())
        now = int(time.time() * 1000)
        patches, changes, after = [], [], now
        for _ in range(chooser.choice([1, 1, 2])):
            what = chooser.random()
            title = f"{number} {chooser.randrange(10**6)}"
            mine = [key for key in own if key in self.notes and key not in {patch["row_id"] for patch in patches}]
            if what < 0.4 or not known:
                key, audience = str(uuid.UUID(int=chooser.getrandbits(128))), chooser.choice(AUDIENCES)
                is_shared = chooser.random() < 0.7
                patches.append({"row_id": key, "audience_key": audience, "operation": "INSERT", "forward_patches": {"id": key, "title": title}})
                if is_shared:
                    changes.append(lambda key=key, audience=audience, title=title: self.notes.__setitem__(key, [audience, title, after]))
                else:
                    changes.append(lambda key=key, audience=audience, title=title: own.__setitem__(key, [audience, title, after]))
            elif what < 0.9 or not own:
                key, (audience, before, changed) = chooser.choice(known)
                after = max(after, changed + 1)
                patches.append({"row_id": key, "audience_key": audience, "operation": "UPDATE", "forward_patches": {"title": title},
                                "reverse_patches": {"title": before}})
                changes.append(lambda key=key, title=title: self.notes[key].__setitem__(slice(1, 3), [title, max(self.notes[key][2], after)]))
            elif not mine:
                key = chooser.choice(list(own))
                if key in {patch["row_id"] for patch in patches}:
                    continue
                audience, before, changed = own[key]
                after = max(after, changed + 1)
                patches.append({"row_id": key, "audience_key": audience, "operation": "DELETE", "reverse_patches": {"id": key, "title": before}})
                own.pop(key)
        if not patches:
            return changes
        self._count = getattr(self, "_count", 0) + 1
        client, counter = f"client{number}", chooser.randrange(10**9)
        cursor.execute(
            "insert into action_records (id, server_ingest_id, _tag, user_id, client_id, transaction_id, clock, clock_time_ms, clock_counter, args, synced)"
            " values (%s, nextval('ingest'), 'edit-note', 'u1', %s, %s, %s, %s, %s, %s, 1) returning id",
            [str(uuid.UUID(int=chooser.getrandbits(128))), client, after, json.dumps({"timestamp": after, "vector": {client: counter}}), after, counter,
             json.dumps({"timestamp": after, "title": "größe"})])
        (action,) = cursor.fetchone()
        for sequence, patch in enumerate(patches):
            cursor.execute("insert into action_modified_rows values (%s, 'notes', %s, %s, %s, %s, %s, %s, %s)", [
                str(uuid.UUID(int=chooser.getrandbits(128))), patch["row_id"], action, patch["audience_key"], patch["operation"],
                json.dumps(patch.get("forward_patches", {})), json.dumps(patch.get("reverse_patches", {})), sequence])
        return changes

    def log(self, audiences):
        """The rows that the whole log gives, applied in the order of the clocks."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute("""select row_id, operation, forward_patches from action_modified_rows r join action_records a on a.id = action_record_id
                    where audience_key = any(%s) order by clock_time_ms, clock_counter, client_id collate "C", a.id collate "C", sequence""", [audiences])
                rows = {}
                for key, operation, forward in cursor.fetchall():
                    if operation == "DELETE":
                        del rows[key]
                    else:
                        rows[key] = {**rows.get(key, {"id": key}), **forward}
                return rows
        finally:
            connection.close()


class Clients:
    def __init__(self, redis, application, **options):
        self.redis, self.application, self.options, self.audiences = redis, application, options, {}
        self.node = Node("synchrotron.mjs")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.node.close()

    def open(self, name, audiences):
        self.audiences[name] = audiences
        self.node.call("open", name=name, url=self.redis.url(), prefix="walcast:", audiences=audiences, tags=["edit-note", "create-note"],
                       channels=[f"synchrotron:{channel_of(audience)}" for audience in audiences], application=self.application.url, **self.options)

    def state(self, name):
        state = self.node.call("state", name=name, table="notes")
        state["rows"] = {row["id"]: row for row in state["rows"]}
        return state

    def wait_for(self, name, condition, what):
        wait_until(lambda: condition(self.state(name)), 60, lambda: f"{name}: {what}: {str(self.state(name))[:2000]}", every=0.03)
        return self.state(name)


# Reference 3c, byte for byte.
BATCH = """{"_tag":"Batch","caughtUp":true,"actions":[{"id":"12b3b9ad-fef4-438d-84f9-3ccbd56088e0","server_ingest_id":41,"_tag":"create-note","user_id":"u1","client_id":"laptop","transaction_id":1795234224870,"clock":{"timestamp":1795234224876,"vector":{"laptop":7}},"clock_time_ms":1795234224876,"clock_counter":7,"args":{"title":"Hi","timestamp":1795234224870},"created_at":"2026-11-21T04:10:24.87+00:00","server_ingested_at":"2026-11-21T04:10:24.984+00:00","synced":1}],"modifiedRows":[{"id":"80d3c428-6bff-491a-9f2e-7fb5d6b0a34c","table_name":"notes","row_id":"1efd45d2-7275-5c32-95e3-198056edea81","action_record_id":"12b3b9ad-fef4-438d-84f9-3ccbd56088e0","audience_key":"user:u1","operation":"INSERT","forward_patches":{"id":"1efd45d2-7275-5c32-95e3-198056edea81","title":"Hi"},"reverse_patches":{},"sequence":0}]}"""
CORRECTION = """{"_tag":"Batch","caughtUp":true,"actions":[{"id":"00000000-0000-7000-8000-000000001042","server_ingest_id":null,"_tag":"_InternalCorrectionApply","user_id":null,"client_id":"agent:wal","transaction_id":1042,"clock":{"timestamp":1795234225000,"vector":{"agent:wal":1042}},"clock_time_ms":1795234225000,"clock_counter":1042,"args":{"timestamp":1795234225000},"created_at":"2026-01-01T10:00:05.000Z","server_ingested_at":"2026-01-01T10:00:05.000Z","synced":true}],"modifiedRows":[{"id":"00000000-0000-7000-9000-000000001042","table_name":"notes","row_id":"1efd45d2-7275-5c32-95e3-198056edea81","action_record_id":"00000000-0000-7000-8000-000000001042","audience_key":"user:u1","operation":"UPDATE","forward_patches":{"title":"edited"},"reverse_patches":{"title":"Hi"},"sequence":0}]}"""


def test_canned_batches_are_applied(redis):
    client = redis.client()
    client.flushall()
    client.hset("walcast:position", mapping={"epoch": "e", "sync_id": 1, "floor": 0})
    with Application(None) as application:
        application.routes[("GET", "/actions")] = lambda *_: {"actions": [], "modifiedRows": []}
        with Clients(redis, application) as clients:
            clients.open("one", ["user:u1"])
            for text in (BATCH, BATCH, CORRECTION, CORRECTION):
                client.publish("synchrotron:audience:user%3Au1", text)
            key = "1efd45d2-7275-5c32-95e3-198056edea81"
            state = clients.wait_for("one", lambda state: state["counts"]["heard"] == 4, "hears")
            assert state["rows"] == {key: {"id": key, "title": "edited"}} and state["cursor"] == 41


def start(world, output):
    return world.agent(config_text=world.config() + output)


@pytest.fixture
def world(postgres, redis):
    with World(RULES, postgres, redis, TABLES) as world:
        world.init()
        start(world, OUTPUT)
        yield world


class Writing(Writers):
    """Writers of `write(chooser, connection, number, own)`, which is one transaction; nothing may fail."""

    rolled_back_by = ()

    def __init__(self, application, write, count=3):
        super().__init__(application, SEED, count, pace=0.003)
        self.write, self.own = write, [{} for _ in range(count)]

    def _transaction(self, connection, chooser, number, _):
        self.write(chooser, connection, number, self.own[number])

    def go_on(self, more=30):
        wait_until(self.has_done(more), 120, "the writers go on")


def disturb(world, clients, writing, audiences, output):
    """Drops, late joins and kills, in the midst of writes."""
    print(f"WALCAST_SEED={SEED}")
    chooser = random.Random(SEED)
    kinds = ["drop", "join", "kill"]
    for number in range(ROUNDS):
        writing.go_on()
        what = kinds[number] if number < 3 else chooser.choice(["drop"] * 3 + kinds)
        if what == "drop":
            clients.node.call("drop", name=chooser.choice(list(clients.audiences)))
        elif what == "join":
            clients.open(f"late {number}", chooser.choice(audiences))
        else:
            world.agents[-1].kill9()
            start(world, output)


@pytest.mark.limit(120 + 20 * ROUNDS)
def test_the_log_goes_to_each_audience_whole(world):
    with Server(world) as server, Clients(world.redis, server, gathers=True) as clients:
        audiences = [AUDIENCES[:1], AUDIENCES[1:], AUDIENCES]
        for number, some in enumerate(audiences):
            clients.open(f"client {number}", some)
        with Writing(server, server.write) as writing:
            disturb(world, clients, writing, audiences, OUTPUT)
        world.settle(60)
        for name, some in clients.audiences.items():
            want = server.log(some)
            state = clients.wait_for(name, lambda state: state["rows"] == want, f"converges with {len(want)} rows")
            assert state["held"] == 0 and state["cursor"] <= world.sql("select last_value from ingest")[0][0]
        assert clients.state("client 1")["counts"]["heard"] > 0


ACTION = """insert into action_records (id, server_ingest_id, _tag, client_id, transaction_id, clock, clock_time_ms, clock_counter, args, synced)
    values ('{0}', nextval('ingest'), 'edit-note', 'c', 1, '{{"timestamp": 1, "vector": {{"c": 1}}}}', 1, 1, '{{"timestamp": 1}}', 1)"""
PATCH = """insert into action_modified_rows values (gen_random_uuid(), 'notes', '{1}', '{0}', '{2}', 'INSERT', '{{"id": "{1}"}}', '{{}}', {3})"""


def test_an_action_of_two_audiences_comes_whole_to_a_client_of_both(world):
    with Server(world) as server, Clients(world.redis, server) as clients:
        clients.open("both", AUDIENCES[:2])
        clients.open("one", AUDIENCES[:1])
        action = str(uuid.uuid4())
        world.transaction(ACTION.format(action), PATCH.format(action, "n1", AUDIENCES[0], 0), PATCH.format(action, "n2", AUDIENCES[1], 1))
        clients.wait_for("one", lambda state: list(state["rows"]) == ["n1"], "has its row")
        clients.wait_for("both", lambda state: sorted(state["rows"]) == ["n1", "n2"], "has both")


def test_retention_is_not_told(world):
    with Server(world) as server, Clients(world.redis, server, gathers=True) as clients:
        clients.open("one", ["user:u1"])
        with Writing(server, server.write, count=1) as writing:
            writing.go_on()
        world.settle()
        clients.wait_for("one", lambda state: state["rows"] == server.log(["user:u1"]), "converges")
        before = clients.state("one")
        world.sql("delete from action_records")
        world.settle()
        # Whatever comes of it has come before the next change.
        with Writing(server, lambda chooser, connection, number, own: server.write(random.Random(f"{chooser.random()}"), connection, 7, {}), count=1) as writing:
            clients.wait_for("one", lambda state: state["counts"]["heard"] > before["counts"]["heard"], "hears the next change")
        assert set(clients.state("one")["rows"]) >= set(before["rows"])


@pytest.mark.limit(120 + 20 * ROUNDS)
def test_corrections_tell_of_writes_made_outside(postgres, redis):
    """Experimental. After a lost connection a client begins anew from a snapshot, as nobody fetches corrections."""
    def write(chooser, connection, number, _):
        with connection.cursor() as cursor:
            for _ in range(chooser.choice([1, 1, 2, 4])):
                key, what = f"n{number}-{chooser.randrange(12)}", chooser.random()
                if what < 0.4:
                    cursor.execute("insert into notes values (%s, %s, %s, %s, %s) on conflict do nothing",
                                   [key, chooser.choice(AUDIENCES), chooser.choice([None, *AUDIENCES]), f"{chooser.random()}", chooser.choice([None, "x" * 3000])])
                elif what < 0.75:
                    cursor.execute("update notes set title = %s where id = %s", [f"{chooser.random()}", key])
                elif what < 0.85:
                    column, audience = chooser.choice([("audience_key", chooser.choice(AUDIENCES)), ("also", chooser.choice([None, *AUDIENCES]))])
                    cursor.execute(f"update notes set {column} = %s{chooser.choice(['', ', title = id'])} where id = %s", [audience, key])
                else:
                    cursor.execute("delete from notes where id = %s", [key])
        connection.commit()

    with World(CORRECTION_RULES, postgres, redis, TABLES) as world:
        world.init()
        start(world, CORRECTIONS)
        with Server(world) as server, Clients(world.redis, server, bootstraps=True) as clients:
            clients.open("one", AUDIENCES[:1])
            clients.open("all", AUDIENCES)
            with Writing(server, write) as writing:
                disturb(world, clients, writing, [AUDIENCES[:2]], CORRECTIONS)
            world.settle(60)
            assert clients.state("all")["counts"]["heard"] > clients.state("one")["counts"]["heard"] > 0
            for name, audiences in clients.audiences.items():
                with world.connection.cursor() as cursor:
                    want = {row["id"]: row for row in server.rows_of_notes(cursor, audiences)}
                clients.wait_for(name, lambda state: state["rows"] == want, f"converges with {len(want)} rows")
