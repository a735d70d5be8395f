"""Signals in every state: what ends, how soon, with which exit code, and that nothing is lost or repeated by it."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import threading
import time

import pytest

from support import history
from support.fakes import FakeServer
from support.history import action
from support.servers import Agent, wait_until, walcast_binary
from support.world import POSTGRES_PASSWORD, REDIS_PASSWORD, World

SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
LONG = os.environ.get("WALCAST_LONG") == "1"
GRACE = 10  # Seconds from SIGTERM to Docker's SIGKILL.
TABLES = "create table todos (id int primary key, title text);"
RULES = [{"table": "public.todos", "model": "Todo", "channels": ["all"]}]


@pytest.fixture
def world(postgres, redis):
    with World([dict(rule) for rule in RULES], postgres, redis, TABLES, history={"length": 10_000_000, "age": "24h"}) as world:
        yield world.init()


def insert(world, first, last=None):
    world.sql("insert into todos select i, 'todo ' || i from generate_series(%s, %s) i", [first, last or first])


def expect_todos(world, last):
    """Todos were inserted with their sync ids as keys."""
    world.settle(60)
    channels = world.assert_sound()
    wanted = [action(i, "insert", "Todo", str(i), {"id": i, "title": f"todo {i}"}) for i in range(1, last + 1)]
    assert history.differences(channels, {"all": wanted}) == []


def stop_in_time(agent, code=0):
    """SIGTERM; it ends within the grace period."""
    begin = time.monotonic()
    agent.process.terminate()
    assert agent.wait() == code, agent.log_since_start()
    took = time.monotonic() - begin
    assert took < GRACE, f"{took:.1f} s\n{agent.log_since_start()}"
    return took


def active_pid(world):
    return world.postgres.slot(world.slot)["active_pid"]


def bytes_unread(port):
    """What lies in the sockets of whoever listens on this port."""
    lines = [line.split() for line in open("/proc/net/tcp").readlines()[1:]]
    return sum(int(fields[4].split(":")[1], 16) for fields in lines if int(fields[1].split(":")[1], 16) == port and fields[3] == "01")


def released(world):
    """The confirmed LSN once nobody has the slot: a server in the middle of a large transaction may take a while to notice."""
    wait_until(lambda: not active_pid(world), 30, "the slot is free")
    return world.confirmed()


def rows_left(world):
    """Rows that the slot would send again to its next reader."""
    ((count,),) = world.sql(
        "select count(*) from pg_logical_slot_peek_binary_changes(%s, null, null, 'proto_version', '1', 'publication_names', 'walcast') "
        "where get_byte(data, 0) = ascii('I')", [world.slot])
    return count


class Load(threading.Thread):
    """Inserts todos with rising keys until it is told to end."""

    def __init__(self, world, counts):
        super().__init__(daemon=True)
        self.connection = world.connect()
        self.last, self.counts = 0, counts
        self.random = random.Random(SEED)
        self.ends = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.join(60)

    def run(self):
        with self.connection.cursor() as cursor:
            while not self.ends.is_set():
                count = self.random.choice(self.counts)
                cursor.execute("insert into todos select i, 'todo ' || i from generate_series(%s, %s) i", [self.last + 1, self.last + count])
                self.last += count


# --- SIGTERM under load ---

def test_a_stop_under_load_confirms_what_it_published_and_repeats_nothing(world):
    print(f"WALCAST_SEED={SEED}")
    source = random.Random(SEED)
    agent = world.agent()
    # No large ones: as long as it can send, a server in the middle of one does not look at what we confirm.
    with Load(world, [1, 1, 3, 10, 30]) as load:
        for _ in range(10 if LONG else 4):
            known = int(world.position()["sync_id"])
            wait_until(lambda: int(world.position()["sync_id"]) > known + source.choice([1, 500]), what="rows are published")
            stop_in_time(agent)
            position = world.position()
            assert released(world) == history.lsn_number(position["lsn"]), "what was published is confirmed, and nothing else"
            agent.start()
            agent.wait_streaming()
            assert f"from={position['lsn']} " in agent.log_since_start()
    expect_todos(world, load.last)
    # With nobody at work the slot has exactly what is not published.
    stop_in_time(agent)
    insert(world, load.last + 1, load.last + 7)
    assert rows_left(world) == 7


def test_a_stop_inside_a_large_transaction_repeats_only_that(world):
    agent = world.agent()
    insert(world, 1, 10)
    world.settle()
    wait_until(lambda: world.confirmed() >= world.position_lsn(), what="the first rows are confirmed")
    world.sql("insert into todos select i, 'todo ' || i from generate_series(11, 150000) i")
    wait_until(lambda: "commit_lsn" in world.position(), every=0.001, what="a part is published")
    stop_in_time(agent)

    position = world.position()
    assert released(world) <= history.lsn_number(position["lsn"])
    assert rows_left(world) == (150_000 - 10 if "commit_lsn" in position else 0)
    agent.start()
    expect_todos(world, 150_000)


# --- SIGTERM while others stand still ---

@pytest.mark.parametrize("stalled", [("postgres",), ("redis", "postgres"), *([("redis",)] if LONG else [])], ids="+".join)
def test_a_stop_while_others_stand_still_ends_in_time(world, stalled):
    agent = world.agent()
    insert(world, 1, 5)
    world.settle()
    walsender = active_pid(world)
    if "redis" in stalled:
        world.redis.pause()
    insert(world, 6, 20_000)  # More than what the agent can pass on or hold.
    wait_until(lambda: bytes_unread(world.redis.port) > 0 or "redis" not in stalled, what="a batch is on its way")
    if "postgres" in stalled:
        os.kill(walsender, signal.SIGSTOP)
    try:
        took = stop_in_time(agent)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(walsender, signal.SIGCONT)
        world.redis.resume()
    print(f"stopped after {took:.1f} s")
    agent.start()
    expect_todos(world, 20_000)


# --- SIGTERM before and between sessions ---

class StallingProxy(FakeServer):
    """Passes on so many bytes of what the server says to all, and then nothing more, without closing."""

    def __init__(self, port, bytes_max):
        self._target, self._bytes_left = port, bytes_max
        self.is_stalled = threading.Event()
        super().__init__(self._pass_on)

    def _pass_on(self, client):
        with socket.create_connection(("127.0.0.1", self._target)) as server:
            threading.Thread(target=self._upstream, args=[client, server], daemon=True).start()
            while data := server.recv(1 << 16):
                client.sendall(data[:self._bytes_left])
                self._bytes_left -= min(len(data), self._bytes_left)
                if self._bytes_left == 0:
                    self.is_stalled.set()
                    threading.Event().wait(60)

    @staticmethod
    def _upstream(client, server):
        while data := client.recv(1 << 16):
            server.sendall(data)


@pytest.mark.limit(600)
def test_a_stop_at_any_byte_of_the_start_ends_at_once(world):
    print(f"WALCAST_SEED={SEED}")
    source = random.Random(SEED)
    insert(world, 1, 3)
    stages = [(which, source.choice([0, 1, 10, 100, 1000]) + source.randrange(300)) for which in ("postgres", "redis") for _ in range(40 if LONG else 5)]
    stages += [("postgres", 0), ("redis", 0)]
    for which, count in stages:
        target = world.postgres if which == "postgres" else world.redis
        with StallingProxy(target.port, count) as proxy:
            if count == 0:
                proxy.is_stalled.set()
            url = (f"postgres://postgres:{POSTGRES_PASSWORD}@127.0.0.1:{proxy.port}/{world.db}" if which == "postgres"
                   else f"redis://:{REDIS_PASSWORD}@127.0.0.1:{proxy.port}/0")
            agent = world.agent(streaming=False, config_text=world.config(**{which: url}))
            agent.wait_log("version=")
            wait_until(lambda: proxy.is_stalled.is_set() or "streaming" in agent.log(), what=lambda: f"{which} stalls after {count} bytes\n{agent.log()}")
            took = stop_in_time(agent)
            assert took < 5, f"{which} after {count} bytes: {took}\n{agent.log()}"
    world.sql("select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = %s", [world.slot])
    world.agent()
    expect_todos(world, 3)


def test_a_stop_at_any_moment_after_the_start_ends_at_once(world):
    print(f"WALCAST_SEED={SEED}")
    source = random.Random(SEED)
    insert(world, 1, 2000)
    agent = world.agent(streaming=False)
    for _ in range(200 if LONG else 12):
        time.sleep(0.2 * source.random() ** 2)  # The moment is what is random.
        begin = time.monotonic()
        agent.process.terminate()
        # Before it has its loop SIGTERM does what it does to any program.
        assert agent.wait() in ((0,) if "streaming" in agent.log_since_start() else (0, -signal.SIGTERM)), agent.log_since_start()
        assert time.monotonic() - begin < 5
        agent.start()
    expect_todos(world, 2000)


@pytest.mark.parametrize("away", ["redis", "postgres"])
def test_a_stop_between_two_attempts_ends_at_once(world, away):
    agent = world.agent()
    insert(world, 1, 3)
    world.settle()
    world.redis.kill() if away == "redis" else world.postgres.stop("immediate")
    try:
        for _ in range(3):  # Long enough for a wait between attempts.
            count = agent.log().count("retry_in")
            wait_until(lambda: agent.log().count("retry_in") > count, 20, agent.log)
        assert stop_in_time(agent) < 5
    finally:
        world.redis.start() if away == "redis" else world.postgres.start()
    world.connection = world.connect()
    agent.start()
    expect_todos(world, 3)


def test_a_stop_while_the_epoch_changes_ends_in_time_and_the_change_is_finished(world):
    print(f"WALCAST_SEED={SEED}")
    source = random.Random(SEED)
    world.rules[0]["channels"] = ["all", "todo:{id}"]
    agent = world.agent(config_text=world.config())
    world.sql("insert into todos select i, 'x' from generate_series(1, 5000) i")
    world.settle()
    old = world.position()
    agent.stop()
    world.client.hset("walcast:position", "system_id", "another database")
    agent.start()
    for _ in range(5):
        wait_until(lambda: world.position()["epoch"] != old["epoch"] or not agent.alive(), every=0.001, what="a new epoch")
        agent.wait_log("version=")
        time.sleep(0.05 * source.random())
        agent.process.terminate()
        begin = time.monotonic()
        assert agent.wait() in (0, -signal.SIGTERM), agent.log_since_start()
        assert time.monotonic() - begin < GRACE
        agent.start()
    agent.wait_streaming()
    insert(world, 5001)
    world.settle()
    histories = world.assert_sound(first_prev=None)
    assert "resetting" not in world.position() and len(histories) == 5002
    assert [item.model_id for item in world.actions("all")] == ["5001"]
    for name, entries in histories.items():
        assert history.parse(entries[0].message)["type"] == ("sync" if name == "todo:5001" else "reset")


# --- the second signal ---

@pytest.mark.parametrize("first, second", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)], ids=lambda number: signal.Signals(number).name)
def test_a_second_signal_ends_at_once(world, first, second):
    agent = world.agent()
    insert(world, 1, 3)
    world.settle()
    world.redis.pause()
    insert(world, 4, 2000)
    begin = time.monotonic()
    try:
        agent.process.send_signal(first)
        agent.wait_log("stopping")
        # Twice within a moment is one request, as `timeout` and npm send it; so this insists.
        while agent.alive() and time.monotonic() - begin < 5:
            agent.process.send_signal(second)
            time.sleep(0.05)
        assert agent.wait(1) == 1 and "second signal" in agent.log()
    finally:
        world.redis.resume()
    agent.start()
    expect_todos(world, 2000)


def test_one_signal_given_twice_is_one_request(world):
    agent = world.agent()
    insert(world, 1, 3)
    # While it is frozen both wait for it: it gets them within a moment, however slow the machine is.
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
        agent.process.send_signal(number)
    assert agent.wait() == 0
    assert "second signal" not in agent.log()


def test_a_second_signal_ends_tail_too(world):
    world.redis.pause()
    begin = time.monotonic()
    try:
        with Agent(None, command=("tail", world.redis.url(), "--channel", "*")) as agent:
            while agent.alive() and time.monotonic() - begin < 5:
                agent.process.send_signal(signal.SIGINT)
                time.sleep(0.05)
            assert agent.wait(1) in (0, 1, -signal.SIGINT)
    finally:
        world.redis.resume()


# --- SIGHUP ---

def test_a_storm_of_hang_ups_disturbs_nothing(world):
    agent = world.agent(streaming=False)
    ends = threading.Event()
    sent = 0

    def storm():
        nonlocal sent
        while not ends.wait(0.0005):
            if agent.alive() and "version=" in agent.log_since_start():  # Before that it is any program, which SIGHUP ends.
                agent.process.send_signal(signal.SIGHUP)
                sent += 1

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        with Load(world, [1, 1, 3, 10, 3000]) as load:
            agent.wait_streaming()
            for _ in range(3):
                known = int(world.position()["sync_id"])
                wait_until(lambda: int(world.position()["sync_id"]) > known + 1000, 30, agent.log)
                world.sql("select pg_terminate_backend(pid) from pg_stat_replication")
                world.client.client_kill_filter(_type="normal", skipme=True)
            stop_in_time(agent)
            agent.start()
        expect_todos(world, load.last)
    finally:
        ends.set()
        thread.join()
    print(f"{sent} hang-ups, {load.last} rows, {agent.log().count('rules unchanged')} times read")
    assert stop_in_time(agent) < GRACE


def test_a_stop_right_after_a_hang_up_ends_at_once(world):
    agent = world.agent()
    for round in range(5):
        world.rules[0]["model"] = f"Todo{round}"
        agent.config_path.write_text(world.config())
        agent.process.send_signal(signal.SIGHUP)
        assert stop_in_time(agent) < 5
        agent.start()
        agent.wait_streaming()
        insert(world, round + 1)
        world.settle()
    assert [item.model for item in world.actions("all")] == [f"Todo{round}" for round in range(5)]


# --- other signals ---

@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2], ids=lambda number: number.name)
def test_a_signal_without_a_meaning_ends_as_a_kill_does(world, number):
    agent = world.agent()
    insert(world, 1, 3)
    agent.process.send_signal(number)
    assert agent.wait() == -number
    agent.start()
    insert(world, 4)
    expect_todos(world, 4)


# --- nobody listens ---

class Unheard(Agent):
    """Its standard error, and its output, are what the test gives."""

    def __init__(self, configuration, script):
        self.script = script
        super().__init__(configuration)

    def _spawn(self, arguments, env=None, stdout=None):
        super()._spawn(["bash", "-c", f"exec \"$@\" {self.script}", "bash", *map(str, arguments)], env, stdout)


@pytest.mark.parametrize("script", ["2>/dev/full >/dev/full", "2>&- >&- <&-", "2> >(head -c1 >/dev/null)"])
def test_an_agent_whose_log_cannot_be_written_goes_on(world, script):
    agent = Unheard(world.config(), script)
    world.agents.append(agent)
    epoch = world.position()["epoch"]
    insert(world, 1, 100)
    world.settle()
    for _ in range(5):  # Each is a few lines of log.
        walsender = wait_until(lambda: active_pid(world), what="it streams")
        world.sql("select pg_terminate_backend(%s)", [walsender])
        wait_until(lambda: active_pid(world) not in (None, walsender), what="it streams again")
    insert(world, 101, 200)
    expect_todos(world, 200)
    assert world.position()["epoch"] == epoch
    assert stop_in_time(agent) < GRACE


def test_an_agent_whose_log_is_not_read_is_ended_by_a_stop(world):
    pipe = os.pipe()
    os.set_blocking(pipe[1], False)
    try:
        while True:
            os.write(pipe[1], b"x" * 512)
    except BlockingIOError:
        pass
    os.set_blocking(pipe[1], True)
    path = world.postgres.directory / "unread.toml"
    path.write_text(world.config())
    with open(world.postgres.directory / "unread", "w") as out:
        process = subprocess.Popen([walcast_binary(), "run", "--config", path], stderr=pipe[1], stdout=out)
    try:
        wait_until(lambda: open(f"/proc/{process.pid}/wchan").read() != "0" or process.poll() is not None, what="it stands still")
        process.terminate()
        assert process.wait(GRACE + 5) != 0
    finally:
        process.kill()
        process.wait()
        for end in pipe:
            os.close(end)
