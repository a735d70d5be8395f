"""Redis that forgets what it acknowledged: what Postgres still has comes again, with the same ids; anything else is stated.

    WALCAST_SEED=17 WALCAST_LONG=1 /usr/bin/python3 -m pytest -s tests/integration/test_redis_loss.py
"""

import os
import random
import shutil
import tempfile
import threading
import time

import pytest

from support import history
from support.checked_world import CheckedWorld, Traffic
from support.link import DOWN, UP, Link
from support.servers import Redis, config, walcast, wait_until
from support.world import REDIS_PASSWORD, ConfirmedWatch, Subscriber

SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
IS_LONG = bool(os.environ.get("WALCAST_LONG"))
ALWAYS = {"requirepass": REDIS_PASSWORD, "appendonly": "yes", "appendfsync": "always"}
SNAPSHOTS = {"requirepass": REDIS_PASSWORD, "appendonly": "no"}


@pytest.fixture(autouse=True)
def seed():
    print(f"WALCAST_SEED={SEED}")
    return SEED


@pytest.fixture
def kept(postgres):
    with Redis(ALWAYS) as redis, CheckedWorld(postgres, redis) as world:
        yield world


def wait_until_confirmed(world, text):
    wait_until(lambda: world.confirmed() >= history.lsn_number(text), 20, lambda: f"Postgres may forget what lies before {text}\n" + world.logs())


