"""What can happen to a Redis while the agent publishes under concurrent writers: nothing is lost, doubled, or silent."""

import os
import random
import re
import resource
import socket
import threading
import time

import pytest
import redis as redis_client

from support import history
from support.checked_world import CheckedWorld, Traffic
from support.servers import Redis, wait_until
from support.world import REDIS_PASSWORD, ConfirmedWatch

SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
IS_LONG = bool(os.environ.get("WALCAST_LONG"))
ALLOWED = ["~walcast:*", "&*", "+@all"]


class LimitedRedis(Redis):
    """Its files can be limited while it runs: a write beyond that fails, as on a full disk."""

    restores_signals = False

    def limit_files(self, size):
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class Shared:
    """One world for many faults; anew after a test that failed, and when its histories have grown long."""

    def __init__(self, postgres):
        self.postgres, self.world = postgres, None

    def start(self):
        redis = LimitedRedis({"requirepass": REDIS_PASSWORD, "enable-debug-command": "yes"})
        redis.client().execute_command("ACL", "SETUSER", "app", "on", ">" + REDIS_PASSWORD, *ALLOWED)
        self.world = CheckedWorld(self.postgres, redis, user="app")
        self.world.chance = random.Random(SEED)
        self.world.the_agent = self.world.agent()
        self.world.watch = ConfirmedWatch(self.world)

    def close(self):
        if self.world:
            self.world.watch.__exit__()
            self.world.__exit__(None)
            self.world.redis.close()
        self.world = None


@pytest.fixture(scope="module")
def shared(postgres):
    shared = Shared(postgres)
    yield shared
    shared.close()


@pytest.fixture
def world(shared):
    print(f"WALCAST_SEED={SEED}")
    if not shared.world:
        shared.start()
    world = shared.world
    world.is_proven = False
    world.the_agent.mark_log()
    yield world
    is_proven = world.is_proven and world.the_agent.alive()
    watch = world.watch
    if not is_proven or world.ids_proven > 8000:
        shared.close()
    watch.assert_kept()


def during(world, fault, mend=None, says=None, stands_still=False):
    """The fault comes under load, is told of, and is mended; afterwards all is there."""
    agent = world.the_agent
    with Traffic(world, world.chance.randrange(10**6)) as traffic:
        traffic.wait(15)
        fault()
        if says:
            agent.wait_log(f"(?i)(sink lost|session ended).*({says})")
        if stands_still:
            before = world.client.hget("walcast:position", "sync_id")
            traffic.wait(15)
            assert world.client.hget("walcast:position", "sync_id") == before
        traffic.wait(15)
        if mend:
            mend()
        traffic.wait(15)
    world.expect_exact()


def configured(world, name, value, usual):
    return lambda: world.client.config_set(name, value), lambda: world.client.config_set(name, usual)


# Refusals.

def test_it_is_full_in_the_middle(world):
    fault, mend = configured(world, "maxmemory", "100kb", 0)
    during(world, fault, mend, "OOM.*maxmemory", stands_still=True)


def test_its_disk_is_full(world):
    # Written and cut back by each attempt, until there is room.
    during(world, lambda: world.redis.limit_files(1000), lambda: world.redis.limit_files(resource.RLIM_INFINITY),
           "MISCONF.*free its disk", stands_still=True)


def test_it_becomes_a_replica_and_a_primary_again(world):
    for _ in range(2):
        during(world, lambda: world.client.execute_command("REPLICAOF", "127.0.0.1", 1),
               lambda: world.client.execute_command("REPLICAOF", "NO", "ONE"), "READONLY.*primary")
        world.the_agent.mark_log()


def test_it_is_loading(postgres):
    with Redis({"requirepass": REDIS_PASSWORD, "appendonly": "no", "loading-process-events-interval-bytes": 1024}) as redis, \
            CheckedWorld(postgres, redis) as world:
        world.the_agent = world.agent()
        world.chance = random.Random(SEED)
        world.rows(1000)

        def restart():
            redis.client().shutdown(save=True)
            redis.process.wait(20)
            redis.settings["key-load-delay"] = 30000  # Microseconds for each of about 50 keys.
            redis.start(60)
        during(world, restart, says="LOADING")


