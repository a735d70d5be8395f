"""kill -9 at any instant: afterwards each history holds what the database's own record says, exactly once.

    WALCAST_SEED=17 WALCAST_ROUNDS=500 /usr/bin/python3 -m pytest -s tests/integration/test_kill.py
"""

import collections
import os
import random
import threading
import time

import pytest

from support import history
from support.world import ConfirmedWatch, Subscriber, World
from support.writers import RULES, SCHEMA, SEED, TABLES, WRITERS, Writer

ROUNDS = int(os.environ.get("WALCAST_ROUNDS") or 70)


class Killer:
    """Runs the agent in rounds, each ended by kill -9 at an instant of its own."""

    def __init__(self, world, subscriber):
        self.random = random.Random(SEED)
        self.world, self.subscriber = world, subscriber
        self.counts = collections.Counter()
        self.agent = world.agent(streaming=False)

    def round(self):
        moment = self.random.choice(["after start", "after streaming", "after an event", "after an event", "inside a transaction"])
        if moment == "after streaming":
            self.agent.wait_streaming()
        elif moment == "after an event":
            self.agent.wait_streaming()
            heard = len(self.subscriber.received)
            self._wait(lambda: len(self.subscriber.received) > heard)
        elif moment == "inside a transaction":
            self.agent.wait_streaming()
            self._wait(lambda: self.world.client.hget("walcast:position", "commit_lsn") not in (None, b"", b"0", b"0/0"))
        # Most kills at once: what is delicate happens within a few milliseconds.
        time.sleep(self.random.choice([0, 0.001, 0.002, 0.005]) if moment == "inside a transaction"
                   else 0.001 * 500 ** self.random.random())
        self.counts[moment] += 1
        self.counts["ended by itself"] += not self.agent.alive()
        self.agent.kill9()
        if self.world.position().get("commit_lsn", "") not in ("", "0", "0/0"):
            self.counts["left inside a transaction"] += 1
        self.agent.start()

    def _wait(self, condition):
        deadline = time.monotonic() + 2  # The writers may be quiet; then this round is one of another kind.
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.0005)


@pytest.mark.limit(ROUNDS * 4 + 200)
def test_after_any_kill_each_history_is_the_database_s_own_record():
    print(f"WALCAST_SEED={SEED} WALCAST_ROUNDS={ROUNDS}")
    with World(RULES, tables=SCHEMA, record=True, history={"length": 100_000_000, "age": "100d"}) as world:
        world.init()
        world.sql("alter publication walcast add table unruled")
        epoch = world.position()["epoch"]
        ends = threading.Event()
        with Subscriber(world.redis) as subscriber, ConfirmedWatch(world) as watch:
            killer = Killer(world, subscriber)
            writers = [Writer(world, number, ends) for number in range(WRITERS)]
            for writer in writers:
                writer.start()
            try:
                for _ in range(ROUNDS):
                    killer.round()
            finally:
                ends.set()
                for writer in writers:
                    writer.join(120)
            assert not any(writer.error for writer in writers)
            killer.agent.wait_streaming()
            world.settle(120)
            assert killer.agent.stop() == 0
            oracle = world.oracle(TABLES)
        report = sum((writer.counts for writer in writers), collections.Counter())
        print(f"{oracle.changes} changes, {len(oracle.transactions)} transactions, {oracle.last_id} ids; {dict(report)}; {dict(killer.counts)}")

        channels = world.histories()
        found = history.problems(channels, epoch) + history.differences(channels, oracle.expected)
        found += history.transaction_problems(channels, oracle.transactions)
        assert not found, f"WALCAST_SEED={SEED}\n" + "\n".join(found[:30])
        assert int(world.position()["sync_id"]) == oracle.last_id
        assert world.position()["epoch"] == epoch
        subscriber.assert_within(channels)
        watch.assert_kept()
        assert_replay_gives_the_tables(world, channels)
        assert killer.counts["ended by itself"] == 0, killer.agent.log()[-3000:]


def assert_replay_gives_the_tables(world, channels):
    """A check that shares nothing with the oracle: the actions, applied one by one, give the rows that the tables have."""
    for table, model, name, condition in (
            [("notes", "Note", "notes", "true")]
            + [("todos", "Todo", f"workspace:{i}", f"workspace_id = {i}") for i in (1, 2, 3, 4)]
            + [("todos", "Todo", f"user:{i}", f"assignee_id = {i}") for i in (7, 8)]):
        rows = {}
        for item in history.actions(channels.get(name, [])):
            assert item.model == model
            if item.action == "delete":
                del rows[item.model_id]
            else:
                # An unchanged value is the one that the reader has.
                assert (item.model_id in rows) == (item.action == "update"), item
                rows[item.model_id] = {**{column: rows.get(item.model_id, {}).get(column) for column in item.unchanged}, **item.data}
        truth = {str(row["id"]): row for (row,) in world.sql(f"select to_jsonb(t) from {table} t where {condition}")}
        if name == "notes":
            # A row whose key changed comes as an insert, and without its old row its unchanged body is nowhere.
            known = {key for key, row in rows.items() if row["body"] is not None or truth[key]["body"] is None}
            rows, truth = ({key: row for key, row in one.items() if key in known} for one in (rows, truth))
        assert rows == truth, f"{name}: {len(rows)} rows, the table has {len(truth)}"
