"""Outputs: what a real agent publishes for Laravel Chorus, Ably and Synchrotron, byte for byte and in order.

    WALCAST_ACCEPT=1 /usr/bin/python3 -m pytest tests/integration/test_envelopes.py -k page     # writes the page's examples anew: read them
"""

import datetime
import json
import os
import re
import time

import pytest

from support import history
from support.servers import REPOSITORY, wait_until, walcast
from support.world import Subscriber, World

TABLES = "create table todos (id int primary key, room text not null, title text); alter table todos replica identity full"
RULES = [{"table": "public.todos", "model": "todos", "channels": ["room:{room}"]}]
CHORUS = {"envelope": "chorus"}
ABLY = {"envelope": "ably", "channel": "ably:{channel}"}
NATIVE = {"envelope": "native"}
PRIVATE = "laravel_database_private-"


@pytest.fixture
def world_with(postgres, redis):
    def make(*outputs, rules=RULES, tables=TABLES, **options):
        return World(rules, tables=tables, postgres=postgres, redis=redis, outputs=list(outputs), **options)
    return make


def heard(subscriber, count, timeout=20):
    """What came on all channels but walcast's own, once so much has; without native progress, which no history has."""
    def found():
        said = [(name, data.decode()) for name, data in list(subscriber.received) if not name.startswith("walcast:")]
        return [(name, data) for name, data in said if not data.endswith('"sync":[]}')]
    wait_until(lambda: len(found()) >= count, timeout, lambda: f"{count} payloads: {found()}")
    return found()


def dense(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def commit_time(message):
    return datetime.datetime.strptime(message["commitTime"], "%Y-%m-%dT%H:%M:%S.%f%z")


def milliseconds(message):
    return int(commit_time(message).timestamp() * 1000000 + 0.5) // 1000


def harmonic_id(clock, sync_id, ordinal=0):
    digits = f"{clock:012x}7000{0x8000000000000000 | sync_id << 8 | ordinal:016x}"
    return "-".join(digits[at:end] for at, end in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))


class Expected:
    """What outputs make of native messages, by the rules of their clients."""

    def __init__(self):
        self.clock = 0

    def harmonic(self, message, sync_id, record, **more):
        self.clock = max(self.clock, milliseconds(message))
        made = {"id": harmonic_id(self.clock, sync_id), "table_name": "todos", "record_id": record}
        return dense({"event": "harmonic.created", "socket": None, "data": {
            **made, "operation": more.pop("operation"), "data": more.pop("data"), "user_id": None,
            "created_at": commit_time(message).strftime("%Y-%m-%d %H:%M:%S"), **more}})

    def chorus(self, message):
        for action in message["sync"]:
            operation = {"insert": "create"}.get(action["action"], action["action"])
            data = action.get("data", {"id": int(action["modelId"])})
            yield self.harmonic(message, action["syncId"], int(action["modelId"]), operation=operation, data=dense(data))

    @staticmethod
    def ably(message):
        for action in message["sync"]:
            data = action.get("data", {"id": int(action["modelId"])})
            yield Expected.ably_message(message, action["syncId"], {"name": f"todos.{action['action']}", "data": data})

    @staticmethod
    def ably_message(message, sync_id, what, headers=None):
        mutation = message.get("mutationId", f"sync:{sync_id}")
        return dense({"id": str(sync_id), **what, "timestamp": milliseconds(message),
                      "extras": {"headers": {"x-ably-models-event-uuid": mutation, **(headers or {})}}})

    def all(self, channel, text, outputs):
        message = json.loads(text)
        for output in outputs:
            if output is NATIVE:
                yield channel, text
            elif output is CHORUS:
                yield from ((PRIVATE + channel, payload) for payload in self.chorus(message))
            else:
                yield from (("ably:" + channel, payload) for payload in self.ably(message))


def history_in_order(world):
    found = [(json.loads(entry.message)["lastSyncId"], channel, entry.message.decode())
             for channel, entries in world.histories().items() for entry in entries]
    return [(channel, text) for _, channel, text in sorted(found)]


