"""What can be wrong on either side is said with what to do about it; walcast waits where waiting helps and ends where not."""

import re

import pytest

from support.fakes import FakeServer, pooler_that_refuses, redis_that_answers
from support.servers import Agent, Postgres, Redis, free_port, walcast
from support.world import POSTGRES_PASSWORD, REDIS_PASSWORD, World, assert_no_password

TODOS = "create table todos (id int primary key, title text)"
RULES = [{"table": "public.todos", "model": "Todo", "channels": ["all"]}]


@pytest.fixture
def world(postgres, redis):
    with World(RULES, postgres, redis, TODOS) as world:
        yield world


def expect_end(world, *patterns, code=1, **options):
    """`run` ends, with all of these in what it says."""
    agent = world.agent(streaming=False, config_text=world.config(**options))
    assert agent.wait() == code, agent.log()
    for pattern in patterns:
        assert re.search(pattern, agent.log(), re.IGNORECASE), f"no {pattern!r} in:\n{agent.log()}"
    assert_no_password(agent.log())


# Postgres.

def test_wal_level_that_is_not_logical_is_named(redis):
    with Postgres(settings={"wal_level": "replica"}) as postgres, World(RULES, postgres, redis, TODOS) as world:
        expect_end(world, r"wal_level\s*=\s*'?logical", "restart")

        result = world.walcast("init")
        assert result.returncode == 1
        assert re.search(r"wal_level\s*=\s*'?logical", result.stderr)
        assert world.sql("select count(*) from pg_publication") == [(0,)], "refused before anything was made"


def test_a_missing_slot_is_named_with_init(world):
    world.sql("create publication walcast for table todos")
    expect_end(world, f"slot.*{world.slot}", "walcast init")


def test_a_missing_publication_is_named_with_init(world):
    world.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", [world.slot])
    expect_end(world, "publication.*walcast", "walcast init|create publication")


def test_a_slot_of_another_plugin_is_refused(world):
    world.sql("create publication walcast for table todos")
    world.sql("select pg_create_logical_replication_slot(%s, 'test_decoding')", [world.slot])
    expect_end(world, "test_decoding", "pgoutput")
    assert world.walcast("init").returncode == 1


def test_a_two_phase_slot_is_refused_with_the_reason(world):
    world.sql("create publication walcast for table todos")
    world.sql("select pg_create_logical_replication_slot(%s, 'pgoutput', false, true)", [world.slot])
    expect_end(world, "two_phase", "prepare")


def test_a_physical_slot_is_refused(world):
    world.sql("create publication walcast for table todos")
    world.sql("select pg_create_physical_replication_slot(%s)", [world.slot])
    expect_end(world, "physical|logical")


def test_a_slot_of_another_database_is_refused(world):
    world.init()
    world.postgres.execute(f"create database {world.db}_other")
    world.postgres.execute("create table todos (id int primary key); create publication walcast for table todos", db=f"{world.db}_other")
    expect_end(world, "database", postgres=world.postgres.url(f"{world.db}_other"))


