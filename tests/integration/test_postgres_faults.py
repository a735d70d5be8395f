"""Postgres stopped, killed, cut off, its slot or publication taken away: nothing is lost or doubled, and what cannot be proved is stated.

    WALCAST_SEED=17 WALCAST_LONG=1 /usr/bin/python3 -m pytest -s tests/integration/test_postgres_faults.py
"""

import os
import random
import re
import signal
import subprocess
import threading
import time

import psycopg2
import pytest

from support import history
from support.history import action
from support.servers import Agent, Postgres, Redis, postgres_bindir, wait_until
from support.wire import Wire
from support.world import REDIS_PASSWORD, ConfirmedWatch, World
from test_kill import RULES as MANY_RULES, SCHEMA, TABLES as ORACLE_TABLES, Writer, assert_replay_gives_the_tables

SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
LONG = bool(os.environ.get("WALCAST_LONG"))
ENDLESS = {"length": 100_000_000, "age": "100d"}

TABLES = "create table todos (id int primary key, title text); create table unrelated (id serial, filler text);"
RULES = [{"table": "public.todos", "model": "Todo", "channels": ["all", "todo:{id}"]}]


@pytest.fixture(autouse=True)
def seed():
    print(f"WALCAST_SEED={SEED}")


def insert(world, first, last=None):
    world.sql("insert into todos select i, 'todo ' || i from generate_series(%s, %s) i", [first, last or first])


def expect_inserts(world, last, first=1, timeout=60):
    """Todos were inserted with their sync ids as keys, and all of them are in history, once."""
    world.settle(timeout)
    channels = world.assert_sound(first_prev=first - 1)
    wanted = [action(i, "insert", "Todo", str(i), {"id": i, "title": f"todo {i}"}) for i in range(first, last + 1)]
    assert history.differences({"all": channels["all"]}, {"all": wanted}) == []


def ids(world):
    return [item.model_id for item in world.actions("all")]


# --- stops and crashes ---

class StubbornWriter(Writer):
    """Goes on when the server is back. While `gate` is closed it has no connection, as a smart stop waits for."""

    def __init__(self, world, number, ends, gate, has_events):
        super().__init__(world, number, ends)
        self.connection.close()
        self.world, self.gate, self.has_events = world, gate, has_events

    def run(self):
        try:
            while not self.ends.is_set():
                try:
                    self.work()
                except psycopg2.Error as error:
                    # A lost connection has no code, and is a DatabaseError at times.
                    if error.pgcode and not isinstance(error, psycopg2.OperationalError):
                        raise
                    self.counts["disconnected"] += 1
                    time.sleep(0.05)
        except Exception as error:
            self.error = error
            raise

    def work(self):
        with self.world.postgres.connect(self.world.db, autocommit=False, options="-c deadlock_timeout=20ms") as self.connection:
            while self.gate.is_set() and not self.ends.is_set():
                self.transaction()
                time.sleep(self.random.random() * 0.06)  # What is checked afterwards shall not be too much.
        self.connection.close()
        self.gate.wait(0.1)

    def transaction(self):
        if self.random.random() < 0.005:
            self.large(self.connection.cursor())
            self.connection.commit()
        else:
            super().transaction()

    def large(self, cursor):
        """Large enough to go out in many batches, or, in progress, before its end."""
        for _ in range(self.random.choice([1, 3])):
            start = self.new_id(20000)
            cursor.execute("insert into notes select i, 'large', repeat('y', 100) from generate_series(%s, %s) i", [start, start + 19999])
        self.counts["large"] += 1

    def message(self, cursor):
        # An event inside a transaction that is sent in progress stops the agent, as its message says.
        if self.has_events:
            super().message(cursor)


def at_work(world, ends, gate=None, has_events=True, count=3):
    """Writers that have begun."""
    if gate is None:
        gate = threading.Event()
        gate.set()
    writers = [StubbornWriter(world, number, ends, gate, has_events) for number in range(count)]
    for writer in writers:
        writer.start()
    return writers


def finish(ends, writers):
    ends.set()
    for writer in writers:
        writer.join(60)
        assert not writer.is_alive() and not writer.error, writer.error


