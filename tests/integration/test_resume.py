"""Stops, kills, freezes and losses: afterwards every change is in history once, in order, and any gap is stated."""

import signal
import threading
import time

import pytest

from support import history
from support.fakes import Proxy
from support.history import action
from support.servers import Postgres, Redis, wait_until
from support.world import REDIS_PASSWORD, ConfirmedWatch, Subscriber, World

TABLES = "create table todos (id int primary key, title text); create table unrelated (id serial, filler text);"
RULES = [{"table": "public.todos", "model": "Todo", "channels": ["all", "todo:{id}"]}]


@pytest.fixture
def world():
    with World(RULES, tables=TABLES, history={"length": 10_000_000, "age": "24h"}) as world:
        yield world.init()


def insert(world, first, last=None):
    world.sql("insert into todos select i, 'todo ' || i from generate_series(%s, %s) i", [first, last or first])


def expect_inserts(world, last, first=1):
    """Todos were inserted with their sync ids as keys."""
    world.settle()
    channels = world.assert_sound(first_prev=first - 1)
    wanted = [action(i, "insert", "Todo", str(i), {"id": i, "title": f"todo {i}"}) for i in range(first, last + 1)]
    assert history.differences({"all": channels["all"]}, {"all": wanted}) == []
    assert len(channels) == len(wanted) + 1
    return channels


def test_a_stopped_agent_goes_on_where_it_was(world):
    agent = world.agent()
    insert(world, 1, 10)
    world.settle()
    owner = world.position()["owner"]

    assert agent.stop() == 0
    insert(world, 11, 20)
    agent.start()
    agent.wait_streaming()
    insert(world, 21)

    expect_inserts(world, 21)
    assert world.position()["owner"] != owner
    assert agent.stop() == 0


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_confirms_what_was_sent(world, signal_number):
    agent = world.agent()
    insert(world, 1, 100)
    world.settle()
    agent.process.send_signal(signal_number)

    assert agent.wait() == 0
    assert world.confirmed() <= world.position_lsn()
    # Nothing is left to send again: the slot has nothing for its next reader but what came later.
    left = world.sql("select count(*) from pg_logical_slot_peek_binary_changes(%s, null, null, 'proto_version', '1', 'publication_names', 'walcast')", [world.slot])
    assert left == [(0,)]


def test_a_killed_agent_goes_on_where_it_was(world):
    agent = world.agent()
    for round in range(8):
        insert(world, round * 100 + 1, round * 100 + 100)
        agent.kill9()
        agent.start()
    agent.wait_streaming()

    expect_inserts(world, 800)


def test_a_killed_postgres_comes_back_and_the_agent_goes_on(world):
    agent = world.agent()
    insert(world, 1, 10)
    world.settle()

    world.postgres.kill()
    world.postgres.start()
    world.connection = world.connect()
    insert(world, 11, 20)

    expect_inserts(world, 20)
    assert agent.alive()


def test_a_publication_counts_as_it_was_when_the_change_was_made(world):
    """The stream's own connection must not look at it as it is now: its cache would be believed for older changes."""
    insert(world, 1)
    world.sql("update todos set title = 'changed' where id = 1")
    world.sql("alter publication walcast set (publish = 'insert')")
    insert(world, 2)
    world.agent()
    world.settle()

    assert [(item.action, item.model_id) for item in world.actions("all")] == [("insert", "1"), ("update", "1"), ("insert", "2")]


def test_a_second_agent_stands_by_and_takes_over(world):
    first = world.agent()
    insert(world, 1)
    world.settle()
    owner = world.position()["owner"]

    second = world.agent(streaming=False)
    second.wait_log("standby")
    insert(world, 2, 5)
    world.settle()
    assert world.position()["owner"] == owner, "a standby does not disturb the active agent"
    assert second.alive() and "streaming" not in second.log()

    first.kill9()
    second.wait_streaming()
    insert(world, 6, 9)

    expect_inserts(world, 9)
    assert world.position()["owner"] != owner


def test_a_standby_stops_at_once(world):
    world.agent()
    second = world.agent(streaming=False)
    second.wait_log("standby")
    begin = time.monotonic()

    assert second.stop() == 0
    assert time.monotonic() - begin < 2


