"""SIGHUP: other rules from one transaction on, or, where their file is bad, the old ones still.

    WALCAST_SEED=17 WALCAST_ROUNDS=300 /usr/bin/python3 -m pytest -s tests/integration/test_reload.py
"""

import collections
import os
import random
import re
import signal
import threading
import time

import pytest

from support import history
from support.oracle import Oracle, Table
from support.servers import wait_until
from support.world import POSTGRES_PASSWORD, ConfirmedWatch, Subscriber, World
from support.writers import SCHEMA, SEED, Writer

ROUNDS = int(os.environ.get("WALCAST_ROUNDS") or 40)
WRITERS = 3

# Each set has a number of rules of its own, by which the log tells them apart. Both use the channel `notes`.
RULES = {
    2: [
        {"table": "public.todos", "model": "Todo", "channels": ["workspace:{workspace_id}", "user:{assignee_id}"]},
        {"table": "public.notes", "model": "Note", "channels": ["notes"]},
    ],
    3: [
        {"table": "public.todos", "model": "Task", "channels": ["team:{workspace_id}"]},
        {"table": "public.notes", "model": "Memo", "channels": ["notes", "memos"]},
        {"table": "public.unruled", "model": "Unruled", "channels": ["unruled"]},
    ],
}
BAD = {
    "syntax": lambda good: good.replace('model = "Memo"', 'model = "Memo').replace('model = "Note"', 'model = "Note'),
    "unknown key": lambda good: good.replace("channels =", "chanels =", 1),
    "template": lambda good: good.replace("_id}", "_id", 1),
    "missing column": lambda good: good.replace("{workspace_id}", "{workspce_id}"),
    "no rules": lambda good: good[:good.index("[[rule]]")],
    "vanished": None,
}


def tables(rules):
    """The oracle's tables under some rules."""
    def of(name):
        return [(rule["model"], rule["channels"]) for rule in rules if rule["table"] == name]
    return [Table(name, full=name == "public.todos", rules=of(name)) for name in ("public.todos", "public.notes", "public.unruled")]


def put(agent, text):
    """In one step, as one should: a file half written would be a bad one."""
    if text is None:
        agent.config_path.unlink(missing_ok=True)
        return
    new = agent.config_path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, agent.config_path)


def hang_up(agent):
    os.kill(agent.pid, signal.SIGHUP)


class HeavyWriter(Writer):
    """Many of its transactions are sent in part."""

    def transaction(self):
        if self.random.random() < 0.03:
            cursor = self.connection.cursor()
            for _ in range(self.random.randint(1, 3)):
                self.bulk(cursor)
            self.counts["heavy"] += 1
        super().transaction()


class Operator:
    """Reloads good files and bad ones at moments of its own; may kill, too."""

    def __init__(self, world, agent, kills=False):
        self.world, self.agent, self.kills = world, agent, kills
        self.random = random.Random(SEED)
        self.counts = collections.Counter()
        self.rules = 2

    def round(self):
        chance = self.random.random()
        if self.kills and chance < 0.3:
            return self.kill()
        if chance < 0.5:
            return self.reload_bad()
        for _ in range(self.random.choice([1, 1, 1, 2, 31])):  # Now and then a storm.
            self.rules = 5 - self.rules
            put(self.agent, self.world.config(rules=RULES[self.rules]))
            hang_up(self.agent)
        self.counts["reloaded"] += 1

    def reload_bad(self):
        # After a kill no table has been met yet, with which a rule could be compared.
        kind = self.random.choice([kind for kind in BAD if not (self.kills and kind == "missing column")])
        good = self.world.config(rules=RULES[self.rules])
        put(self.agent, BAD[kind] and BAD[kind](good))
        hang_up(self.agent)
        time.sleep(self.random.choice([0, 0.15]))
        # The agent that is killed next begins with a good one.
        put(self.agent, good)
        self.counts[kind] += 1

    def kill(self):
        assert self.agent.alive(), self.agent.log()[-3000:]
        self.agent.kill9()
        if self.world.position().get("commit_lsn", "") not in ("", "0", "0/0"):
            self.counts["killed inside a transaction"] += 1
        self.counts["killed"] += 1
        self.agent.start()
        if self.random.random() < 0.7:
            self.agent.wait_streaming()
        else:
            self.agent.wait_log("info walcast version")  # It listens to signals.