def expect_the_record(world, agent, epoch, watch):
    """Every history holds what the database's own record says; one epoch, nothing confirmed too soon."""
    world.settle(120)
    assert agent.stop() == 0
    oracle = world.oracle(ORACLE_TABLES)
    print(f"{oracle.changes} changes, {oracle.last_id} ids")
    channels = world.histories()
    found = history.problems(channels, epoch) + history.differences(channels, oracle.expected)
    found += history.transaction_problems(channels, oracle.transactions)
    assert not found, f"WALCAST_SEED={SEED}\n" + "\n".join(found[:30])
    assert (world.position()["epoch"], int(world.position()["sync_id"])) == (epoch, oracle.last_id)
    watch.assert_kept()
    assert_replay_gives_the_tables(world, channels)


def sessions(agent):
    return agent.log().count("streaming slot=")


@pytest.mark.limit(900 if LONG else 240)
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "in progress"])
def test_after_any_stop_of_postgres_each_history_is_its_own_record(streaming, tmp_path):
    randomly = random.Random(SEED)
    kinds = ["smart", "fast", "immediate", "crash"]
    options = {"streaming": True, "spool": {"directory": str(tmp_path), "size": "8GB"}} if streaming else {}
    with Postgres(settings={"logical_decoding_work_mem": "64kB"}) as postgres, Redis({"requirepass": REDIS_PASSWORD}) as redis, \
            World(MANY_RULES, postgres, redis, SCHEMA, record=True, history=ENDLESS, **options) as world:
        world.init()
        world.sql("alter publication walcast add table unruled")
        epoch = world.position()["epoch"]
        agent = world.agent()
        ends, gate, took = threading.Event(), threading.Event(), []
        gate.set()
        with ConfirmedWatch(world) as watch:
            writers = at_work(world, ends, gate, has_events=not streaming)
            try:
                for how in kinds + [randomly.choice(kinds) for _ in range(60 if LONG else 2)]:
                    began = sessions(agent)
                    time.sleep(randomly.random() * 0.8)  # The moment is the test's input; any is as good.
                    if how == "smart":
                        gate.clear()
                        wait_until(lambda: all(writer.connection.closed for writer in writers), 60, "the writers are gone")
                        world.connection.close()
                    with watch.suspended():
                        if how == "crash":
                            postgres.kill()
                        else:
                            took.append((how, postgres.stop(how)))
                        postgres.start()
                    world.connection = world.connect()
                    gate.set()
                    wait_until(lambda: sessions(agent) > began, 60, agent.log)
            finally:
                finish(ends, writers)
            expect_the_record(world, agent, epoch, watch)
        print(took)
        # Nobody holds up a server that stops in good order.
        assert all(seconds < 30 for how, seconds in took if how != "immediate"), took


def test_an_agent_that_asked_the_catalog_does_not_hold_up_a_smart_stop(redis):
    with Postgres() as postgres, World(RULES, postgres, redis, TABLES) as world:
        world.init().agent()
        insert(world, 1)
        world.sql("alter table todos add note text")  # So that the agent asks about it.
        world.sql("insert into todos values (2, 'todo 2', null)")
        world.settle()
        world.connection.close()

        assert postgres.stop("smart") < 30
        postgres.start()


# --- the network ---

HASTY = {"wal_sender_timeout": "2s"}
SILENT = r"session ended error=.*no answer for \d+ ms"


@pytest.fixture(scope="module")
def hasty():
    with Postgres(settings=HASTY) as server:
        yield server


@pytest.fixture
def wired(hasty, redis):
    """A world whose agent reaches Postgres by `world.wire`."""
    with World(RULES, hasty, redis, TABLES) as world, Wire(hasty.port) as world.wire:
        world.init()
        world.options["postgres"] = f"postgres://postgres@127.0.0.1:{world.wire.port}/{world.db}"
        yield world


@pytest.mark.parametrize("held", [("to_client",), ("to_server",), ("to_client", "to_server")], ids="+".join)
def test_a_connection_that_stands_still_is_given_up_in_time(wired, held):
    agent = wired.agent()
    insert(wired, 1, 5)
    wired.settle()
    epoch = wired.position()["epoch"]
    with ConfirmedWatch(wired) as watch:
        wired.wire.hold(*held)
        began = time.monotonic()
        insert(wired, 6, 10)
        # Where only the server hears nothing, it is the server that gives up, and says nothing but goodbye.
        agent.wait_log("session ended error=" if held == ("to_server",) else SILENT, 40)
        assert time.monotonic() - began < 30  # Two seconds, and what a busy machine adds.
        wired.wire.release()

        expect_inserts(wired, 10)
    watch.assert_kept()
    assert wired.position()["epoch"] == epoch and agent.alive()


