"""Both ends and the network between them fail at random, several at once, under concurrent writers: afterwards each history is
the database's own record, and a subscriber that follows docs/protocol.md has the rows of the tables.

Postgres, Redis, two agents and the readers are hosts of a network of their own (support/network.py). The schedule comes
from the seed; what happens between two of its instants is up to the machine.

    WALCAST_SEED=17 /usr/bin/python3 -m pytest -s tests/integration/test_chaos.py
    WALCAST_LONG=1 …, WALCAST_SECONDS=600 …    ten minutes of both tests together, or of each; in rounds, each with a seed of its own
"""

import collections
import contextlib
import datetime
import itertools
import math
import os
import random
import re
import threading
import time

import psycopg2
import pytest
import redis as redis_client

from support import history, network
from support.chaos import (
    FAULTS, HOSTS, NETWORK_FAULTS, PROXY_FAULTS, Fault, Net, Proxies, SystemUnderChaos, make_schedule, run_schedule, show)
from support.oracle import Table
from support.reader import MISSING, Bootstrap, CannotFetch, Reader
from support.servers import Postgres, Redis, postgres_bindir, wait_until
from support.world import REDIS_PASSWORD, ConfirmedWatch, Subscriber, World
from support.writers import RULES, SCHEMA, SEED, TABLES, PersistentWriter

SECONDS = float(os.environ.get("WALCAST_SECONDS") or (315 if os.environ.get("WALCAST_LONG") == "1" else 5))  # Of faults, in each test.
ROUND = min(SECONDS, 45)
ROUNDS = math.ceil(SECONDS / ROUND)
STANDSTILL_MAX = 30  # From the moment that all is well again until more comes to Redis, and so on until it has everything:
SETTLED_MAX = 180    # how long that takes is up to how much was written meanwhile.
READERS_MAX = 120  # They are slow, being Python.
WRITERS = 3
TRUST = "local all all trust\nhost all all all trust\n"
CHANNELS = {"notes": ("notes", "Note", "true"),
            **{f"workspace:{i}": ("todos", "Todo", f"workspace_id = {i}") for i in (1, 2, 3, 4)},
            **{f"user:{i}": ("todos", "Todo", f"assignee_id = {i}") for i in (1, 2, 7, 8)}}

SOURCES = {
    "pgoutput": {},
    "pgoutput streaming": {"streaming": True},
    "wal2json": {"plugin": "wal2json"},
}
# What Redis keeps, and which faults take it.
KEEPING = {
    "all": ({"appendonly": "yes", "appendfsync": "always"}, []),
    "all until it is flushed": ({"appendonly": "yes", "appendfsync": "always"}, ["flush redis"]),
    "nothing": ({"appendonly": "no"}, ["kill redis"]),
    "snapshots": ({"appendonly": "no"}, ["kill redis", "snapshot redis"]),
}


# --- what must be there in the end ---

def rows_of(connection):
    """{channel: {(model, id): row}}, as the tables are."""
    found = {}
    with connection.cursor() as cursor:
        for channel, (table, model, condition) in CHANNELS.items():
            cursor.execute(f"select to_jsonb(t) from {table} t where {condition}")
            found[channel] = {(model, str(row["id"])): row for (row,) in cursor.fetchall()}
    return found


def bootstrap(world):
    """The rows, and the id that they belong to: while nobody may write, all that was committed is waited for."""
    try:
        connection = world.postgres.connect(world.db, autocommit=False, options="-c lock_timeout=3s -c statement_timeout=10s")
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("lock table todos, notes in share mode")
            ((barrier,),) = world.postgres.execute("select pg_logical_emit_message(true, 'barrier', '')::text", db=world.db)
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                epoch, sync_id, lsn = world.client.hmget("walcast:position", "epoch", "sync_id", "lsn")
                if lsn and history.lsn_number(lsn) >= history.lsn_number(barrier):
                    return Bootstrap(epoch.decode(), int(sync_id), rows_of(connection))
                time.sleep(0.02)
    except (psycopg2.Error, redis_client.RedisError) as error:
        raise CannotFetch(str(error)) from None
    raise CannotFetch("the position does not come")


def assert_reader_has_the_tables(reader, truth):
    assert reader.error is None
    expected = collections.defaultdict(dict)
    for channel, rows in truth.items():
        expected[reader.scope(channel)].update(rows)
    for scope, rows in expected.items():
        # What is to be fetched would be fetched from the same tables.
        mine = {key: {name: rows.get(key, {}).get(name) if value == MISSING else value for name, value in row.items()}
                for key, row in reader.rows[scope].items()}
        wrong = [(key, mine.get(key), rows.get(key)) for key in set(mine) | set(rows) if mine.get(key) != rows.get(key)]
        assert not wrong, f"reader of {scope or 'all'}: {len(wrong)} of {len(rows)} rows differ: {wrong[:3]}; {dict(reader.counts)}"


