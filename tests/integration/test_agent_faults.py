"""An agent frozen, starved, short of descriptors, memory, disk or time: it says so, loses nothing and repeats nothing."""

import contextlib
import datetime
import glob
import os
import pathlib
import random
import re
import resource
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
from support.world import REDIS_PASSWORD, Subscriber, World

SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
LONG = os.environ.get("WALCAST_LONG") == "1"
GRACE = 10  # Seconds from SIGTERM to Docker's SIGKILL.
MIB = 1024 * 1024
TABLES = "create table todos (id int primary key, title text); alter table todos alter title set storage external;"
RULES = [{"table": "public.*", "channels": ["all"]}]


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
    wanted = [action(i, "insert", "todos", str(i), {"id": i, "title": f"todo {i}"}) for i in range(1, last + 1)]
    assert history.differences(channels, {"all": wanted}) == []


def slot_pid(world):
    return world.postgres.slot(world.slot)["active_pid"]


def end_walsender(world):
    world.sql("select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = %s", [world.slot])


def cpu_seconds(agent):
    fields = pathlib.Path(f"/proc/{agent.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def assert_no_busy_loop(agent):
    begin = cpu_seconds(agent)
    time.sleep(0.5)  # What is measured is what it uses meanwhile.
    used = cpu_seconds(agent) - begin
    assert used < 0.2, f"{used:.2f} s of CPU within half a second of nothing to do\n{agent.log()}"


# --- frozen while a successor works ---

class HoldingProxy(FakeServer):
    """Passes bytes on to a real server, but for what the client says while held, which release() sends."""

    def __init__(self, port):
        self._target = port
        self._passing = threading.Event()
        self._passing.set()
        self.held_bytes = 0
        super().__init__(self._pass_on)

    def hold(self):
        self._passing.clear()

    def release(self):
        self._passing.set()

    def _pass_on(self, client):
        with socket.create_connection(("127.0.0.1", self._target)) as server:
            threading.Thread(target=self._downstream, args=[client, server], daemon=True).start()
            while data := client.recv(1 << 16):
                if not self._passing.is_set():
                    self.held_bytes += len(data)
                    self._passing.wait()
                server.sendall(data)

    @staticmethod
    def _downstream(client, server):
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)


def succeed(world, how="terminated"):
    """A second agent gets the slot of the first one, which is frozen."""
    successor = world.agent(streaming=False)
    successor.wait_log("standby")
    if how == "terminated":
        end_walsender(world)
    return successor.wait_streaming(40)


def assert_harmless(world, agent, before):
    """It has woken up, is fenced or stands by, and has published nothing."""
    wait_until(lambda: not agent.alive() or "standby" in agent.log_since_start(), 30, agent.log)
    assert agent.alive() or (agent.wait() == 1 and "fenced" in agent.log_since_start().lower()), agent.log()
    assert world.histories() == before


@pytest.mark.parametrize("reply", ["unread", "never sent"])
def test_an_agent_frozen_with_a_batch_on_its_way_repeats_nothing(world, reply):
    with HoldingProxy(world.redis.port) as proxy:
        first = world.agent(config_text=world.config(redis=f"redis://:{REDIS_PASSWORD}@127.0.0.1:{proxy.port}/0"))
        insert(world, 1)
        world.settle()
        proxy.hold()
        insert(world, 2, 50)
        wait_until(lambda: proxy.held_bytes > 1000, what="a batch is on its way")
        first.pause()
        if reply == "unread":
            proxy.release()  # The batch is in, and its answer waits.
            wait_until(lambda: world.position()["sync_id"] == "50", what="the batch is in")
        owner = world.position()["owner"]
        succeed(world)
        insert(world, 51, 60)
        expect_todos(world, 60)
        before = world.histories()
        with Subscriber(world.redis) as subscriber:
            proxy.release()  # A batch of an owner that was: refused, even while it sleeps.
            first.resume()
            assert_harmless(world, first, before)
            assert [message for _, message in subscriber.received if b'"sync":[{' in message] == []
        assert world.position()["owner"] != owner


def test_an_agent_frozen_beyond_wal_sender_timeout_loses_the_slot(world):
    world.sql(f"alter database {world.db} set wal_sender_timeout = '2s'")
    first = world.agent()
    insert(world, 1)
    world.settle()
    first.pause()
    insert(world, 2, 50)
    succeed(world, how="the server drops it")
    insert(world, 51, 60)
    expect_todos(world, 60)
    before = world.histories()
    first.resume()
    assert_harmless(world, first, before)