def switches(log):
    """[(first id, number of rules)], as the agents said."""
    found = []
    for match in re.finditer(r"streaming slot=\S+ .*sync_id=(\d+) rules=(\d+)|rules reloaded file=\S+ rules=(\d+) from_sync_id=(\d+)", log):
        started_at, started_by, rules, first = match.groups()
        first, rules = (int(first), int(rules)) if rules else (int(started_at) + 1, int(started_by))
        # An agent that was killed may not have got so far; what begins anew then counts.
        while found and found[-1][0] >= first:
            found.pop()
        if not found or found[-1][1] != rules:
            found.append((first, rules))
    return found


def split_problems(points, transactions):
    return [f"rules={rules} from {first} on, inside transaction {xid} of {begin}..{end}"
            for first, rules in points for xid, (begin, end, _) in transactions.items() if begin < first <= end]


def expected_by(points, oracles):
    """What each channel must hold when each set of rules holds from its point on."""
    expected = collections.defaultdict(list)
    for (first, rules), (end, _) in zip(points, points[1:] + [(2**53, None)]):
        for channel, found in oracles[rules].expected.items():
            expected[channel] += [item for item in found if first <= item.sync_id < end]
    return {channel: found for channel, found in expected.items() if found}


def run_storm(kills, **options):
    print(f"WALCAST_SEED={SEED} WALCAST_ROUNDS={ROUNDS}")
    with World(RULES[2], tables=SCHEMA, record=True, history={"length": 100_000_000, "age": "100d"}, **options) as world:
        world.init()
        world.sql("alter publication walcast add table unruled")
        agent = world.agent()
        epoch = world.position()["epoch"]
        ends = threading.Event()
        with Subscriber(world.redis) as subscriber, ConfirmedWatch(world) as watch:
            operator = Operator(world, agent, kills)
            writers = [HeavyWriter(world, number, ends) for number in range(WRITERS)]
            for writer in writers:
                writer.start()
            try:
                for _ in range(ROUNDS):
                    time.sleep(0.001 * 400 ** operator.random.random())
                    operator.round()
            finally:
                ends.set()
                for writer in writers:
                    writer.join(120)
            assert not any(writer.error for writer in writers)
            agent.wait_streaming()
            world.settle(120)
            assert agent.stop() == 0, agent.log()[-3000:]
        record = world.sql(
            "select lsn::text, xid::text, data from pg_logical_slot_get_changes(%s, null, null, 'include-xids', '1')",
            [world.record_slot])
        oracles = {number: Oracle(tables(rules)).feed(record) for number, rules in RULES.items()}
        transactions = oracles[2].transactions
        points = switches(agent.log())
        report = sum((writer.counts for writer in writers), collections.Counter())
        waits = agent.log().count("to be in force from the next transaction on")
        print(f"{len(transactions)} transactions, {len(points)} switches, {waits} waited for a transaction; "
              f"{dict(operator.counts)}; {dict(report)}")

        channels = world.histories()
        found = history.problems(channels, epoch) + history.transaction_problems(channels, transactions)
        found += split_problems(points, transactions)
        found += history.differences(channels, expected_by(points, oracles))
        assert not found, f"WALCAST_SEED={SEED}\n" + "\n".join(found[:30])
        assert int(world.position()["sync_id"]) == oracles[2].last_id
        subscriber.assert_within(channels)
        watch.assert_kept()
        assert len(points) > 1  # An agent that is behind takes several files at one point.
        return agent.log()


@pytest.mark.limit(ROUNDS * 4 + 200)
@pytest.mark.parametrize("streaming", [False, True])
def test_each_transaction_is_routed_wholly_by_one_file(streaming):
    run_storm(kills=False, streaming=streaming)


@pytest.mark.limit(ROUNDS * 6 + 200)
def test_each_transaction_is_routed_wholly_by_one_file_through_kills():
    run_storm(kills=True)


