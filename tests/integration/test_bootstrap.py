"""Rows and the sync id that they belong to: a bootstrap and the messages above its id are the table, change by change."""

import contextlib
import json
import os
import pty
import random
import re
import socket
import subprocess
import threading
import time

import psycopg2
import pytest

import test_types
from support import history
from support.bootstraps import Bootstrap, Position, apply_strictly, ask, bootstrap, lines_of, port_of, position_of
from support.servers import Postgres, free_port, wait_until, walcast_binary
from support.world import World

SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
ROUNDS = int(os.environ.get("WALCAST_ROUNDS", 12))
HTTP = {"listen": "127.0.0.1:0"}
TOKEN = "Squirrel-s3cr3t-0123"

# Accounts count their updates; of the ledger every row is an increment.
SCHEMA = """
create table accounts (id int primary key, room int, balance bigint not null default 0, version int not null default 0);
alter table accounts replica identity full;
create index on accounts (room);
create table ledger (id bigserial primary key, account int, amount int);
insert into accounts select i, i % 3 from generate_series(1, 30) i;
"""
RULES = [
    {"table": "public.accounts", "model": "Account", "channels": ["all", "room:{room}"]},
    {"table": "public.ledger", "model": "Entry", "channels": ["all"]},
]


class Writer(threading.Thread):
    """Random small transactions, of which some wait for a standby, some roll back, and some say things besides."""

    def __init__(self, world, number, ends, commits=("on", "off", "local")):
        super().__init__(daemon=True)
        self.random, self.ends, self.commits, self.error = random.Random(SEED * 100 + number), ends, commits, None
        self.connection = world.connect(autocommit=False)
        self.next_id = number * 1_000_000
        self.committed = 0

    def run(self):
        try:
            while not self.ends.is_set():
                try:
                    self.transaction(self.connection.cursor())
                except (psycopg2.errors.DeadlockDetected, psycopg2.errors.LockNotAvailable):
                    self.connection.rollback()
                if self.random.random() < 0.4:
                    time.sleep(self.random.random() * 0.02)
        except psycopg2.Error as error:
            if not self.ends.is_set():
                self.error = error

    def transaction(self, cursor):
        # Who waits for a standby holds its locks.
        cursor.execute(f"set local synchronous_commit = {self.random.choice(self.commits)}; set local lock_timeout = '100ms'")
        for _ in range(self.random.choice([1, 1, 2, 4])):
            self.step(cursor)
        if self.random.random() < 0.1:
            self.connection.rollback()
            return
        self.connection.commit()
        self.committed += 1

    def step(self, cursor):
        account, amount, kind = self.random.randint(1, 30), self.random.randint(-5, 5), self.random.random()
        if kind < 0.55:
            cursor.execute("update accounts set balance = balance + %s, version = version + 1 where id = %s", [amount, account])
        elif kind < 0.8:
            cursor.execute("insert into ledger (account, amount) values (%s, %s)", [account, amount])
        elif kind < 0.87:
            cursor.execute("delete from ledger where id in (select id from ledger order by random() limit 1 for update skip locked)")
        elif kind < 0.92:
            self.next_id += 1
            cursor.execute("insert into accounts values (%s, %s)", [self.next_id, account % 3])
        elif kind < 0.96:
            cursor.execute("select pg_logical_emit_message(%s, 'walcast:event', '{\"channel\":\"all\"}')", [self.random.random() < 0.5])
        else:
            cursor.execute("savepoint s")
            cursor.execute("insert into ledger (account, amount) values (%s, 1000)", [account])
            cursor.execute("rollback to s")


@contextlib.contextmanager
def writers(world, numbers=range(1, 5), **parameters):
    print(f"WALCAST_SEED={SEED}")
    ends = threading.Event()
    all_of_them = [Writer(world, number, ends, **parameters) for number in numbers]
    for writer in all_of_them:
        writer.start()
    try:
        wait_until(lambda: all(writer.committed > 3 for writer in all_of_them), 30, "writers work")
        yield all_of_them
    finally:
        ends.set()
        for writer in all_of_them:
            writer.join(60)
    assert not any(writer.is_alive() for writer in all_of_them)
    assert [writer.error for writer in all_of_them if writer.error] == []