def test_an_idle_connection_is_not_given_up(wired):
    agent = wired.agent()
    wired.settle()
    time.sleep(5)  # More than twice what would be too long.
    insert(wired, 1)
    expect_inserts(wired, 1)

    assert sessions(agent) == 1 and "session ended" not in agent.log()


def test_a_server_that_stands_still_is_given_up_and_waited_for(wired):
    agent = wired.agent()
    insert(wired, 1)
    wired.settle()
    (walsender,) = wired.postgres.walsender_pids()
    os.kill(walsender, signal.SIGSTOP)
    try:
        agent.wait_log(SILENT, 40)
        agent.wait_log(f"standby .*active for PID {walsender}", 20)
    finally:
        os.kill(walsender, signal.SIGCONT)
    insert(wired, 2)
    expect_inserts(wired, 2)


def test_a_connection_of_single_bytes_carries_everything(hasty, redis):
    with World(RULES, hasty, redis, TABLES) as world, Wire(hasty.port, chunk=1) as wire:
        world.init()
        agent = world.agent(config_text=world.config(postgres=f"postgres://postgres@127.0.0.1:{wire.port}/{world.db}"), streaming=False)
        agent.wait_streaming(60)
        insert(world, 1, 300)

        expect_inserts(world, 300)
        assert sessions(agent) == 1


@pytest.mark.limit(900 if LONG else 200)
def test_a_connection_cut_at_any_byte_loses_and_doubles_nothing(hasty, redis):
    randomly = random.Random(SEED)
    with World(MANY_RULES, hasty, redis, SCHEMA, record=True, history=ENDLESS) as world, Wire(hasty.port) as wire:
        world.init()
        world.sql("alter publication walcast add table unruled")
        epoch = world.position()["epoch"]
        agent = world.agent(config_text=world.config(postgres=f"postgres://postgres@127.0.0.1:{wire.port}/{world.db}"))
        ends = threading.Event()
        with ConfirmedWatch(world) as watch:
            writers = at_work(world, ends, count=2)
            try:
                for how in ["lost", "half ended", "ended", "reset"] + [randomly.choice(["half ended", "ended", "reset"] + ["lost"] * LONG)
                                                                      for _ in range(100 if LONG else 8)]:
                    cuts = wire.cuts
                    wire.cut_after(int(300_000 ** randomly.random()), how)
                    wait_until(lambda: wire.cuts > cuts, 60, "the connection is cut")
                    world.settle(60)  # It may have been a heartbeat's connection; either way all comes through.
            finally:
                finish(ends, writers)
            expect_the_record(world, agent, epoch, watch)
        assert sessions(agent) > 3


def test_a_connection_that_breaks_again_and_again_is_not_hammered(wired):
    agent = wired.agent()
    began = time.monotonic()
    while time.monotonic() - began < 4:
        count = sessions(agent)
        wired.sql("select pg_terminate_backend(pid) from pg_stat_replication where application_name = 'walcast'")
        wait_until(lambda: sessions(agent) > count or time.monotonic() - began > 4)

    # Each works for a moment only; so the waits grow.
    assert sessions(agent) < 12, agent.log()
    insert(wired, 1)
    expect_inserts(wired, 1)


def test_a_slow_redis_does_not_cost_the_connection(hasty):
    rules = [{**RULES[0], "channels": ["all"]}]
    with Redis({"requirepass": REDIS_PASSWORD}) as redis, World(rules, hasty, redis, TABLES) as world:
        world.init()
        agent = world.agent()
        ends = threading.Event()

        def slow_down():  # It works for a twentieth of the time.
            while not ends.wait(0.02):
                redis.pause()
                time.sleep(0.4)
                redis.resume()

        braking = threading.Thread(target=slow_down, daemon=True)
        braking.start()
        began, last = time.monotonic(), 0
        while time.monotonic() - began < 5:  # More than twice wal_sender_timeout.
            insert(world, last + 1, last + 200)
            last += 200
        ends.set()
        braking.join()

        expect_inserts(world, last)
        assert sessions(agent) == 1 and "session ended" not in agent.log()


# --- the slot ---

def assert_new_epoch(world, old, channels):
    """Each history begins anew with a reset of a new epoch, above all that was."""
    assert world.position()["epoch"] != old["epoch"]
    histories = world.assert_sound(first_prev=None)
    for name in channels:
        first = history.parse(histories[name][0].message)
        assert first["type"] == "reset" and "modelName" not in first and first["reason"], f"{name} begins with {first}"
        assert first["lastSyncId"] > int(old["sync_id"])
    assert any("modelName" not in message and message["epoch"] == world.position()["epoch"] for message in world.control())