# One rule file after the other.


@pytest.fixture
def world(postgres, redis):
    with World(RULES[2], postgres, redis, tables=SCHEMA) as world:
        yield world.init()


def reload(agent, text, pattern, timeout=15):
    seen = len(re.findall(pattern, agent.log(), re.MULTILINE))
    put(agent, text)
    hang_up(agent)
    wait_until(lambda: len(re.findall(pattern, agent.log(), re.MULTILINE)) > seen, timeout,
               lambda: f"log has {pattern!r}\n{agent.log()[-3000:]}")


def test_an_idle_agent_takes_the_rules_at_once(world):
    agent = world.agent()
    reload(agent, world.config(rules=RULES[3]), r"rules reloaded file=\S+walcast.toml rules=3 from_sync_id=1$")
    assert "rules read" not in agent.log()

    world.sql("insert into notes values (1, 'one')")
    world.settle()
    assert [item.model for item in world.actions("memos")] == ["Memo"]
    reload(agent, world.config(rules=RULES[3]) + "\n# a remark\n", r"rules unchanged file=\S+ rules=3$")
    reload(agent, world.config(rules=RULES[2]), r"rules reloaded file=\S+ rules=2 from_sync_id=2$")
    world.sql("insert into notes values (2, 'two')")
    world.settle()
    assert [item.model for item in world.actions("notes")] == ["Memo", "Note"]
    assert agent.stop() == 0
    world.assert_sound()


@pytest.mark.parametrize("kind,reason", [
    ("syntax", r"walcast\.toml:\d+:\d+: "),
    ("unknown key", r'walcast\.toml:\d+:\d+: unknown key \\?"chanels'),
    ("template", r"walcast\.toml:\d+:\d+: channels: "),
    ("missing column", r'walcast\.toml:\d+:\d+: public\.todos: no column \\?"workspce_id\\?"'),
    ("no rules", r"walcast\.toml: no \[\[rule\]\]"),
    ("vanished", r"walcast\.toml: cannot be read"),
])
def test_a_bad_file_leaves_the_old_rules_in_force(world, kind, reason):
    agent = world.agent()
    world.sql("insert into todos values (1, 1, 7, 'one')")
    world.settle()
    reload(agent, BAD[kind] and BAD[kind](world.config(rules=RULES[3])), "error.*rules not reloaded, the old ones stay in force.*" + reason)

    world.sql("insert into todos values (2, 1, 7, 'two')")
    world.settle()
    assert [item.model for item in world.actions("workspace:1")] == ["Todo", "Todo"]
    reload(agent, world.config(rules=RULES[3]), r"rules reloaded file=\S+ rules=3 from_sync_id=3$")
    assert agent.stop() == 0


def test_no_file_can_publish_on_the_control_channel_that_is_in_use(world):
    agent = world.agent()
    rules = [{"table": "public.notes", "model": "Note", "channels": [f"{world.prefix}control"]}]
    reload(agent, world.config(rules=rules, prefix="other:"), "error.*rules not reloaded.*could make")


def test_a_table_that_is_gone_does_not_keep_rules_from_being_narrowed(world):
    agent = world.agent()
    world.sql("insert into notes values (1, 'one'); insert into todos values (1, 1, 7, 'one')")
    world.settle()
    world.sql("drop table notes")
    rules = [{"table": "public.*", "model": "Row", "channels": ["narrow:{workspace_id}"], "exclude": ["title"]}]
    reload(agent, world.config(rules=rules), r"rules reloaded file=\S+ rules=1 ")

    world.sql("insert into todos values (2, 3, 7, 'hush')")
    world.settle()
    assert [item.data for item in world.actions("narrow:3")] == [{"id": 2, "workspace_id": 3, "assignee_id": 7, "body": None}]


