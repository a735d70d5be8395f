"""Laravel Chorus: unmodified `laravel-echo` with `laravel-echo-server` straight off Redis, and with `pusher-js` over a loopback relay
(pusher_relay.mjs), each with a consumer written to Chorus' rules behind it (consumers/chorus.mjs), fed by the `chorus` envelope.

    WALCAST_ROUNDS=200 WALCAST_SEED=17 /usr/bin/python3 -m pytest -s tests/clients/test_chorus.py
"""

import json
import os
import random
import re
import threading

import pytest

from support import history
from support.application import COLUMNS, TABLES, Application, Writers
from support.node import Node
from support.servers import free_port, wait_until
from support.world import REDIS_PASSWORD, World

ROUNDS = int(os.environ.get("WALCAST_ROUNDS") or 10)
SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
LARAVEL = "laravel_database_"  # The prefix of Laravel's Redis.
USERS = ["u1", "u2"]
RULES = [{"table": "public.todos", "model": "todos", "channels": ["chorus.user.{assignee}"]}]
OUTPUT = f"""
[[output]]
envelope = "chorus"
channel = "{LARAVEL}private-{{channel}}"
"""
WAYS = ["socketio", "pusher"]
SCHEMA = {"schema": {"todos": ", ".join(COLUMNS["Todo"])}, "schema_version": 1, "database_version": "1"}


def todo(key, **fields):
    return {"id": key, "list_id": "a", "assignee": "u1", "title": "Buy milk", "done": False, "position": 1, "body": None, **fields}


def harmonic_id(milliseconds, sync_id):
    low = sync_id << 8
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xffff:04x}-7000-{0x8000 | low >> 48:04x}-{low & 0xffffffffffff:012x}"


def parts_of(harmonic):
    """Its time and its sync id."""
    groups = harmonic.split("-")
    return int(groups[0] + groups[1], 16), ((int(groups[3], 16) & 0x3FFF) << 48 | int(groups[4], 16)) >> 8


class ChorusApplication(Application):
    """What a Laravel application has beside the agent: the schema, pages by table, and the endpoint that lets users into channels."""

    def __init__(self, world):
        super().__init__(world)
        self.sessions, self._answering = {}, threading.Lock()
        self.routes |= {("GET", "/api/schema"): lambda *_: SCHEMA, ("GET", "/api/sync/"): self.sync, ("POST", "/broadcasting/auth"): lambda *_: True}

    def sync(self, path, parameters):
        table, channel = path.rsplit("/", 1)[1], f"chorus.user.{parameters['user']}"
        if "after" in parameters:
            return self.changes(table, channel, parameters["after"])
        rows, _, sync_id = self.stand_still(lambda cursor: [row for row in self.rows(cursor, [f"user.{parameters['user']}"], "Todo")])
        # Without a time it sorts below all that come.
        return {"latest_harmonic_id": harmonic_id(0, sync_id), "records": rows}

    def changes(self, table, channel, after):
        """The net effect of each record above the cursor, from the channel's history: updates and deletes only. The ids' time goes
        on from the cursor's and never back."""
        milliseconds, known = parts_of(after)
        pipeline = self.world.client.pipeline(transaction=True)
        pipeline.hmget(self.world.prefix + "position", "sync_id", "floor")
        pipeline.xrange(f"{self.world.prefix}log:{channel}", f"({known}-0", "+")
        (sync_id, floor), entries = pipeline.execute()
        messages = [history.parse(fields[b"m"]) for _, fields in entries]
        assert (messages[0]["prevSyncId"] if messages else int(floor)) <= known, f"the history does not reach back to {known}"
        latest = {}
        for message in messages:
            milliseconds = max(milliseconds, milliseconds_of(message["commitTime"]))
            for action in message["sync"]:
                # The cursor may be in the midst of a message.
                if action["modelName"] == table and action["syncId"] > known:
                    latest.pop(action["modelId"], None)
                    latest[action["modelId"]] = page_harmonic(milliseconds, action)
        return {"latest_harmonic_id": harmonic_id(milliseconds, int(sync_id)), "harmonics": list(latest.values())}


def milliseconds_of(commit_time):
    import datetime
    text = re.sub(r"(\.\d+)?Z$", lambda match: f"{(match.group(1) or '.')[:7]:0<7}+00:00", commit_time)
    return int(datetime.datetime.fromisoformat(text).timestamp() * 1000)


def page_harmonic(milliseconds, action):
    is_removed = action["action"] == "delete"
    return {"id": harmonic_id(milliseconds, action["syncId"]), "table_name": action["modelName"], "record_id": action["modelId"],
            "operation": "delete" if is_removed else "update",
            "data": json.dumps({"id": action["modelId"]} if is_removed else action["data"]), "user_id": None, "created_at": "2026-01-01 10:00:00"}