def lacks(key):
    """Whether this binary does not know that key of [redis]: a value that no key takes tells."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(config("postgres://a@127.0.0.1:1/a", "redis://127.0.0.1:1/0", [], **{key: [[]]}))
        file.flush()
        return "unknown" in walcast("run", "--config", file.name).stderr


def wait_until_it_moves(world, found):
    """The agent goes on from what Redis has, and says so where that is not enough."""
    wait_until(lambda: world.position_lsn() > found, 30, lambda: f"the position rises above {found:X}\n{world.logs()}")


# Killed and restarted.

@pytest.mark.limit(600)
def test_a_killed_redis_that_kept_everything_costs_nothing(kept, seed):
    agent = kept.agent()
    with ConfirmedWatch(kept) as watch, Subscriber(kept.redis) as subscriber:
        for number in range(30 if IS_LONG else 3):
            with Traffic(kept, seed + number) as traffic:
                traffic.wait(60)
                kept.redis.kill()
                traffic.wait(20)
                kept.redis.start()
                traffic.wait(60)
            kept.expect_exact()
        subscriber.assert_within(kept.histories())
        watch.assert_kept()
    assert agent.alive() and "session ended" not in agent.log()


@pytest.mark.limit(600)
@pytest.mark.parametrize("kind", ["everysec", "snapshots", "nothing", "emptied"])
def test_what_a_killed_redis_lost_comes_again_or_is_stated(postgres, kind, seed):
    settings = ALWAYS if kind == "emptied" else {**ALWAYS, "appendfsync": "everysec"} if kind == "everysec" else SNAPSHOTS
    with Redis(settings) as redis, CheckedWorld(postgres, redis) as world:
        agent = world.agent()
        exact = []

        def die():
            redis.kill()
            if kind == "emptied":
                shutil.rmtree(redis.directory / "appendonlydir")
            redis.start()

        with ConfirmedWatch(world) as watch:
            for number in range(20 if IS_LONG else 2):
                with Traffic(world, seed + number) as traffic:
                    traffic.wait(60)
                    if kind == "snapshots":
                        world.client.save()
                        traffic.wait(60)
                    if number % 2 == 1:
                        wait_until_confirmed(world, world.position()["lsn"])
                    with watch.suspended():
                        found, had = world.away(die)
                        traffic.wait(30)
                        wait_until_it_moves(world, found)
                    traffic.wait(30)
                exact.append(world.expect_sound(found, had))
            watch.assert_kept()
        print(f"exact: {exact}")
        assert agent.alive()
        if kind == "snapshots":
            assert not any(exact[1::2]), "Postgres had been told that it may forget"
        elif kind != "everysec":
            assert not any(exact), "what is gone cannot be there"


def test_what_redis_lost_and_postgres_still_has_comes_again_with_the_same_ids(postgres, seed):
    with Redis(SNAPSHOTS) as redis, CheckedWorld(postgres, redis) as world, Subscriber(redis) as subscriber:
        world.agent()
        with Traffic(world, seed) as traffic:
            traffic.wait(60)
            world.source.hold(UP, new=False)  # From now on nothing is confirmed.
            world.client.save()
            traffic.wait(100)
            ended = world.position()["sync_id"]

            def die():
                redis.kill()
                world.source.sever()
                redis.start()
            found, had = world.away(die)
            assert int(world.position()["sync_id"]) < int(ended)
            traffic.wait(60)
        assert world.expect_sound(found, had)

        # What subscribers heard twice was the same both times, action by action.
        told = {(name, item.sync_id): item for name, entries in world.histories().items() for item in history.actions(entries)}
        heard = [(name, item) for name, data in subscriber.received if name != "walcast:control"
                 for item in history.actions([history.Entry(b"", data)])]
        assert [(name, item) for name, item in heard if told.get((name, item.sync_id)) != item] == []
        assert len(heard) > len({(name, item.sync_id) for name, item in heard}), "some came again"


# The append-only file, cut at any byte.

class Cutter:
    """Ends Redis and cuts the tail of its append-only file, so that so many bytes are left."""

    def __init__(self, world):
        self.world = world

    def file(self):
        (path,) = (self.world.redis.directory / "appendonlydir").glob("*.incr.aof")
        return path

    def size(self):
        return self.file().stat().st_size

    def cut(self, size):
        self.world.redis.kill()
        assert size <= self.size()
        os.truncate(self.file(), size)
        self.world.redis.start()


@pytest.mark.limit(7200)
@pytest.mark.parametrize("told", [False, True], ids=["unconfirmed", "confirmed"])
def test_an_append_only_file_cut_at_any_byte(kept, told, seed):
    chance = random.Random(seed)
    kept.agent()
    cutter = Cutter(kept)
    lengths, exact = [], []

    def cut_round(choose, rows=20):
        before = cutter.size()
        position = kept.position()["lsn"]
        if not told:
            kept.source.hold(UP, new=False)
        if rows:
            kept.row()
            kept.rows(rows)
        kept.settle()
        if told:
            wait_until_confirmed(kept, kept.position()["lsn"])
        length = cutter.size() - before
        lengths.append(length)
        keep = choose(length)

        def die():
            cutter.cut(before + keep)
            if not told:
                kept.source.sever()
        found, had = kept.away(die)
        assert found >= history.lsn_number(position), "what lies before the cut is there"
        kept.row()
        exact.append(kept.expect_sound(found, had))
        if not told:
            assert exact[-1], f"{keep} of {length} bytes kept"

    cut_round(lambda length: length - 1)
    if not told or IS_LONG:
        for choose in (lambda length: 0), (lambda length: 1), (lambda length: length // 2):
            cut_round(choose)
    for _ in range(0 if told and not IS_LONG else 6):
        cut_round(lambda length: chance.randrange(length))
    if IS_LONG and not told:
        cut_round(lambda length: 0, rows=0)
        for keep in range(lengths[-1] + 1):  # Of one small batch, every byte.
            cut_round(lambda length: min(keep, length), rows=0)
    print(f"cuts: {len(exact)}, exact: {sum(exact)}, about {lengths[-1]} bytes each")
    assert not told or not all(exact)


# Failover to a replica.

class Replicated(CheckedWorld):
    """A primary and its replica, connected through `replication`."""

    def __init__(self, postgres, **options):
        settings = {**ALWAYS, "masterauth": REDIS_PASSWORD, "repl-timeout": 3600, "repl-diskless-sync-delay": 0}
        self.primary, self.replica = Redis(settings), Redis(settings)
        super().__init__(postgres, self.primary, **options)
        self._owned += [self.primary, self.replica]
        self.replication = Link(self.primary.port)
        self.replica.client().execute_command("REPLICAOF", "127.0.0.1", self.replication.port)
        wait_until(self.is_in_step, 30, "the replica is in step")

    def __exit__(self, *error):
        self.replication.close()
        super().__exit__(*error)

    def is_in_step(self):
        told = self.replica.client().info("replication")
        return told["master_link_status"] == "up" and told["slave_repl_offset"] == self.primary.client().info("replication")["master_repl_offset"]

    def promote(self):
        """What the replica has not heard by now it never hears."""
        self.replication.refuse()
        self.replication.sever()
        self.replica.client().execute_command("REPLICAOF", "NO", "ONE")
        self.link.switch(self.replica.port)
        self.follow(self.replica)


@pytest.mark.parametrize("told", [False, True], ids=["unconfirmed", "confirmed"])
def test_failover_to_a_replica_that_lacks_the_tail(postgres, told, seed):
    with Replicated(postgres) as world:
        world.agent()
        with ConfirmedWatch(world) as watch, Traffic(world, seed) as traffic:
            traffic.wait(60)
            if not told:
                world.source.hold(UP, new=False)
            world.replication.hold(DOWN)
            traffic.wait(60)
            if told:
                wait_until_confirmed(world, world.position()["lsn"])

            def fail_over():
                if not told:
                    world.source.sever()
                world.promote()
            with watch.suspended():
                found, had = world.away(fail_over)
                assert found < history.position_lsn(world.primary.client())
                wait_until_it_moves(world, found)
            old = world.primary.client().hgetall("walcast:position")
            traffic.wait(60)
        watch.assert_kept()
        assert world.expect_sound(found, had) == (not told)
        assert world.primary.client().hgetall("walcast:position") == old, "the old primary is left alone"

        # It comes back as a replica of the new one, as Sentinel has it, and then leads again.
        world.primary.client().execute_command("REPLICAOF", "127.0.0.1", world.replica.port)
        wait_until(lambda: world.primary.client().info("replication")["master_link_status"] == "up", 30, "the old primary follows")
        with Traffic(world, seed + 1) as traffic:
            traffic.wait(30)
            world.replica.client().execute_command("FAILOVER", "TO", "127.0.0.1", world.primary.port, "TIMEOUT", 20000)
            wait_until(lambda: world.primary.client().info("replication")["role"] == "master", 30, "a failover that loses nothing")
            world.link.switch(world.primary.port)
            world.follow(world.primary)
            traffic.wait(30)
        world.expect_exact()


def test_an_owner_left_behind_with_the_old_primary_does_no_harm(postgres, seed):
    with Replicated(postgres) as world:
        first = world.agent()
        with Traffic(world, seed) as traffic, ConfirmedWatch(world) as watch:
            traffic.wait(60)
            (walsender,) = [pid for pid, in world.sql("select active_pid from pg_replication_slots where slot_name = %s", [world.slot])]
            world.source.hold(DOWN, new=False)
            traffic.wait(30)
            wait_until(lambda: world.source.holds(DOWN) > 1000, what="rows are on their way to the first agent")
            first.pause()
            world.replication.refuse()
            world.replication.sever()
            with watch.suspended():
                world.replica.client().execute_command("REPLICAOF", "NO", "ONE")
                world.follow(world.replica)
                found, had = world.position_lsn(), world.channels()
                second = world.agent(streaming=False, config_text=world.config(redis=world.replica, postgres=world.url()))
                second.wait_log("standby")
                world.sql("select pg_terminate_backend(%s)", [walsender])
                second.wait_streaming()
                wait_until_it_moves(world, found)
            # It finds the old primary as it was, and rows that it has not sent there.
            published = world.primary.client().hget("walcast:position", "sync_id")
            first.resume()
            world.source.release()
            wait_until(lambda: world.primary.client().hget("walcast:position", "sync_id") != published or "standby" in first.log_since_start()
                       or not first.alive(), 20, first.log)
            traffic.wait(60)
            wait_until(lambda: "standby" in first.log_since_start() or not first.alive(), 30, first.log)
        watch.assert_kept()
        world.expect_sound(found, had)
        assert second.alive()


# What waits for Redis to be safe before it tells Postgres.

@pytest.mark.skipif(lacks("wait_replicas"), reason="this binary has no wait_replicas")
def test_with_wait_replicas_a_failover_loses_nothing(postgres, seed):
    with Replicated(postgres, wait_replicas=1) as world:
        agent = world.agent()
        with ConfirmedWatch(world) as watch, Traffic(world, seed) as traffic:
            traffic.wait(30)
            wait_until_confirmed(world, world.position()["lsn"])  # While the replica is in step.
            for _ in range(3 if IS_LONG else 1):
                with watch.suspended():
                    world.replication.hold(DOWN)
                    stored = world.position()["lsn"]
                    traffic.wait(60)
                    # Published it is, but not confirmed: for longer than it takes to ask the replica, and to report.
                    time.sleep(3)
                    assert world.position_lsn() > history.lsn_number(stored)
                    assert world.confirmed() <= history.position_lsn(world.replica.client())
                    world.replication.release()
                    wait_until_confirmed(world, world.position()["lsn"])
            world.replication.hold(DOWN)
            traffic.wait(60)
            time.sleep(1.5)  # Whatever would be confirmed too soon shall be.
            with watch.suspended():
                found, had = world.away(world.promote)
                assert found < history.position_lsn(world.primary.client())
                wait_until_it_moves(world, found)
            traffic.wait(60)
        watch.assert_kept()
        assert world.expect_sound(found, had), "Postgres still has what the replica had not"
        assert agent.alive()


class Sizes:
    """How large a file was, and when."""

    def __init__(self, path):
        self.seen = []
        self._path = path
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join()

    def _watch(self):
        while not self._ends.wait(0.05):
            self.seen.append((time.monotonic(), self._path.stat().st_size))

    def before(self, seconds):
        """The size it had at least so long ago."""
        then = time.monotonic() - seconds
        return max((size for moment, size in self.seen if moment <= then), default=0)


@pytest.mark.limit(300)
@pytest.mark.skipif(lacks("confirm_delay"), reason="this binary has no confirm_delay")
def test_with_confirm_delay_a_loss_of_power_loses_nothing(postgres, seed):
    with Redis({**ALWAYS, "appendfsync": "everysec"}) as redis, CheckedWorld(postgres, redis, confirm_delay="2s") as world:
        agent = world.agent()
        cutter = Cutter(world)
        for number in range(10 if IS_LONG else 1):
            with Traffic(world, seed + number) as traffic, Sizes(cutter.file()) as sizes:
                begun = world.position()["lsn"]
                traffic.wait(20)
                wait_until_confirmed(world, begun)
                traffic.wait(20)
                time.sleep(1.5)
                # What was written in the last second was in no disk's memory.
                found, had = world.away(lambda: cutter.cut(sizes.before(1.0)))
                traffic.wait(20)
            assert world.expect_sound(found, had), "Postgres still has what is not on the disk"
        assert agent.alive()
