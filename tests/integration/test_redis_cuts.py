"""The connection to Redis, cut at every byte of what is said on it, and replies that come too late.

    WALCAST_SEED=17 WALCAST_LONG=1 /usr/bin/python3 -m pytest -s tests/integration/test_redis_cuts.py
"""

import os
import random

import pytest

from support import history
from support.checked_world import CheckedWorld, Traffic
from support.link import DOWN, UP, Link
from support.servers import wait_until
from support.world import POSTGRES_PASSWORD, ConfirmedWatch, Subscriber

SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
IS_LONG = bool(os.environ.get("WALCAST_LONG"))


@pytest.fixture
def world(postgres, redis):
    print(f"WALCAST_SEED={SEED}")
    with CheckedWorld(postgres, redis) as world:
        yield world


def sample(length, edges, count, chance):
    """All offsets in the long test; otherwise the edges with their neighbours, and some others."""
    if IS_LONG:
        return list(range(length + 1))
    near = {offset + step for offset in edges for step in (-1, 0, 1)}
    return sorted({offset for offset in near | set(chance.choices(range(length + 1), k=count)) if 0 <= offset <= length})


def small_batch(world):
    """One transaction of several messages on several channels."""
    world.transaction(f"insert into todos values (nextval('ids'), 1, 7, 'first')", "insert into notes values (nextval('ids'), 'second')")


def settled(world):
    lsn = world.sql("select pg_current_wal_flush_lsn()::text")[0][0]
    world.wait_for_position(lsn, 30)


def measure(world, act):
    """How many bytes pass in each direction."""
    before = {direction: (world.link.edges[direction] or [0])[-1] for direction in (UP, DOWN)}

    def passed():
        return {direction: [edge - before[direction] for edge in world.link.edges[direction] if edge > before[direction]]
                for direction in (UP, DOWN)}
    act()
    wait_until(lambda: all(passed().values()), 10, "the reply has passed, too")
    return passed()


@pytest.mark.limit(7200)
def test_a_cut_at_any_byte_of_a_batch_and_of_its_reply(world):
    chance = random.Random(SEED)
    world.sql("create sequence ids start 1000000000")
    agent = world.agent()
    with ConfirmedWatch(world) as watch, Subscriber(world.redis) as subscriber:
        world.row()
        settled(world)

        def one():
            small_batch(world)
            settled(world)
        # Of the batch alone: something else may be said after it.
        up, down = (measure(world, one)[direction][0] for direction in (UP, DOWN))
        cuts = [(UP, offset, how) for offset in sample(up, [0, up], 24, chance)
                for how in (["rst", "fin"] if IS_LONG else [chance.choice(["rst", "fin"])])]
        cuts += [(DOWN, offset, how) for offset in range(down + 1) for how in ("rst", "fin")]
        chance.shuffle(cuts)
        for direction, offset, how in cuts:
            before = world.link.cuts
            world.link.cut_after(offset, direction, how)
            small_batch(world)
            # This batch may be shorter by some digits than the one that was measured.
            wait_until(lambda: world.link.cuts > before or world.position_lsn() >= lsn_now(world), 20, world.logs)
            small_batch(world)
            settled(world)
        world.expect_exact()
        subscriber.assert_within(world.histories())
        watch.assert_kept()
    print(f"{world.link.cuts} cuts, of {up} and {down} bytes")
    assert world.link.cuts >= 0.9 * len(cuts)
    assert agent.alive() and "session ended" not in agent.log()


def lsn_now(world):
    return history.lsn_number(world.sql("select pg_current_wal_flush_lsn()::text")[0][0])


@pytest.mark.limit(7200)
def test_a_cut_at_any_byte_of_many_batches_at_once(world):
    chance = random.Random(SEED)
    agent = world.agent()
    with ConfirmedWatch(world) as watch, Subscriber(world.redis) as subscriber, Traffic(world, SEED) as traffic:
        for _ in range(400 if IS_LONG else 8):
            traffic.wait(5)
            before = world.link.cuts
            direction = chance.choice([UP, UP, DOWN])
            world.link.cut_after(chance.randrange(20000 if direction == UP else 50), direction, chance.choice(["rst", "fin"]))
            world.rows(200)
            wait_until(lambda: world.link.cuts > before, 20, "cut")
        traffic.stop()
        world.expect_exact()
        subscriber.assert_within(world.histories())
        watch.assert_kept()
    assert agent.alive()


@pytest.mark.limit(7200)
def test_a_cut_at_any_byte_of_the_take_over(world):
    """Password, check, script, position, ownership, adoption: of the first start, and of a reconnect."""
    chance = random.Random(SEED)
    sizes = measure(world, world.agent)
    (agent,) = world.agents
    world.row()
    settled(world)
    with ConfirmedWatch(world) as watch:
        cuts = [(direction, offset) for direction in (UP, DOWN)
                for offset in sample(sizes[direction][-1], sizes[direction], 4, chance)]
        for direction, offset in cuts:
            before = world.link.cuts
            is_start = chance.random() < 0.1
            if is_start:
                assert agent.stop() == 0
            world.link.cut_after(offset, direction, chance.choice(["rst", "fin"]))
            if is_start:
                agent.start()
            else:
                world.link.sever()
            world.row()
            # What is said varies by a byte or two: then it is the next one's.
            wait_until(lambda: world.link.cuts > before or world.position_lsn() >= lsn_now(world), 20, lambda: "cut\n" + world.logs())
            settled(world)
        world.expect_exact()
        watch.assert_kept()
    print(f"{world.link.cuts} cuts, of {sizes[UP][-1]} and {sizes[DOWN][-1]} bytes")
    assert agent.alive()