def test_a_frozen_owner_that_wakes_up_cannot_publish(world):
    first = world.agent()
    insert(world, 1)
    world.settle()
    (walsender,) = world.postgres.walsender_pids()

    first.pause()
    # What it will find in its socket when it wakes up, and would publish.
    insert(world, 2, 50)
    wait_until(lambda: world.sql("select sent_lsn >= pg_current_wal_flush_lsn() from pg_stat_replication")[0][0], what="sent")
    second = world.agent(streaming=False)
    second.wait_log("standby")
    world.sql("select pg_terminate_backend(%s)", [walsender])
    second.wait_streaming()
    insert(world, 51, 60)
    before = expect_inserts(world, 60)
    owner = world.position()["owner"]
    with Subscriber(world.redis) as subscriber:
        first.resume()
        # It may see that its connection is gone before it tries to publish; then it may stand by.
        wait_until(lambda: not first.alive() or "standby" in first.log_since_start(), 20, first.log)
        assert first.alive() or (first.wait() == 1 and "fenced" in first.log_since_start().lower())
        assert [message for _, message in subscriber.received if b'"sync":[{' in message] == []

    assert world.histories() == before
    assert world.position()["owner"] == owner
    assert second.alive()


def test_a_partitioned_owner_that_still_hears_its_rows_is_fenced(world):
    with Proxy(world.postgres.port) as proxy:
        url = f"postgres://postgres@127.0.0.1:{proxy.port}/{world.db}"
        first = world.agent(config_text=world.config(postgres=url))
        insert(world, 1)
        world.settle()
        (walsender,) = world.postgres.walsender_pids()
        proxy.hold()
        insert(world, 2, 50)
        wait_until(lambda: proxy.held_bytes > 1000, what="the rows are on their way to the first agent")

        proxy.cut()
        second = world.agent(streaming=False)
        second.wait_log("standby")
        world.sql("select pg_terminate_backend(%s)", [walsender])
        second.wait_streaming()
        before = expect_inserts(world, 50)
        with Subscriber(world.redis) as subscriber:
            proxy.release()  # To the first agent all looks well: rows come that it has not seen.
            assert first.wait() == 1, first.log()
            assert "fenced" in first.log().lower()
            assert [message for _, message in subscriber.received if b'"sync":[{' in message] == []

    assert world.histories() == before
    insert(world, 51)
    expect_inserts(world, 51)


def test_an_owner_whom_another_has_replaced_in_redis_is_fenced(world):
    agent = world.agent()
    insert(world, 1)
    world.settle()
    world.client.hset("walcast:position", "owner", "somebody else")
    insert(world, 2)

    assert agent.wait() == 1, agent.log()
    assert "fenced" in agent.log().lower()
    assert len(world.actions("all")) == 1 and world.position()["owner"] == "somebody else"


def test_two_agents_that_fight_never_publish_twice(world):
    first, second = world.agent(), world.agent(streaming=False)
    for round in range(6):
        insert(world, round * 20 + 1, round * 20 + 20)
        world.sql("select pg_terminate_backend(pid) from pg_stat_replication")
        wait_until(world.postgres.walsender_pids, what="one of them streams again")
    for agent in (first, second):
        if not agent.alive():
            assert "fenced" in agent.log().lower()
    assert first.alive() or second.alive()

    expect_inserts(world, 120)


def test_an_idle_slot_advances(world):
    world.agent()
    insert(world, 1)
    world.settle()
    epoch_and_id = world.position()["epoch"], world.position()["sync_id"]
    with ConfirmedWatch(world) as watch:
        for _ in range(3):
            world.sql("insert into unrelated (filler) select repeat('x', 1000) from generate_series(1, 2000)")
            lsn = history.lsn_number(world.sql("select pg_current_wal_flush_lsn()::text")[0][0])
            wait_until(lambda: world.confirmed() >= lsn, 12, "confirmed_flush_lsn follows unrelated traffic")

    watch.assert_kept()
    assert (world.position()["epoch"], world.position()["sync_id"]) == epoch_and_id


def test_an_idle_agent_writes_little_to_redis(world):
    world.agent()
    world.settle()
    writes = world.client.info("stats")["total_commands_processed"]
    begin = time.monotonic()
    while time.monotonic() - begin < 3:
        world.sql("insert into unrelated (filler) values ('x')")
        time.sleep(0.01)

    # About 300 transactions that concern nobody: progress is told now and then, not for each.
    assert world.client.info("stats")["total_commands_processed"] - writes < 60


def test_a_stopping_postgres_is_not_held_up(world):
    agent = world.agent()
    insert(world, 1, 10)
    world.sql("insert into unrelated (filler) values ('x')")
    took = world.postgres.stop("fast")
    assert took < 5

    agent.wait_log("session ended", since_start=False)
    world.postgres.start()
    world.connection = world.connect()
    insert(world, 11, 20)
    expect_inserts(world, 20)
    assert agent.alive()