def work(world):
    world.transaction("select pg_logical_emit_message(true, 'walcast', '{\"mutationId\":\"m-\\\"71\"}')",
                      "insert into todos values (1, 'a', 'Buy \"oat\" milk')", "insert into todos values (2, 'a', null)",
                      "insert into todos values (3, 'b', 'é')")
    world.sql("update todos set title = 'x' where id = 1")
    world.sql("update todos set room = 'b' where id = 2")
    world.sql("delete from todos where id = 1")


@pytest.mark.parametrize("outputs", [[NATIVE, CHORUS, ABLY], [CHORUS], [ABLY, CHORUS]], ids=["all", "chorus", "no-native"])
def test_subscribers_hear_exactly_what_each_output_makes_of_the_history(world_with, outputs):
    with world_with(*outputs) as world, Subscriber(world.redis) as subscriber:
        world.init().agent()
        work(world)
        world.settle()
        expected = Expected()
        native_first = sorted(outputs, key=lambda output: output is not NATIVE)
        wanted = [pair for channel, text in history_in_order(world) for pair in expected.all(channel, text, native_first)]
        assert len(wanted) == sum(6 if output is NATIVE else 7 for output in outputs), wanted
        assert heard(subscriber, len(wanted)) == wanted
        world.assert_sound()


def test_without_outputs_only_native_messages_are_published(world_with):
    with world_with() as world, Subscriber(world.redis) as subscriber:
        world.init().agent()
        work(world)
        world.settle()
        wanted = history_in_order(world)
        assert heard(subscriber, len(wanted)) == wanted
        assert "clock" not in {name.decode() for name in world.client.hkeys("walcast:position")}


def test_a_native_output_may_have_another_channel(world_with):
    with world_with(NATIVE, {"envelope": "native", "channel": "copy:{channel}:x"}) as world, Subscriber(world.redis) as subscriber:
        world.init().agent()
        work(world)
        world.settle()
        wanted = [pair for channel, text in history_in_order(world) for pair in ((channel, text), (f"copy:{channel}:x", text))]
        assert heard(subscriber, len(wanted)) == wanted


def test_an_output_tells_only_of_its_models(world_with):
    rules = RULES + [{"table": "public.lists", "model": "lists", "channels": ["list:{id}"]}]
    with world_with({**ABLY, "models": ["lists"]}, rules=rules, tables=TABLES + "; create table lists (id int primary key)") as world, \
            Subscriber(world.redis) as subscriber:
        world.init().agent()
        work(world)
        world.sql("insert into lists values (1)")
        assert [(name, json.loads(data)["name"]) for name, data in heard(subscriber, 1)] == [("ably:list:1", "lists.insert")]


def test_rejections_and_events(world_with):
    with world_with(CHORUS, ABLY) as world, Subscriber(world.redis) as subscriber:
        world.init().agent()
        world.sql("begin")
        world.sql("""select pg_logical_emit_message(false, 'walcast:event', %s)""", [dense({
            "channel": "room:a", "mutationId": "m-9", "rejected": True, "reason": "title is required", "name": "todos.update",
            "headers": {"table": "todos", "recordId": 9, "operation": "update"}})])
        world.sql("rollback")
        world.sql("""select pg_logical_emit_message(true, 'walcast:event', %s)""", [dense({
            "channel": "room:a", "name": "typing", "data": {"who": ["é"]}})])
        world.settle()
        rejection, event = [json.loads(text) for _, text in history_in_order(world)]
        clock = json.loads(heard(subscriber, 3)[1][1])["timestamp"]
        assert clock == 0, "nothing was committed before it"
        rejected = dense({"event": "harmonic.created", "socket": None, "data": {
            "id": harmonic_id(0, rejection["lastSyncId"]), "table_name": "todos", "record_id": 9, "operation": "update",
            "data": dense({"id": 9}), "user_id": None, "created_at": "1970-01-01 00:00:00", "rejected": True,
            "rejected_reason": "title is required"}})
        assert heard(subscriber, 3) == [
            (PRIVATE + "room:a", rejected),
            ("ably:room:a", dense({"id": str(rejection["lastSyncId"]), "name": "todos.update", "data": None, "timestamp": 0, "extras": {
                "headers": {"x-ably-models-event-uuid": "m-9", "x-ably-models-reject": "true", "table": "todos", "recordId": 9,
                            "operation": "update"}}})),
            ("ably:room:a", Expected.ably_message(event, event["lastSyncId"], {"name": "typing", "data": {"who": ["é"]}}))]