def sessions(agents):
    """[(when, epoch, from, sync id)] of all that streamed, in order of time."""
    found = []
    for agent in agents:
        for when, lsn, epoch, sync_id in re.findall(r"^(\S+)Z info streaming .*from=(\S+) epoch=(\w+) sync_id=(\d+)", agent.log(), re.MULTILINE):
            found.append((datetime.datetime.fromisoformat(when), epoch, history.lsn_number(lsn), int(sync_id)))
    return sorted(found)


def epoch_problems(streamed, losses, may_return):
    """Each new epoch has a loss of its own before it. Where Redis and Postgres both come back older an epoch may go on."""
    losses, found = list(losses), []
    epochs = list(dict.fromkeys(epoch for _, epoch, _, _ in streamed))
    for epoch in epochs[1:]:
        when = min(one for one, name, _, _ in streamed if name == epoch)
        before = [loss for loss in losses if loss <= when]
        if not before:
            found.append(f"epoch {epoch} began at {when}, where nothing was lost")
        losses = losses[len(before):]
    if not may_return and len({epoch for _, epoch, _, _ in streamed}) != len([epoch for epoch, _ in itertools.groupby(streamed, lambda one: one[1])]):
        found.append("an old epoch came back")
    return found


def expected_from(oracle, first_after, shift):
    """What the histories must hold above an id, when the ids of the epoch are so much above the oracle's."""
    expected = {}
    for channel, items in oracle.expected.items():
        mine = [item._replace(sync_id=item.sync_id + shift) for item in items if item.sync_id + shift > first_after]
        if mine:
            expected[channel] = mine
    return expected


def reset_problems(entries, epoch, oracle, floor, shift):
    """Control tells of each TRUNCATE once."""
    found = history.problems({"control": entries}, epoch, first_prev=None)
    told = [(message["lastSyncId"], message.get("modelName")) for message in (history.parse(entry.message) for entry in entries)]
    expected = [(sync_id + shift, model) for sync_id, model in oracle.resets if sync_id + shift > floor]
    if [one for one in told if one[0] > floor] != expected:
        found.append(f"control tells of {told}, not of {expected}")
    return found


def begin_problems(streamed, epoch, oracle, shift):
    """Each session of the epoch began where its position said: all that ends there or before has the ids up to its own."""
    found = []
    for when, name, lsn, sync_id in streamed:
        if name != epoch:
            continue
        below = max((last for _, last, end in oracle.transactions.values() if end <= lsn), default=0) + shift
        above = [(first + shift, last + shift) for first, last, end in oracle.transactions.values() if end > lsn and first + shift <= sync_id]
        if below > sync_id or len(above) > 1 or any(last < sync_id for _, last in above):
            found.append(f"{when}: from {lsn:X} sync_id {sync_id}: {below} is the last below, {above} begin above")
    return found


def heard_problems(received, losses_may_be):
    """Ids rise from epoch to epoch; without losses all that was heard came in order."""
    ids, found, before = {}, [], None
    for channel, raw in received:
        message = history.parse(raw)
        if message["type"] != "sync" or history.is_progress(message):
            continue
        first, last = message["sync"][0]["syncId"], message["lastSyncId"]
        low, high = ids.get(message["epoch"], (first, 0))
        # One run goes to several channels. An update may be an insert in one channel and an update in another: one id in two runs.
        if first < high and (first, last) != before and not losses_may_be:
            found.append(f"{channel}: message {first}..{last} came after {high}")
        before = first, last
        ids[message["epoch"]] = min(low, first), max(high, last)
    return found + [f"epoch {name} has ids from {low} on, the one before up to {high}"
                    for (_, (_, high)), (name, (low, _)) in itertools.pairwise(ids.items()) if low <= high]


def log_of(agents):
    """What they say, by time, without what the writers' events make them say."""
    lines = [f"{line[:24]} {name} {line[25:]}" for name, agent in agents.items() for line in agent.log().splitlines()
             if "event not published" not in line]
    return "\n".join(sorted(lines)[-120:])


def tables_of(source):
    # wal2json knows no publication: every table's rows take ids.
    return TABLES + ([Table("public.unpublished")] if source == "wal2json" else [])


# --- the tests ---

