"""One test's world: a database, a Redis, a configuration, agents, and a subscriber who hears everything."""

import contextlib
import itertools
import re
import threading
import time

import psycopg2
import redis as redis_client

from support import history
from support.oracle import Oracle
from support.servers import Agent, Postgres, Redis, config, walcast, wait_until

# Postgres trusts local connections, so that any password does; Redis wants this one. Neither may ever be shown.
POSTGRES_PASSWORD = "Elephant-s3cr3t"
REDIS_PASSWORD = "Tortoise-s3cr3t"

_numbers = itertools.count(1)


class World:
    """Servers given are shared and left alone; those made here are ended here. `database` ends CREATE DATABASE."""

    def __init__(self, rules=(), postgres=None, redis=None, tables="", record=False, database="", **options):
        self._owned = []
        self._connections = []
        self.agents = []
        self.postgres = postgres or self._own(Postgres())
        self.redis = redis or self._own(Redis({"requirepass": REDIS_PASSWORD}))
        number = next(_numbers)
        self.db, self.slot, self.record_slot = f"app{number}", f"walcast{number}", f"record{number}"
        self.rules = list(rules)
        self.options = options
        self.prefix = options.get("prefix", "walcast:")
        self.client = self.redis.client()
        self.client.flushall()
        self.postgres.execute(f"create database {self.db} {database}")
        self.connection = self.connect()
        if tables:
            self.sql(tables)
        if record:
            self.sql(f"select pg_create_logical_replication_slot('{self.record_slot}', 'test_decoding')")

    def __enter__(self):
        return self

    def __exit__(self, error_type, *_):
        for agent in self.agents:
            if agent.alive():
                agent.kill9()
        logs = [agent.log() + agent.output() for agent in self.agents]
        for closing in self.agents + self._connections + [self.client]:
            closing.close()
        if not self._owned and self.postgres.alive():
            for slot in (self.slot, self.record_slot):
                self.postgres.execute(
                    "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = %s", [slot])
                self.postgres.execute(
                    "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s", [slot])
        for server in reversed(self._owned):
            server.close()
        if not error_type:
            for log in logs:
                assert_no_password(log)

    def _own(self, server):
        self._owned.append(server)
        return server

    # The database.

    def connect(self, **parameters):
        connection = self.postgres.connect(self.db, options="-c statement_timeout=120s -c client_encoding=utf8", **parameters)
        self._connections.append(connection)
        return connection

    def sql(self, statement, parameters=None):
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def transaction(self, *statements, end="commit"):
        self.sql("begin")
        for statement in statements:
            self.sql(statement)
        self.sql(end)

    def url(self):
        return self.postgres.url(self.db, password=POSTGRES_PASSWORD)

    def confirmed(self):
        return history.lsn_number(self.postgres.slot(self.slot)["confirmed_flush_lsn"])

    def oracle(self, tables):
        """The database's own record since the world began, applied to these tables."""
        record = self.sql(
            "select lsn::text, xid::text, data from pg_logical_slot_get_changes(%s, null, null, 'include-xids', '1')",
            [self.record_slot])
        return Oracle(tables).feed(record)

    # The agent.

    def config(self, **options):
        settings = {"slot": self.slot, **self.options, **options}
        rules = settings.pop("rules", self.rules)
        return config(settings.pop("postgres", self.url()), settings.pop("redis", self.redis), rules, **settings)

    def walcast(self, command, *arguments, config_text=None, **parameters):
        """Runs a command with the configuration to its end."""
        path = self.postgres.directory / f"{self.slot}.toml"
        path.write_text(config_text or self.config())
        result = walcast(command, "--config", path, *arguments, **parameters)
        assert_no_password(result.stdout + result.stderr)
        return result

    def init(self):
        result = self.walcast("init")
        assert result.returncode == 0, f"init: {result.returncode}\n{result.stdout}\n{result.stderr}"
        return self

    def agent(self, streaming=True, config_text=None, env=None, started=True):
        agent = Agent(config_text or self.config(), env=env, started=started)
        self.agents.append(agent)
        return agent.wait_streaming() if streaming else agent

    def settle(self, timeout=20):
        """Waits until Redis has everything that is committed now."""
        # A message of a prefix that means nothing to walcast: it takes no id.
        self.wait_for_position(self.sql("select pg_logical_emit_message(true, 'barrier', '')::text")[0][0], timeout)

    def wait_for_position(self, text, timeout):
        lsn = history.lsn_number(text)
        def settled():
            ended = bool(self.agents) and not any(agent.alive() for agent in self.agents)  # Before the position is read.
            if self.position_lsn() >= lsn:
                return True
            if ended:
                raise ChildProcessError(f"no agent runs, and the position is not at {lsn:X}: {self.position()}\n" + self.logs())
        wait_until(settled, timeout, lambda: f"the position reaches {lsn:X}: {self.position()}\n" + self.logs())

    def logs(self):
        return "\n---\n".join(agent.log()[-3000:] for agent in self.agents)

    # Redis.

    def position(self):
        return history.position(self.client, self.prefix)

    def position_lsn(self):
        return history.position_lsn(self.client, self.prefix)

    def histories(self):
        return history.histories(self.client, self.prefix)

    def entries(self, channel):
        return history.read_stream(self.client, f"{self.prefix}log:{channel}")

    def messages(self, channel):
        return [history.parse(entry.message) for entry in self.entries(channel)]

    def actions(self, channel):
        return history.actions(self.entries(channel))

    def control(self, kind="reset"):
        """The messages of this type in the control stream."""
        found = [history.parse(entry.message) for entry in history.read_stream(self.client, self.prefix + "control")]
        return [message for message in found if message["type"] == kind]

    def assert_sound(self, **parameters):
        """All histories keep the rules, and the position is at or above their ends."""
        channels = self.histories()
        found = history.problems(channels, epoch=self.position()["epoch"], **parameters)
        assert not found, "\n".join(found[:20])
        ends = [history.parse(entries[-1].message)["lastSyncId"] for entries in channels.values() if entries]
        assert int(self.position()["sync_id"]) >= max(ends, default=0)
        return channels