OUTBOX = """
    create table outbox (sequence_id serial primary key, mutation_id text not null, channel text not null, name text not null,
                         rejected boolean not null default false, data jsonb, headers jsonb,
                         locked_by text, lock_expiry timestamp without time zone, processed boolean not null default false)
"""


def test_an_outbox_by_its_own_ids_beside_sync_ids(world_with):
    outputs = [{**ABLY, "ids": "sequence"}, {"envelope": "ably", "channel": "by-sync-id:{channel}"}]
    with world_with(*outputs, tables=TABLES + ";" + OUTBOX, outbox={"table": "public.outbox"}) as world, \
            Subscriber(world.redis) as subscriber:
        world.init().agent()
        late = world.connect(autocommit=False).cursor()
        add = "insert into outbox (mutation_id, channel, name, rejected, data, headers) values (%s, 'room:a', %s, %s, %s, %s)"
        late.execute(add, ["m-1", "late", False, "[1]", '{"a": "b"}'])
        # Of all this the connector would hear nothing.
        world.sql("insert into todos values (1, 'a', 'x')")
        world.sql("""select pg_logical_emit_message(true, 'walcast:event', '{"channel": "room:a", "name": "no row"}')""")
        world.sql(add, ["m-2", "prompt", True, None, None])
        late.execute("delete from outbox")
        late.connection.commit()
        world.sql("update outbox set processed = true, locked_by = 'node', lock_expiry = now()")
        world.settle()
        messages = [json.loads(text) for _, text in history_in_order(world)]
        events = [message for message in messages if message["type"] == "event"]
        assert [(event["lastSyncId"], event.get("sequenceId"), event["name"]) for event in events] == [
            (2, None, "no row"), (3, "2", "prompt"), (4, "1", "late")]
        prompt, last = events[1:]
        rejected = {"x-ably-models-reject": "true"}
        assert [pair for pair in heard(subscriber, 6) if pair[0].startswith("ably:")] == [
            ("ably:room:a", Expected.ably_message(prompt, 2, {"name": "prompt", "data": None}, rejected)),
            ("ably:room:a", Expected.ably_message(last, 1, {"name": "late", "data": [1]}, {"a": "b"}))]
        assert [json.loads(data)["id"] for name, data in heard(subscriber, 6) if name.startswith("by-sync-id:")] == ["1", "2", "3", "4"]
        world.assert_sound()


def test_clients_that_cannot_take_them_hear_of_no_reset_and_no_progress(world_with):
    with world_with(CHORUS, ABLY) as world, Subscriber(world.redis) as subscriber:
        world.init().agent()
        world.sql("insert into todos values (1, 'a', 'x')")
        world.sql("truncate todos")
        world.transaction("select pg_logical_emit_message(true, 'walcast', '{\"mutationId\":\"m\",\"channels\":[\"room:a\"]}')",
                          "insert into todos values (2, 'b', 'x')")
        world.settle()
        assert [name for name, _ in heard(subscriber, 4)] == [
            PRIVATE + "room:a", "ably:room:a", PRIVATE + "room:b", "ably:room:b"]
        assert [message["modelName"] for message in world.control()] == ["todos"]
        # A new epoch resets each channel, in its history and on the control channel alone.
        world.agents[0].stop()
        world.client.hset("walcast:position", "system_id", "1")
        before = len(subscriber.received)
        world.agent()
        world.settle()
        wait_until(lambda: len(world.control()) == 1, 10, "the reset of all")
        assert {name for name, _ in subscriber.received[before:]} == {"walcast:control"}
        assert [message["type"] for message in world.messages("room:a")] == ["reset"]