def mend(world):
    """As the messages say."""
    dropped = world.walcast("drop")
    assert dropped.returncode == 0, dropped.stderr
    world.init()


def expect_a_new_epoch_after(world, old, agent, restarted=True):
    """The agent goes on, and from now on nothing is missing."""
    if restarted:
        agent.start()
        agent.wait_streaming()
    insert(world, 5001, 5003)
    world.settle(60)
    assert_new_epoch(world, old, ["all", "todo:1", "todo:2", "todo:3"])
    assert ids(world)[-3:] == ["5001", "5002", "5003"]


@pytest.fixture
def streaming_world(postgres, redis):
    """Three todos are in history."""
    with World(RULES, postgres, redis, TABLES) as world:
        world.init().agent()
        insert(world, 1, 3)
        world.settle()
        yield world


def test_a_slot_dropped_while_streaming_ends_the_agent_with_what_mends_it(streaming_world):
    world = streaming_world
    (agent,), old = world.agents, world.position()

    def dropped():  # Before the agent takes it again.
        try:
            world.sql("select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = %s", [world.slot])
            world.sql("select pg_drop_replication_slot(%s)", [world.slot])
            return True
        except psycopg2.errors.ObjectInUse:
            return False
    wait_until(dropped, 20, "the slot is dropped")
    assert agent.wait() == 1
    assert f'slot "{world.slot}" does not exist: run `walcast init`' in agent.log().replace("\\", "")
    insert(world, 4)

    again = world.walcast("init")
    assert again.returncode == 0 and "begins a new epoch" in again.stdout, again.stdout + again.stderr
    expect_a_new_epoch_after(world, old, agent)


def test_a_slot_made_anew_while_streaming_is_a_stated_gap(streaming_world):
    world = streaming_world
    (agent,), old = world.agents, world.position()
    agent.pause()
    world.sql("select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = %s", [world.slot])
    world.sql("select pg_drop_replication_slot(%s)", [world.slot])
    insert(world, 4)
    world.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", [world.slot])
    agent.resume()
    agent.wait_log("new epoch=.*made anew")
    expect_a_new_epoch_after(world, old, agent, restarted=False)


def test_a_slot_taken_by_somebody_else_is_named_with_the_pid_and_waited_for(streaming_world):
    world = streaming_world
    (agent,) = world.agents
    agent.stop()
    thief = subprocess.Popen([postgres_bindir() / "pg_recvlogical", "-d", world.url(), "-S", world.slot, "--start", "-f", os.devnull, "--no-loop",
                              "-o", "proto_version=1", "-o", "publication_names=nothing"], stderr=subprocess.DEVNULL)
    try:
        pid = wait_until(lambda: world.postgres.slot(world.slot)["active_pid"], 20, "the slot is taken")
        agent.start()
        agent.wait_log(f"standby .*{world.slot}.* is active for PID {pid}")
    finally:
        thief.kill()
        thief.wait()
    agent.wait_streaming()
    insert(world, 4)
    expect_inserts(world, 4)


