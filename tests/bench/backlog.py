"""Backlogs of a slot, and the readers that drain copies of it in turns: walcast, pg_recvlogical, a Node program."""

import collections
import contextlib
import json
import os
import pathlib
import resource
import shutil
import subprocess
import time

from tests.support.servers import REPOSITORY, Agent, Postgres, Redis, config, wait_until, walcast

WORKSPACES = 100
KEEPS_ALL = 10_000_000  # Messages a channel.
OUTPUT_OPTIONS = ["-o", "proto_version=1", "-o", "publication_names=walcast", "-o", "messages=true"]
RULES = [{"table": "public.todos", "model": "Todo", "channels": ["workspace:{workspace_id}"]}]
PEER = REPOSITORY / "tests/bench/peer/index.js"
PEER_MODULES = REPOSITORY / "build/peer/node_modules"

TODOS = """
create table todos (
    id bigint generated always as identity primary key,
    workspace_id bigint not null,
    title text not null,
    body text not null,
    done boolean not null default false,
    created_at timestamptz not null default clock_timestamp()
);
"""

# One workspace a transaction, as an application writes; rows of about 150 bytes.
FILL_TODOS = ("insert into todos (workspace_id, title, body) select ((i - 1) / {size}) % {workspaces}, 'Buy oat milk ' || i, "
              "'Two litres, the unsweetened one, from the shop at the corner.'")

IN_TRANSACTIONS = """
do $$
declare n bigint := 0;
begin
    while n < {rows} loop
        {insert} from generate_series(n + 1, least(n + {size}, {rows})) i;
        commit;
        n := n + {size};
    end loop;
end $$;
"""


class Stage:
    """Postgres with tables, Redis, and a slot and publication made by `walcast init`."""

    def __init__(self, report, postgres, redis):
        self.report = report
        self.postgres = postgres
        self.redis = redis
        self.client = redis.client()
        self.first_position = {}

    def configure(self, name, rules=RULES, length=1000, **overrides):
        path = self.redis.directory / f"{name}.toml"
        path.write_text(config(self.postgres, self.redis, rules, history={"length": length, "age": "24h"}, **overrides))
        return path

    def init(self, path):
        made = walcast("init", "--config", path)
        if made.returncode != 0:
            raise RuntimeError(f"walcast init: {made.stderr}")
        self.first_position = self.client.hgetall("walcast:position")

    def insert(self, rows, size, statement):
        """`statement` is an INSERT ... SELECT without its FROM, i the number of a row from 1."""
        connection = self.postgres.connect()
        connection.cursor().execute("set synchronous_commit = off")
        connection.cursor().execute(IN_TRANSACTIONS.format(rows=rows, size=size, insert=statement))
        connection.close()

    def backlog(self, rows, size, statement):
        """Makes one while nobody reads."""
        self.drop_slot("base")
        self.postgres.execute("select pg_create_logical_replication_slot('base', 'pgoutput')")
        begin_lsn = self.postgres.slot("base")["confirmed_flush_lsn"]
        self.insert(rows, size, statement)
        [(end_lsn,)] = self.postgres.execute("select pg_current_wal_insert_lsn()")
        # The reference ends at the first record at or after `end_lsn`: give it one, rather than let it wait for a keepalive.
        self.postgres.execute("select pg_logical_emit_message(true, 'bench', '')")
        self.postgres.execute("checkpoint")
        return Backlog(self, rows, begin_lsn, end_lsn)

    def drop_slot(self, name):
        # The walsender of the last reader may still be leaving.
        wait_until(lambda: not (self.postgres.slot(name) or {}).get("active"), 30, f"slot {name} is free")
        if self.postgres.slot(name):
            self.postgres.execute("select pg_drop_replication_slot(%s)", [name])


@contextlib.contextmanager
def stage(report, schema=TODOS, rules=RULES):
    settings = {"fsync": "on", "synchronous_commit": "on", "shared_buffers": "512MB", "max_wal_size": "16GB",
                "checkpoint_timeout": "1h", "autovacuum": "off"}
    redis_settings = {"appendonly": "yes" if report.options.appendonly else "no"}
    with Postgres(settings=settings) as postgres, Redis(settings=redis_settings) as redis:
        postgres.execute(schema)
        made = Stage(report, postgres, redis)
        made.init(made.configure("walcast", rules))
        yield made


Usage = collections.namedtuple("Usage", "user system")
Drain = collections.namedtuple("Drain", "seconds usage redis memory")  # Memory in bytes, where it is known.