class Users:
    def __init__(self, redis, application, way, users=USERS):
        self.application, self.way, self.users = application, way, {}
        self.node = Node("chorus.mjs")
        if way == "pusher":
            self.node.call("relay", url=redis.url(), prefix="walcast:", channels=[f"chorus.user.{user}" for user in users], redisPrefix=LARAVEL)
        else:
            self.node.call("echoServer", redis={"host": "127.0.0.1", "port": redis.port, "password": REDIS_PASSWORD}, port=free_port(),
                           application=application.url, keyPrefix=LARAVEL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.node.close()

    def open(self, name, user):
        self.users[name] = user
        self.node.call("open", name=name, id=user, channel=f"chorus.user.{user}", way=self.way, application=self.application.url)

    def state(self, name):
        state = self.node.call("state", name=name)
        state["rows"] = {row["id"]: row for row in state["rows"]["todos"]}
        return state

    def wait_for(self, name, condition, what):
        wait_until(lambda: condition(self.state(name)), 60, lambda: f"{name}: {what}: {str(self.state(name))[:2000]}", every=0.03)
        return self.state(name)

    def converge(self, name):
        want = self.application.expected([f"user.{self.users[name]}"])["Todo"]
        return self.wait_for(name, lambda state: state["rows"] == want, f"converges with {len(want)} rows")


def harmonic(sync_id, operation, data, **fields):
    return {"id": harmonic_id(1767261600000, sync_id), "table_name": "todos", "record_id": data["id"], "operation": operation,
            "data": json.dumps(data), "user_id": None, "created_at": "2026-01-01 10:00:00", **fields}


class Canned:
    """Redis as an agent would fill it, by hand: the broadcasts of reference 1c. What the clients make of them is the clients'."""

    def __init__(self, redis):
        self.client = redis.client()
        self.client.flushall()
        self.client.hset("walcast:position", mapping={"epoch": "e", "sync_id": 1040, "floor": 0})

    def publish(self, *harmonics):
        for one in harmonics:
            self.client.publish(f"{LARAVEL}private-chorus.user.u1", json.dumps({"event": "harmonic.created", "socket": None, "data": one}))


@pytest.mark.parametrize("way", WAYS)
def test_canned_harmonics_are_applied_and_rejections_told(redis, way):
    canned = Canned(redis)
    with ChorusApplication(None) as application:
        application.routes[("GET", "/api/sync/")] = lambda *_: {"latest_harmonic_id": harmonic_id(0, 1040), "records": []}
        with Users(redis, application, way) as users:
            users.open("one", "u1")
            canned.client.publish(f"{LARAVEL}walcast:control", "no JSON")
            canned.publish(harmonic(1041, "create", todo("t1")), harmonic(1042, "update", todo("t1", title="Buy oat milk")))
            users.wait_for("one", lambda state: state["rows"] == {"t1": todo("t1", title="Buy oat milk")}, "applies")

            users.node.call("write", name="one", table="todos", key="t9", row=todo("t9"))
            canned.publish(harmonic(1043, "delete", {"id": "t1"}), harmonic(1044, "create", {"id": "t9"}, user_id=1, rejected=True,
                                                                            rejected_reason="title is required"))
            state = users.wait_for("one", lambda state: state["rejections"], "hears the rejection")
            assert state["rows"] == {} and state["shadows"] == {"todos t9": "rejected:title is required"}


def test_canned_harmonics_come_after_a_lost_connection(redis):
    canned = Canned(redis)
    with ChorusApplication(None) as application:
        application.routes[("GET", "/api/sync/")] = lambda *_: {"latest_harmonic_id": harmonic_id(0, 1040), "records": []}
        with Users(redis, application, "pusher") as users:
            users.open("one", "u1")
            canned.publish(harmonic(1041, "create", todo("t1")))
            users.wait_for("one", lambda state: state["rows"], "applies")
            for sync_id in range(1042, 1052):
                if sync_id % 5 == 0:
                    users.node.call("drop")
                canned.publish(harmonic(sync_id, "create", todo(f"t{sync_id}")))
            users.wait_for("one", lambda state: len(state["rows"]) == 11, "has all")
            assert users.node.call("counts")["connections"] > 1


@pytest.fixture
def world(postgres, redis):
    with World(RULES, postgres, redis, TABLES) as world:
        world.init()
        start(world)
        yield world


def start(world):
    return world.agent(config_text=world.config() + OUTPUT)


@pytest.mark.limit(120 + 20 * ROUNDS)
@pytest.mark.parametrize("way", WAYS)
def test_consumers_converge_with_the_tables(world, way):
    print(f"WALCAST_SEED={SEED}")
    chooser = random.Random(SEED)
    done = dict.fromkeys(["drop", "join", "kill", *(["forget"] if way == "pusher" else [])], 0)
    with ChorusApplication(world) as application, Users(world.redis, application, way) as users:
        with Writers(application, SEED) as writers:
            for user in USERS:
                users.open(user, user)
            for number in range(ROUNDS):
                wait_until(writers.has_done(40), 120, "the writers go on")
                what = list(done)[number] if number < len(done) else chooser.choice(["drop"] * 3 + list(done))
                done[what] += 1
                if what == "join":
                    users.open(f"late {number}", chooser.choice(USERS))
                elif what == "kill":
                    world.agents[-1].kill9()
                    start(world)
                else:
                    users.node.call(what)
        world.settle(60)
        states = [users.converge(name) for name in users.users]
    assert all(done.values()) and all(state["heard"] for state in states)


@pytest.mark.parametrize("way", WAYS)
def test_a_write_is_confirmed_or_rejected(world, way):
    with ChorusApplication(world) as application, Users(world.redis, application, way) as users:
        users.open("one", "u1")
        # executeActionWithContext leaves the delta pending: the harmonic clears it, whether it or the reply comes first.
        users.node.call("write", name="one", table="todos", key="t1", row=todo("t1"))
        application.write(None, {"mutationId": "m-1", "put": [["Todo", todo("t1")]]})
        users.wait_for("one", lambda state: state["shadows"] == {}, "is confirmed")

        users.node.call("write", name="one", table="todos", key="t2", row=todo("t2", title=""))
        application.write(None, {"mutationId": "m-2", "put": [["Todo", todo("t2", title="")]], "rejects": {
            "channel": "chorus.user.u1", "reason": "title is required", "data": {"table": "todos", "recordId": "t2"}}})
        state = users.wait_for("one", lambda state: state["rejections"], "hears the rejection")
        assert state["shadows"] == {"todos t2": "rejected:title is required"}
        users.converge("one")
