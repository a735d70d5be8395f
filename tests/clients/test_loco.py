"""Loco Sync's client over the native format: consumers written to its rules (consumers/loco.mjs) end with the rows of the tables.

    WALCAST_ROUNDS=200 WALCAST_SEED=17 /usr/bin/python3 -m pytest -s tests/clients/test_loco.py
"""

import os
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.application import LISTS, RULES, TABLES, Application, Writers
from support.node import Node
from support.servers import free_port, wait_until
from support.world import World

ROUNDS = int(os.environ.get("WALCAST_ROUNDS") or 12)
SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
CHANNELS = {
    "one list": ["list.a"], "two lists": ["list.a", "list.b"], "list and user": ["list.a", "user.u1"],
    "everything": [f"list.{name}" for name in LISTS] + ["user.u1", "user.u2"],
}


@pytest.fixture
def world(postgres, redis):
    port = free_port()
    with World(RULES, postgres, redis, TABLES, http={"listen": f"127.0.0.1:{port}"}) as world:
        world.agent_port = port
        world.init().agent()
        yield world


def by_id(rows):
    found = {model: {row["id"]: row for row in some} for model, some in rows.items()}
    assert {model: len(some) for model, some in found.items()} == {model: len(some) for model, some in rows.items()}, "an id twice"
    return found


class Clients:
    def __init__(self, world, application, node):
        self.world, self.application, self.node = world, application, node
        self.channels = {}

    def open(self, name, channels):
        self.channels[name] = channels
        self.node.call("open", name=name, url=self.world.redis.url(), prefix=self.world.prefix, channels=channels, application=self.application.url)

    def state(self, name):
        return self.node.call("state", name=name)

    def converge(self, name):
        """Waits until the client's rows are those of the tables, in memory, on disk and as the user sees them."""
        want, state = self.application.expected(self.channels[name]), {}

        def converged():
            state.update(self.state(name))
            return by_id(state["rows"]) == want and by_id(state["disk"]) == want and by_id(state["optimistic"]) == want

        def difference():
            have = by_id(state["rows"])
            wrong = [(model, key, have[model].get(key), want[model].get(key)) for model in want
                     for key in {*have[model], *want[model]} if have[model].get(key) != want[model].get(key)]
            return f"{name} converges: {len(wrong)} rows differ: {wrong[:3]}; {state['counts']} {state['lastSyncId']} {self.world.position()}"

        wait_until(converged, 60, difference, every=0.05)
        return state


@pytest.mark.limit(120 + 20 * ROUNDS)
def test_consumers_converge_with_the_tables(world):
    print(f"WALCAST_SEED={SEED}")
    chooser = random.Random(SEED)
    done = {"drop": 0, "join": 0, "kill": 0, "truncate": 0}
    with Application(world, world.agent_port) as application, Node("loco.mjs") as node:
        clients = Clients(world, application, node)
        with Writers(application, SEED) as writers:
            for name, channels in CHANNELS.items():
                clients.open(name, channels)
            for number in range(ROUNDS):
                wait_until(writers.has_done(40), 120, "the writers go on")
                what = ["drop", "join", "kill", "truncate"][number] if number < 4 else chooser.choice(["drop"] * 4 + ["join", "kill", "truncate"])
                done[what] += 1
                if what == "drop":
                    for name in chooser.sample(list(clients.channels), 2):
                        node.call("drop", name=name)
                elif what == "join":
                    clients.open(f"late {number}", chooser.choice(list(CHANNELS.values())))
                elif what == "kill":
                    world.agents[-1].kill9()
                    world.agent()
                else:
                    world.sql("truncate entries")
        world.settle(60)
        states = [clients.converge(name) for name in clients.channels]
    assert all(state["counts"]["actions"] > 0 or state["stale"] for state in states)
    assert any(state["stale"] for state in states), "no reset was heard"
    assert all(done.values()) and application.snapshots


def test_a_client_reconnects_without_fetching_afresh(world):
    with Application(world, world.agent_port) as application, Node("loco.mjs") as node, Writers(application, SEED) as writers:
        clients = Clients(world, application, node)
        clients.open("one", ["list.a", "user.u2"])
        for _ in range(3):
            wait_until(writers.has_done(20), 60, "the writers go on")
            node.call("drop", name="one")
        wait_until(lambda: clients.state("one")["counts"]["sync"] > 0, 60, "a live message")
        state = clients.state("one")
        assert state["stale"] == [] and state["counts"]["deltas"] == 4


def row(key, **fields):
    return {"id": key, "list_id": "a", "assignee": None, "title": "Buy milk", "done": False, "position": 1, "body": None, **fields}


def test_writes_are_settled_by_their_receipts(world):
    """Shown at once, confirmed by the lastSyncId of the receipt, also where nothing of it comes to the client, or rolled back."""
    with Application(world, world.agent_port) as application, Node("loco.mjs") as node:
        clients = Clients(world, application, node)
        clients.open("one", ["list.a"])

        def write(changes=(), **args):
            return node.call("write", name="one", args=args, changes=list(changes))

        create = {"action": "create", "modelName": "Todo", "modelId": "w1", "data": row("w1")}
        assert write([create], mutationId="m-1", put=[["Todo", row("w1")]]) is True
        assert write([create], mutationId="m-2", put=[["Todo", row("w1", list_id="b")]], annotation={"channels": ["list.a"]}) is True
        assert write([create], mutationId="m-3", put=[["Todo", row("w2", list_id="b")]], annotation={"channels": ["list.a"]}) is True
        assert write([create], mutationId="m-4", put=[["Todo", row("w3")]], rejects={"reason": "title is required"}) is False
        assert write([create], mutationId="m-5", put=[["Todo", row(f"v{i}")] for i in range(2000)]) is True  # Several messages.
        wait_until(lambda: clients.state("one")["pending"] == 0, 20, "all are settled")
        state = clients.converge("one")
        assert state["counts"]["progress"] > 0, "nothing of m-3 comes to this client but its end"


@pytest.mark.limit(240)
def test_many_writes_at_once_are_settled(world):
    with Application(world, world.agent_port) as application, Node("loco.mjs") as node:
        clients = Clients(world, application, node)
        clients.open("one", ["list.a"])
        with Writers(application, SEED, count=2), ThreadPoolExecutor(4) as pool:
            def write(number):
                lists = random.Random(f"{SEED} {number}")
                key, to = f"w{number % 5}", lists.choice(LISTS)
                return node.call("write", name="one", changes=[], args={
                    "mutationId": f"m-{number}", "put": [["Todo", row(key, list_id=to)]], "annotation": {"channels": ["list.a"]}})
            assert all(pool.map(write, range(40)))
        wait_until(lambda: clients.state("one")["pending"] == 0, 20, "all are settled")
        clients.converge("one")
