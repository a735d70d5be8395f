"""Heartbeats go through Postgres, the agent and Redis; and what is confirmed waits for `confirm_delay`."""

import time

import pytest

from support import history
from support.servers import Postgres, wait_until
from support.world import ConfirmedWatch, World

TABLES = "create table todos (id int primary key, title text)"
RULES = [{"table": "public.todos", "model": "Todo", "channels": ["all"]}]


@pytest.fixture(scope="module")
def postgres():
    with Postgres(settings={"output_plugin_libraries": "pgoutput, test_decoding, wal2json"}) as server:
        yield server


@pytest.fixture
def world_with(postgres, redis):
    return lambda **options: World(RULES, tables=TABLES, record=True, postgres=postgres, redis=redis, **options)


def heartbeats(world):
    """[(end LSN of its record, content)], as the database's own record has them."""
    rows = world.sql("select lsn::text, data from pg_logical_slot_peek_changes(%s, null, null)", [world.record_slot])
    return [(history.lsn_number(lsn), data.split("content:")[1]) for lsn, data in rows
            if data.startswith("message: transactional: 1 prefix: walcast:heartbeat,")]


@pytest.mark.parametrize("plugin", ["pgoutput", "wal2json"])
def test_heartbeats_come_through_and_take_no_ids(world_with, plugin):
    with world_with(heartbeat="500ms", plugin=plugin) as world:
        world.init().agent()
        for count in (1, 3, 5):
            wait_until(lambda: len(heartbeats(world)) >= count, 20, "a heartbeat is sent")
            lsn = heartbeats(world)[count - 1][0]
            wait_until(lambda: world.position_lsn() > lsn, 10, "Redis has it")
            wait_until(lambda: world.confirmed() > lsn, 10, "Postgres may forget it")

        contents = [content for _, content in heartbeats(world)]
        assert len(set(contents)) == len(contents)
        assert world.position()["sync_id"] == "0"
        assert world.histories() == {}


def test_one_heartbeat_is_out_at_a_time_and_a_late_one_is_told(world_with):
    with world_with(heartbeat="300ms") as world:
        agent = world.init().agent()
        wait_until(lambda: heartbeats(world), 10, "a heartbeat is sent")
        world.redis.pause()
        sent = wait_until(lambda: (now := len(heartbeats(world))) and agent.wait_log("heartbeat not back") and now, 20)
        time.sleep(1)  # Three more would have been due.
        assert len(heartbeats(world)) <= sent + 1

        world.redis.resume()
        agent.wait_log("heartbeat back")
        wait_until(lambda: len(heartbeats(world)) > sent + 2, 10, "heartbeats go on")


def test_heartbeats_wait_for_no_standby(world_with):
    with world_with(heartbeat="300ms") as world:
        agent = world.init().agent()
        world.postgres.execute("alter system set synchronous_standby_names = 'ghost'")
        world.postgres.execute("select pg_reload_conf()")
        try:
            sent = len(heartbeats(world))
            wait_until(lambda: len(heartbeats(world)) > sent + 3, 20, "heartbeats go on")
            waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
            assert world.postgres.execute(waiting) == [(0,)]
        finally:
            world.postgres.execute("alter system reset synchronous_standby_names")
            world.postgres.execute("select pg_reload_conf()")
        assert "heartbeat not" not in agent.log()


def test_without_heartbeats_none_are_written(world_with):
    with world_with(heartbeat="off") as world:
        agent = world.init().agent()
        world.sql("insert into todos values (1, 'a')")
        world.settle()
        time.sleep(0.5)

        assert heartbeats(world) == []
        assert "heartbeat" not in agent.log()


def test_a_role_that_may_not_write_messages_is_told_and_streams_on(world_with):
    with world_with(heartbeat="300ms") as world:
        world.init()
        world.sql("create role quiet login replication password 'x'; "
                  "grant usage on schema public to quiet")
        world.sql("revoke execute on function pg_logical_emit_message(boolean, text, text) from public")
        agent = world.agent(config_text=world.config(postgres=world.postgres.url(world.db, user="quiet")))
        agent.wait_log("heartbeat not sent error=.*permission denied")

        world.sql("insert into todos values (1, 'a')")
        world.settle()
        assert len(history.actions(world.histories()["all"])) == 1
        assert agent.log().count("heartbeat not sent") == 1

        world.sql("grant execute on function pg_logical_emit_message(boolean, text, text) to public")
        agent.wait_log("heartbeat sent again")
        world.agents[0].stop()
        world.sql("drop owned by quiet; drop role quiet")


def test_nothing_is_confirmed_before_its_delay(world_with):
    with world_with(heartbeat="off", confirm_delay="2s") as world, ConfirmedWatch(world) as watch:
        agent = world.init().agent()
        world.sql("insert into todos values (1, 'a')")
        world.settle()
        lsn = world.position_lsn()
        stored = time.monotonic()
        wait_until(lambda: world.confirmed() >= lsn, 15, "it is confirmed at last", every=0.02)

        assert time.monotonic() - stored > 1.5
        watch.assert_kept()

        # A stop waits for it, so that the next start repeats nothing.
        world.sql("insert into todos values (2, 'b')")
        world.settle()
        assert agent.stop() == 0
        assert world.confirmed() >= world.position_lsn()