@pytest.mark.parametrize("lacks", [
    "-xadd", "-publish", "resetchannels", "resetkeys ~other:*", "resetkeys ~walcast:position ~walcast:log:n*", "-evalsha", "-hset", "-hmget", "-hdel",
    "-zadd", "-time", "-xrange", "-@all"])
def test_a_permission_is_taken_away(world, lacks):
    def acl(*words):
        world.client.execute_command("ACL", "SETUSER", "app", *words)
    during(world, lambda: acl(*lacks.split()), lambda: acl(*ALLOWED), "NOPERM|permission|ACL", stands_still=True)


def test_the_user_is_gone(world):
    during(world, lambda: world.client.execute_command("ACL", "DELUSER", "app"),
           lambda: world.client.execute_command("ACL", "SETUSER", "app", "on", ">" + REDIS_PASSWORD, *ALLOWED), "WRONGPASS")


@pytest.mark.parametrize("key", ["position", "log:notes", "log:workspace:1", "channels"])
def test_a_key_becomes_one_of_another_type(world, key):
    key = "walcast:" + key

    def spoil():
        world.client.eval("redis.call('RENAME', KEYS[1], KEYS[2]) redis.call('SET', KEYS[1], 'spoiled')", 2, key, "aside")

    def mend():
        world.client.eval("redis.call('RENAME', KEYS[2], KEYS[1])", 2, key, "aside")
    during(world, spoil, mend, key + "|WRONGTYPE")


def test_the_control_stream_becomes_another_type(world):
    world.client.set("walcast:control", "spoiled")
    with Traffic(world, SEED) as traffic:
        world.sql("truncate notes")  # Told on the control channel.
        world.the_agent.wait_log("(?i)sink lost.*(walcast:control|WRONGTYPE)")
        traffic.wait(15)
        world.client.delete("walcast:control")
    world.expect_exact()
    assert [message["modelName"] for message in world.control()] == ["Note"]


def test_the_index_of_old_channels_is_of_another_type_when_the_epoch_changes(world):
    with Traffic(world, SEED) as traffic:
        traffic.wait(15)
        world.client.set("walcast:channels:resetting", "spoiled")
        with world.watch.suspended():
            world.client.delete("walcast:position")
            world.the_agent.wait_log("(?i)sink lost.*(walcast:channels:resetting|WRONGTYPE)")
            had = world.channels()
            world.client.delete("walcast:channels:resetting")
            wait_until(lambda: world.position().get("epoch", world.epoch) != world.epoch, 30, lambda: "a new epoch\n" + world.logs())
        traffic.wait(15)
    world.expect_new_epoch(had)


# Scripts.

def test_its_scripts_are_flushed(world):
    for _ in range(3):
        during(world, world.client.script_flush, says="NOSCRIPT")
        world.the_agent.mark_log()


def test_an_endless_script_blocks_it(world):
    world.client.config_set("busy-reply-threshold", 50)
    client = world.redis.client()

    def run():
        with pytest.raises(redis_client.ResponseError, match="(?i)killed"):
            client.eval("while true do end", 0)
    thread = threading.Thread(target=run)
    during(world, thread.start, world.client.script_kill, "BUSY.*SCRIPT KILL")
    thread.join(10)
    assert not thread.is_alive()


def test_somebody_kills_scripts(postgres):
    with Redis({"requirepass": REDIS_PASSWORD, "busy-reply-threshold": 1}) as redis, CheckedWorld(postgres, redis) as world:
        world.agent()
        kill_scripts(world)
        world.expect_exact()


