"""`walcast status` tells how things stand, beside an agent or without one, and when somebody should care."""

import json
import os
import threading

import pytest

from support import history
from support.servers import REPOSITORY, Postgres, Redis, postgres_bindir, wait_until
from support.world import World

TODOS = "create table todos (id int primary key, title text)"
RULE = {"table": "public.todos", "model": "Todo", "channels": ["todos"]}
# The others are there where the matrix has been run. 18 has all that is new since 15.
MAJORS = (14, 15, 16, 17, 18) if os.environ.get("WALCAST_LONG") else (15, 18)
VERSIONS = [major for major in MAJORS if major == 15 or (REPOSITORY / f"build/postgres/{major}/bin").exists()]


class Status:
    def __init__(self, world, **parameters):
        result = world.walcast("status", "--json", **parameters)
        text = world.walcast("status", **parameters)
        assert (result.stderr, text.stderr) == ("", "")
        self.code = result.returncode
        self.said = json.loads(result.stdout)
        self.postgres, self.redis = self.said["postgres"], self.said["redis"]
        self.text = text.stdout
        assert text.returncode == self.code, self.text
        assert len(self.text.splitlines()) <= 24, "one screen"

    def checks(self):
        return [finding["check"] for finding in self.said["findings"]]


@pytest.mark.parametrize("major", VERSIONS)
def test_what_it_says_is_what_the_servers_say(major, redis):
    with Postgres(postgres_bindir(major), {"max_slot_wal_keep_size": "1GB"}) as postgres, \
            World([RULE], postgres, redis, TODOS) as world:
        world.init().agent()
        world.sql("insert into todos select i, 'x' from generate_series(1, 10) i")
        world.settle()
        position, keys = world.position(), sorted(world.client.keys("*"))

        status = Status(world)

        assert (status.code, status.checks()) == (0, []), status.text
        slot, row = status.postgres["slot"], postgres.slot(world.slot)
        assert status.postgres["version"].startswith(str(major))
        assert (slot["activePid"], slot["plugin"], slot["walStatus"]) == (row["active_pid"], "pgoutput", row["wal_status"])
        assert slot["confirmedLagBytes"] < 1 << 20 and 0 < slot["retainedBytes"] < 1 << 30
        assert (1 << 29) < slot["safeBytes"] <= 2 << 30
        assert ("failover" in slot) == ("synced" in slot) == (major >= 17)
        found = status.redis["position"]
        assert (found["epoch"], found["slot"], found["owner"]) == (position["epoch"], world.slot, position["owner"])
        assert found["syncId"] >= 10 and found["lagBytes"] < 1 << 20
        assert (status.redis["histories"], status.redis["appendOnlyFile"], status.redis["role"]) == (1, True, "primary")
        # Nothing was written.
        assert sorted(world.client.keys("*")) == keys
        assert world.position()["owner"] == position["owner"] and world.agents[0].alive()

        world.agents[0].stop()
        wait_until(lambda: not postgres.slot(world.slot)["active"], what="the slot is free")
        status = Status(world)
        assert (status.code, status.checks()) == (3, ["slot-unread"]), status.text
        assert ("inactiveSeconds" in status.postgres["slot"]) == (major >= 17)


def test_one_side_is_shown_while_the_other_is_down():
    with World([RULE], tables=TODOS) as world:
        world.init()
        world.redis.stop()
        status = Status(world)
        assert status.code == 1 and status.checks() == ["slot-unread", "redis"], status.text
        assert status.postgres["slot"]["name"] == world.slot and status.redis == {"reached": False}

        world.redis.start()
        world.postgres.stop()
        status = Status(world)
        assert status.code == 1 and status.checks() == ["postgres"], status.text
        assert status.redis["position"]["syncId"] == 0 and status.postgres == {"reached": False}
        world.postgres.start()


def test_a_slot_that_is_going_to_be_lost_says_when(redis):
    with Postgres(settings={"max_slot_wal_keep_size": "64MB", "min_wal_size": "32MB", "max_wal_size": "32MB"}) as postgres, \
            World([RULE], postgres, redis, TODOS + "; create table noise (bytes text)") as world:
        world.init()
        ends = threading.Event()

        def write():
            connection = world.connect()
            while not ends.is_set():
                connection.cursor().execute("insert into noise select repeat('x', 1000) from generate_series(1, 100)")
        writer = threading.Thread(target=write)
        writer.start()
        try:
            result = world.walcast("status", "--json")
        finally:
            ends.set()
            writer.join()
        said = json.loads(result.stdout)
        slot, rate = said["postgres"]["slot"], said["postgres"]["walBytesPerSecond"]
        assert rate > 10_000
        assert slot["secondsUntilLost"] == pytest.approx(max(0, slot["safeBytes"]) / rate, rel=0.05, abs=0.1)
        assert "slot-soon-lost" in [finding["check"] for finding in said["findings"]], said

        # 64 MB and more of segments go by.
        def lost():
            world.sql("select pg_logical_emit_message(false, 'noise', repeat('x', 1000000)) from generate_series(1, 20)")
            world.sql("select pg_switch_wal()")
            world.sql("checkpoint")
            return postgres.slot(world.slot)["wal_status"] == "lost"
        wait_until(lost, 30, "the slot is lost")
        status = Status(world)
        assert (status.code, status.checks()) == (3, ["slot-lost"]), status.text
        mends = status.said["findings"][0]["mend"]
        assert mends == [{"shell": ["walcast drop", "walcast init"]}]


def test_what_needs_care_on_either_side(postgres, redis):
    with World([RULE], postgres, redis, TODOS) as world:
        assert Status(world).checks() == ["slot-missing", "position-missing"]
        world.init()
        world.agent()

        world.client.config_set("maxmemory", "1gb")
        world.client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert Status(world).checks() == ["eviction"]
        finally:
            world.client.config_set("maxmemory-policy", "noeviction")
            world.client.config_set("maxmemory", "0")

        world.client.xadd(world.prefix + "dead-letters", {"table": "x"})
        status = Status(world)
        assert (status.code, status.checks()) == (3, ["dead-letters"])
        world.client.delete(world.prefix + "dead-letters")

        # Somebody moves the slot on while the agent is away.
        world.agents[0].stop()
        wait_until(lambda: not postgres.slot(world.slot)["active"], what="the slot is free")
        world.sql("insert into todos values (1, 'lost')")
        end = world.sql("select pg_current_wal_lsn()::text")[0][0]
        world.sql("select pg_replication_slot_advance(%s, %s)", [world.slot, end])
        assert world.confirmed() > history.lsn_number(world.position()["lsn"])
        assert Status(world).checks() == ["slot-unread", "gap"]

        world.client.hset(world.prefix + "position", "slot", "another")
        assert Status(world).checks() == ["slot-unread", "position-of-another-slot"]


def test_a_replica_is_no_place_to_write(postgres):
    with Redis() as primary, Redis() as replica, World([RULE], postgres, replica, TODOS) as world:
        replica.client().replicaof("127.0.0.1", primary.port)
        wait_until(lambda: replica.client().info()["master_link_status"] == "up", what="the replica follows")
        status = Status(world)
        assert "redis-replica" in status.checks() and status.redis["role"] == "slave"