@pytest.mark.limit(300)
@pytest.mark.skipif(not IS_LONG, reason="takes the minute that a batch may take")
def test_a_silence_is_noticed_within_a_minute(world):
    agent = world.agent()
    world.row()
    settled(world)
    for direction in UP, DOWN:
        world.link.cut_after(5, direction, "silence")
        world.row()
        agent.wait_log("sink lost .*in time", 90)
        settled(world)
        agent.mark_log()
    world.expect_exact()


def test_a_silence_that_ends_in_a_reset(world):
    agent = world.agent()
    with Traffic(world, SEED) as traffic:
        for direction in UP, DOWN:
            traffic.wait(10)
            before = world.link.cuts
            world.link.cut_after(3, direction, "silence")
            wait_until(lambda: world.link.cuts > before, 20, "silence")
            traffic.wait(30)
            world.link.sever()
    world.expect_exact()
    assert agent.alive()


# Late replies: the agent waits for one while another takes slot and sink.

class Late:
    """An agent whose words with Redis go through a link of its own, cut off from Postgres at will."""

    def __init__(self, world):
        self.world = world
        self.link, self.source = Link(world.redis.port), Link(world.postgres.port)
        url = f"postgres://postgres:{POSTGRES_PASSWORD}@127.0.0.1:{self.source.port}/{world.db}"
        self.agent = world.agent(streaming=False, config_text=world.config(redis=world.url_through(self.link), postgres=url), started=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.link.close()
        self.source.close()

    def is_cut_off(self, silently):
        """Postgres cannot be reached any more; if so, it does not learn that its connection has ended."""
        self.source.refuse()
        if silently:
            self.source.hold(UP, DOWN)

    def loses_the_slot(self):
        self.world.sql("select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = %s", [self.world.slot])

    def heals(self):
        self.source.sever()
        self.source.release()
        self.source.accept()


@pytest.fixture
def late(world):
    with Late(world) as late:
        yield late


ADOPT, COMMIT, TAKE_OVER = b"\"type\":\"agent\"", b"EVALSHA", b"log:probe"


@pytest.mark.parametrize("silently", [False, True])
@pytest.mark.parametrize("reply", ["take_over", "adopt", "batch"])
def test_a_reply_that_comes_after_another_took_over(world, late, reply, silently):
    with ConfirmedWatch(world) as watch, Subscriber(world.redis) as subscriber:
        if reply != "batch":
            world.row()
        late.link.hold_at({"take_over": TAKE_OVER, "adopt": ADOPT, "batch": COMMIT}[reply], seen=UP, held=DOWN)
        late.agent.start()
        if reply == "batch":
            late.agent.wait_streaming()
            world.row()
        wait_until(lambda: late.link.holds(DOWN), 20, lambda: "a reply is held\n" + world.logs())
        late.is_cut_off(silently)
        late.loses_the_slot()
        second = world.agent(config_text=world.config(postgres=world.url()))
        for _ in range(20):
            world.row()
        world.expect_exact()
        owner = world.position()["owner"]

        late.link.release()
        late.heals()
        # It finds that it has lost, and stands by, or, where it cannot know, is refused.
        wait_until(lambda: "standby" in late.agent.log_since_start() or not late.agent.alive(), 30, late.agent.log)
        world.row()
        world.expect_exact()
        assert second.alive(), second.log()
        assert world.position()["owner"] == owner
        subscriber.assert_within(world.histories())
        watch.assert_kept()


def test_a_start_held_up_between_its_look_at_postgres_and_its_slot(world, late):
    """Another agent takes the slot meanwhile, publishes, and is gone: its position lies above the log's end as the first one saw it."""
    late.source.hold_at(b"START_REPLICATION", seen=UP, held=UP)
    late.agent.start()
    wait_until(lambda: late.source.holds(UP), 20, lambda: "its START_REPLICATION is held\n" + world.logs())
    second = world.agent(config_text=world.config(postgres=world.url()))
    for _ in range(20):
        world.row()
    world.expect_exact()
    second.kill9()
    wait_until(lambda: not world.postgres.slot(world.slot)["active"], 20, "the slot is free")
    late.source.release()
    late.agent.wait_streaming()
    world.row()
    world.expect_exact()


def test_a_start_held_up_between_its_slot_and_its_sink(world, late):
    """It has the slot and asks Redis; frozen there, it loses the slot to another. Awake, it must leave the other alone."""
    world.row()
    late.link.hold_at(b"HGETALL", seen=UP, held=DOWN)
    late.agent.start()
    wait_until(lambda: late.link.holds(DOWN), 20, lambda: "its look at the position is held\n" + world.logs())
    late.is_cut_off(silently=True)
    late.loses_the_slot()
    second = world.agent(config_text=world.config(postgres=world.url()))
    for _ in range(20):
        world.row()
    world.expect_exact()
    owner = world.position()["owner"]
    late.link.release()
    world.row()
    wait_until(lambda: world.position()["owner"] != owner or "sink lost" in late.agent.log() or "session ended" in late.agent.log(), 40,
               lambda: "it goes on\n" + world.logs())
    assert world.position()["owner"] == owner, world.logs()
    late.heals()
    wait_until(lambda: "standby" in late.agent.log_since_start(), 30, late.agent.log)
    world.row()
    world.expect_exact()
    assert second.alive()