class ChaosWriter(PersistentWriter):
    # Whether a streamed transaction's event was rolled back cannot be told: with streaming they are refused.
    def __init__(self, *arguments, **options):
        self.prefixes = ["walcast", "other"] if arguments[0].options.get("streaming") else PersistentWriter.prefixes
        super().__init__(*arguments, **options)

    def note(self, cursor):
        if self.random.random() < 0.004:
            self.counts["truncated"] += 1
            cursor.execute("truncate notes")
        else:
            super().note(cursor)


def faults_of(net, keeping):
    faults = {**FAULTS, **(NETWORK_FAULTS if isinstance(net, Net) else PROXY_FAULTS)}
    for kind in KEEPING[keeping][1]:
        faults[kind] = (6, *faults[kind][1:])
    if keeping == "nothing" or keeping == "snapshots":
        del faults["rewrite redis"]
    return faults


def settle(system, readers):
    """All is well: how long until everything is in Redis, and with the readers."""
    began = time.monotonic()
    world = system.world
    world.connection = world.connect()
    lsn = history.lsn_number(world.sql("select pg_logical_emit_message(true, 'barrier', '')::text")[0][0])

    moved_at, position = began, 0

    def is_settled():
        nonlocal moved_at, position
        system.look_after_agents()
        with contextlib.suppress(redis_client.RedisError):
            # Within a long transaction only the ids move.
            now = (int(world.position().get("sync_id", 0)), world.position_lsn())
            if now != position:
                moved_at, position = time.monotonic(), now
            assert time.monotonic() - moved_at < STANDSTILL_MAX, f"nothing comes to Redis: {position}\n{log_of(system.agents)}"
            return position[1] >= lsn
    wait_until(is_settled, SETTLED_MAX, lambda: f"all is in Redis\n{log_of(system.agents)}")
    in_redis = time.monotonic() - began
    epoch = world.position()["epoch"]
    ends = {channel: history.parse(entries[-1].message)["lastSyncId"] for channel, entries in world.histories().items()
            if channel in CHANNELS}
    wait_until(lambda: all(reader.has(epoch, ends) for reader in readers), READERS_MAX,
               lambda: f"the readers have all: {ends} {[(reader.epoch, reader.known, reader.counts) for reader in readers]}")
    return in_redis, time.monotonic() - began