def test_what_lacks_a_column_is_kept_from_clients_that_replace_rows(world_with):
    tables = """create table todos (id int primary key, room text not null, title text);
                alter table todos alter title set storage external"""
    with world_with(CHORUS, ABLY, tables=tables) as world, Subscriber(world.redis) as subscriber:
        agent = world.init().agent()
        world.sql("insert into todos values (1, 'a', repeat('x', 5000))")
        world.sql("update todos set room = 'a' where id = 1")
        world.settle()
        found = heard(subscriber, 3)
        assert [json.loads(data)["data"]["operation"] for name, data in found if name.startswith(PRIVATE)] == ["create"]
        lacking = [json.loads(data) for name, data in found if name.startswith("ably")][1]
        assert lacking["data"] == {"id": 1, "room": "a"}
        assert lacking["extras"]["headers"]["x-walcast-unchanged"] == '["title"]'
        assert "clients that replace whole rows" in agent.log()


def test_each_is_heard_once_and_in_order_of_ids_whatever_ends_the_agent(world_with):
    rounds = 3
    with world_with(CHORUS, ABLY) as world, Subscriber(world.redis) as subscriber:
        world.init()
        for number in range(rounds):
            agent = world.agent()
            before = world.position_lsn()
            for i in range(20):
                world.sql(f"insert into todos select 1000 * {number} + 10 * {i} + n, 'a', repeat('x', 3000) from generate_series(1, 9) n")
            wait_until(lambda before=before: world.position_lsn() > before, 20, "some is in")
            agent.kill9()
        world.agent()
        world.settle()
        found = heard(subscriber, rounds * 360)
        ids = [json.loads(data)["data"]["id"] for name, data in found if name.startswith(PRIVATE)]
        numbers = [int(json.loads(data)["id"]) for name, data in found if name.startswith("ably")]
        wanted = [action["syncId"] for _, text in history_in_order(world) for action in json.loads(text)["sync"]]
        assert len(wanted) == rounds * 180
        assert numbers == wanted
        assert ids == sorted(set(ids)) and [int(one[-12:], 16) >> 8 for one in ids] == wanted


def test_ids_go_on_from_the_clock_in_the_position(world_with):
    with world_with(CHORUS) as world, Subscriber(world.redis) as subscriber:
        world.init().agent()
        world.sql("insert into todos values (1, 'a', 'x')")
        world.settle()
        first = json.loads(heard(subscriber, 1)[0][1])["data"]
        assert int(world.client.hget("walcast:position", "clock")) // 1000 == int(first["id"].replace("-", "")[:12], 16)
        world.agents[0].stop()
        # As after a failover to a server whose clock is an hour behind.
        ahead = int(time.time() * 1000) + 3_600_000
        world.client.hset("walcast:position", "clock", ahead * 1000)
        world.agent()
        world.sql("insert into todos values (2, 'a', 'x')")
        second = json.loads(heard(subscriber, 2)[1][1])["data"]
        assert second["id"].replace("-", "").startswith(f"{ahead:012x}7000")
        assert second["created_at"] < datetime.datetime.utcfromtimestamp(ahead / 1000 - 1800).strftime("%Y-%m-%d %H:%M:%S")


def test_a_user_who_may_not_publish_there_is_told_and_nothing_is_written(world_with):
    with world_with(ABLY) as world:
        if int(world.client.info()["redis_version"].split(".")[0]) < 7:
            pytest.skip("before Redis 7 a script cannot ask")
        world.client.execute_command("ACL", "SETUSER", "narrow", "on", ">narrow-secret", "~walcast:*", "&walcast:*", "&room:*", "+@all")
        try:
            text = world.config(redis=re.sub(r"://[^@]*@", "://narrow:narrow-secret@", world.redis.url()))
            world.init()
            assert "ably:room:x" in world.walcast("doctor", config_text=text).stdout
            agent = world.agent(config_text=text)
            world.sql("insert into todos values (1, 'a', 'x')")
            wait_until(lambda: "may not PUBLISH ably:room:a" in agent.log(), 20, agent.log)
            assert not world.histories()
            world.client.execute_command("ACL", "SETUSER", "narrow", "&ably:*")
            world.settle(40)
            assert len(world.messages("room:a")) == 1
        finally:
            world.client.execute_command("ACL", "DELUSER", "narrow")