def test_agents_frozen_at_random_never_publish_twice(world):
    print(f"WALCAST_SEED={SEED}")
    source = random.Random(SEED)
    agents = [world.agent(), world.agent(streaming=False)]
    agents[1].wait_log("standby")
    known, fenced = 0, 0
    for _ in range(40 if LONG else 4):
        active, other = agents
        count = source.choice([1, 100, 3000, 20_000])
        with world.connect().cursor() as cursor:
            cursor.execute("insert into todos select i, 'todo ' || i from generate_series(%s, %s) i", [known + 1, known + count])
        known += count
        time.sleep(0.05 * source.random() ** 2)  # The instant is what is random.
        active.pause()
        end_walsender(world)
        other.wait_streaming(30)
        if source.random() < 0.5:
            insert(world, known + 1, known + 10)
            known += 10
        active.resume()
        wait_until(lambda: not active.alive() or "standby" in active.log_since_start(), 30, active.log)
        if not active.alive():
            assert active.wait() == 1 and "fenced" in active.log_since_start().lower(), active.log_since_start()
            fenced += 1
        else:
            assert active.stop() == 0
        active.start()
        active.wait_log("standby")
        agents.reverse()
    print(f"{known} rows, {fenced} times fenced")
    expect_todos(world, known)


def test_an_agent_frozen_for_longer_than_all_timeouts_goes_on_by_itself(world):
    world.sql(f"alter database {world.db} set wal_sender_timeout = '1s'")
    agent = world.agent()
    insert(world, 1)
    world.settle()
    known = slot_pid(world)
    agent.pause()
    insert(world, 2, 3000)
    wait_until(lambda: slot_pid(world) is None, 20, f"Postgres drops {known}")
    world.client.client_kill_filter(_type="normal", skipme=True)
    agent.resume()
    insert(world, 3001, 3010)
    expect_todos(world, 3010)
    assert agent.alive()
    assert_no_busy_loop(agent)


def test_an_agent_that_hardly_gets_the_cpu_goes_on(world):
    competitors = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2 * os.cpu_count())]
    try:
        agent = world.agent()
        os.setpriority(os.PRIO_PROCESS, agent.pid, 19)
        for first, last in ((1, 1000), (1001, 2000), (2001, 20_000)):
            insert(world, first, last)
        expect_todos(world, 20_000)
        assert agent.stop() == 0
    finally:
        for competitor in competitors:
            competitor.kill()
            competitor.wait()


# --- out of descriptors ---

def descriptors(agent):
    return len(os.listdir(f"/proc/{agent.pid}/fd"))


class Limited(Agent):
    """Started by a shell after `script`."""

    def __init__(self, configuration, script, **parameters):
        self.script = script
        super().__init__(configuration, **parameters)

    def _spawn(self, arguments, env=None, stdout=None):
        super()._spawn(["bash", "-c", f"{self.script}; exec \"$@\"", "bash", *map(str, arguments)], env, stdout)


def test_a_start_without_descriptors_says_so_and_one_with_enough_works(world):
    insert(world, 1, 3)
    outcomes = {}
    agent = world.agent()
    enough = descriptors(agent)
    assert agent.stop() == 0
    for limit in range(4, enough + 1) if LONG else (4, 6, enough - 5, enough - 3, enough - 2, enough - 1, enough):
        agent = Limited(world.config(), f"ulimit -S -n {limit}")
        world.agents.append(agent)
        said = wait_until(lambda: re.search("(?i)too many open files|open shared|streaming", agent.log()) or not agent.alive(), 20, agent.log)
        wait_until(lambda: not agent.alive() or "streaming" in agent.log() or "retry_in" in agent.log(), 20, agent.log)
        outcomes[limit] = agent.process.poll() if not agent.alive() else "streams" if "streaming" in agent.log() else "waits"
        assert said, f"{limit} descriptors: {agent.wait()}\n{agent.log()}"
        assert outcomes[limit] in (1, 127, "streams", "waits"), f"{limit}: {agent.log()}"
        if outcomes[limit] == "waits":  # Whoever raises the limit need not start it anew.
            resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (enough + 8, resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)[1]))
            agent.wait_streaming()
        if agent.alive():
            world.settle()
            assert agent.stop() == 0
    print(outcomes)
    assert outcomes[enough] == "streams"
    world.agent()
    expect_todos(world, 3)