def test_a_lost_slot_is_named(redis):
    with Postgres(settings={"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "min_wal_size": "32MB"}) as postgres, \
            World(RULES, postgres, redis, TODOS) as world:
        world.init()
        for _ in range(6):
            world.sql("select pg_switch_wal()")
            world.sql("insert into todos select i, repeat('x', 100) from generate_series(1, 1000) i; truncate todos; checkpoint")
        assert postgres.slot(world.slot)["wal_status"] == "lost"
        expect_end(world, "lost", "walcast (drop|init)|recreate|pg_drop_replication_slot")


def test_a_role_without_replication_is_named(world):
    world.init()
    world.sql(f"create role plain_{world.db} login; grant all on all tables in schema public to plain_{world.db}")
    expect_end(world, "alter role .*replication",
               postgres=world.postgres.url(world.db, user=f"plain_{world.db}", password=POSTGRES_PASSWORD))


def test_a_role_with_replication_only_can_run(world):
    world.init()
    world.sql(f"create role app_{world.db} login replication")
    url = world.postgres.url(world.db, user=f"app_{world.db}", password=POSTGRES_PASSWORD)
    world.agent(config_text=world.config(postgres=url))
    world.sql("insert into todos values (1, 'a')")
    world.settle()

    assert [item.sync_id for item in world.actions("all")] == [1]


def test_a_role_that_does_not_exist_is_named(world):
    expect_end(world, "nobody_here", "url", postgres=world.postgres.url(world.db, user="nobody_here", password=POSTGRES_PASSWORD))


def test_a_database_that_does_not_exist_is_named(world):
    expect_end(world, "nowhere", "url|database", postgres=world.postgres.url("nowhere", password=POSTGRES_PASSWORD))


@pytest.fixture(scope="module")
def guarded():
    with Postgres(hba="local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n") as server:
        server.execute("create role app login replication password 'right-Elephant'")
        yield server


def test_a_wrong_postgres_password_is_named_and_not_shown(guarded, redis):
    with World(RULES, guarded, redis, TODOS) as world:
        expect_end(world, "password", "url|PGPASSWORD", postgres=guarded.url(world.db, user="app", password=POSTGRES_PASSWORD))


def test_a_missing_postgres_password_is_named(guarded, redis):
    with World(RULES, guarded, redis, TODOS) as world:
        expect_end(world, "password", postgres=guarded.url(world.db, user="app"))


def test_a_right_password_from_the_environment_works(guarded, redis):
    with World(RULES, guarded, redis, TODOS) as world:
        world.sql("create publication walcast for table todos")
        world.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", [world.slot])
        agent = world.agent(config_text=world.config(postgres=guarded.url(world.db, user="app")), env={"PGPASSWORD": "right-Elephant"})
        assert "right-Elephant" not in agent.log()


def test_a_postgres_that_refuses_is_tried_again(redis):
    with Postgres() as postgres, World(RULES, postgres, redis, TODOS) as world:
        world.init()
        postgres.stop()
        agent = world.agent(streaming=False)
        agent.wait_log("session ended .*retry_in=")
        postgres.start()
        agent.wait_streaming()


@pytest.mark.parametrize("message", [
    "unsupported startup parameter: replication", "unsupported startup parameter in options: datestyle",
    "no such database: replication"])
def test_a_pooler_in_between_is_named(world, message):
    world.init()
    with FakeServer(pooler_that_refuses(message)) as pooler:
        url = f"postgres://postgres:{POSTGRES_PASSWORD}@127.0.0.1:{pooler.port}/{world.db}"
        agent = world.agent(streaming=False, config_text=world.config(postgres=url))
        agent.wait_log("(?i)pooler")
        assert re.search("direct|Postgres itself", agent.log())
        tail = walcast("tail", url)
        assert tail.returncode == 1 and "pooler" in tail.stderr.lower()
        assert_no_password(tail.stderr + tail.stdout)


# Redis. All of these may pass: `run` tries again, and goes on when they do.

def expect_retry_then_success(world, agent, *patterns, mend):
    for pattern in patterns:
        agent.wait_log(f"(?i)(sink lost|session ended|error|warn).*({pattern})", since_start=False)
    assert agent.alive(), agent.log()
    mend()
    world.settle(40)
    assert [item.sync_id for item in world.actions("all")] == list(range(1, world.sql("select count(*)::int from todos")[0][0] + 1))
    world.assert_sound()


@pytest.fixture
def own(postgres):
    """A world with a Redis of its own, to be spoiled."""
    with Redis({"requirepass": REDIS_PASSWORD}) as redis, World(RULES, postgres, redis, TODOS) as world:
        yield world.init()


def start_after_a_row(world, **options):
    world.sql("insert into todos values (1, 'a')")
    return world.agent(streaming=False, config_text=world.config(**options))


def test_a_redis_that_refuses_is_tried_again(own):
    own.redis.stop()
    agent = start_after_a_row(own)
    expect_retry_then_success(own, agent, "refused", mend=own.redis.start)


def test_a_missing_redis_password_is_named(own):
    agent = start_after_a_row(own, redis=f"redis://127.0.0.1:{own.redis.port}/0")
    expect_retry_then_success(own, agent, "NOAUTH", "password|url", mend=lambda: own.client.config_set("requirepass", ""))


def test_a_wrong_redis_password_is_named_and_not_shown(own):
    agent = start_after_a_row(own, redis=own.redis.url(password="Wrong-s3cr3t"))
    agent.wait_log("(?i)WRONGPASS.*(password|url)")
    assert agent.alive()
    assert "Wrong-s3cr3t" not in agent.log()


def test_a_redis_that_is_a_replica_is_named(own):
    own.client.execute_command("REPLICAOF", "127.0.0.1", free_port())
    agent = start_after_a_row(own)
    expect_retry_then_success(own, agent, "READONLY|replica", "primary|master",
                              mend=lambda: own.client.execute_command("REPLICAOF", "NO", "ONE"))


def test_a_redis_that_becomes_a_replica_while_running_is_named(own):
    agent = own.agent()
    own.sql("insert into todos values (1, 'a')")
    own.settle()
    own.client.execute_command("REPLICAOF", "127.0.0.1", free_port())
    own.sql("insert into todos values (2, 'b')")
    expect_retry_then_success(own, agent, "READONLY|replica", "primary|master",
                              mend=lambda: own.client.execute_command("REPLICAOF", "NO", "ONE"))


def test_a_full_redis_is_named(own):
    agent = own.agent()
    own.sql("insert into todos values (1, 'a')")
    own.settle()
    own.client.config_set("maxmemory", "100kb")
    own.sql("insert into todos values (2, 'b')")
    expect_retry_then_success(own, agent, "OOM", "maxmemory", mend=lambda: own.client.config_set("maxmemory", 0))


def test_a_redis_full_at_the_start_is_named(own):
    own.client.config_set("maxmemory", "100kb")
    agent = start_after_a_row(own)
    expect_retry_then_success(own, agent, "OOM", "maxmemory", mend=lambda: own.client.config_set("maxmemory", 0))


def test_a_loading_redis_is_waited_for(own):
    own.redis.stop()
    fake = FakeServer(redis_that_answers("-LOADING Redis is loading the dataset in memory"), own.redis.port)
    agent = start_after_a_row(own)

    def mend():
        fake.close()
        own.redis.start()
    expect_retry_then_success(own, agent, "LOADING", mend=mend)


@pytest.mark.parametrize("reply", [
    "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "-ERR max number of clients reached",
    "-BUSY Redis is busy running a script.", "-MOVED 3999 127.0.0.1:6381", "-CLUSTERDOWN The cluster is down"])
def test_any_other_error_of_redis_is_told_and_survived(own, reply):
    with FakeServer(redis_that_answers(reply)) as fake:
        agent = start_after_a_row(own, redis=f"redis://127.0.0.1:{fake.port}/0")
        agent.wait_log(re.escape(reply.split()[0].strip("-")))
        # Whether it waits (a busy server) or ends (a cluster that it cannot use), it says so and does not crash.
        assert agent.alive() or agent.wait() in (1, 2), agent.log()


def test_something_that_is_not_redis_is_told(own):
    def serve(connection):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with FakeServer(serve) as fake:
        agent = start_after_a_row(own, redis=f"redis://127.0.0.1:{fake.port}/0")
        agent.wait_log("(?i)redis.*(protocol|reply|unexpected|not)")
        assert agent.alive() or agent.wait() in (1, 2), agent.log()


ALLOWED = ["~walcast:*", "&*", "+@all"]


@pytest.mark.parametrize("lacks, says", [
    (["-xadd"], "xadd"), (["-publish"], "publish"), (["-eval", "-evalsha"], "eval"), (["resetchannels"], "channel|publish"),
    (["resetkeys", "~other:*"], "key")])
def test_a_missing_permission_is_named(own, lacks, says):
    own.client.execute_command("ACL", "SETUSER", "app", "on", ">" + REDIS_PASSWORD, *ALLOWED, *lacks)
    agent = start_after_a_row(own, redis=own.redis.url(user="app"))
    expect_retry_then_success(own, agent, "NOPERM|permission|can't", says, "ACL",
                              mend=lambda: own.client.execute_command("ACL", "SETUSER", "app", *ALLOWED))


def test_a_key_of_another_type_is_named_and_nothing_is_half_written(own):
    own.client.set("walcast:log:all", "not a stream")
    agent = start_after_a_row(own)
    agent.wait_log("(?i)walcast:log:all|WRONGTYPE")
    assert int(own.position()["sync_id"]) == 0
    own.client.delete("walcast:log:all")
    if not agent.alive():
        agent.start()
    own.settle(30)
    assert [item.sync_id for item in own.actions("all")] == [1]


@pytest.mark.parametrize("spoil, says", [
    (lambda client, key: client.delete(key) and client.set(key, "not a stream"), "WRONGTYPE"),
    (lambda client, key: client.xadd(key, {"m": "{}"}, id="5-0"), "history ends above 2-0: who wrote it"),
    (lambda client, key: client.config_set("maxmemory", "1"), "OOM.*raise maxmemory")], ids=["another type", "an entry above", "full"])
def test_what_spoils_a_history_in_use_is_named_and_nothing_is_half_written(own, spoil, says):
    agent = start_after_a_row(own)
    own.settle()
    kept = own.client.dump("walcast:log:all")
    spoil(own.client, "walcast:log:all")
    subscriber = own.client.pubsub()
    subscriber.subscribe("all")
    own.sql("insert into todos values (2, 'b')")  # A batch of one message, for a channel that the agent remembers.
    agent.wait_log(says)
    assert int(own.position()["sync_id"]) == 1
    own.client.config_set("maxmemory", "0")
    own.client.restore("walcast:log:all", 0, kept, replace=True)
    own.settle(30)
    assert [item.sync_id for item in own.actions("all")] == [1, 2]
    subscriber.ping()
    heard = list(iter(lambda: subscriber.get_message(timeout=5)["data"], b""))[1:]  # After the subscription, up to the answer to ping.
    assert heard == [own.entries("all")[1].message]


def test_an_eviction_policy_that_could_take_history_is_refused(own):
    own.client.config_set("maxmemory-policy", "allkeys-lru")
    own.client.config_set("maxmemory", "100mb")
    agent = start_after_a_row(own)
    agent.wait_log("maxmemory-policy.*noeviction")


# Configuration: exit code 2, before anything connects.

GOOD = f"""[source]
url = "postgres://app:{POSTGRES_PASSWORD}@127.0.0.1:1/app"
slot = "walcast"
publication = "walcast"

[redis]
url = "redis://:{REDIS_PASSWORD}@127.0.0.1:1/0"

[[rule]]
table = "public.todos"
model = "Todo"
channels = ["all:{{id}}"]
"""


@pytest.mark.parametrize("old, new, patterns", [
    ("slot =", "slott =", [r"\b3\b.*\b1\b", "slott", r"\bslot\b"]),
    ("[redis]\n", "[redis]\nprefx = 'w:'\n", [r"\b7\b.*\b1\b", "prefx", r"\bprefix\b"]),
    ("model =", "modle =", [r"\b11\b.*\b1\b", "modle", r"\bmodel\b"]),
    ("[redis]\n", "[redis]\nhistory = { lenght = 3 }\n", [r"\b7\b", "lenght", r"\blength\b"]),
    ("[redis]", "[rediss]", [r"\b6\b", "rediss", r"\bredis\b"]),
    ("[[rule]]", "[[rules]]", [r"\b9\b", "rules", r"\brule\b"]),
    ('slot = "walcast"', 'slot = 5', [r"\b3\b", "slot", "string"]),
    ('slot = "walcast"', 'slot = "Walcast!"', ["slot", "a-z"]),
    ('slot = "walcast"', 'slot = "walcast', [r"\b3\b"]),
    ('slot = "walcast"', 'slot = "walcast"\nplugin = "test_decoding"', ["plugin", "pgoutput"]),
    ('"all:{id}"', '"all:{id"', ["all:{id", "brace|close|}"]),
    ('channels = ["all:{id}"]', "channels = []", ["channels"]),
    ('channels = ["all:{id}"]', "channels = 'all'", ["channels"]),
    ('channels = ["all:{id}"]', "", ["channels"]),
    ('model = "Todo"', 'model = "Todo"\nunroutable = "sometimes"', ["unroutable", "sometimes", "error", "reset", "skip"]),
    ("[redis]\n", "[redis]\nhistory = { length = -1 }\n", ["length"]),
    ("[redis]\n", "[redis]\nhistory = { age = 'a while' }\n", ["age", "a while"]),
    (f"redis://:{REDIS_PASSWORD}@127.0.0.1:1/0", f"http://:{REDIS_PASSWORD}@127.0.0.1/", ["url", "http", "rediss"]),
    (f"postgres://app:{POSTGRES_PASSWORD}@127.0.0.1:1/app", f"mysql://app:{POSTGRES_PASSWORD}@127.0.0.1/", ["url"]),
])
def test_a_mistake_in_the_configuration_is_named(tmp_path, old, new, patterns):
    path = tmp_path / "walcast.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))

    result = walcast("run", "--config", path)

    assert result.returncode == 2, result
    for pattern in patterns:
        assert re.search(pattern, result.stderr.replace(str(tmp_path), "")), f"no {pattern!r} in: {result.stderr}"
    assert_no_password(result.stderr + result.stdout)


def test_a_missing_configuration_file_is_named(tmp_path):
    result = walcast("run", "--config", tmp_path / "nowhere.toml")

    assert result.returncode == 2
    assert "nowhere.toml" in result.stderr


def test_a_column_that_the_table_lacks_is_named(world):
    rules = [{"table": "public.todos", "model": "Todo", "channels": ["w:{workspace_id}"]}]
    world.init()
    agent = world.agent(streaming=False, config_text=world.config(rules=rules))
    # At the start, or, where the catalog is not read, with the first row.
    world.sql("insert into todos values (1, 'a')")

    assert agent.wait() in (1, 2)
    assert "workspace_id" in agent.log() and "todos" in agent.log()


@pytest.mark.parametrize("arguments", [["frobnicate"], ["run", "--frobnicate"], ["run", "extra"], [], ["tail", "--from"], ["tail", "ftp://x"],
                                       ["tail", "redis://127.0.0.1:1"], ["tail", "redis://127.0.0.1:1", "--channel", "a", "--from", "x"]])
def test_wrong_usage_is_told_with_exit_code_2(arguments, tmp_path):
    result = walcast(*arguments, env={"HOME": str(tmp_path)})

    assert result.returncode == 2, result
    assert result.stderr or result.stdout


@pytest.mark.parametrize("command", ["run", "tail", "init", "drop"])
def test_help_of_each_command_has_an_example(command):
    result = walcast(command, "--help")

    assert result.returncode == 0
    assert f"walcast {command}" in result.stdout


def test_a_key_may_come_from_the_environment(tmp_path, world):
    """Every key can be overridden; here the binary only has to look at it, so a wrong one is enough."""
    path = tmp_path / "walcast.toml"
    path.write_text(GOOD)

    result = walcast("run", "--config", path, env={"WALCAST_SOURCE_SLOT": "Not A Slot"})

    assert result.returncode == 2 and "Not A Slot" in result.stderr, result


def test_no_configuration_at_all_is_told():
    agent = Agent(None)  # In an empty working directory of its own.
    try:
        assert agent.wait() == 2
        assert "walcast.toml" in agent.log()
    finally:
        agent.close()