def test_a_row_that_changes_often_in_a_transaction_is_sent_once_where_its_rule_says_so(world_with):
    rules = [{**RULES[0], "coalesce": True, "ids": "string", "metadata": True}]
    with world_with(NATIVE, ABLY, rules=rules) as world, Subscriber(world.redis) as subscriber:
        world.init().agent()
        world.transaction("insert into todos values (1, 'a', 'x'), (2, 'a', 'x'), (3, 'a', 'x')", "update todos set title = 'y' where id < 3",
                          "update todos set title = 'z' where id = 2", "delete from todos where id = 1")
        world.settle()
        (message,) = world.messages("room:a")
        assert [(action["action"], action.get("data")) for action in message["sync"]] == [
            ("insert", {"id": "3", "room": "a", "title": "x"}), ("insert", {"id": "2", "room": "a", "title": "z"}), ("delete", None)]
        assert all(action["metadata"] == {key: message[key] for key in ("commitTime", "lsn", "xid")} for action in message["sync"])
        assert [json.loads(data)["name"] for name, data in heard(subscriber, 4) if name == "ably:room:a"] == [
            "todos.insert", "todos.insert", "todos.delete"]
        world.assert_sound()


# --- Synchrotron ---

LOG_TABLES = """
    create table action_records (id uuid primary key default gen_random_uuid(), server_ingest_id bigserial, _tag text not null, args jsonb not null,
                                 created_at timestamptz not null default now(), synced int not null default 1);
    create table action_modified_rows (id uuid primary key default gen_random_uuid(), action_record_id uuid not null references action_records,
                                       audience_key text not null, operation text not null, forward_patches jsonb not null, sequence int not null)
"""
LOG_RULES = [{"table": "public.action_records", "channels": ["synchrotron:actions"]},
             {"table": "public.action_modified_rows", "channels": ["audience:{audience_key}"]}]
ACTIONS = [f"00000000-0000-4000-8000-00000000000{n}" for n in range(4)]


def log_action(world, action, rows):
    world.sql("insert into action_records (id, _tag, args) values (%s, 'a', '{\"timestamp\": 1}')", [action])
    for sequence, (audience, size) in enumerate(rows):
        world.sql("insert into action_modified_rows (action_record_id, audience_key, operation, forward_patches, sequence) "
                  "values (%s, %s, 'INSERT', jsonb_build_object('x', repeat('x', %s)), %s)", [action, audience, size, sequence])


def test_synchrotrons_log_is_told_by_audience_at_the_end_of_each_transaction(world_with):
    with world_with({"envelope": "synchrotron"}, rules=LOG_RULES, tables=LOG_TABLES) as world, Subscriber(world.redis) as subscriber:
        world.init().agent()
        world.sql("begin")
        log_action(world, ACTIONS[0], [("user:u1", 1), ("user:u2", 1), ("user:u1", 1)])
        log_action(world, ACTIONS[1], [("user:u2", 1)])
        world.sql("commit")
        # Of several batches: what is together stays together.
        world.sql("begin")
        log_action(world, ACTIONS[2], [("user:u1", 100_000)] * 12)
        world.sql("commit")
        # Retention.
        world.sql("delete from action_modified_rows")
        world.sql("delete from action_records")
        world.settle()
        found = [(name, json.loads(data)) for name, data in heard(subscriber, 5)]
        assert [(name, data["caughtUp"], [action["id"] for action in data["actions"]],
                 [(row["action_record_id"], row["audience_key"], row["sequence"]) for row in data["modifiedRows"]]) for name, data in found] == [
            ("audience:user%3Au1", False, ACTIONS[:1], [(ACTIONS[0], "user:u1", 0), (ACTIONS[0], "user:u1", 2)]),
            ("audience:user%3Au2", False, ACTIONS[:2], [(ACTIONS[0], "user:u2", 1), (ACTIONS[1], "user:u2", 0)]),
            # A client of both has all rows of the first action by now.
            ("audience:user%3Au1", True, [], []),
            ("audience:user%3Au2", True, [], []),
            ("audience:user%3Au1", True, ACTIONS[2:3], [(ACTIONS[2], "user:u1", n) for n in range(12)])]
        assert {data["_tag"] for _, data in found} == {"Batch"}
        action = found[0][1]["actions"][0]
        assert action["args"] == {"timestamp": 1} and action["synced"] == 1 and isinstance(action["server_ingest_id"], int)
        world.assert_sound()


