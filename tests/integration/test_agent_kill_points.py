"""kill -9 before each system call of an agent's life: start, small batches, a large transaction in parts, idle progress, stop.

strace kills the agent as it enters the n-th call of a kind. The default run takes a random sample; all of them:

    WALCAST_LONG=1 /usr/bin/python3 -m pytest -s tests/integration/test_agent_kill_points.py
"""

import collections
import os
import random
import re
import subprocess

import pytest

from support import history
from support.history import action
from support.servers import Agent, Postgres, wait_until, walcast_binary
from support.world import ConfirmedWatch, Subscriber, World

SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
LONG = os.environ.get("WALCAST_LONG") == "1"
# What passes between the agent and the world; memory and libraries are its own affair.
CALLS = ("alarm,close,connect,dup,epoll_create1,epoll_ctl,epoll_wait,eventfd2,exit_group,ftruncate,getsockopt,openat,poll,pread64,"
         "pwrite64,read,recvfrom,recvmsg,rt_sigreturn,sendmsg,sendto,setsockopt,shutdown,socket,timerfd_settime,write").split(",")
TABLES = "create table todos (id int primary key, title text);"
RULES = [{"table": "public.todos", "model": "Todo", "channels": ["all"]}]
LARGE = 12_000  # Rows of 100 bytes: four batches.


class TracedAgent(Agent):
    """An agent under strace, which is its child and leaves no process between the test and it."""

    def trace(self, calls, inject=None):
        self.trace_path = self.directory / "trace"
        self.binary = "strace"
        self.command = ["-D", "-f", "-qq", "-o", str(self.trace_path), "-e", f"trace={','.join(calls)}"]
        if inject:
            call, number = inject
            self.command += ["-e", f"inject={call}:signal=KILL:when={number}"]
        self.command += ["--", walcast_binary(), "run"]
        self.start()

    def calls_made(self):
        """{call: (how many were made until the agent had its loop, how many in all)}"""
        made = re.findall(r"^\d+ +(\w+)\(", self.trace_path.read_text(errors="replace"), re.MULTILINE)
        early, all_made = collections.Counter(made[:made.index("epoll_create1")]), collections.Counter(made)
        return {call: (early[call], all_made[call]) for call in all_made if early[call] < all_made[call]}


@pytest.fixture(scope="module", autouse=True)
def strace_works():
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True)
    assert tried.returncode == 0, \
        f"strace cannot trace here, which these tests need (a container: --cap-add SYS_PTRACE): {tried.stderr.strip()}"


class Life:
    """What an agent lives through, in a world whose todos have their sync ids as keys."""

    def __init__(self, world):
        self.world = world
        self.traced, self.plain = TracedAgent(world.config(), started=False), Agent(world.config(), started=False)
        world.agents += [self.traced, self.plain]
        self.last = self.known = 0
        self.checked = b"0-0"  # The entry that ends with `known`.

    def insert(self, count):
        self.world.sql("insert into todos select i, repeat('x', 100) from generate_series(%s, %s) i", [self.last + 1, self.last + count])
        self.last += count

    def wait(self, condition, agent):
        """False when the agent dies before it."""
        return wait_until(lambda: condition() or not agent.alive(), 30, agent.log) and agent.alive()

    def wait_published(self, agent):
        return self.wait(lambda: int(self.world.position()["sync_id"]) == self.last, agent)

    def drive(self, agent, is_idle=True):
        """Its whole life; whether it was lived to the end."""
        if not self.wait(lambda: "streaming" in agent.log_since_start(), agent):
            return False
        for count in (1, 3):
            self.insert(count)
            if not self.wait_published(agent):
                return False
        self.insert(LARGE)
        self.insert(2)
        if not self.wait_published(agent):
            return False
        lsn = history.lsn_number(self.world.sql("select pg_logical_emit_message(false, 'idle', '')::text")[0][0])
        if is_idle and not self.wait(lambda: self.world.position_lsn() >= lsn, agent):  # At most a second later.
            return False
        self.insert(1)
        agent.process.terminate()
        return agent.wait() == 0

    def check(self):
        """Starts the agent as it is, and all is in history exactly once."""
        self.plain.start()
        self.plain.wait_streaming()
        self.insert(1)
        assert self.wait_published(self.plain), self.plain.log_since_start()
        assert self.plain.stop() == 0
        entries = history.read_stream(self.world.client, "walcast:log:all", b"(" + self.checked)
        wanted = [action(i, "insert", "Todo", str(i), {"id": i, "title": "x" * 100}) for i in range(self.known + 1, self.last + 1)]
        assert history.differences({"all": entries}, {"all": wanted}) == []
        self.checked, self.known = entries[-1].id, self.last