class Children:
    """The CPU time of the children that end inside."""

    def __enter__(self):
        self._before = resource.getrusage(resource.RUSAGE_CHILDREN)
        return self

    def __exit__(self, *_):
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.usage = Usage(after.ru_utime - self._before.ru_utime, after.ru_stime - self._before.ru_stime)


def process_cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return Usage(int(fields[11]) / ticks, int(fields[12]) / ticks)


def redis_usage(stage, before):
    after = process_cpu(stage.redis.pid)
    return Usage(after.user - before.user, after.system - before.system)


def drain_by_walcast(stage, path, last_id):
    """From the start of the agent until the position covers sync id `last_id`."""
    redis_before = process_cpu(stage.redis.pid)
    with Children() as children:
        begin = time.monotonic()
        agent = Agent(path)
        try:
            def is_drained():
                if not agent.alive():
                    raise ChildProcessError(agent.log()[-3000:])
                return int(stage.client.hget("walcast:position", "sync_id") or 0) >= last_id
            wait_until(is_drained, 600, "backlog drained", every=0.01)
            seconds = time.monotonic() - begin
            redis_used = redis_usage(stage, redis_before)
            memory = agent.rss_max()
            agent.stop()
        finally:
            agent.close()
    return Drain(seconds, children.usage, redis_used, memory)


class Backlog:
    def __init__(self, stage, rows, begin_lsn, end_lsn):
        self.stage = stage
        self.rows = rows
        self.last_id = rows
        self._begin_lsn = begin_lsn
        self._end_lsn = end_lsn

    def _copy_slot(self, name):
        self.stage.drop_slot(name)
        self.stage.postgres.execute("select pg_copy_logical_replication_slot('base', %s)", [name])

    def by_walcast(self, path):
        self._copy_slot("walcast")
        self.stage.client.flushall()
        self.stage.client.hset("walcast:position", mapping={**self.stage.first_position, b"lsn": self._begin_lsn})
        return drain_by_walcast(self.stage, path, self.last_id)

    def by_pg_recvlogical(self, output="/dev/null"):
        self._copy_slot("reference")
        postgres = self.stage.postgres
        arguments = [postgres.bindir / "pg_recvlogical", "-d", postgres.url(), "--slot", "reference", "--start", "--no-loop",
                     "--endpos", self._end_lsn, "-f", output, *OUTPUT_OPTIONS]
        with Children() as children:
            begin = time.monotonic()
            subprocess.run(arguments, check=True, timeout=600)
            seconds = time.monotonic() - begin
        return Drain(seconds, children.usage, None, None)

    def by_peer(self, rows, length, has_flow_control):
        """The first so many rows, since it is slow: from the start of the process to its end."""
        self._copy_slot("peer")
        self.stage.client.flushall()
        redis_before = process_cpu(self.stage.redis.pid)
        arguments = ["node", PEER, "--postgres", self.stage.postgres.url(), "--redis", self.stage.redis.url(), "--slot", "peer",
                     "--rows", str(rows), "--length", str(length)] + (["--flow-control"] if has_flow_control else [])
        with Children() as children:
            begin = time.monotonic()
            ended = subprocess.run(arguments, check=True, timeout=900, stdout=subprocess.PIPE, text=True,
                                   env={**os.environ, "NODE_PATH": str(PEER_MODULES)})
            seconds = time.monotonic() - begin
        return Drain(seconds, children.usage, redis_usage(self.stage, redis_before), json.loads(ended.stdout)["rss"])

    def stream_bytes(self):
        """What Postgres sends of it."""
        path = self.stage.redis.directory / "stream"
        self.by_pg_recvlogical(path)
        size = path.stat().st_size
        path.unlink()
        return size


def has_peer():
    if not (PEER_MODULES.parent / "installed.json").exists() or not shutil.which("node"):  # run.sh puts them there.
        return False
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return int(version.lstrip("v").split(".")[0]) >= 20


def check_arrived(report, name, client, rows, prefix="walcast:"):
    """Every row in exactly one history, once."""
    ids = collections.Counter()
    for key in client.scan_iter(f"{prefix}log:*", count=1000):
        for _, fields in client.xrange(key):
            ids.update(action["data"]["id"] for action in json.loads(fields[b"m"])["sync"])
    report.expect(len(ids) >= rows and max(ids.values()) == 1,
                  f"{name}: {len(ids)} of {rows} rows arrived, at most {max(ids.values(), default=0)} times each")