def test_a_slot_lost_while_streaming_is_named_and_mended_by_drop_and_init():
    settings = {"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "min_wal_size": "32MB"}
    with Postgres(settings=settings) as postgres, World(RULES, postgres, None, TABLES) as world:
        world.init()
        agent = world.agent()
        insert(world, 1, 3)
        world.settle()
        old = world.position()
        world.redis.pause()  # So that nothing can be confirmed.
        for _ in range(8):
            world.sql("insert into unrelated (filler) select repeat('x', 1000) from generate_series(1, 1000)")
            world.sql("select pg_switch_wal()")
            world.sql("checkpoint")
        assert postgres.slot(world.slot)["wal_status"] == "lost"
        world.redis.resume()
        insert(world, 4)

        assert agent.wait(40) == 1
        assert re.search("slot .* is lost.*max_slot_wal_keep_size.*`walcast drop`, then `walcast init`", agent.log())
        mend(world)
        expect_a_new_epoch_after(world, old, agent)


@pytest.fixture(scope="module")
def postgres_18():
    with Postgres(postgres_bindir(18)) as server:
        yield server


def test_a_slot_that_nobody_read_for_too_long_is_named_and_mended(postgres_18, redis):
    with World(RULES, postgres_18, redis, TABLES) as world:
        world.init()
        agent = world.agent()
        insert(world, 1, 3)
        world.settle()
        old = world.position()
        agent.stop()
        insert(world, 4)
        postgres_18.execute("alter system set idle_replication_slot_timeout = '1s'")
        postgres_18.execute("select pg_reload_conf()")

        def invalidated():
            world.sql("checkpoint")
            return postgres_18.slot(world.slot)["invalidation_reason"] == "idle_timeout"
        try:
            wait_until(invalidated, 30, "the slot has timed out", every=0.2)
        finally:
            postgres_18.execute("alter system reset idle_replication_slot_timeout")
            postgres_18.execute("select pg_reload_conf()")

        agent.start()
        assert agent.wait() == 1
        assert re.search("slot .* is lost.*idle_replication_slot_timeout.*`walcast drop`, then `walcast init`", agent.log())
        mend(world)
        expect_a_new_epoch_after(world, old, agent)


# --- the publication ---

@pytest.fixture(params=[15, 18])
def either(request):
    """On 14 to 17 a publication that is gone is an error of the stream; on 18 it is a notice."""
    return request.getfixturevalue("postgres" if request.param == 15 else "postgres_18")


@pytest.mark.parametrize("how", ["drop publication walcast", "alter publication walcast rename to another"], ids=["dropped", "renamed"])
def test_a_publication_gone_while_streaming_stops_the_agent_until_the_slot_is_made_anew(either, redis, how):
    with World(RULES, either, redis, TABLES) as world:
        world.init()
        agent = world.agent()
        insert(world, 1, 3)
        world.settle()
        old = world.position()
        world.sql(how)
        insert(world, 4)
        assert agent.wait() == 1, agent.log()
        assert re.search("publication .*walcast.*`walcast init`", agent.log_since_start())

        # It is there again, but was not when the change was made.
        world.init()
        agent.start()
        assert agent.wait() == 1, agent.log()
        assert re.search("publication .*`walcast drop`.*`walcast init`", agent.log_since_start())
        assert ids(world) == ["1", "2", "3"] and world.position()["epoch"] == old["epoch"]
        mend(world)
        expect_a_new_epoch_after(world, old, agent)


def test_a_publication_altered_while_streaming_is_followed(streaming_world):
    world = streaming_world
    world.sql("create table todos2 (id int primary key)")
    world.sql("alter publication walcast add table todos2")
    insert(world, 4)
    world.sql("alter publication walcast set table todos (id)")
    insert(world, 5)
    world.sql("alter publication walcast set table todos where (id > 100)")
    insert(world, 6)
    insert(world, 101)
    world.sql("alter publication walcast set table todos")
    insert(world, 7)
    world.settle()

    rows = [item.data for item in world.actions("all") if item.sync_id > 3]
    assert rows == [{"id": 4, "title": "todo 4"}, {"id": 5}, {"id": 101, "title": "todo 101"}, {"id": 7, "title": "todo 7"}]
    assert sessions(world.agents[0]) == 1


# --- a database restored from a backup ---

class Backup:
    """A copy of a stopped cluster's files, to be started in its place."""

    def __init__(self, postgres):
        self.postgres, self.path = postgres, postgres.directory / "backup"
        self._copy(postgres.data, self.path)

    @staticmethod
    def _copy(source, target):
        subprocess.run(["rm", "-rf", target], check=True)
        subprocess.run(["cp", "-a", source, target], check=True)

    def restore(self):
        self._copy(self.path, self.postgres.data)


def start(world):
    world.postgres.start()
    world.connection = world.connect()


@pytest.fixture
def restorable():
    """A backup was taken after the third todo."""
    with World(RULES, tables=TABLES) as world:
        world.init()
        agent = world.agent()
        insert(world, 1, 3)
        world.settle()
        world.postgres.stop()
        world.backup = Backup(world.postgres)
        start(world)
        wait_until(lambda: sessions(agent) == 2, 40, agent.log)
        yield world


def write_past(world, lsn, first):
    """More log than there was."""
    while True:
        insert(world, first)
        first += 1
        if world.sql("select pg_current_wal_lsn() > %s::pg_lsn + 8192", [lsn])[0][0]:
            return
        world.sql("insert into unrelated (filler) select repeat('x', 1000) from generate_series(1, 20)")


@pytest.mark.parametrize("agent_is", ["away", "there"])
@pytest.mark.parametrize("since, log", [("changes", "shorter"), ("changes", "longer"), ("idle progress", "longer")])
def test_a_database_restored_from_a_copy_of_its_files_is_a_stated_gap(restorable, log, since, agent_is):
    world = restorable
    (agent,) = world.agents
    if since == "changes":
        insert(world, 4, 300)
    else:
        world.sql("insert into unrelated (filler) select repeat('x', 1000) from generate_series(1, 200)")
    world.settle()
    old = world.position()
    if agent_is == "away":
        agent.stop()
    world.postgres.stop()
    if agent_is == "there":
        agent.pause()  # Until the log is as it shall be.
    world.backup.restore()
    start(world)
    if log == "longer":
        write_past(world, old["lsn"], 3001)
    agent.start() if agent_is == "away" else agent.resume()
    agent.wait_log("new epoch=.*restored", 30, since_start=False)

    expect_a_new_epoch_after(world, old, agent, restarted=False)


def recover_to(world, lsn):
    """Point in time recovery of the backup, with the log of the cluster that ran on: a new timeline."""
    postgres, archive = world.postgres, world.postgres.directory / "archive"
    postgres.stop()
    subprocess.run(["cp", "-a", postgres.data / "pg_wal", archive], check=True)
    world.backup.restore()
    signal_file = postgres.data / "recovery.signal"
    signal_file.touch()
    subprocess.run(["chown", "--reference", postgres.data, signal_file], check=True)
    postgres.settings.update({"restore_command": f"cp {archive}/%f %p", "recovery_target_lsn": lsn, "recovery_target_action": "promote"})
    start(world)
    wait_until(lambda: not world.sql("select pg_is_in_recovery()")[0][0], 30, "recovery has ended")


@pytest.mark.parametrize("target", ["below", "above"])
def test_a_database_recovered_to_a_point_in_time_goes_on_or_is_a_gap(restorable, target):
    world = restorable
    (agent,) = world.agents
    insert(world, 4, 10)
    middle = world.sql("select pg_current_wal_lsn()::text")[0][0]
    insert(world, 11, 20)
    world.settle()
    old = world.position()
    agent.stop()
    insert(world, 21, 30)
    end = world.sql("select pg_current_wal_lsn()::text")[0][0]
    insert(world, 31, 40)
    recover_to(world, middle if target == "below" else end)
    assert world.sql("select count(*) from todos") == [(10 if target == "below" else 30,)]
    if target == "below":
        write_past(world, old["lsn"], 3001)
    agent.start()
    agent.wait_streaming()

    if target == "below":
        agent.wait_log("new epoch=.*timeline 1 was left before")
        expect_a_new_epoch_after(world, old, agent, restarted=False)
    else:
        insert(world, 31, 35)
        expect_inserts(world, 35)
        assert (world.position()["epoch"], world.position()["timeline"]) == (old["epoch"], "2")


# --- making a slot ---

@pytest.mark.parametrize("blocked_by", ["a transaction", "a prepared transaction"])
def test_a_transaction_that_blocks_init_is_named_and_ctrl_c_leaves_no_slot(postgres, redis, blocked_by):
    with World(RULES, postgres, redis, TABLES) as world:
        blocker = world.connect(autocommit=False)
        with blocker.cursor() as cursor:
            cursor.execute("insert into unrelated (filler) values ('x')")
            cursor.execute("select pg_backend_pid()")
            ((pid,),) = cursor.fetchall()
            if blocked_by == "a prepared transaction":
                cursor.execute("prepare transaction 'it''s forgotten'")
        said = {"a transaction": rf"pid {pid} for \d\d:\d\d:\d\d.*pg_terminate_backend\({pid}\)",
                "a prepared transaction": r"it's forgotten for \d\d:\d\d:\d\d.*ROLLBACK PREPARED 'it''s forgotten'"}[blocked_by]
        try:
            with Agent(world.config(), command=["init"]) as init:
                wait_until(lambda: re.search(said, init.output() + init.log()), 20, lambda: init.output() + init.log())
                init.process.send_signal(signal.SIGINT)
                assert init.wait() != 0
            wait_until(lambda: world.postgres.slot(world.slot) is None, 10, "no half-made slot is left")
            assert world.position() == {}
        finally:
            if blocked_by == "a transaction":
                blocker.rollback()
            else:
                world.sql("rollback prepared 'it''s forgotten'")
        world.init().agent()
        insert(world, 1)
        expect_inserts(world, 1)
