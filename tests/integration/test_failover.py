"""A primary is lost and its standby promoted, on real pairs of 17 and 18: the slot goes with it, and so does the agent."""

import re
import subprocess
import threading
import time

import psycopg2
import pytest

from support import history
from support.servers import Postgres, postgres_bindir, wait_until
from support.world import POSTGRES_PASSWORD, World

TABLES = "create table todos (id int primary key, title text); create table unrelated (id serial, filler text);"
RULES = [{"table": "public.todos", "model": "Todo", "channels": ["all", "todo:{id}"]}]
SETTINGS = {"hot_standby_feedback": "on", "wal_receiver_status_interval": "1s", "wal_sender_timeout": "5s"}


class Standby(Postgres):
    """A physical standby that keeps copies of the primary's failover slots."""

    def __init__(self, primary, synced_db="postgres"):
        super().__init__(primary.bindir, settings=SETTINGS, started=False)
        self.primary = primary
        subprocess.run(["rm", "-rf", self.data], check=True)
        # Of a stopped server: a base backup needs a program that the small builds do not have.
        primary.stop()
        subprocess.run(["cp", "-a", primary.data, self.data], check=True)
        subprocess.run(["chown", "-R", "--reference", primary.data, self.data], check=True)
        primary.start()
        primary.execute("select pg_create_physical_replication_slot('standby', true)")
        (self.data / "standby.signal").write_text("")
        subprocess.run(["chown", "--reference", primary.data, self.data / "standby.signal"], check=True)
        self.settings.update({"primary_slot_name": "standby",
                              "primary_conninfo": f"host=127.0.0.1 port={primary.port} user=postgres dbname={synced_db}"})
        if int(self.major()) >= 17:
            self.settings["sync_replication_slots"] = "on"
        self.start()

    def major(self):
        return (self.data / "PG_VERSION").read_text().strip()

    def wait_replayed(self):
        lsn = self.primary.execute("select pg_current_wal_lsn()::text")[0][0]
        wait_until(lambda: self.execute("select pg_last_wal_replay_lsn() >= %s::pg_lsn", [lsn])[0][0], 30, "the standby has replayed")

    def wait_synced(self, *slots):
        def synced():
            rows = self.execute("select count(*) from pg_replication_slots where slot_name = any(%s) and synced and not temporary", [list(slots)])
            return rows == [(len(slots),)]
        wait_until(synced, 60, lambda: f"the slots are copied: {self.execute('select slot_name, synced, temporary from pg_replication_slots')}\n{self.log()[-2000:]}", every=0.1)

    def promote(self):
        self.execute("select pg_promote(true, 60)")
        wait_until(lambda: not self.execute("select pg_is_in_recovery()")[0][0], 30, "the standby is the primary")


class Pair:
    """A world on two servers, whose agent knows both."""

    def __init__(self, major, redis, **options):
        self.primary = Postgres(postgres_bindir(major), settings=SETTINGS)
        self.world = World(RULES, self.primary, redis, TABLES, **options)
        self.standby = Standby(self.primary, self.world.db)
        self.world.connection = self.world.connect()
        self.world.options["postgres"] = (
            f"postgres://postgres:{POSTGRES_PASSWORD}@127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}/{self.world.db}"
            "?target_session_attrs=read-write")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if not self.primary.alive():
            self.world.postgres = self.standby
        self.world.__exit__(*error)
        self.standby.close()
        self.primary.close()

    def fail_over(self):
        self.primary.kill()
        self.standby.promote()
        self.world.postgres = self.standby
        self.world.connection = self.world.connect()


@pytest.fixture(params=[17, 18])
def pair(request, redis):
    with Pair(request.param, redis) as pair:
        yield pair


@pytest.fixture
def pair_17(redis):
    with Pair(17, redis) as pair:
        yield pair


def insert(world, first, last=None):
    world.sql("insert into todos select i, 'todo ' || i from generate_series(%s, %s) i", [first, last or first])


def advance_and_sync(pair):
    """A slot that never moves is not copied: the standby keeps no log from before."""
    def synced():
        insert_unrelated(pair.world)
        return pair.standby.execute("select 1 from pg_replication_slots where slot_name = %s and synced and not temporary", [pair.world.slot])
    wait_until(synced, 60, lambda: f"the slot is copied: {pair.standby.execute('select slot_name, synced, temporary from pg_replication_slots')}\n"
               + pair.standby.log()[-2000:], every=0.2)


def insert_unrelated(world):
    world.sql("select pg_log_standby_snapshot()")  # Else every 15 seconds; a slot's horizon moves by it.
    world.sql("insert into unrelated (filler) select repeat('x', 100) from generate_series(1, 10)")


class Inserter(threading.Thread):
    """Inserts todos one after the other; those of which the commit was heard are `committed`."""

    def __init__(self, pair):
        super().__init__(daemon=True)
        self.pair, self.committed, self.ends, self.next_id = pair, [], threading.Event(), 1000

    def run(self):
        connection = self.pair.world.connect()
        while not self.ends.is_set():
            try:
                with connection.cursor() as cursor:
                    cursor.execute("insert into todos values (%s, 'x')", [self.next_id])
                self.committed.append(self.next_id)
                self.next_id += 1
                time.sleep(0.002)
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                return