def assert_no_password(text):
    for password in (POSTGRES_PASSWORD, REDIS_PASSWORD):
        assert password not in text, f"a password is shown: {text[:2000]}"


class Subscriber:
    """Hears every channel in a thread of its own, and subscribes again when Redis was away."""

    def __init__(self, redis):
        self.received = []  # (channel, message), in the order of arrival; reconnects are not marked
        self._redis = redis
        self._ends = threading.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10), "could not subscribe"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join(10)

    def _listen(self, ready):
        while not self._ends.is_set():
            try:
                subscription = self._redis.client().pubsub()
                subscription.psubscribe("*")
                while not self._ends.is_set():
                    item = subscription.get_message(timeout=0.2)
                    if item and item["type"] == "psubscribe":
                        ready.set()
                    elif item:
                        self.received.append((item["channel"].decode(), item["data"]))
            except OSError:
                time.sleep(0.05)
            except Exception as error:  # redis-py's own errors do not derive from OSError.
                if not re.search("Connection|Timeout|Busy", type(error).__name__):
                    raise
                time.sleep(0.05)

    def of(self, channel):
        """What came on a channel, without the progress messages, which no history has."""
        found = list(self.received)
        return [data for name, data in found if name == channel and not history.is_progress(history.parse(data))]

    def assert_within(self, channels, control="walcast:control"):
        """Nothing was heard that is not in history."""
        known = {name: {entry.message for entry in entries} for name, entries in channels.items()}
        stray = [(name, data) for name, data in list(self.received)
                 if name != control and not history.is_progress(history.parse(data)) and data not in known.get(name, ())]
        assert not stray, f"heard, but not in history: {stray[:5]}"


class ConfirmedWatch:
    """Samples that Postgres never forgets what Redis does not have: confirmed_flush_lsn stays at or below the position.

    Either server may be away at times. A Redis that forgets everything begins a new epoch, and what was confirmed in the
    old one is no longer compared; one that comes back *older* in the same epoch is rightly below what was confirmed before."""

    def __init__(self, world):
        self.samples, self.violations = 0, []
        self._world = world
        self._connection = None
        self._sampling = threading.Lock()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join(10)
        self._disconnect()

    @contextlib.contextmanager
    def suspended(self):
        """Nothing is sampled, and Postgres is left alone: where Redis forgets what it had, the position is below for as long as
        it takes to say so."""
        with self._sampling:
            self._disconnect()
            yield

    def _disconnect(self):
        if self._connection:
            self._connection.close()
        self._connection = None

    def _watch(self):
        while not self._ends.wait(0.002):
            with self._sampling:
                try:
                    self._sample()
                except (psycopg2.Error, redis_client.RedisError, OSError):
                    self._disconnect()  # One of them is away, as the test wants it.
                except ValueError:
                    pass  # Not an LSN: edited by a test.

    def _sample(self):
        self._connection = self._connection or self._world.postgres.connect(self._world.db)
        cursor = self._connection.cursor()
        key = self._world.prefix + "position"
        before = self._world.client.hget(key, "epoch")
        # Both only rise within an epoch; so the one that must be lower is read first.
        cursor.execute("select confirmed_flush_lsn::text from pg_replication_slots where slot_name = %s", [self._world.slot])
        row = cursor.fetchone()
        epoch, position = self._world.client.hmget(key, "epoch", "lsn")
        if not row or not row[0] or not position or epoch != before:
            return
        self.samples += 1
        if history.lsn_number(row[0]) > history.lsn_number(position):
            self.violations.append((row[0], position.decode()))

    def assert_kept(self):
        assert self.samples > 0, "nothing was sampled"
        assert not self.violations, f"confirmed above the position: {self.violations[:5]}"