def kill_scripts(world):
    ends, answers = threading.Event(), set()

    def kill():
        client = world.redis.client()
        while not ends.wait(0.0005):
            for command in "SCRIPT", "FUNCTION":
                try:
                    client.execute_command(command, "KILL")
                    answers.add("killed")
                except redis_client.RedisError as error:
                    answers.add(str(error).split()[0])
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        with Traffic(world, SEED) as traffic:
            for _ in range(20 if IS_LONG else 4):
                world.rows(3000)  # Of many small messages, so that each batch is a long script.
                traffic.wait(10)
    finally:
        ends.set()
        thread.join()
    print(sorted(answers))


# The connection.

def test_its_clients_are_killed_in_the_middle_of_batches(world):
    with Traffic(world, SEED, pause=0.003) as traffic:
        for _ in range(100 if IS_LONG else 12):
            traffic.wait(world.chance.randrange(1, 10))
            time.sleep(world.chance.random() * 0.002)  # Anywhere in a batch.
            world.client.execute_command("CLIENT", "KILL", "USER", "app")
    world.expect_exact()
    assert "session ended" not in world.the_agent.log_since_start()


def test_it_drops_idle_connections(world):
    world.client.config_set("timeout", 1)
    wait_until(lambda: not [one for one in world.client.client_list() if one["user"] == "app"], 20, "the agent's connection is dropped")
    world.client.config_set("timeout", 0)
    world.row()
    world.expect_exact()


def test_a_network_of_one_byte_at_a_time(world):
    world.link.drip()
    for _ in range(3):
        world.row()
    world.expect_exact()
    world.link.sever()  # The whole take-over, too.
    world.rows(3)
    world.expect_exact()
    world.link.drip(False)