def test_an_agent_follows_its_slot_to_the_promoted_standby(pair):
    world = pair.world
    pair.primary.execute("alter system set synchronized_standby_slots = 'standby'")
    # What clients were told of was committed on both, whatever the agent has.
    pair.primary.execute("alter system set synchronous_standby_names = 'walreceiver'")
    pair.primary.execute("select pg_reload_conf()")
    world.init()
    assert pair.primary.slot(world.slot)["failover"], "made to survive"
    agent = world.agent()
    insert(world, 1, 10)
    world.settle()
    old = world.position()
    advance_and_sync(pair)

    inserter = Inserter(pair)
    inserter.start()
    wait_until(lambda: len(inserter.committed) > 100, 60, "rows are on their way")
    pair.fail_over()
    inserter.ends.set()
    inserter.join(60)
    wait_until(lambda: agent.log().count("streaming slot=") == 2, 60, agent.log)
    insert(world, 100_001, 100_010)
    world.settle(60)

    rows = [str(number) for (number,) in world.sql("select id from todos order by id")]
    assert {str(number) for number in inserter.committed} <= set(rows), "the pair lost rows itself"
    channels = world.assert_sound(first_prev=0)
    found = history.actions(channels["all"])
    assert sorted((item.model_id for item in found), key=int) == rows
    assert [item.sync_id for item in found] == list(range(1, len(rows) + 1))
    assert (world.position()["epoch"], world.position()["timeline"]) == (old["epoch"], "2")
    assert agent.alive()

    # The old primary is started again, and somebody points walcast at it.
    pair.primary.start()
    agent.stop()
    held = world.position()
    alone = world.agent(streaming=False, config_text=world.config(
        postgres=f"postgres://postgres:{POSTGRES_PASSWORD}@127.0.0.1:{pair.primary.port}/{world.db}"))
    assert alone.wait() == 1
    assert re.search("timeline 1.*timeline 2.*old primary", alone.log())
    assert world.position() == held, "refused before the sink was touched"


def test_an_agent_ahead_of_the_promoted_standby_states_the_gap(pair_17):
    pair, world = pair_17, pair_17.world
    world.init()
    agent = world.agent()
    insert(world, 1, 3)
    world.settle()
    advance_and_sync(pair)
    pair.standby.wait_replayed()
    # Nothing waits for the standby, which hears nothing from here on.
    wait_until(lambda: drop_slot(pair.primary, "standby"), 20, "the standby is cut off")
    insert(world, 4, 50)
    world.settle()
    old = world.position()
    pair.fail_over()
    assert world.sql("select count(*) from todos") == [(3,)]

    agent.wait_log("new epoch=.*timeline 1 was left before", 60, since_start=False)
    insert(world, 101, 103)
    world.settle(60)
    assert world.position()["epoch"] != old["epoch"]
    channels = world.assert_sound(first_prev=None)
    for name in ("all", "todo:4"):
        assert history.parse(channels[name][0].message)["type"] == "reset"
    assert [item.model_id for item in world.actions("all")] == ["101", "102", "103"]


def drop_slot(server, name):
    """Before its reader takes it again."""
    try:
        server.execute("select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = %s", [name])
        server.execute("select pg_drop_replication_slot(%s)", [name])
        return True
    except psycopg2.errors.ObjectInUse:
        return False


def test_a_standby_that_is_not_promoted_is_waited_for(pair_17):
    pair, world = pair_17, pair_17.world
    world.init()
    agent = world.agent()
    insert(world, 1, 3)
    world.settle()
    advance_and_sync(pair)
    agent.stop()
    to_standby = f"postgres://postgres:{POSTGRES_PASSWORD}@127.0.0.1:{pair.standby.port}/{world.db}"
    waiting = world.agent(streaming=False, config_text=world.config(postgres=to_standby))
    waiting.wait_log("session ended error=.*is a standby.*until it is promoted.*target_session_attrs")
    waiting.wait_log(r"(session ended[\s\S]*){3}", 30)

    pair.standby.wait_replayed()
    pair.fail_over()
    waiting.wait_streaming(30)
    insert(world, 4)
    world.settle(60)
    assert [item.sync_id for item in world.actions("all")] == [1, 2, 3, 4]


def test_a_stream_that_waits_for_a_standby_says_which(pair):
    world = pair.world
    world.init()
    pair.primary.execute("alter system set synchronized_standby_slots = 'standby'")
    pair.primary.execute("select pg_reload_conf()")
    agent = world.agent()
    insert(world, 1)
    world.settle()
    pair.standby.kill()
    wait_until(lambda: not pair.primary.slot("standby")["active"], 30, "the standby is gone")
    insert(world, 2)

    agent.wait_log('postgres notice=.*"standby.*synchronized_standby_slots.*active_pid', 40)
    time.sleep(6)  # Longer than wal_sender_timeout: that it waits is no reason to leave it.
    assert agent.log().count("streaming slot=") == 1, agent.log()
    assert agent.log().count("synchronized_standby_slots") < 30, "said now and then"
    pair.standby.start()
    world.settle(60)
    assert [item.sync_id for item in world.actions("all")] == [1, 2]


def test_doctor_names_a_slot_that_would_not_survive_and_its_statement_mends_it(pair_17):
    pair, world = pair_17, pair_17.world
    world.sql("create publication walcast for table todos")
    world.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", [world.slot])

    said = world.walcast("doctor").stdout
    (command,) = re.findall(r"\$ (psql .*ALTER_REPLICATION_SLOT.*)", said)
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert pair.primary.slot(world.slot)["failover"]
    assert "would not survive" not in world.walcast("doctor").stdout


def test_a_dry_run_of_init_prints_sql_that_makes_the_same_slot(pair_17):
    world = pair_17.world
    lines = world.walcast("init", "--dry-run").stdout.splitlines()
    for statement in "\n".join(line for line in lines if not line.startswith(("--", "#"))).split(";"):
        if statement.strip():
            world.sql(statement)
    assert world.postgres.slot(world.slot)["failover"]