def test_a_table_that_is_altered_or_made_anew_has_the_rules_that_fit_it_now(world):
    agent = world.agent()
    rules = [{"table": "public.notes", "model": "Note", "channels": ["notes:{place}"]}]
    world.sql("insert into notes values (1, 'one')")
    world.settle()
    reload(agent, world.config(rules=rules), 'error.*public.notes: no column')
    world.sql("drop table notes")
    world.sql("create table notes (id int primary key, place text)")
    world.sql("alter publication walcast add table notes")
    world.sql("insert into notes values (1, 'here')")
    world.settle()
    reload(agent, world.config(rules=rules), "rules reloaded")
    world.sql("insert into notes values (2, 'here')")
    world.settle()
    assert [item.model_id for item in world.actions("notes:here")] == ["2"]
    assert agent.stop() == 0


def test_a_rule_of_a_table_that_was_published_since_is_not_warned_of(world):
    agent = world.agent()
    reload(agent, world.config(rules=RULES[3]), r"rule table=public.unruled line=\d+ matches no table of the publication")
    world.sql("alter publication walcast add table unruled")
    reload(agent, world.config(rules=RULES[3] + RULES[2][:1]), r"rules reloaded file=\S+ rules=4")
    world.sql("insert into unruled values (1, 'n')")
    world.settle()
    assert len(world.actions("unruled")) == 1
    assert agent.log().count("matches no table") == 1
    assert agent.stop() == 0


def test_a_table_taken_out_of_the_publication_is_told(world):
    agent = world.agent()
    world.sql("alter publication walcast drop table notes")
    reload(agent, world.config(rules=RULES[3]), "table=public.notes was dropped, renamed, or taken out of the publication")
    agent.wait_log("rules reloaded")
    assert "table=public.todos was dropped" not in agent.log()


def test_rules_wait_for_the_end_of_a_large_transaction(world):
    agent = world.agent()
    world.sql("insert into notes select i, 'bulk', repeat('y', 200) from generate_series(1, 150000) i")
    wait_until(lambda: world.client.hget("walcast:position", "commit_lsn"), 20, "a transaction is sent in part")
    world.sql("insert into notes values (0, 'after')")
    reload(agent, world.config(rules=RULES[3]), "rules read, to be in force from the next transaction on file=")

    agent.wait_log("rules reloaded file=.* rules=3 from_sync_id=150001$", 30)
    world.settle()
    models = collections.Counter(item.model for item in world.actions("notes"))
    assert models == {"Note": 150000, "Memo": 1}
    assert len(world.actions("memos")) == 1
    assert agent.stop() == 0
    world.assert_sound()


def test_a_lost_connection_inside_a_transaction_does_not_change_its_rules(world):
    agent = world.agent()
    world.sql("insert into notes select i, 'bulk', repeat('y', 200) from generate_series(1, 150000) i")
    wait_until(lambda: world.client.hget("walcast:position", "commit_lsn"), 20, "a transaction is sent in part")
    put(agent, world.config(rules=RULES[3]))
    hang_up(agent)
    world.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %s", [world.slot])

    agent.wait_log("rules reloaded file=.* rules=3 from_sync_id=150001$", 40)
    assert "session ended" in agent.log()
    world.settle()
    assert {item.model for item in world.actions("notes")} == {"Note"}
    assert agent.stop() == 0
    world.assert_sound()


def leave_inside_a_transaction(world, statement):
    agent = world.agent()
    world.sql(statement)
    wait_until(lambda: world.client.hget("walcast:position", "commit_lsn"), 20, "a transaction is sent in part")
    agent.kill9()
    assert world.position().get("commit_lsn")
    return agent


def test_an_agent_killed_inside_a_transaction_ends_it_by_the_rules_it_began_with(world):
    agent = leave_inside_a_transaction(
        world, "insert into notes select i, 'bulk', repeat('y', 200) from generate_series(1, 150000) i")
    world.sql("insert into notes values (0, 'after')")
    put(agent, world.config(rules=RULES[3]))
    agent.start()

    agent.wait_log("the rules of then stay in force to its end")
    agent.wait_log("rules reloaded file=.* rules=3 from_sync_id=150001$", 30)
    world.settle()
    assert collections.Counter(item.model for item in world.actions("notes")) == {"Note": 150000, "Memo": 1}
    assert agent.stop() == 0
    world.assert_sound()