def test_a_subscriber_that_is_too_slow_is_dropped_and_nobody_else(world):
    world.client.config_set("client-output-buffer-limit", "pubsub 65536 0 0")
    channel = b"notes"
    slow = socket.create_connection(("127.0.0.1", world.redis.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(b"AUTH %s\r\nCLIENT SETNAME slow\r\nSUBSCRIBE %s\r\n" % (REDIS_PASSWORD.encode(), channel))


    def is_there():
        return [one for one in world.client.client_list() if one["name"] == "slow"]
    wait_until(is_there, what="the subscriber")
    world.row()
    heard = b""
    while not heard.endswith(b"]}\r\n"):
        heard += slow.recv(1 << 16)
    known = 0  # As one who begins with what it hears.
    with Traffic(world, SEED):
        def dropped():
            world.sql("insert into notes select -i, repeat('z', 3000) from generate_series(1, 200) i; delete from notes where id < 0")
            return not is_there()
        wait_until(dropped, 60, "it is dropped")
    assert "sink lost" not in world.the_agent.log_since_start(), "the agent is unaffected"
    world.expect_exact()

    # What it heard before it was dropped ends anywhere; from there on it reads history, as docs/protocol.md says.
    while data := slow.recv(1 << 16):
        heard += data
    slow.close()
    messages = [history.parse(line) for line in heard.split(b"\r\n") if line.startswith(b'{"type":"sync"') and line.endswith(b"]}")]
    for message in messages:
        assert message["prevSyncId"] == known or not known, "until it was dropped it missed nothing"
        known = message["lastSyncId"]
    (epoch, floor), rest = world.client.pipeline().hmget("walcast:position", "epoch", "floor").xrange(
        "walcast:log:notes", f"({known}-0", "+").execute()
    assert epoch.decode() == world.epoch and messages[0]["epoch"] == world.epoch
    assert rest and history.parse(rest[0][1][b"m"])["prevSyncId"] <= known
    whole = messages + [history.parse(fields[b"m"]) for _, fields in rest]
    everything = [message for message in world.messages("notes") if message["lastSyncId"] >= whole[0]["lastSyncId"]]
    assert whole == everything
    world.client.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")


@pytest.mark.limit(300)
@pytest.mark.parametrize("how", ["frozen", "asleep", "paused"])
def test_it_is_slow(world, how):
    seconds = 75 if IS_LONG else 1  # Beyond the minute that a batch may take, in the long one.
    with Traffic(world, SEED) as traffic:
        traffic.wait(15)
        if how == "frozen":
            world.redis.pause()
            time.sleep(seconds)  # Is what is tested.
            world.redis.resume()
        elif how == "asleep":
            world.redis.client(socket_timeout=300).execute_command("DEBUG", "SLEEP", seconds)
        else:
            world.client.execute_command("CLIENT", "PAUSE", seconds * 1000, "WRITE")
        traffic.wait(15)
    world.expect_exact(120)
    if not IS_LONG:
        assert "sink lost" not in world.the_agent.log_since_start()


# What an operator may do.

@pytest.mark.parametrize("command", ["DEBUG RELOAD", "BGREWRITEAOF", "BGSAVE", "DEBUG LOADAOF"])
def test_it_is_saved_and_read_again(world, command):
    def run():
        wait_until(lambda: not int(world.client.info("persistence")["aof_rewrite_in_progress"])
                   and not int(world.client.info("persistence")["rdb_bgsave_in_progress"]), what="the one before it")
        world.redis.client(socket_timeout=60).execute_command(*command.split())
    during(world, run)
    lost = re.findall("sink lost.*", world.the_agent.log_since_start())
    assert not [line for line in lost if "LOADING" not in line]


def test_a_history_is_renamed(world):
    world.row()
    world.settle()
    last = world.messages("notes")[-1]["lastSyncId"]
    world.client.rename("walcast:log:notes", "elsewhere")
    world.row()
    world.settle()
    begun = world.entries("notes")
    assert history.parse(begun[0].message)["prevSyncId"] == last, "a reader of what is left sees the hole"
    world.client.rename("elsewhere", "walcast:log:notes")
    for entry in begun:
        world.client.xadd("walcast:log:notes", {b"m": entry.message}, id=entry.id)
    world.expect_exact()


@pytest.mark.parametrize("field, value, says", [
    ("lsn", "elsewhere", "lsn is .*elsewhere"), ("sync_id", "-1", "sync_id is .*-1"), ("sync_id", None, "sync_id"), ("lsn", None, "lsn")])
def test_the_position_is_edited_into_nonsense(world, field, value, says):
    kept = []

    def spoil():
        # In one step, so that no batch comes between.
        kept.append(world.client.eval("local old = redis.call('HGET', KEYS[1], ARGV[1]) if ARGV[2] == '' then redis.call('HDEL', KEYS[1], ARGV[1])"
                                      " else redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end return old", 1, "walcast:position", field, value or ""))
    during(world, spoil, lambda: world.client.hset("walcast:position", field, kept[0]), says, stands_still=True)


GAPS = {
    "FLUSHALL": lambda world: world.client.flushall(),
    "the position is deleted": lambda world: world.client.delete("walcast:position"),
    "the epoch is deleted": lambda world: (world.client.hdel("walcast:position", "epoch"), world.link.sever()),
    "the lsn is set back": lambda world: world.client.hset("walcast:position", "lsn", "0/1"),
    "the lsn is set ahead": lambda world: world.client.hset("walcast:position", "lsn", "FF/1"),
    "a replica of an empty one": lambda world: follow_an_empty_one(world),
}


def follow_an_empty_one(world):
    with Redis({"requirepass": REDIS_PASSWORD, "repl-diskless-sync-delay": 0}) as other:
        world.client.config_set("masterauth", REDIS_PASSWORD)
        world.client.execute_command("REPLICAOF", "127.0.0.1", other.port)
        wait_until(lambda: world.client.info("replication")["master_link_status"] == "up" and not world.client.exists("walcast:position"), 20, "emptied")
        world.client.execute_command("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize("what", GAPS)
def test_what_is_gone_is_stated(world, what):
    with Traffic(world, SEED) as traffic:
        traffic.wait(30)
        wait_until(lambda: world.confirmed() > 0, what="a confirmed LSN")
        with world.watch.suspended():
            GAPS[what](world)
            traffic.wait(15)
            wait_until(lambda: world.position().get("epoch", world.epoch) != world.epoch, 30, lambda: "a new epoch\n" + world.logs())
        traffic.wait(15)
    had = [] if what in ("FLUSHALL", "a replica of an empty one") else [
        name for name, entries in world.histories().items() if history.parse(entries[0].message)["type"] == "reset"]
    assert had or what in ("FLUSHALL", "a replica of an empty one")
    world.expect_new_epoch(had)


def test_databases_are_swapped_and_swapped_back(world):
    with Traffic(world, SEED) as traffic, world.watch.suspended():
        traffic.wait(15)
        old = world.epoch
        world.client.execute_command("SWAPDB", 0, 1)
        traffic.wait(15)
        wait_until(lambda: world.position().get("epoch", old) != old, 30, lambda: "a new epoch in the empty one\n" + world.logs())
        new = world.position()["epoch"]
        begin = world.position_lsn()
        wait_until(lambda: world.position_lsn() > begin, 30, "it publishes there")
        lsn = world.position_lsn()
        wait_until(lambda: world.confirmed() >= lsn, what="Postgres may forget")
        world.client.execute_command("SWAPDB", 0, 1)
        wait_until(lambda: world.position()["epoch"] not in (old, new) or not world.the_agent.alive(), 30, lambda: "a new epoch in the old one\n" + world.logs())
        traffic.wait(15)
    world.expect_new_epoch(["notes", "workspace:1"])
    world.client.execute_command("FLUSHDB")


def test_it_evicts_what_it_likes(world):
    """`run` refuses such a policy at the start. Set later, it takes histories: no reader is misled."""
    world.rows(400)
    world.settle()
    known = {name: history.parse(entries[-1].message)["lastSyncId"] for name, entries in world.histories().items()}
    used = world.client.info("memory")["used_memory"]
    with Traffic(world, SEED) as traffic, world.watch.suspended():
        world.client.config_set("maxmemory-policy", "allkeys-random")
        world.client.config_set("maxmemory", used + 20000)
        traffic.wait(60)
        wait_until(lambda: world.client.info("stats")["evicted_keys"] > 0, 30, "keys are evicted")
        world.client.config_set("maxmemory", 0)
        world.link.sever()
        world.the_agent.wait_log("maxmemory-policy is allkeys-random.*noeviction")
        world.client.config_set("maxmemory-policy", "noeviction")
        traffic.wait(15)
    world.settle()
    if world.position()["epoch"] != world.epoch:
        return  # The position itself was taken, and that is stated.
    oracle = world.record()
    for name, entries in world.histories().items():
        first = history.parse(entries[0].message)
        assert history.problems({name: entries}, world.epoch, first_prev=first["prevSyncId"]) == []
        # What the chain claims to be whole is whole.
        wanted = [one._replace(sync_id=one.sync_id + world.shift) for one in oracle.expected[name]
                  if one.sync_id + world.shift > first["prevSyncId"]]
        assert history.differences({name: entries}, {name: wanted}) == []
        assert name not in known or first["prevSyncId"] <= known[name] or len(entries) < len(oracle.expected[name])


@pytest.mark.parametrize("gone", ["a history", "all histories and the index"])
def test_a_history_that_is_gone_is_not_taken_for_empty(world, gone):
    """Deleted by hand, or evicted: the first message after it says that something may have been before it."""
    world.rows(200)
    world.settle()
    position = int(world.position()["sync_id"])
    names = list(world.histories())
    keys = ["walcast:log:" + name for name in (names[:1] if gone == "a history" else names)]
    world.client.delete(*keys, *([] if gone == "a history" else ["walcast:channels"]))
    world.link.sever()
    world.rows(200)
    world.settle()
    for key in keys:
        first = history.parse(world.client.xrange(key, count=1)[0][1][b"m"])
        assert first["prevSyncId"] >= position
    if gone != "a history":
        assert int(world.position()["floor"]) >= position