def test_an_agent_that_runs_out_of_descriptors_says_so_and_recovers(world):
    agent = world.agent()
    insert(world, 1, 3)
    world.settle()
    limits = resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (3, limits[1]))  # What is open stays, and nothing more can be opened.
    # A table that is new is asked about on a second connection.
    world.sql("create table others (id int primary key, title text); alter table others replica identity full; alter publication walcast add table others")
    world.sql("insert into others values (4, 'todo 4')")
    agent.wait_log("(?i)too many open files")
    end_walsender(world)
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, limits)
    insert(world, 5, 10)
    world.settle(60)
    assert [(item.sync_id, item.model_id) for item in world.actions("all")] == [(i, str(i)) for i in range(1, 11)]
    assert agent.alive()
    assert_no_busy_loop(agent)


# --- out of memory ---

def test_an_agent_out_of_memory_ends_or_waits_and_loses_nothing(world):
    insert(world, 1, 3)
    seen = []
    for spare in range(0, 60, 3) if LONG else (1, 8, 30):
        agent = world.agent()
        world.settle()
        size = int(re.search(r"VmSize:\s*(\d+) kB", pathlib.Path(f"/proc/{agent.pid}/status").read_text()).group(1)) * 1024
        hard = resource.prlimit(agent.pid, resource.RLIMIT_AS)[1]
        resource.prlimit(agent.pid, resource.RLIMIT_AS, (size + spare * MIB, hard))
        last = int(world.position()["sync_id"]) + 1
        world.sql("insert into todos values (%s, repeat('x', 20000000))", [last])
        wait_until(lambda: not agent.alive() or "memory" in agent.log_since_start() or int(world.position()["sync_id"]) == last, 60, agent.log)
        if not agent.alive():
            seen.append(agent.wait())
            assert agent.wait() == 1 and "memory" in agent.log_since_start(), f"{agent.wait()}\n{agent.log()}"
        else:
            seen.append("waits" if "memory" in agent.log_since_start() else "passes")
            agent.kill9()
        world.agent()
        world.settle(60)
        assert world.agents[-1].stop() == 0
    print(seen)
    assert [item.sync_id for item in world.actions("all")] == list(range(1, last + 1))
    world.assert_sound()


# --- nothing writable ---

def in_mounts_of_its_own(script):
    """A shell command that runs `script`, and then what follows, where mounts are nobody else's."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount")
    # Where / is no mount point, as in a plain chroot, its propagation cannot be changed.
    is_changeable = subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
    propagation = "" if is_changeable else "--propagation unchanged"
    return f"exec unshare -m {propagation} bash -e -c '{script}; exec \"$@\"' bash \"$@\""


@pytest.mark.parametrize("is_streaming", [False, True], ids=["", "with_a_spool"])
def test_a_root_file_system_that_is_read_only(world, is_streaming):
    script = ('mkdir -p "$PWD/root"; mount --bind / "$PWD/root"; for d in "$PWD/root"; do mount -o remount,bind,ro "$d"; done; '
              'mount --bind /tmp "$PWD/root/tmp"; mount -o remount,bind,ro "$PWD/root/tmp"; set -- chroot "$PWD/root" /usr/bin/env -i "$@"')
    options = {"streaming": True, "spool": {"directory": "/tmp", "size": "1GB"}} if is_streaming else {}
    agent = Limited(world.config(**options), in_mounts_of_its_own(script))
    world.agents.append(agent)
    if is_streaming:
        assert agent.wait() == 2 and "spool" in agent.log() and "Read-only" in agent.log(), agent.log()
        return
    agent.wait_streaming()
    insert(world, 1, 1000)
    expect_todos(world, 1000)
    assert agent.stop() == 0


# --- clocks ---

class Clock:
    """An agent's clock, by libfaketime: the true one and so much."""

    def __init__(self, directory, offset="+0", fakes_monotonic=False):
        (library,) = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        self.path = pathlib.Path(directory) / "clock"
        self.env = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(self.path), "FAKETIME_NO_CACHE": "1",
                    **({} if fakes_monotonic else {"DONT_FAKE_MONOTONIC": "1"})}
        self.set(offset)

    def set(self, offset):
        new = self.path.with_suffix(".new")
        new.write_text(offset + "\n")
        new.rename(self.path)