@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_a_postgres_stopping_while_redis_is_away_is_not_held_up(how):
    tables = "create table rows (id int primary key, title text);"
    rules = [{"table": "public.rows", "model": "Row", "channels": ["all"]}]
    with Postgres() as postgres, Redis({"requirepass": REDIS_PASSWORD, "appendfsync": "always"}) as redis, \
            World(rules, postgres, redis, tables) as world:
        world.init()
        agent = world.agent()
        redis.pause() if how == "frozen" else redis.kill()
        # More than walcast holds, so that what Postgres says waits unread behind it.
        world.sql("insert into rows select i, repeat('x', 300) from generate_series(1, 100000) i")
        assert postgres.stop("fast") < 30

        postgres.start()
        redis.resume() if how == "frozen" else redis.start()
        world.connection = world.connect()
        world.settle(60)
        assert [item.sync_id for item in world.actions("all")] == list(range(1, 100001))
        assert agent.alive()


def test_a_postgres_stopping_under_load_is_not_held_up(world):
    agent = world.agent()
    world.sql("insert into todos select i, 'todo ' || i from generate_series(1, 100000) i")
    assert world.postgres.stop("fast") < 15

    world.postgres.start()
    world.connection = world.connect()
    world.settle(60)
    assert [item.sync_id for item in world.actions("all")] == list(range(1, 100001))
    assert agent.alive()


def test_nothing_is_confirmed_before_redis_has_it(world):
    agent = world.agent()
    stops = threading.Event()

    def write():
        connection = world.connect()
        number = 0
        while not stops.wait(0.003):
            with connection.cursor() as cursor:
                cursor.execute("insert into todos select i, '' from generate_series(%s, %s) i", [number, number + 9])
                cursor.execute("insert into unrelated (filler) select repeat('x', 500) from generate_series(1, 20)")
            number += 10

    with ConfirmedWatch(world) as watch:
        writer = threading.Thread(target=write)
        writer.start()
        for _ in range(6):
            time.sleep(0.5)  # How long it runs matters to nobody; the more, the more samples.
            agent.kill9()
            agent.start()
            agent.wait_streaming()
        stops.set()
        writer.join()
        world.settle()

    watch.assert_kept()
    world.assert_sound()
    assert [item.sync_id for item in world.actions("all")] == list(range(1, int(world.position()["sync_id"]) + 1))


def assert_new_epoch(world, old, channels, least_id):
    """Each old channel's history begins anew with a reset of a new epoch."""
    assert world.position()["epoch"] != old["epoch"]
    histories = world.assert_sound(first_prev=None)
    for name in channels:
        first = history.parse(histories[name][0].message)
        assert first["type"] == "reset" and "modelName" not in first and first["reason"], f"{name} begins with {first}"
        assert first["lastSyncId"] >= least_id > int(old["sync_id"])
    assert any("modelName" not in message and message["epoch"] == world.position()["epoch"] for message in world.control())


def recreate_slot(world):
    world.sql("select pg_drop_replication_slot(%s)", [world.slot])
    insert(world, 900001, 900002)
    world.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", [world.slot])


def test_a_slot_made_anew_is_a_gap_that_every_channel_hears_of(world):
    agent = world.agent()
    insert(world, 1, 3)
    world.settle()
    old = world.position()
    agent.stop()
    recreate_slot(world)
    began = int(time.time() * 1e6)
    with Subscriber(world.redis) as subscriber:
        agent.start()
        agent.wait_streaming()
        insert(world, 10)
        world.settle()

        assert_new_epoch(world, old, ["all", "todo:1", "todo:2", "todo:3"], began)
        for name in ("all", "todo:1"):
            assert history.parse(subscriber.of(name)[0])["type"] == "reset"
    assert [item.model_id for item in world.actions("all")] == ["10"]
    messages = world.messages("all")
    assert messages[1]["prevSyncId"] == messages[0]["lastSyncId"]


def test_a_slot_made_anew_is_a_gap_even_when_nothing_else_happened(world):
    agent = world.agent()
    insert(world, 1, 3)
    world.settle()
    old = world.position()
    agent.stop()
    world.sql("select pg_drop_replication_slot(%s)", [world.slot])
    world.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", [world.slot])
    agent.start()
    agent.wait_streaming()
    insert(world, 4)
    world.settle()

    # Whether it can prove that nothing was lost is its own affair; but then the history is whole.
    if world.position()["epoch"] == old["epoch"]:
        expect_inserts(world, 4)
    else:
        assert_new_epoch(world, old, ["all"], int(old["sync_id"]) + 1)