def test_synchrotrons_clients_are_told_to_fetch_what_is_too_large(world_with):
    with world_with({"envelope": "synchrotron"}, rules=LOG_RULES, tables=LOG_TABLES) as world, Subscriber(world.redis) as subscriber:
        world.init().agent()
        world.sql("begin")
        log_action(world, ACTIONS[0], [("u1", 1_000_000)] * 6)
        world.sql("commit")
        world.settle()
        found = heard(subscriber, 1)
        assert {name for name, _ in found} == {"audience:u1"}
        assert {data for _, data in found} == {'{"_tag":"Wakeup","caughtUp":true}'}


def test_synchrotrons_clients_are_told_to_fetch_what_another_agent_began(world_with):
    def is_within():
        return world.client.hexists("walcast:position", "xid")
    with world_with({"envelope": "synchrotron"}, rules=LOG_RULES + RULES, tables=LOG_TABLES + ";" + TABLES) as world, \
            Subscriber(world.redis) as subscriber:
        world.init()
        for attempt in range(10):
            action = f"00000000-0000-4000-9000-{attempt:012}"
            world.sql("begin")
            log_action(world, action, [("u1", 1)])
            world.sql("insert into todos select 100000 * %s + n, 'a', repeat('x', 1000) from generate_series(1, 20000) n", [attempt])
            world.sql("insert into action_modified_rows (action_record_id, audience_key, operation, forward_patches, sequence) "
                      "values (%s, 'u1', 'INSERT', '{}', 1)", [action])
            end = world.sql("select pg_current_wal_insert_lsn()::text")[0][0]
            world.sql("commit")
            agent = world.agent(streaming=False)
            wait_until(lambda end=end: is_within() or world.position_lsn() > history.lsn_number(end), 30, "some of it is in", every=0.001)
            agent.kill9()
            was_within = is_within()
            world.agent()
            world.settle()
            world.agents[-1].kill9()
            if was_within:
                break
        assert was_within, "no agent was ended inside a transaction"
        wait_until(lambda: len(heard(subscriber, 1)) > attempt, 10, "the last one is told")
        assert [json.loads(data)["_tag"] for _, data in heard(subscriber, 1)] == ["Batch"] * attempt + ["Wakeup"]


def cut_off(how, world, agent):
    """The stream ends where it is, and goes on. Returns the agent that goes on with it."""
    if how == "kill -9":
        agent.kill9()
        return world.agent(streaming=False)
    if how == "stop":
        assert agent.stop() == 0
        return world.agent(streaming=False)
    if how == "postgres":
        world.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where active_pid is not null")
    if how == "redis":
        world.client.execute_command("CLIENT", "KILL", "TYPE", "normal")
    return agent


