"""Laravel Chorus: unmodified `laravel-echo` with `laravel-echo-server` straight off Redis, and with `pusher-js` over a loopback relay
(pusher_relay.mjs), each with a consumer written to Chorus' rules behind it (consumers/chorus.mjs), fed by the `chorus` envelope.

    WALCAST_ROUNDS=200 WALCAST_SEED=17 /usr/bin/python3 -m pytest -s tests/clients/test_chorus.py
"""

import collections
import http.client
import json
import os
import random

import pytest

from support import bootstraps
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


def todo(key, **fields):
    return {"id": key, "list_id": "a", "assignee": "u1", "title": "Buy milk", "done": False, "position": 1, "body": None, **fields}


def harmonic_id(milliseconds, sync_id):
    low = sync_id << 8
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xffff:04x}-7000-{0x8000 | low >> 48:04x}-{low & 0xffffffffffff:012x}"


class ChorusApplication(Application):
    """What a Laravel application has beside the agent: it knows who asks, and passes on what walcast answers."""

    def __init__(self, world, agent_port):
        super().__init__(world)
        self.pages_port = agent_port
        self.untils, self.rebuilds, self.statuses = {}, collections.Counter(), collections.Counter()
        self.routes |= {("GET", "/api/schema"): self.schema, ("GET", "/api/sync/"): self.sync, ("POST", "/broadcasting/auth"): lambda *_: True}

    def walcast(self, path, parameters=()):
        """Status and body; where the agent is away, or has no answer yet, again."""
        def ask():
            try:
                status, body = bootstraps.ask(self.pages_port, path, parameters)
            except (OSError, http.client.HTTPException):
                return None
            return status != 503 and (status, body)
        status, body = wait_until(ask, 60, f"{path} is answered", every=0.1)
        assert status in (200, 409), f"{path} {parameters}: {status} {body}"
        self.statuses[status] += 1
        return status, body

    def schema(self, _, parameters):
        _, body = self.walcast("/chorus/schema")
        said = json.loads(body)
        # All pages of one mount have one id.
        self.untils[parameters["session"]] = said["latest_harmonic_id"]
        return {**said, "database_version": f"{said['database_version']}.{self.rebuilds[parameters['user']]}"}

    def sync(self, path, parameters):
        wanted = [(name, parameters[name]) for name in ("initial", "after") if name in parameters]
        wanted += [("channel", f"chorus.user.{parameters['user']}"), ("until", self.untils[parameters["session"]])]
        status, body = self.walcast("/chorus" + path.removeprefix("/api"), wanted)
        if status == 409:
            self.rebuilds[parameters["user"]] += 1
        return status, body


class CannedApplication(Application):
    """One that has nothing but what is broadcast."""

    def __init__(self):
        super().__init__(None)
        schema = {"schema": {"todos": ", ".join(COLUMNS["Todo"])}, "schema_version": 1, "database_version": "1"}
        self.routes |= {("GET", "/api/schema"): lambda *_: schema, ("POST", "/broadcasting/auth"): lambda *_: True,
                        ("GET", "/api/sync/"): lambda *_: {"latest_harmonic_id": harmonic_id(0, 1040), "records": []}}


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
    with CannedApplication() as application:
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
    with CannedApplication() as application:
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
    with World(RULES, postgres, redis, TABLES, http={"listen": f"127.0.0.1:{free_port()}"}) as world:
        world.init()
        start(world)
        yield world


def application_of(world):
    return ChorusApplication(world, bootstraps.port_of(world.agents[0]))


def start(world):
    return world.agent(config_text=world.config() + OUTPUT)


@pytest.mark.limit(120 + 20 * ROUNDS)
@pytest.mark.parametrize("way", WAYS)
def test_consumers_converge_with_the_tables(world, way):
    print(f"WALCAST_SEED={SEED}")
    chooser = random.Random(SEED)
    done = dict.fromkeys(["drop", "join", "kill", *(["forget"] if way == "pusher" else [])], 0)
    with application_of(world) as application, Users(world.redis, application, way) as users:
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
    assert set(application.statuses) == {200}  # Nobody had to begin again.


@pytest.mark.parametrize("way", WAYS)
def test_a_write_is_confirmed_or_rejected(world, way):
    with application_of(world) as application, Users(world.redis, application, way) as users:
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


@pytest.mark.parametrize("way", WAYS)
def test_a_reset_and_a_trimmed_history_make_clients_begin_again(world, way):
    with application_of(world) as application, Users(world.redis, application, way) as users:
        application.write(None, {"mutationId": "m-1", "put": [["Todo", todo("t1")], ["Todo", todo("t2")]]})
        users.open("one", "u1")
        users.converge("one")
        # By another database_version: what is truncated is told to nobody.
        world.sql("truncate todos")
        application.write(None, {"mutationId": "m-2", "put": [["Todo", todo("t3")]]})
        world.settle()
        users.node.call("mount", name="one")
        users.converge("one")
        assert users.state("one")["databases"] == 2 and set(application.statuses) == {200}

        # By what the application makes of the answer 409.
        users.node.call("leave", name="one")
        for number in range(3):
            application.write(None, {"mutationId": f"m-{number}", "put": [["Todo", todo(f"t{number}", title="x")]], "delete": [["Todo", "t3"]]})
        world.client.xtrim("walcast:log:chorus.user.u1", maxlen=1, approximate=False)
        users.node.call("mount", name="one")
        users.converge("one")
        assert application.statuses[409] == 1 and users.state("one")["databases"] == 3