def test_a_kill_while_the_epoch_changes_is_made_good(world):
    agent = world.agent()
    world.sql("insert into todos select i, 'x' from generate_series(1, 20000) i")
    world.settle(60)
    old = world.position()
    agent.stop()
    recreate_slot(world)
    began = int(time.time() * 1e6)
    for pause in (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16):
        agent.start()
        wait_until(lambda: world.position()["epoch"] != old["epoch"] or not agent.alive(), what="a new epoch")
        time.sleep(pause)
        agent.kill9()
    agent.start()
    agent.wait_streaming(60)
    insert(world, 1000001)
    world.settle(60)

    assert len(world.histories()) == 20002
    assert_new_epoch(world, old, list(set(world.histories()) - {"todo:1000001"}), began)


def test_an_emptied_redis_is_a_gap_and_ids_go_on_above_the_clock(world):
    agent = world.agent()
    insert(world, 1, 3)
    world.settle()
    old = world.position()
    agent.stop()
    world.client.flushall()
    began = int(time.time() * 1e6)
    agent.start()
    agent.wait_streaming()
    insert(world, 4)
    world.settle()

    assert world.position()["epoch"] != old["epoch"]
    world.assert_sound(first_prev=None)
    first = world.messages("all")[0]
    assert first["lastSyncId"] >= began and first["prevSyncId"] >= began
    assert [item.model_id for item in world.actions("all")] == ["4"]


def test_a_redis_emptied_under_the_agent_is_a_gap(world):
    agent = world.agent()
    insert(world, 1, 3)
    world.settle()
    old = world.position()
    world.client.flushall()
    insert(world, 4, 6)
    wait_until(lambda: world.position().get("epoch", old["epoch"]) != old["epoch"] or not agent.alive(), 30,
               lambda: "a new epoch, or an end\n" + agent.log())
    if not agent.alive():
        assert agent.wait() == 1
        agent.start()
        agent.wait_streaming()
    insert(world, 7)
    world.settle()

    world.assert_sound(first_prev=None)
    assert world.position()["epoch"] != old["epoch"]
    assert world.actions("all")[-1].model_id == "7"


def test_a_redis_that_comes_back_older_is_never_a_silent_hole(world):
    # No append-only file, and a snapshot of our own: what comes after it is lost with the process.
    world.redis.stop()
    world.redis.settings.update({"appendonly": "no"})
    world.redis.start()
    world.walcast("drop")
    world.init()
    world.agent()
    insert(world, 1, 5)
    world.settle()
    world.client.save()
    insert(world, 6, 10)
    world.settle()
    ended = world.position()
    wait_until(lambda: world.confirmed() >= history.lsn_number(ended["lsn"]), 15, "Postgres may forget")

    world.redis.kill()
    world.redis.start()
    assert world.client.hget("walcast:position", "sync_id") == b"5"
    insert(world, 11, 12)
    world.settle(40)

    if world.position()["epoch"] == ended["epoch"]:
        expect_inserts(world, 12)  # Postgres still had it.
    else:
        assert_new_epoch(world, ended, ["all", "todo:1"], int(ended["sync_id"]) + 1)
        assert [item.model_id for item in world.actions("all")][-2:] == ["11", "12"]


def test_a_confirmed_lsn_that_somebody_moved_is_a_gap(world):
    agent = world.agent()
    insert(world, 1)
    world.settle()
    old = world.position()
    agent.stop()
    insert(world, 2, 3)
    world.sql("select pg_replication_slot_advance(%s, pg_current_wal_lsn())", [world.slot])
    agent.start()
    agent.wait_streaming()
    insert(world, 4)
    world.settle()

    assert_new_epoch(world, old, ["all", "todo:1"], int(old["sync_id"]) + 1)
    assert [item.model_id for item in world.actions("all")] == ["4"]


def test_another_database_cluster_is_a_gap_or_refused():
    with World(RULES, tables=TABLES) as one:
        one.init()
        agent = one.agent()
        insert(one, 1)
        one.settle()
        old = one.position()
        agent.stop()
        # Before the other world begins, which empties its Redis: so this one keeps its own position aside.
        stored = {key: one.client.dump(key) for key in one.client.keys()}
        with World(RULES, redis=one.redis, tables=TABLES) as other:
            other.init()
            other.client.flushall()
            for key, value in stored.items():
                other.client.restore(key, 0, value)
            other.options["slot"] = other.slot
            other.agent()
            insert(other, 2)
            other.settle()

            assert_new_epoch(other, old, ["all"], int(old["sync_id"]) + 1)