@pytest.mark.parametrize("how", ["kill -9", "stop", "postgres", "redis"])
def test_synchrotrons_audiences_are_told_to_fetch_where_all_of_their_rows_lie_before_a_cut(world_with, how):
    """Each hears of its transaction once, whole or by being told to fetch: never neither."""
    with world_with({"envelope": "synchrotron"}, rules=LOG_RULES + RULES, tables=LOG_TABLES + ";" + TABLES) as world, \
            Subscriber(world.redis) as subscriber:
        agent = world.init().agent()
        for attempt in range(10):
            world.sql("begin")
            log_action(world, f"00000000-0000-4000-9000-{attempt:012}", [("u1", 1), ("u2", 1), ("u1", 1)])
            world.sql("insert into todos select 100000 * %s + n, 'a', repeat('x', 1000) from generate_series(1, 20000) n", [attempt])
            world.sql("commit")
            wait_until(lambda count=attempt: len(world.entries("audience:u2")) > count, 30, "the audience's rows are in", every=0.001)
            agent = cut_off(how, world, agent)
            world.settle(60)
            told = []

            def is_told():
                told[:] = [(name, json.loads(data)["_tag"]) for name, data in heard(subscriber, 0) if "modifiedRows\":[]" not in data][2 * attempt:]
                return {name for name, _ in told} == {"audience:u1", "audience:u2"}
            wait_until(is_told, 10, lambda: f"attempt {attempt}: both are told: {told}")
            assert len(told) == 2 and len({tag for _, tag in told}) == 1, told
            if told[0][1] == "Wakeup":
                break
        assert told[0][1] == "Wakeup", "never cut inside a transaction"
        world.assert_sound()


def test_corrections_rise_in_commit_order_and_can_be_taken_back(world_with):
    rules = [{"table": "public.todos", "model": "todos", "channels": ["audience:{room}"], "data": "delta", "ids": "string"}]
    with world_with({"envelope": "synchrotron", "corrections": True}, rules=rules) as world, Subscriber(world.redis) as subscriber:
        world.init().agent()
        world.sql("insert into todos values (1, 'a', 'x')")
        world.sql("update todos set title = 'y' where id = 1")
        world.sql("delete from todos where id = 1")
        found = [json.loads(data) for _, data in heard(subscriber, 3)]
        rows = [row for batch in found for row in batch["modifiedRows"]]
        assert [(row["operation"], row["forward_patches"], row["reverse_patches"], row["audience_key"]) for row in rows] == [
            ("INSERT", {"id": "1", "room": "a", "title": "x"}, {}, "a"),
            ("UPDATE", {"title": "y"}, {"title": "x"}, "a"),
            ("DELETE", {}, {"id": "1", "room": "a", "title": "y"}, "a")]
        clocks = [(action["clock_time_ms"], action["clock_counter"]) for batch in found for action in batch["actions"]]
        assert clocks == sorted(set(clocks)) and len(clocks) == 3


def test_a_transactions_corrections_are_one_for_all_of_its_audiences(world_with):
    tables = "create table notes (id int primary key, audience text not null, also text, title text); alter table notes replica identity full"
    rules = [{"table": "public.notes", "channels": ["audience:{audience}", "audience:{also}"], "exclude": ["audience", "also"],
              "data": "delta", "ids": "string"}]
    with world_with({"envelope": "synchrotron", "corrections": True}, rules=rules, tables=tables) as world, Subscriber(world.redis) as subscriber:
        world.init().agent()
        world.transaction("insert into notes values (1, 'a', 'b', 'x'), (2, 'a', null, 'x')", "update notes set title = 'y' where id = 1",
                          "update notes set audience = 'c' where id = 1", "delete from notes where id = 2")
        world.settle()
        found = [(name, json.loads(data)) for name, data in heard(subscriber, 6)]
        assert [(name, batch["caughtUp"], len(batch["actions"])) for name, batch in found] == [
            (f"audience:{audience}", is_end, 0 if is_end else 1) for is_end in (False, True) for audience in ("a", "b", "c")]
        actions = [action for _, batch in found for action in batch["actions"]]
        assert all(action == actions[0] for action in actions) and actions[0]["clock_counter"] == 7
        rows = sorted((row for _, batch in found for row in batch["modifiedRows"]), key=lambda row: row["sequence"])
        assert len({row["id"] for row in rows}) == len(rows) and {row["action_record_id"] for row in rows} == {actions[0]["id"]}
        assert [(row["row_id"], row["audience_key"], row["operation"], row["forward_patches"].get("title"), row["reverse_patches"].get("title"))
                for row in rows] == [
            ("1", "a", "INSERT", "x", None), ("1", "b", "INSERT", "x", None), ("2", "a", "INSERT", "x", None),
            ("1", "a", "UPDATE", "y", "x"), ("1", "b", "UPDATE", "y", "x"),
            # Who is in both has it still.
            ("1", "a", "DELETE", None, "y"), ("1", "b", "DELETE", None, "y"), ("1", "b", "INSERT", "y", None), ("1", "c", "INSERT", "y", None),
            ("2", "a", "DELETE", None, "x")]