def test_without_what_is_noted_the_new_rules_are_taken_at_once(world):
    agent = leave_inside_a_transaction(
        world, "insert into notes select i, 'bulk', repeat('y', 200) from generate_series(1, 150000) i")
    sent = int(world.position()["sync_id"])
    world.client.hdel("walcast:position", "rules")
    put(agent, world.config(rules=RULES[3]))
    agent.start()

    world.settle(60)
    assert collections.Counter(item.model for item in world.actions("notes")) == {"Note": sent, "Memo": 150000 - sent}
    assert agent.stop() == 0
    world.assert_sound()


def test_a_mistake_in_rules_can_be_mended_inside_a_transaction(world):
    rules = [{"table": "public.*", "model": "Note", "channels": ["notes:{title}"]}]
    agent = world.agent(config_text=world.config(rules=rules))
    world.sql("alter publication walcast add table unruled")
    world.sql("begin")
    world.sql("insert into notes select i, 'a' from generate_series(1, 20000) i")
    world.sql("insert into unruled values (1, 'n')")
    world.sql("commit")
    assert agent.wait() == 1
    assert "public.unruled: no column" in agent.log()
    assert world.position().get("commit_lsn")

    put(agent, world.config(rules=[{**rules[0], "table": "public.notes"}] + RULES[3][2:]))
    agent.start()
    agent.wait_log("warning new rules inside transaction .* since the old ones failed")
    agent.wait_log("rules reloaded file=.* rules=2 from_sync_id=20001$")
    world.settle()
    assert len(world.actions("notes:a")) == 20000 and len(world.actions("unruled")) == 1
    assert agent.stop() == 0
    world.assert_sound()


def test_a_standby_takes_over_with_the_rules_that_it_read_last(world):
    active = world.agent()
    standby = world.agent(streaming=False)
    standby.wait_log("standby slot=")
    reload(standby, world.config(rules=RULES[3]), "rules read, to be in force from the next transaction on file=")
    world.sql("insert into notes values (1, 'one')")
    world.settle()
    assert active.stop() == 0

    standby.wait_log("rules reloaded file=.* rules=3 from_sync_id=2$")
    world.sql("insert into notes values (2, 'two')")
    world.settle()
    assert [item.model for item in world.actions("notes")] == ["Note", "Memo"]
    assert standby.stop() == 0
    world.assert_sound()


def test_other_settings_need_a_restart_and_are_named_without_their_values(world):
    agent = world.agent()
    text = world.config(rules=RULES[3], values={"numbers": "strings"}, redis="redis://:Another-s3cr3t@localhost:1/0",
                        prefix="other:", spool={"size": "1GB"})
    reload(agent, text, r"rules reloaded file=\S+ rules=3")
    agent.wait_log("warn.*settings changed that need a restart: source.spool.size, values.numbers, redis.url, redis.prefix$")
    assert "s3cr3t" not in agent.log() and POSTGRES_PASSWORD not in agent.log()
    world.sql("insert into notes values (1, 'one')")
    world.settle()
    assert len(world.actions("memos")) == 1
    assert agent.stop() == 0


def test_a_storm_of_signals_is_one(world):
    agent = world.agent()
    put(agent, world.config(rules=RULES[3]))
    for _ in range(500):
        hang_up(agent)
    agent.wait_log("rules reloaded file=.* rules=3")
    time.sleep(0.3)
    assert agent.log().count("rules reloaded") == 1
    assert agent.log().count("rules unchanged") < 20
    hang_up(agent)
    agent.process.terminate()
    hang_up(agent)
    assert agent.wait() == 0


def test_the_file_found_by_default_is_read_again(world):
    agent = world.agent(streaming=False)
    agent.kill9()
    path, agent.config_path = agent.config_path, None  # It is in the directory that the agent runs in.
    agent.start()
    agent.wait_streaming()
    agent.config_path = path
    reload(agent, world.config(rules=RULES[3]), r"rules reloaded file=walcast\.toml rules=3 from_sync_id=1$")
    assert agent.stop() == 0