def points(made, count):
    """(call, n): all of them, or a sample in which the frequent calls do not drown the others, nor the late ones, which
    another life may not have."""
    source = random.Random(SEED)
    if LONG:
        return [(call, n) for call, (early, last) in sorted(made.items()) for n in range(early + 1, last + 1)]
    calls = source.choices(list(made), [(last - early) ** 0.5 for early, last in made.values()], k=count)
    return [(call, early + 1 + int((last - early) * source.random() ** 2)) for call in calls for early, last in [made[call]]]


def total(made):
    return sum(last - early for early, last in made.values())


@pytest.fixture(scope="module")
def postgres():
    with Postgres(settings={"logical_decoding_work_mem": "64kB", "output_plugin_libraries": "pgoutput, wal2json"}) as server:
        yield server


@pytest.mark.limit(7200 if LONG else 180)
@pytest.mark.parametrize("options, count", [({}, 12), ({"streaming": True}, 5), ({"plugin": "wal2json"}, 3)], ids=lambda value: str(value))
def test_a_kill_before_any_system_call_leaves_all_exactly_once(postgres, redis, options, count):
    print(f"WALCAST_SEED={SEED}")
    with World(RULES, postgres, redis, TABLES, history={"length": 100_000_000, "age": "24h"}, **options) as world:
        epoch = world.init().position()["epoch"]
        life = Life(world)
        with Subscriber(redis) as subscriber, ConfirmedWatch(world) as watch:
            life.traced.trace(CALLS)
            assert life.drive(life.traced), life.traced.log()
            made = life.traced.calls_made()
            life.check()
            killed, outlived, left_inside = collections.Counter(), collections.Counter(), 0
            for number, point in enumerate(points(made, count)):
                if outlived[point[0]] == 3:
                    continue  # Lives have different lengths: this one had fewer such calls.
                print("{} {}".format(*point), end="; ", flush=True)
                life.traced.trace(CALLS, point)
                if not life.drive(life.traced, LONG or number % 4 == 0):
                    assert life.traced.wait() == -9, life.traced.log_since_start()
                    killed[point[0]] += 1
                    left_inside += "commit_lsn" in world.position()
                else:
                    outlived[point[0]] += 1
                life.check()
            print(f"\n{total(made)} calls in a life; killed {killed.total()} times, {left_inside} of them inside a transaction: {dict(killed)}")
            assert killed.total() > 0
            channels = world.assert_sound()
            assert world.position()["epoch"] == epoch
            subscriber.assert_within(channels)
            watch.assert_kept()


@pytest.mark.limit(3600 if LONG else 180)
def test_a_kill_before_any_system_call_of_a_new_epoch_is_made_good(postgres, redis):
    print(f"WALCAST_SEED={SEED}")
    with World([{**RULES[0], "channels": ["all", "of:{id}"]}], postgres, redis, TABLES) as world:
        world.init()
        life = Life(world)
        life.insert(150)  # As many channels: their resets take two calls.
        life.plain.start()
        life.wait_published(life.plain)
        life.plain.stop()

        def begin_anew(point=None):
            """The position that was before, and how the agent ended."""
            old = world.position()
            world.client.hset("walcast:position", "system_id", "another database")
            life.traced.trace(CALLS, point)
            if life.wait(lambda: "streaming" in life.traced.log_since_start(), life.traced):
                life.traced.process.terminate()
            code = life.traced.wait()
            assert code in (0, -9), life.traced.log_since_start()
            return old, code

        begin_anew()
        made = life.traced.calls_made()
        killed = 0
        for point in points(made, 7):
            print("{} {}".format(*point), end="; ", flush=True)
            old, code = begin_anew(point)
            killed += code == -9
            life.plain.start()
            life.plain.wait_streaming()
            number = life.last + 1
            life.insert(1)
            wait_until(lambda: [item.model_id for item in world.actions("all")] == [str(number)], what=lambda: f"todo {number}\n{world.logs()}")
            assert life.plain.stop() == 0
            position, histories = world.position(), world.assert_sound(first_prev=None)
            assert position["epoch"] != old["epoch"] and "resetting" not in position
            for name, entries in histories.items():
                first = history.parse(entries[0].message)
                assert (first["type"] == "reset" and first["lastSyncId"] > int(old["sync_id"])) or name == f"of:{number}", f"{name}: {first}"
        print(f"\n{total(made)} calls; killed {killed} times")
        assert killed > 0