def test_corrections_of_a_large_transaction_are_several_whatever_ends_the_agent(world_with):
    rules = [{"table": "public.todos", "model": "todos", "channels": ["audience:{room}"], "data": "delta", "ids": "string"}]
    with world_with({"envelope": "synchrotron", "corrections": True}, rules=rules) as world, Subscriber(world.redis) as subscriber:
        agent = world.init().agent()
        before = world.position_lsn()
        world.sql("insert into todos select n, 'a', repeat('x', 1000) from generate_series(1, 20000) n")
        wait_until(lambda: world.client.hexists("walcast:position", "xid") or world.position_lsn() > before, 30, "some of it is in", every=0.001)
        agent.kill9()
        world.agent()
        world.settle(60)
        wait_until(lambda: '"row_id":"20000"' in heard(subscriber, 2)[-1][1], 30, "all is heard", every=0.1)
        batches = [json.loads(data) for _, data in heard(subscriber, 2)]
        rows = [row for batch in batches for row in batch["modifiedRows"]]
        assert [row["row_id"] for row in rows] == [str(n) for n in range(1, 20001)] and len({row["id"] for row in rows}) == 20000
        clocks = [(action["clock_time_ms"], action["clock_counter"]) for batch in batches for action in batch["actions"]]
        assert len(clocks) == len(batches) and clocks == sorted(set(clocks)) and len({action["id"] for b in batches for action in b["actions"]}) == len(batches)


# --- the page ---

PAGE = REPOSITORY / "docs/envelopes.md"


def examples():
    """Each `toml` block, and the `sh` block after it: what --print-envelope says of it."""
    return re.findall(r"^```toml\n(.*?)^```$.*?^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(examples())))
def test_the_examples_of_the_page_are_true(number, tmp_path):
    toml, wanted = examples()[number]
    path = tmp_path / "walcast.toml"
    path.write_text(toml)
    result = walcast("explain", "--config", path, "--print-envelope")
    assert result.returncode == 0, result.stderr
    if os.environ.get("WALCAST_ACCEPT"):
        before, after = PAGE.read_text().split(f"```toml\n{toml}```", 1)
        PAGE.write_text(f"{before}```toml\n{toml}```" + after.replace(f"```sh\n{wanted}```", f"```sh\n{result.stdout}```", 1))
        return
    assert result.stdout == wanted


def test_the_page_has_an_example_of_each_envelope():
    assert {name for toml, _ in examples() for name in re.findall(r'envelope = "(\w+)"', toml)} == {"native", "chorus", "ably", "synchrotron"}
    assert len(re.findall(r"^```toml$", PAGE.read_text(), re.MULTILINE)) == len(examples())


def configurations():
    """All that the documentation has to be copied."""
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    return [pytest.param(toml, id=f"{page.stem}-{number}") for page in pages
            for number, toml in enumerate(re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))]


@pytest.mark.parametrize("toml", configurations())
def test_what_the_pages_give_to_copy_is_taken(toml, tmp_path):
    path = tmp_path / "walcast.toml"
    is_whole = "[[rule]]" in toml or "[outbox]" in toml
    path.write_text(toml if is_whole else toml + '[[rule]]\ntable = "public.todos"\nchannels = ["c"]\n')
    result = walcast("explain", "--config", path, "--print-envelope")
    assert result.returncode == 0, result.stderr