def chaos(seed, keeping):
    rng = random.Random(f"{seed} {keeping}")
    bindir = postgres_bindir(os.environ.get("WALCAST_PG", 15))
    source = rng.choice([name for name in SOURCES if name != "wal2json" or (bindir / "../lib/wal2json.so").exists()])
    settings, losing = KEEPING[keeping]
    why_not = network.reason_against()
    net = Net(*HOSTS) if not why_not else Proxies()
    schedule = make_schedule(rng, ROUND, faults_of(net, keeping))
    if losing and not any(fault.kind == losing[0] for fault in schedule):
        schedule.append(Fault(ROUND / 2, losing[0], "redis", 0.3))
    print(f"\nWALCAST_SEED={seed} WALCAST_SECONDS={ROUND:g}: {source}, Redis keeps {keeping}"
          + (f"; without a network of its own, since {why_not}" if why_not else ""))
    print("; ".join(map(show, schedule)), flush=True)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.callback(net.close)
        with net.inside("postgres"):
            postgres = stack.enter_context(Postgres(
                bindir, settings={"wal_sender_timeout": "2s", "logical_decoding_work_mem": "64kB" if "streaming" in source else "64MB",
                          "output_plugin_libraries": "pgoutput, test_decoding, wal2json"},
                hba=TRUST, address=net.address("postgres")))
        with net.inside("redis"):
            redis = stack.enter_context(Redis({"requirepass": REDIS_PASSWORD, **settings}, address=net.address("redis")))
        world = stack.enter_context(World(RULES, postgres, redis, SCHEMA, record=True, history={"length": 100_000_000, "age": "100d"},
                                          **SOURCES[source]))
        net.connect(world)
        with net.inside("agent1"):
            world.init()
        if source != "wal2json":
            world.sql("alter publication walcast add table unruled")
        system = SystemUnderChaos(world, net)
        system.start_agents()
        first_epoch = world.position()["epoch"]

        def connect():
            return redis_client.Redis(net.address("redis"), redis.port, password=REDIS_PASSWORD, socket_timeout=10, socket_connect_timeout=2)
        ends = threading.Event()
        readers = [stack.enter_context(Reader(connect, CHANNELS, lambda: bootstrap(world), shares_id=shares_id,
                                              on_start=lambda: net.enter("reader"))) for shares_id in (False, True)]
        with Subscriber(redis) as subscriber, ConfirmedWatch(world) as watch:
            print(f"{time.monotonic() - began:.1f} s to start")
            writers = [ChaosWriter(world, number, ends, seed) for number in range(WRITERS)]
            for writer in writers:
                writer.start()
            try:
                run_schedule(system, schedule, ROUND)
            finally:
                ends.set()
                for writer in writers:
                    writer.join(60)
            assert not any(writer.error for writer in writers)
            took = settle(system, readers)
            for agent in system.agents.values():
                assert agent.stop() == 0, agent.log()[-3000:]
        print(f"{time.monotonic() - began:.1f} s to the end of all")
        for reader in readers:
            reader.__exit__()
        oracle = world.oracle(tables_of(source))
        report = sum((writer.counts for writer in writers), collections.Counter())
        print(f"settled {took[0]:.1f} s, readers {took[1]:.1f} s after all was well; {oracle.changes} changes, {len(oracle.transactions)} "
              f"transactions, {oracle.last_id} ids; {watch.samples} samples; {dict(system.counts)}; "
              f"committed {report['committed']}, lost {report['lost']}, truncated {report['truncated']}; readers {[dict(reader.counts) for reader in readers]}")

        position, channels = world.position(), world.histories()
        epoch, floor, shift = position["epoch"], int(position["floor"]), int(position["sync_id"]) - oracle.last_id
        streamed = sessions(system.agents.values())
        print(f"{len(streamed)} sessions, epochs {list(dict.fromkeys(one[1] for one in streamed))}, {len(system.losses)} losses")
        found = history.problems(channels, epoch, first_prev=None if losing else 0)
        found += history.differences(channels, expected_from(oracle, floor, shift))
        found += history.transaction_problems(
            channels, {xid: (first + shift, last + shift, end) for xid, (first, last, end) in oracle.transactions.items()})
        found += [f"{channel} begins with {entries[0].message[:200]}, the floor is {floor}"
                  for channel, entries in channels.items() if history.parse(entries[0].message)["prevSyncId"] != floor and losing]
        found += reset_problems(history.read_stream(world.client, "walcast:control"), epoch, oracle, floor, shift)
        found += epoch_problems(streamed, system.losses if losing else [], keeping == "snapshots")
        found += begin_problems(streamed, epoch, oracle, shift)
        found += heard_problems(subscriber.received, losing)
        logs = "".join(agent.log() for agent in system.agents.values())
        found += [f"retry_in={wait}" for wait in re.findall(r"(?:session ended|sink lost) .*retry_in=(\d+)ms", logs) if int(wait) > 5000]
        assert not found, f"WALCAST_SEED={seed} WALCAST_SECONDS={ROUND:g}\n" + "\n".join(found[:30]) + "\n" + log_of(system.agents)
        if not losing:
            assert epoch == first_epoch and shift == 0 and floor == 0
            subscriber.assert_within(channels)
        # A Redis that comes back older is rightly below what was confirmed.
        if keeping != "snapshots":
            watch.assert_kept()
        truth = rows_of(world.connection)
        for reader in readers:
            assert_reader_has_the_tables(reader, truth)
    print(f"{time.monotonic() - began:.1f} s in all")


@pytest.mark.limit(int(ROUNDS * (ROUND * 4 + 200)))
def test_nothing_is_lost_or_doubled_where_redis_keeps_what_it_was_told():
    for round in range(ROUNDS):
        chaos(SEED + round, "all")


@pytest.mark.limit(int(ROUNDS * (ROUND * 4 + 200)))
def test_what_redis_loses_is_stated():
    for round in range(ROUNDS):
        chaos(SEED + round, random.Random(f"{SEED + round}").choice([name for name in KEEPING if name != "all"]))


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_a_redis_that_died_unheard_is_noticed_within_seconds():
    """It had taken all batches that may be on their way, so there is nothing to send that would find out."""
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(Net("postgres", "redis", "agent1"))
        with net.inside("postgres"):
            postgres = stack.enter_context(Postgres(hba=TRUST, address=net.address("postgres")))
        with net.inside("redis"):
            redis = stack.enter_context(Redis({"requirepass": REDIS_PASSWORD, "appendfsync": "always"}, address=net.address("redis")))
        world = stack.enter_context(World(RULES[1:], postgres, redis, SCHEMA))
        with net.inside("agent1"):
            agent = world.init().agent()
        world.sql("insert into notes values (0)")
        world.settle()

        redis.pause()
        for number in range(1, 9):
            world.sql("insert into notes values (%s)", [number])
            time.sleep(0.15)  # A batch for each, though nothing depends on it.
        heal = net.partition("redis", "agent1")
        redis.kill()
        with net.inside("redis"):
            redis.start()
        heal()
        agent.wait_log("sink lost", 20)
        world.settle()
        assert [int(item.model_id) for item in world.actions("notes")] == list(range(9))
        assert agent.stop() == 0
        world.assert_sound()