@pytest.fixture
def world(postgres, redis):
    with World(RULES, postgres, redis, SCHEMA, http=HTTP) as world:
        world.init()
        yield world


def rows_of_database(world, channel="all"):
    """What a reader of the channel must have in the end."""
    where = "" if channel == "all" else f"where room = {int(channel.removeprefix('room:'))}"
    accounts = world.sql(f"select id, to_json(accounts) from accounts {where}")
    ledger = world.sql("select id, to_json(ledger) from ledger") if channel == "all" else []
    return {("Account", str(key)): row for key, row in accounts} | {("Entry", str(key)): row for key, row in ledger}


def assert_leads_to_the_table(world, taken, channel="all"):
    """`taken`: the position and rows of many bootstraps, when all is settled."""
    actions, wanted, epoch = world.actions(channel), rows_of_database(world, channel), world.position()["epoch"]
    for position, rows in taken:
        assert position.epoch == epoch
        found = apply_strictly(dict(rows), actions, lambda item: position.has_seen(item.sync_id))
        assert found == wanted


def read_by_ourselves(world, port):
    """As an application does: its own query in REPEATABLE READ, and the snapshot's position."""
    connection = world.connect(autocommit=False)
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    cursor = connection.cursor()
    try:
        cursor.execute("select pg_current_snapshot()::text")
        snapshot = cursor.fetchone()[0]
        status, said = position_of(port, snapshot)
        if status != 200:
            return status, said, None
        cursor.execute("select id, to_json(accounts) from accounts")
        rows = {("Account", str(key)): row for key, row in cursor.fetchall()}
        cursor.execute("select id, to_json(ledger) from ledger")
        return status, Position(said), rows | {("Entry", str(key)): row for key, row in cursor.fetchall()}
    finally:
        connection.rollback()
        connection.close()


def told_by_ourselves(world, port):
    """As soon as it is told: autovacuum may have run when the agent began to stream."""
    def told():
        status, position, rows = read_by_ourselves(world, port)
        assert status in (200, 409), position
        return (position, rows) if status == 200 else None
    return wait_until(told, 30, "a position is told")


# --- exact ---

@pytest.mark.limit(60 + 10 * ROUNDS)
def test_a_bootstrap_and_what_comes_after_it_are_the_table(world):
    port = port_of(world.agent())
    taken, of_room, own = [], [], []
    with writers(world):
        for _ in range(ROUNDS):
            one = bootstrap(port, ["all"])
            taken.append((one.position, one.by_id()))
            one = bootstrap(port, ["room:1"])
            of_room.append((one.position, one.by_id()))
            own.append(told_by_ourselves(world, port))
    world.settle()
    assert len({position.last for position, _ in taken}) > ROUNDS // 2, "nothing went on meanwhile"
    assert_leads_to_the_table(world, taken)
    assert_leads_to_the_table(world, own)
    assert_leads_to_the_table(world, of_room, "room:1")
    assert {row["room"] for _, rows in of_room for row in rows.values()} == {1}


@pytest.mark.limit(60 + 10 * ROUNDS)
def test_commits_that_nobody_sees_yet():
    """A synchronous standby that is away: commits are in the stream, and invisible, while later ones are visible."""
    with Postgres() as postgres, World(RULES, postgres, None, SCHEMA, http=HTTP) as world:
        port = port_of(world.init().agent())
        taken, with_visible = [], 0
        with writers(world, [1, 2], commits=("local", "off")), writers(world, [3, 4], commits=("local",)) as waiting:
            for writer in waiting:
                writer.commits = ("on",)
            world.sql("alter system set synchronous_standby_names = 'nobody'")
            world.sql("select pg_reload_conf()")
            count = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
            wait_until(lambda: world.sql(count)[0][0] == 2, 30, "two commits wait")
            for number in range(ROUNDS):
                one = bootstrap(port, ["all"])
                taken.append((one.position, one.by_id()))
                with_visible += bool(one.position.visible)
                taken.append(told_by_ourselves(world, port))
                if number == ROUNDS // 2:
                    # What an agent has published before its start cannot be told from what runs still.
                    port = port_of(restarted(world))
                    status, said, _ = read_by_ourselves(world, port)
                    assert status == 409 and "since before the agent began to stream" in said["error"]
                    world.sql("alter system reset synchronous_standby_names")
                    world.sql("select pg_reload_conf()")
                    told_by_ourselves(world, port)
        world.settle()
        assert with_visible > 2, "none had seen later ones"
        assert_leads_to_the_table(world, taken)