def test_a_clock_that_jumps_disturbs_nothing(world, tmp_path):
    clock = Clock(tmp_path)
    agent = world.agent(env=clock.env)
    insert(world, 1)
    world.settle()
    last = 1
    for offset in ("+30d", "-30d", "-3650d", "+0"):
        clock.set(offset)
        insert(world, last + 1, last + 50)
        last += 50
        world.settle()
        assert_no_busy_loop(agent)
        count = agent.log().count("rules unchanged")
        agent.process.send_signal(signal.SIGHUP)
        wait_until(lambda: agent.log().count("rules unchanged") > count, what="a line of log")
        said = datetime.datetime.fromisoformat(agent.log().splitlines()[-1].split()[0].rstrip("Z"))
        away = said - datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        assert abs(away - datetime.timedelta(days=int(offset.rstrip("d")))) < datetime.timedelta(minutes=10), "the agent's clock jumped"
    expect_todos(world, last)
    for line in ("session ended", "sink lost", "new epoch"):
        assert line not in agent.log(), agent.log()
    # Commit times are Postgres', and so is nothing older by the agent's clock.
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    for message in world.messages("all"):
        assert abs(now - datetime.datetime.fromisoformat(message["commitTime"].rstrip("Z"))) < datetime.timedelta(minutes=10)
    assert agent.stop() == 0


def test_a_history_ages_by_the_time_of_redis(world, tmp_path):
    clock = Clock(tmp_path, "+400d")
    agent = world.agent(config_text=world.config(history={"length": 1000, "age": "1h"}), env=clock.env)
    insert(world, 1)
    world.settle()
    agent.stop()
    clock.set("+900d")  # The next start removes what is old.
    agent.start()
    insert(world, 2)
    expect_todos(world, 2)


@pytest.mark.parametrize("offset", ["-5000d", "+5000d"] if LONG else ["-5000d"])
def test_a_new_epoch_by_a_wrong_clock_has_ids_above_the_last_known(world, tmp_path, offset):
    agent = world.agent()
    insert(world, 1, 10)
    world.settle()
    agent.stop()
    old = 0
    for clock in (Clock(tmp_path), Clock(tmp_path, offset), Clock(tmp_path)):
        world.client.hset("walcast:position", "system_id", "another database")
        agent.env.update(clock.env)
        agent.start()
        agent.wait_streaming()
        insert(world, *world.sql("select max(id) + 1 from todos")[0])
        world.settle()
        assert agent.stop() == 0
        histories = world.assert_sound(first_prev=None)
        first = history.parse(histories["all"][0].message)
        assert first["type"] == "reset" and first["lastSyncId"] > old
        old = int(world.position()["sync_id"])
        assert old < 2**53


def test_a_monotonic_clock_that_leaps_disturbs_nothing(world, tmp_path):
    clock = Clock(tmp_path, fakes_monotonic=True)
    agent = world.agent(env=clock.env)
    last = 0
    for offset in ("+0", "+1h", "+3d"):  # As after a suspend; it never goes back.
        clock.set(offset)
        insert(world, last + 1, last + 50)
        last += 50
        world.settle(60)
        assert_no_busy_loop(agent)
    expect_todos(world, last)
    assert agent.stop() == 0


# --- names that nobody resolves ---

@pytest.mark.parametrize("which, how", [("postgres", "once"), ("redis", "twice"), *([("postgres", "twice"), ("redis", "once")] if LONG else [])])
def test_a_stop_during_a_dead_name_lookup_ends_in_time(world, which, how):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as black_hole:
        black_hole.bind((f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.1", 53))
        address = black_hole.getsockname()[0]
        script = (f'for i in 1 2 3; do echo nameserver {address}; done > "$PWD/resolv.conf"; '
                  'mount --bind "$PWD/resolv.conf" /etc/resolv.conf')
        url = f"postgres://postgres@nowhere.example:5432/{world.db}" if which == "postgres" else "redis://nowhere.example:6379/0"
        agent = Limited(world.config(**{which: url}), in_mounts_of_its_own(script), env={"RES_OPTIONS": "timeout:30"})
        world.agents.append(agent)
        black_hole.settimeout(20)
        black_hole.recv(1000)  # The question.
        begin = time.monotonic()
        agent.process.terminate()
        while how == "twice" and agent.alive():
            time.sleep(0.1)
            agent.process.terminate()
        assert agent.wait() == 1, agent.log()
        assert time.monotonic() - begin < (GRACE if how == "once" else 5)
        assert ("could not stop in time" if how == "once" else "second signal") in agent.log()
