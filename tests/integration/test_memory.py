"""Bounded memory: transactions of any size, and a Redis that is slow or away."""

import threading

import pytest

from support import history
from support.history import action
from support.servers import Postgres, Redis, wait_until
from support.world import REDIS_PASSWORD, World

MIB = 1024 * 1024
RULES = [{"table": "public.rows", "model": "Row", "channels": ["all"]}]
TABLES = "create table rows (id int primary key, title text);"


@pytest.mark.limit(180)
def test_a_transaction_of_a_million_rows_passes_within_64_mib():
    with World(RULES, tables=TABLES, history={"length": 10_000_000, "age": "24h"}) as world:
        world.init()
        agent = world.agent()
        world.sql("insert into rows select i, 'row number ' || i from generate_series(1, 1000000) i")
        world.settle(120)
        assert agent.rss_max() < 64 * MIB, f"{agent.rss_max() / MIB:.1f} MiB"
        print(f"VmHWM {agent.rss_max() / MIB:.1f} MiB")

        expected = 1
        entries = world.entries("all")
        for entry in entries:
            message = history.parse(entry.message)
            for item in message["sync"]:
                assert item["syncId"] == expected and item["data"] == {"id": expected, "title": f"row number {expected}"}
                expected += 1
        assert expected == 1_000_001
        assert history.problems({"all": entries}, world.position()["epoch"]) == []


@pytest.mark.limit(180)
def test_large_values_pass_within_bounds():
    with World(RULES, tables=TABLES) as world:
        world.init()
        agent = world.agent()
        # 300 MB in one transaction, a megabyte each.
        world.sql("insert into rows select i, repeat(md5(i::text), 32768) from generate_series(1, 300) i")
        world.settle(90)
        assert [item.sync_id for item in world.actions("all")] == list(range(1, 301))
        assert agent.rss_max() < 64 * MIB, f"{agent.rss_max() / MIB:.1f} MiB"


@pytest.mark.limit(400)
def test_a_million_channels_pass_within_64_mib_and_keep_their_chains():
    rules = [{"table": "public.rows", "model": "Row", "channels": ["row:{id}"]}]
    with World(rules, tables=TABLES) as world:
        world.init()
        agent = world.agent()
        world.sql("insert into rows select i, 'first' from generate_series(1, 1000000) i")
        world.settle(240)
        # Of channels that are long forgotten, of some that are not, and of the same ones twice.
        ids = list(range(1, 1001)) + list(range(999_001, 1_000_001))
        for title in "second", "third":
            world.sql("update rows set title = %s where id = any(%s)", [title, ids])
        world.settle(60)
        assert agent.rss_max() < 64 * MIB, f"{agent.rss_max() / MIB:.1f} MiB"
        print(f"VmHWM {agent.rss_max() / MIB:.1f} MiB")

        assert world.client.zcard("walcast:channels") == 1_000_000
        for row in ids:
            messages = [history.parse(entry.message) for entry in world.entries(f"row:{row}")]
            assert [item["data"]["title"] for message in messages for item in message["sync"]] == ["first", "second", "third"]
            assert messages[0]["sync"][0]["syncId"] == row
            previous = [message["prevSyncId"] for message in messages]
            assert previous[1:] == [message["lastSyncId"] for message in messages[:-1]]
            assert previous[0] < row


@pytest.mark.limit(180)
def test_channels_of_long_names_are_remembered_within_bounds():
    rules = [{"table": "public.rows", "model": "Row", "channels": ["row:{title}"], "columns": ["id"]}]
    with World(rules, tables=TABLES) as world:
        world.init()
        agent = world.agent()
        world.sql("insert into rows select i, rpad(i::text, 1000, 'x') from generate_series(1, 100000) i")
        world.settle(90)
        assert agent.rss_max() < 64 * MIB, f"{agent.rss_max() / MIB:.1f} MiB"


class Writer:
    """Inserts on and on, ids in commit order, from one connection."""

    def __init__(self, world, rows=20, filler=200):
        self.last = 0
        self._world, self._rows, self._filler = world, rows, filler
        self._connection = world.connect()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self):
        while not self._ends.wait(0.001):
            with self._connection.cursor() as cursor:
                cursor.execute("insert into rows select i, repeat('x', %s) from generate_series(%s, %s) i",
                               [self._filler, self.last + 1, self.last + self._rows])
            self.last += self._rows

    def stop(self):
        self._ends.set()
        self._thread.join()


@pytest.mark.limit(180)
@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_redis_away_for_six_seconds_costs_neither_the_connection_nor_a_row(how):
    # Appended before it is answered: what a killed Redis acknowledged, it still has.
    with Postgres(settings={"wal_sender_timeout": "2s"}) as postgres, \
            Redis({"requirepass": REDIS_PASSWORD, "appendfsync": "always"}) as redis, \
            World(RULES, postgres, redis, TABLES) as world:
        world.init()
        agent = world.agent()
        (walsender,) = postgres.walsender_pids()
        epoch = world.position()["epoch"]
        writer = Writer(world)
        try:
            wait_until(lambda: int(world.position()["sync_id"]) > 1000, what="1000 rows")
            redis.pause() if how == "frozen" else redis.kill()
            ends = threading.Event()
            # The time away is what is tested: three times what the server waits for a sign of life.
            ends.wait(6)
            assert postgres.walsender_pids() == [walsender], agent.log()
            redis.resume() if how == "frozen" else redis.start()
            at_return = writer.last
            wait_until(lambda: int(world.position()["sync_id"]) > at_return, 40, lambda: "it catches up\n" + agent.log())
        finally:
            writer.stop()
        world.settle(40)

        assert postgres.walsender_pids() == [walsender], agent.log()
        assert (world.position()["epoch"], int(world.position()["sync_id"])) == (epoch, writer.last)
        wanted = [action(i, "insert", "Row", str(i), {"id": i, "title": "x" * 200}) for i in range(1, writer.last + 1)]
        assert history.differences(world.assert_sound(), {"all": wanted}) == []
        assert agent.rss_max() < 64 * MIB, f"{agent.rss_max() / MIB:.1f} MiB"
        assert how == "frozen" or "sink lost" in agent.log()


@pytest.mark.limit(180)
def test_a_large_transaction_waits_for_redis_within_bounds():
    with Postgres(settings={"wal_sender_timeout": "2s"}) as postgres, \
            Redis({"requirepass": REDIS_PASSWORD}) as redis, World(RULES, postgres, redis, TABLES) as world:
        world.init()
        agent = world.agent()
        (walsender,) = postgres.walsender_pids()
        redis.pause()
        world.sql("insert into rows select i, repeat('x', 300) from generate_series(1, 300000) i")
        threading.Event().wait(6)
        assert agent.rss_max() < 64 * MIB
        redis.resume()
        world.settle(60)

        assert postgres.walsender_pids() == [walsender], agent.log()
        assert [item.sync_id for item in world.actions("all")] == list(range(1, 300001))
        assert agent.rss_max() < 64 * MIB, f"{agent.rss_max() / MIB:.1f} MiB"