def restarted(world, kill=False):
    agent = world.agents[-1]
    if kill:
        agent.kill9()
    else:
        agent.stop()
    agent.start()
    return agent.wait_streaming()


def test_restarts_in_between(world):
    world.agent()
    taken = []
    with writers(world, [1, 2, 3]):
        for number in range(max(4, ROUNDS // 3)):
            port = port_of(world.agents[-1])
            one = bootstrap(port, ["all"])  # Also at once after a start.
            taken.append((one.position, one.by_id()))
            restarted(world, kill=number % 2 == 0)
    world.settle()
    assert_leads_to_the_table(world, taken)


# --- what cannot be told ---

def test_snapshots_from_before_the_start_are_refused(world):
    port = port_of(world.agent())
    running = world.connect(autocommit=False)
    with running.cursor() as cursor:
        cursor.execute("insert into ledger (account, amount) values (1, 1) returning pg_current_xact_id()::text")
        xid = cursor.fetchone()[0]
    world.sql("insert into ledger (account, amount) values (2, 2)")

    def snapshot():
        return world.sql("select pg_current_snapshot()::text")[0][0]

    def told():
        """Whatever else runs in the cluster, as autovacuum, soon ends."""
        taken = snapshot()
        status, said = position_of(port, taken)
        return (taken, said) if status == 200 else None
    before, said = wait_until(told, 30, "a position is told")
    assert xid in before.split(":")[2].split(","), "it runs"
    assert (said["lastSyncId"], said["visible"]) == (1, [])

    port = port_of(restarted(world))
    for taken in (before, snapshot()):
        status, said = position_of(port, taken)
        assert status == 409 and re.search("older than what is remembered|runs for longer than is remembered", said["error"])
    running.commit()
    _, said = wait_until(told, 30, "told again")
    assert (said["lastSyncId"], said["visible"]) == (2, [])
    assert position_of(port, before)[0] == 409


def test_questions_that_make_no_sense(world):
    port = port_of(world.agent())
    for query in ([], [("snapshot", "")], [("snapshot", "1:2")], [("snapshot", "738:741:739"), ("x", "1")], [("shot", "738:741:")]):
        status, text = ask(port, "/position-of", query)
        assert status == 400 and json.loads(text)["error"], (query, text)
    for query in ([], [("chanel", "all")], [("channel", "all"), ("after", "AAAA")]):
        status, text = ask(port, "/bootstrap", query)
        assert status == 400 and json.loads(text)["error"], (query, text)
    # One who has written sees what comes only later.
    with world.connect(autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("insert into ledger (account, amount) values (1, 1)")
        world.sql("insert into ledger (account, amount) values (2, 2)")
        cursor.execute("select pg_current_snapshot()::text")
        status, said = position_of(port, cursor.fetchone()[0])
        assert status == 409 and "written nothing" in said["error"]
    take = "select pg_current_snapshot()::text"
    wait_until(lambda: ask(port, "/position-of", method="POST", body=world.sql(take)[0][0])[0] == 200, 30, "told by POST")
    assert bootstrap(port, ["nobody:s"]).rows == []
    status, text = ask(port, "/bootstrap", [("model", "account")])
    assert status == 400 and 'no rule has the model "account"; did you mean "Account"?' in json.loads(text)["error"]
    for xmax in (10**9, 2**64 - 1):  # Of another cluster, or none.
        status, said = position_of(port, f"{xmax}:{xmax}:")
        assert status == 409 and "lies above all transactions" in said["error"]
    world.sql("drop table ledger")
    assert bootstrap(port, models=["Entry"]).rows == []
    world.agents[-1].wait_log("bootstrap without table=public.ledger, which is not published or not there")


def test_only_the_head_of_a_bootstrap_reads_nothing(world):
    port = port_of(world.agent())
    world.sql("begin")
    world.sql("lock table accounts in access exclusive mode")  # Who would read waits for it.
    assert ask(port, "/bootstrap", [("channel", "all")], method="HEAD", timeout=10) == (200, b"")
    assert ask(port, "/bootstrap", [("chanel", "all")], method="HEAD", timeout=10) == (400, b"")
    world.sql("rollback")
    assert len(bootstrap(port, ["all"]).rows) == 30


@pytest.mark.skipif(int(os.environ.get("WALCAST_PG", 15)) < 17, reason="it has no such timeout: WALCAST_PG=17")
def test_a_transaction_timeout_ends_no_bootstrap(world):
    world.sql(f"alter database {world.db} set transaction_timeout = '300ms'")
    with world.connect() as connection, connection.cursor() as cursor:
        port = port_of(world.agent())
        cursor.execute("set transaction_timeout = 0")
        cursor.execute("begin; lock table accounts in access exclusive mode")
        found = []
        reading = threading.Thread(target=lambda: found.append(bootstrap(port, ["all"])))
        reading.start()
        cursor.execute("select pg_sleep(1)")
        cursor.execute("rollback")
        reading.join(60)
    assert len(found[0].rows) == 30


def test_while_nothing_is_streamed(world):
    world.agent()
    standby = world.agent(streaming=False)
    standby.wait_log("standby slot=")
    port = port_of(standby)
    assert position_of(port, "738:738:")[0] == 503
    status, text = ask(port, "/bootstrap", [("channel", "all")])
    assert status == 503 and "another agent has the slot" in json.loads(text)["error"]
    world.agents[0].kill9()
    standby.wait_streaming(30)
    assert len(bootstrap(port, ["all"]).rows) == 30


def test_a_token_guards_rows(world):
    world.options["http"] = {**HTTP, "token": TOKEN}
    port = port_of(world.agent())
    for path in ("/bootstrap?channel=all", "/position-of?snapshot=738:738:"):
        assert ask(port, path)[0] == 401
    assert len(bootstrap(port, ["all"], headers={"Authorization": f"Bearer {TOKEN}"}).rows) == 30


def test_pages_of_anybody_get_no_rows(world):
    """A browser on this machine, told that somebody's name is 127.0.0.1."""
    port = port_of(world.agent())
    for path in ("/bootstrap?channel=all", "/position-of?snapshot=738:738:"):
        assert ask(port, path, headers={"Host": "evil.example"})[0] == 403


# --- the rows ---

def test_bytes_are_those_of_live_rows(redis):
    settings = {"output_plugin_libraries": "pgoutput, test_decoding, wal2json"}
    rules = [{"table": "kinds.t*", "channels": ["all"]}]
    with Postgres(settings=settings) as postgres, World(rules, postgres, redis, test_types.SETUP, http=HTTP) as world:
        matrix = test_types.Matrix(world)
        # A line of JSON lines has no line end inside, which json values may have between their tokens.
        live = b"".join(entry.message for entry in matrix.raw).replace(b"\n", b" ").replace(b"\r", b" ")
        one = bootstrap(port_of(world.agents[-1]), ["all"])
        assert len(one.rows) == len(world.actions("all")) > 300
        for line in one.row_lines:
            assert b'"action":"insert",' + line[1:] in live, line[:500]
        assert any(b"[1e5, 12345678901234567890]" in line for line in one.row_lines)


def test_rows_are_those_that_the_rules_give_each_channel(world):
    world.sql("""
        create table todos (id int primary key, owner text, tags text[], meta jsonb, kind varchar(10), hidden text, gone timestamptz, who uuid);
        alter table todos replica identity full;
        create table parts (id int, region text, v int, primary key (id, region)) partition by list (region);
        create table parts_north partition of parts for values in ('north'); create table parts_south partition of parts for values in ('south');
        create table parent (id int primary key); create table child () inherits (parent);
    """)
    world.rules = [
        {"table": "public.todos", "model": "Todo", "channels": ["owner:{owner}", "tag:{tags}", "team:{meta.team}:{kind}"], "exclude": ["hidden"],
         "rename": {"owner": "ownerName"}, "where": "kind <> 'draft'", "delete_when": "gone is not null"},
        {"table": "public.todos", "model": "Brief", "channels": ["owner:{owner}", "who:{who}"], "columns": ["owner"]},
        {"table": "public.todos", "model": "Never", "channels": ["owner:{owner}"], "operations": ["delete"]},
        {"table": "public.parts", "channels": ["region:{region}", "all"]},
        {"table": "public.parent", "channels": ["all"]},
    ]
    world.sql("alter publication walcast set table todos, parts, only parent")
    port = port_of(world.agent())
    chance = random.Random(SEED)
    print(f"WALCAST_SEED={SEED}")
    owners = ["ann", "a:b", "x/y", "é", "100%", "", " ", "O'Brien", "a\\b", "tab\t", "\n", None]
    for number in range(1, 61):
        world.sql("insert into todos values (%s, %s, %s, %s, %s, 'secret', %s, %s)", [
            number, chance.choice(owners), chance.choice([None, [], ["red", "a,b"], ["red"]]),
            json.dumps({"team": chance.choice([1, "x y", None, ["p", "q"]])}), chance.choice(["draft", "task", "b-c", None]),
            chance.choice([None, None, "2024-01-01"]), f"a0eebc99-9c0b-4ef8-bb6d-6bb9bd3800{number % 4:02}"])
    world.sql("insert into parts select i, case i % 2 when 0 then 'north' else 'south' end, i from generate_series(1, 9) i")
    world.sql("insert into parent select generate_series(1, 3)")
    world.sql("insert into child select generate_series(11, 13)")
    for number in range(1, 61, 3):
        world.sql("update todos set owner = %s, gone = null where id = %s", [chance.choice(owners), number])
    world.sql("delete from todos where id % 10 = 0")
    world.settle()
    histories = world.histories()
    assert len(histories) > 15
    everything = {}
    for channel, entries in histories.items():
        wanted = apply_strictly({}, history.actions(entries), lambda item: False, may_delete_twice=True)
        one = bootstrap(port, [channel])
        assert one.by_id() == wanted, channel
        everything.update(wanted)
        assert b"secret" not in b"".join(one.lines)
    assert bootstrap(port, models=["Todo", "Brief", "parts", "parent", "Never"]).by_id() == everything
    assert bootstrap(port, ["all"], models=["parts"]).by_id().keys() == {("parts", f"{i},{'north' if i % 2 == 0 else 'south'}") for i in range(1, 10)}
    both = bootstrap(port, ["all", "region:north", "nobody"])
    assert {tuple(row["channels"]) for row in both.rows} == {("all",), ("region:north", "all")}


def test_what_nobody_may_read_is_said(world):
    world.sql("drop role if exists reader")
    world.sql("create role reader login replication")
    world.options["postgres"] = world.postgres.url(world.db, user="reader")
    try:
        port = port_of(world.agent())
        status, text = ask(port, "/bootstrap", [("channel", "all")])
        assert status == 500 and "permission denied for table accounts" in json.loads(text)["error"]
        world.sql("grant select on accounts, ledger to reader")
        assert len(bootstrap(port, ["all"]).rows) == 30
        # Policies would hide rows that live messages tell of.
        world.sql("alter table accounts enable row level security")
        status, text = ask(port, "/bootstrap", [("channel", "all")])
        assert status == 500 and "row-level security policy" in json.loads(text)["error"]
        world.agents[-1].wait_log("bootstrap refused status=500 .*row-level security policy")
    finally:
        world.agents[-1].stop()
        world.sql("drop owned by reader; drop role reader")


# --- large tables ---

BIG = 100_000


@pytest.fixture(scope="module")
def big(postgres):
    """A table of many rows, whose first are updated at times."""
    tables = f"""
        create table big (id int primary key, room int, version int not null default 0, body text);
        alter table big replica identity full;
        insert into big select i, i % 1000, 0, repeat('x', 200) from generate_series(1, {BIG}) i;
        create index on big (room);
        create table small (id int primary key, v int); insert into small values (1, 1);
        create table tiny (id int primary key, v int); insert into tiny values (1, 1);
        analyze;
    """
    rules = [{"table": "public.big", "channels": ["big", "room:{room}"]}, {"table": "public.small", "channels": ["small", "big"]},
             {"table": "public.tiny", "channels": ["tiny"]}]
    with World(rules, postgres, None, tables, http={"listen": f"127.0.0.1:{free_port()}"}) as world:
        world.init().agent()
        yield world


def receive_head(client):
    received = b""
    while b'"type":"bootstrap"' not in received:
        piece = client.recv(1000)
        assert piece, received
        received += piece
    return received


@contextlib.contextmanager
def unread(port, query="channel=big"):
    """A client that has asked for many rows, and reads only the first."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(60)
        client.connect(("127.0.0.1", port))
        client.sendall(f"GET /bootstrap?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        receive_head(client)
        yield client


def test_many_rows_take_little_memory_and_hold_nobody_up(big):
    agent = big.agents[-1]
    port = port_of(agent)
    before = int(big.position()["sync_id"])
    found = []
    reading = threading.Thread(target=lambda: found.append(bootstrap(port, ["big"])))
    reading.start()
    count = 0
    while reading.is_alive():
        big.sql("update small set v = v + 1")
        big.settle()
        count += 1
    reading.join()
    assert len(found[0].rows) == BIG + 1 and len(found[0].marks) == BIG // 10_000
    assert count > 0 and int(big.position()["sync_id"]) == before + 2 * count
    assert agent.rss_max() < 64 << 20
    one = bootstrap(port, ["room:7"])
    assert [row["modelId"] for row in one.rows] == [str(i) for i in range(7, BIG, 1000)]


def test_a_bootstrap_that_was_cut_goes_on(big):
    port = port_of(big.agents[-1])
    ends = threading.Event()

    def update():
        chance = random.Random(SEED)
        connection = big.connect()
        while not ends.is_set():
            connection.cursor().execute("update big set version = version + 1 where id = %s", [chance.randint(1, BIG)])

    writer = threading.Thread(target=update)
    writer.start()
    rows, after, parts = {}, None, 0
    try:
        while True:
            status, text = ask(port, "/bootstrap", [("channel", "big")] + ([("after", after)] if after else []))
            assert status == 200
            lines = lines_of(text[:12_000_000] if parts < 2 else text)
            position = Position(lines[0])
            # A row is as of its part, also one that comes again.
            rows.update({(row["modelName"], row["modelId"]): (position, row["data"]) for row in lines if "type" not in row})
            parts += 1
            if lines[-1].get("type") == "end":
                break
            after = [line["after"] for line in lines if line.get("type") == "mark"][-1]
    finally:
        ends.set()
        writer.join()
    big.settle()
    assert parts == 3 and len(rows) == BIG + 1
    positions = {key: position for key, (position, _) in rows.items()}
    data = {key: row for key, (_, row) in rows.items()}
    found = apply_strictly(data, big.actions("big"), lambda item: positions[(item.model, item.model_id)].has_seen(item.sync_id))
    wanted = {("big", str(key)): version for key, version in big.sql("select id, version from big")}
    assert {key: row["version"] for key, row in found.items() if key[0] == "big"} == wanted
    status, text = ask(port, "/bootstrap", [("channel", "small"), ("after", after)])
    assert status == 400 and "token" in json.loads(text)["error"]


def connections_of_bootstraps(world):
    return world.sql("select count(*) from pg_stat_activity where backend_xmin is not null and query like 'COPY%' and datname = current_database()")[0][0]


def test_a_client_that_does_not_read_is_cut_off_and_few_at_a_time(big):
    port = port_of(big.agents[-1])
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(unread(port)) for _ in range(4)]
        assert connections_of_bootstraps(big) == 4
        if time.monotonic() - begin < 3:
            status, text = ask(port, "/bootstrap", [("channel", "small")])
            assert status == 503 and "at a time" in json.loads(text)["error"]
        wait_until(lambda: connections_of_bootstraps(big) == 0, 60, "all are cut off")
        assert time.monotonic() - begin > 4
        assert [len(client.recv(100)) > 0 for client in clients] == [True] * 4  # What was on its way.
    assert len(bootstrap(port, ["small"]).rows) == 1


def test_tables_stay_as_they_are_meanwhile(big):
    """A table that is rewritten or truncated after the snapshot would seem empty."""
    port = port_of(big.agents[-1])
    with unread(port, "model=big&model=tiny") as client:
        changing = threading.Thread(target=lambda: big.connect().cursor().execute("truncate tiny"))
        changing.start()
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query = 'truncate tiny'"
        wait_until(lambda: big.sql(waits)[0][0] == 1, 20, "the truncate waits")
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            piece = client.recv(1 << 20)
            assert piece, "cut short"
            received = received[-1000:] + piece
        assert b'{"modelName":"tiny","modelId":"1"' in received
    changing.join()
    assert big.sql("select count(*) from tiny") == [(0,)]


def test_clients_without_chunks_and_without_bodies(big):
    port = port_of(big.agents[-1])

    def say(request):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(request)
            received = b""
            while piece := client.recv(65536):
                received += piece
            return received.split(b"\r\n\r\n", 1)
    head, body = say(b"GET /bootstrap?channel=small HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert b"Connection: close" in head and b"chunked" not in head and b"Content-Length" not in head
    assert len(Bootstrap(body).rows) == 1
    # Kept for the next request.
    head, body = say(b"HEAD /bootstrap?channel=small HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HTTP/1.0\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and body.startswith(b"HTTP/1.1 200 ") and body.endswith(b"ok\n")
    wait_until(lambda: connections_of_bootstraps(big) == 0, 20, "none is left")


# --- the command ---

def test_the_command_prints_the_same_lines(big):
    port = port_of(big.agents[-1])
    result = big.walcast("bootstrap", "--channel", "room:7", "--channel", "small")
    assert result.returncode == 0, result.stderr
    printed = Bootstrap(result.stdout.encode())
    served = bootstrap(port, ["room:7", "small"])
    assert printed.row_lines == served.row_lines and len(printed.rows) == 101
    assert printed.position.epoch == served.position.epoch
    assert result.stderr == ""

    whole = Bootstrap(big.walcast("bootstrap", "--model", "big", timeout=60).stdout.encode())
    rest = big.walcast("bootstrap", "--model", "big", "--resume", whole.marks[6]["after"])
    assert Bootstrap(rest.stdout.encode()).row_lines == whole.row_lines[70_000:]
    result = big.walcast("bootstrap")
    assert result.returncode == 2 and "which channels or models" in result.stderr
    result = big.walcast("bootstrap", "--model", "bug")
    assert result.returncode == 2 and 'did you mean "big"?' in result.stderr
    result = big.walcast("bootstrap", "--model", "big", "--resume", "nonsense")
    assert result.returncode == 2 and "token" in result.stderr


def test_the_command_shows_its_progress_on_a_terminal(big):
    main, terminal = pty.openpty()
    command = subprocess.Popen([walcast_binary(), "bootstrap", "--config", big.agents[-1].config_path, "--model", "big"],
                               stdout=subprocess.DEVNULL, stderr=terminal)
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # Where the other end is closed, a terminal says so by an error.
        while piece := os.read(main, 4096):
            shown += piece
    assert command.wait(60) == 0
    os.close(main)
    assert re.search(rb"\d+ % \[#*\.*\]  [\d,]+ rows  [\d,]+/s", shown), shown
    assert b"100,000 rows" in shown


def test_the_command_needs_the_agent(world):
    port = free_port()
    text = world.config(http={"listen": f"127.0.0.1:{port}"})
    result = world.walcast("bootstrap", "--channel", "all", config_text=text)
    assert result.returncode == 1 and f"no agent answers on 127.0.0.1:{port} (Connection refused)" in result.stderr
    assert result.stdout == ""
    result = world.walcast("bootstrap", "--channel", "all", config_text=world.config(http={"listen": ""}))
    assert result.returncode == 2 and "[http] listen" in result.stderr
