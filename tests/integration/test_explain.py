"""`walcast explain` says beforehand what `walcast run` then does: byte for byte, and with a reason for what is not sent."""

import json
import random
import re
import subprocess

import pytest

from support import history
from support.servers import Redis, wait_until, walcast_binary
from support.world import REDIS_PASSWORD, World
from test_tail import Tail, streams

TODOS = """create table todos (id int primary key, workspace_id int, assignee_id int, title text, status text,
    tags text[], meta jsonb, secret text)"""
RULE = {"table": "public.todos", "model": "Todo", "channels": ["workspace:{workspace_id}", "user:{assignee_id}"]}


@pytest.fixture
def world(postgres, redis):
    with World([RULE], postgres, redis, tables=TODOS) as world:
        yield world


def explain(world, *arguments, code=0, **options):
    """What it prints as JSON, an object for each line."""
    result = world.walcast("explain", *arguments, "--json", **options)
    assert result.returncode == code, f"{result.returncode}\n{result.stdout}\n{result.stderr}"
    return [json.loads(line) for line in result.stdout.split("\n") if line]


def explain_row(world, row, *arguments, table="todos", **options):
    return explain(world, "--table", table, "--row", json.dumps(row), *arguments, **options)[0]


def why(explained):
    return "\n".join(line for rule in explained["rules"] for line in rule["why"])


def heard(explained):
    return {channel: message["bytes"] for message in explained["messages"] for channel in message["channels"]}


# Byte for byte.

HEAD = re.compile(r'"epoch":"[^"]*","prevSyncId":\d+,"lastSyncId":(\d+),"lsn":"[^"]*","xid":\d+,"commitTime":"[^"]*"')
TYPES = """create extension if not exists hstore; create type mood as enum ('sad', 'so so');
    create domain price as numeric(12,2); create type place as (street text, "no" int, at point)"""
COLUMNS = ("a int, big bigint, amount price, ratio float8, title text, flag bool, at timestamptz, day date, span interval, "
           "bytes bytea, uid uuid, feeling mood, home place, tags text[], meta jsonb, raw json, pairs hstore, code char(5), "
           "ranks int4range, cash money, body text, secret text")
TABLES = {"plain": "", "whole": "alter table whole replica identity full",
          "pair": "alter table pair drop constraint pair_pkey, add primary key (part, id)"}


def some_text(rng):
    return "".join(rng.choices("ab,\\\"'{}% é€😀\t\n\x01\u2028", k=rng.randrange(12)))


MAKERS = {
    "a": lambda rng: rng.randrange(-3, 4), "big": lambda rng: rng.choice([0, 2**53 + 1, -2**63]),
    "amount": lambda rng: rng.choice(["0.00", "12345678.90", "-1.5"]), "ratio": lambda rng: rng.choice([0.1, 1e300, "NaN", -0.0]),
    "title": some_text, "flag": lambda rng: rng.random() < 0.5,
    "at": lambda rng: rng.choice(["2024-02-29 12:00:00.5+02", "infinity", "0044-03-15 00:00:00+00 BC"]),
    "day": lambda rng: rng.choice(["2024-02-29", "-infinity"]), "span": lambda rng: rng.choice(["1 mon -2 days", "00:00:00.000001"]),
    "bytes": lambda rng: "\\x" + rng.randbytes(rng.randrange(4)).hex(), "uid": lambda rng: "%032x" % rng.getrandbits(128),
    "feeling": lambda rng: rng.choice(["sad", "so so"]),
    "home": lambda rng: {"street": some_text(rng), "no": rng.choice([None, 3]), "at": "(1,2)"},
    "tags": lambda rng: [rng.choice([None, "x", "y", some_text(rng)]) for _ in range(rng.randrange(4))],
    "meta": lambda rng: {"team": rng.choice([1, "é", None, [1, 2], {}]), "n": 1e2},
    "raw": lambda rng: {"b": [1, {}], "a": some_text(rng)}, "pairs": lambda rng: rng.choice(["a=>1", "a=>NULL, \"b c\"=>\"\""]),
    "code": lambda rng: rng.choice(["ab", "abcde"]), "ranks": lambda rng: rng.choice(["[1,5)", "empty"]),
    "cash": lambda rng: rng.choice(["12.34", "-1000"]), "body": lambda rng: rng.randbytes(3000).hex(),
    "secret": lambda rng: rng.choice(["x", "yes"]),
}


def some_row(rng, columns):
    return {name: rng.choice([None, MAKERS[name](rng), MAKERS[name](rng), MAKERS[name](rng)])
            for name in columns if name in MAKERS}


def some_rule(rng, table):
    rule = {"table": f"public.{table}", "channels": rng.sample(
        ["all", "a:{a}", "a:{a}:{flag}", "tag:{tags}", "team:{meta.team}", "u:{uid}", "t:{title}", "day:{day}"], 3)}
    options = {
        "model": lambda: rng.choice(["M", "Ä \"b\""]),
        "where": lambda: rng.choice(["a > 0", "flag", "title is not null and a <> 1", "feeling = 'sad' or amount >= 0.5"]),
        "delete_when": lambda: rng.choice(["secret = 'yes'", "a = 2"]),
        "operations": lambda: rng.sample(["insert", "update", "delete"], 2),
        "exclude": lambda: ["secret", "uid"], "rename": lambda: {"title": "name"},
        "data": lambda: rng.choice(["full", "delta", "patch"]), "unroutable": lambda: rng.choice(["reset", "skip"])}
    for name in rng.sample(sorted(options), rng.randrange(5)):
        rule[name] = options[name]()
    return rule


def with_ids(message, first_id):
    """The message without what only the agent knows, its ids counted from `first_id`."""
    message = HEAD.sub(lambda match: f'"lastSyncId":{int(match[1]) + 1 - first_id}', message, count=1)
    return re.sub(r'\{"syncId":(\d+),"action":"', lambda match: f'{{"syncId":{int(match[1]) + 1 - first_id},"action":"', message)


def messages_by_xid(world):
    channels = {**world.histories(), "walcast:control": history.read_stream(world.client, "walcast:control")}
    found = {}
    for channel, entries in channels.items():
        for entry in entries:
            message = history.parse(entry.message)
            if "xid" in message:
                found.setdefault(message["xid"], {}).setdefault(channel, []).append(entry.message.decode())
    return found


class Randomly:
    """Random changes, each explained before it is made."""

    def __init__(self, world, rng):
        self.world, self.rng = world, rng
        self.next_id, self.first_id = 1, 1
        self.rows = {table: {} for table in TABLES}
        self.expected = {}  # xid: first id and what was explained

    def step(self):
        table = self.rng.choice(sorted(self.rows))
        ids = sorted(self.rows[table])
        kind = self.rng.choice(["insert", "update", "update", "delete"]) if ids else "insert"
        getattr(self, kind)(table, self.rng.choice(ids) if ids else None)

    def insert(self, table, _):
        row = {"part": self.rng.choice(["x", "y,z"]), "id": self.next_id, **some_row(self.rng, MAKERS)}
        self.next_id += 1
        explained = explain_row(self.world, row, table=table)
        self._run(f"insert into {table} select * from json_populate_record(null::{table}, %s)", [json.dumps(row)], explained, 1)
        self.rows[table][row["id"]] = row

    def update(self, table, row_id):
        row = self.rows[table][row_id]
        changed = some_row(self.rng, self.rng.sample(sorted(MAKERS), 4))
        if self.rng.random() < 0.2:
            changed["id"] = self.next_id
            self.next_id += 1
        kept = ["--unchanged", "body"] if "body" not in changed and row["body"] else []
        explained = explain_row(self.world, changed, *self._key(table, row), *kept, table=table)
        columns = ", ".join(f'"{name}"' for name in changed)
        self._run(f"update {table} o set ({columns}) = (select {columns} from json_populate_record(o.*, %s)) where id = %s",
                  [json.dumps(changed), row_id], explained, 2)
        del self.rows[table][row_id]
        self.rows[table][changed.get("id", row_id)] = {**row, **changed}

    def delete(self, table, row_id):
        row = self.rows[table].pop(row_id)
        explained = explain(self.world, "--table", table, *self._key(table, row), "--delete")[0]
        self._run(f"delete from {table} where id = %s", [row_id], explained, 1)

    @staticmethod
    def _key(table, row):
        parts = [row["part"], row["id"]] if table == "pair" else [row["id"]]
        return [f"--key={part}" for part in parts]

    def _run(self, statement, parameters, explained, ids):
        assert "failure" not in explained, explained
        self.world.sql("begin")
        xid = self.world.sql("select txid_current()")[0][0]
        self.world.sql(statement, parameters)
        self.world.sql("commit")
        self.expected[xid] = (self.first_id, explained)
        self.first_id += ids


@pytest.mark.limit(300)
@pytest.mark.parametrize("seed", range(4))
def test_it_says_what_the_agent_then_publishes(postgres, redis, seed):
    rng = random.Random(seed)
    rules = [some_rule(rng, table) for table in TABLES for _ in range(2)]
    tables = TYPES + "".join(f"; create table {table} (part text not null, id int primary key, {COLUMNS}); "
                             f"alter table {table} alter body set storage external; {more}" for table, more in TABLES.items())
    with World(rules, postgres, redis, tables=tables) as world:
        world.init().agent()
        randomly = Randomly(world, rng)
        for _ in range(60):
            randomly.step()
        world.settle()
        actual = messages_by_xid(world)
        sent = 0
        for xid, (first_id, explained) in randomly.expected.items():
            expected = {}
            for message in explained["messages"]:
                for channel in message["channels"]:
                    expected.setdefault(channel, []).append(with_ids(message["bytes"], 1))
            found = {channel: [with_ids(message, first_id) for message in messages]
                     for channel, messages in actual.get(xid, {}).items()}
            assert found == expected, f"xid {xid}: {json.dumps(explained, indent=1)}"
            sent += len(found)
        assert sent > 50


# Why not.

@pytest.mark.parametrize("changes, row, expected", [
    ({}, {"workspace_id": 1}, 'channel "user:{assignee_id}" does not exist for the row: assignee_id is null'),
    ({"channels": ["t:{tags}"]}, {"tags": []}, "tags has no element"),
    ({"channels": ["t:{meta.team}"]}, {"meta": {"teams": 1}}, "meta has no value under team"),
    ({"channels": ["t:{title}"]}, {"title": "x" * 2000}, "its name would be longer than 1024 bytes"),
    ({"where": "status = 'open'"}, {"status": "done"}, "is false of the row, since status is 'done'"),
    ({"where": "status = 'open'"}, {}, "is null of the row, since status is null"),
    ({"where": "status = 'open' and id > 0"}, {"status": "done"}, "\"status = 'open'\" is false: status is 'done'"),
    ({"delete_when": "status = 'gone'"}, {"status": "gone"}, "delete_when \"status = 'gone'\" is true of the row"),
    ({"operations": ["update"]}, {}, 'operations does not have "insert"'),
    ({"where": "secret = 'x'", "exclude": ["secret"]}, {"secret": "hidden"}, "since secret is (excluded)"),
])
def test_it_says_why_not(world, changes, row, expected):
    world.rules = [{**RULE, **changes}]
    explained = explain_row(world, {"id": 7, **row})
    assert expected in why(explained)
    assert "hidden" not in json.dumps(explained)


def test_it_says_what_the_replica_identity_lacks(world):
    world.sql("insert into todos (id, workspace_id) values (7, 1)")
    removed = explain(world, "--table", "todos", "--key", "7", "--delete")[0]
    assert "workspace_id is not part of the replica identity" in why(removed)
    assert removed["rules"][0]["unroutable"] and list(heard(removed)) == ["walcast:control"]
    as_if_full = explain(world, "--table", "todos", "--key", "7", "--delete", "--identity", "full")[0]
    assert list(heard(as_if_full)) == ["workspace:1"]


def test_it_follows_a_row_that_moves(world):
    old, new = json.dumps({"id": 7, "workspace_id": 1}), {"id": 7, "workspace_id": 2}
    explained = explain_row(world, new, "--old", old, "--identity", "full")
    assert [(sent["action"], sent["syncId"], sent["channels"]) for sent in explained["rules"][0]["sent"]] == [
        ("delete", 1, ["workspace:1"]), ("insert", 2, ["workspace:2"])]


def test_it_names_the_nearest_rule(world):
    world.sql("create table todo (id int primary key)")
    explained = explain_row(world, {"id": 1}, table="todo")
    assert explained["whyNone"].startswith("no rule names public.todo; the nearest is public.todos, ")
    assert any("does not have public.todo" in note for note in explained["notes"])


def test_it_knows_what_the_publication_leaves_out(world):
    world.sql("create publication walcast for table todos (id, workspace_id, assignee_id) where (id < 10)")
    explained = explain_row(world, {"id": 7, "workspace_id": 1, "title": "x"})
    assert "title is not in the publication, so no rule sees it" in explained["notes"]
    assert "title" not in heard(explained)["workspace:1"]
    filtered = explain_row(world, {"id": 70, "workspace_id": 1})
    assert "row filter, (id < 10), is not true of it" in filtered["whyNone"]


def test_a_partition_is_its_root(world):
    world.sql("create table parts (id int primary key, x int) partition by range (id)")
    world.sql("create table parts_1 partition of parts for values from (0) to (10)")
    world.rules = [{"table": "public.parts", "channels": ["x:{x}"]}]
    explained = explain_row(world, {"id": 7, "x": 1}, table="parts_1")
    assert explained["table"] == "public.parts" and list(heard(explained)) == ["x:1"]
    assert any("is a partition of public.parts" in note for note in explained["notes"])


def test_rows_come_from_standard_input(world, tmp_path):
    row = tmp_path / "row.json"
    row.write_text('{"id": 7, "workspace_id": 1}')
    with open(row) as stdin:
        explained = explain(world, "--table", "todos", "--row", "-", stdin=stdin)[0]
    assert list(heard(explained)) == ["workspace:1"]


def test_a_terminal_sees_nothing_that_steers_it(world):
    row = json.dumps({"id": 7, "workspace_id": 1, "title": "\x1b[2J\x9b", "status": "\x1b]0;x\x07"})
    world.rules = [{**RULE, "where": "status is null"}, RULE]
    result = world.walcast("explain", "--table", "todos", "--row", row)
    assert result.returncode == 0 and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.stdout), result.stdout
    assert "ids count from 1" in result.stdout


# Sync ids.

def test_a_sync_id_is_found_in_history(world):
    world.sql("alter table todos replica identity full")
    world.init().agent()
    world.sql("insert into todos (id, workspace_id) values (7, 1)")  # 1
    world.sql("update todos set title = 'x'")  # 2, 3
    world.sql("insert into todos (id) values (8)")  # 4
    world.sql("update todos set workspace_id = 2 where id = 7")  # 5, 6
    world.sql("truncate todos")  # 7
    world.settle()
    found = explain(world, "--sync-id", 5)[0]["messages"]
    assert [message["channel"] for message in found] == ["workspace:1"]
    assert found[0]["actions"][0]["action"] == "delete"
    assert 'public.todos, channel "workspace:{workspace_id}"' in found[0]["actions"][0]["rules"][0]
    assert found[0]["bytes"] == world.entries("workspace:1")[-1].message.decode()
    assert explain(world, "--sync-id", 7)[0]["messages"][0]["channel"] == "walcast:control"
    for sync_id, reason in [(2, "3 is an update, which takes two ids"), (4, "no rule routed that change"),
                            (99, "has not got so far: its position is 7")]:
        missing = explain(world, "--sync-id", sync_id, code=1)[0]
        assert reason in missing["whyNone"] and missing["messages"] == []


# Two rule files.

def other_config(world, tmp_path, rules):
    path = tmp_path / "other.toml"
    path.write_text(world.config(rules=rules))
    return path


def test_two_rule_files_are_compared(world, tmp_path):
    row = {"id": 7, "workspace_id": 1, "assignee_id": 2, "title": "x"}
    same = explain_row(world, row, "--against", other_config(world, tmp_path, [{**RULE, "where": "id = 7"}]))
    assert not same["differs"]
    other = other_config(world, tmp_path, [{**RULE, "channels": ["workspace:{workspace_id}", "all"], "exclude": ["title"]}])
    lines = explain(world, "--table", "todos", "--row", json.dumps(row), "--against", other, code=3)
    assert (lines[0]["gained"], lines[0]["lost"], lines[0]["changed"]) == (["all"], ["user:2"], ["workspace:1"])
    assert lines[1] == {"changes": 1, "same": 0, "differ": 1}
    text = world.walcast("explain", "--table", "todos", "--row", json.dumps(row), "--against", other)
    assert text.returncode == 3 and text.stdout.endswith("1 change: 0 same, 1 differs\n")
    misfit = other_config(world, tmp_path, [{**RULE, "where": "titel = 'x'"}])
    broken = explain_row(world, row, "--against", misfit, code=3)
    assert "did you mean title?" in broken["after"]["failure"]


# Recordings.

@pytest.fixture
def recording(world, tmp_path):
    """Five changes, which the agent publishes while they are recorded."""
    world.sql("alter table todos replica identity full")
    world.init().agent()
    file = tmp_path / "app.rec"
    with Tail(world.url(), "--json", "--record", file) as tail:
        wait_until(lambda: streams(world) or tail.process.poll() is not None, 15, lambda: f"tail streams\n{tail.errors}")
        world.sql("insert into todos (id, workspace_id, title) values (7, 1, 'a')")
        world.sql("update todos set workspace_id = 2, assignee_id = 3")
        world.sql("insert into todos (id) values (8)")
        world.sql("delete from todos where id = 7")
        world.sql("truncate todos")
        world.settle()
        wait_until(lambda: '"type":"reset"' in tail.text, 15, lambda: tail.text + tail.errors)
        assert tail.end() == 0, tail.errors
    return file


def test_a_recorded_stretch_is_explained(world, recording):
    world.options = {**world.options, "postgres": "postgres://postgres@127.0.0.1:1/app"}  # It needs no database.
    changes = explain(world, "--replay", recording)
    assert [change["action"] for change in changes] == ["insert", "update", "insert", "delete", "truncate"]
    expected = {}
    for change in changes:
        for message in change["messages"]:
            for channel in message["channels"]:
                expected.setdefault(change["xid"], {}).setdefault(channel, []).append(with_ids(message["bytes"], change["syncId"]))
    first_id, actual = {}, messages_by_xid(world)
    for change, agents_id in zip(changes, [1, 2, 4, 5, 6]):
        first_id[change["xid"]] = agents_id
    assert expected == {xid: {channel: [with_ids(message, first_id[xid]) for message in messages]
                              for channel, messages in channels.items()} for xid, channels in actual.items()}
    assert "assignee_id is null" in why(changes[2])
    assert explain(world, "--replay", recording, "--xid", changes[1]["xid"]) == [changes[1]]
    assert explain(world, "--replay", recording, "--limit", 2) == changes[:2]
    assert explain(world, "--replay", recording, "--table", "nothing") == []


def test_a_recording_compares_rules(world, recording, tmp_path):
    other = other_config(world, tmp_path, [{**RULE, "channels": ["workspace:{workspace_id}"]}])
    lines = explain(world, "--replay", recording, "--against", other, code=3)
    assert [line["lost"] for line in lines[:-1]] == [[], ["user:3"], [], ["user:3"], []]
    assert lines[-1] == {"changes": 5, "same": 3, "differ": 2}
    same = explain(world, "--replay", recording, "--against", other_config(world, tmp_path, [RULE]))
    assert same[-1] == {"changes": 5, "same": 5, "differ": 0}


# Errors.

@pytest.mark.parametrize("arguments, code, message", [
    (["--table", "todo", "--row", "{}"], 1, 'there is no table "todo"; did you mean "todos"?'),
    (["--table", "publik.todos", "--row", "{}"], 1, 'did you mean "public.todos"?'),
    (["--table", "todos", "--row", '{"titel": 1}'], 1, 'no column "titel"; did you mean "title"?'),
    (["--table", "todos", "--row", '{"id": "x"}'], 1, 'invalid input syntax for type integer: "x"'),
    (["--table", "todos", "--row", '{"id": '], 1, "invalid input syntax for type json"),
    (["--table", "todos", "--row", "[1]"], 1, "array"),
    (["--table", "todos", "--key", "99"], 1, "no row of public.todos has the key 99"),
    (["--table", "todos", "--key", "x"], 1, "invalid input syntax for type integer"),
    (["--table", "todos", "--key", "1", "--key", "2"], 1, "the primary key of public.todos is (id)"),
    (["--table", "todos", "--key", "' or true --"], 1, "invalid input syntax for type integer"),
    (["--row", "{}"], 2, "Give --table"),
    ([], 2, "Give --row JSON, --key KEY, --sync-id ID or --replay FILE"),
    (["--sync-id", "1", "--key", "1"], 2, "what?"),
    (["--sync-id", "1", "--xid", "1"], 2, "--xid and --limit are of a recording"),
    (["--replay", "no.rec", "--row", "{}"], 2, "what?"),
    (["--replay", "/nowhere/no.rec"], 2, "/nowhere/no.rec"),
    (["--replay", ""], 2, "--replay: must not be empty"),
    (["--table", "todos", "--row", "{}", "--against", ""], 2, "--against: must not be empty"),
    (["--sync-id", "-1"], 2, "--sync-id: must be a whole number from 0 to 9007199254740991"),
    (["--sync-id", "99999999999999999999"], 2, "--sync-id: must be a whole number from 0 to 9007199254740991"),
    (["--replay", "no.rec", "--limit", "-1"], 2, "--limit: must be a whole number from 0 to 9007199254740991"),
    (["--table", "todos", "--row", "{}", "--delete"], 2, "--delete goes with --key"),
    (["--table", "todos", "--row", "{}", "--unchanged", "title"], 2, "--unchanged is of an update"),
])
def test_errors_say_what_would_do(world, arguments, code, message):
    result = world.walcast("explain", *arguments)
    assert result.returncode == code and message in result.stderr, result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [["explain", "--table", "todos", "--row", "{}"], ["init", "--dry-run"], ["drop", "--dry-run"], ["doctor"]])
def test_output_that_cannot_be_written_is_told(world, tmp_path, arguments):
    (tmp_path / "walcast.toml").write_text(world.config())
    with open("/dev/full", "w") as full:
        result = subprocess.run([walcast_binary(), *arguments], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)
    assert result.returncode == 1 and "cannot write to standard output: No space left on device" in result.stderr, result.stderr


def test_a_table_without_identity_has_no_updates(world):
    world.sql("create table bare (id int)")
    result = world.walcast("explain", "--table", "bare", "--old", '{"id": 1}')
    assert result.returncode == 1 and "public.bare has no replica identity" in result.stderr


def test_no_database_is_an_error(world):
    text = world.config(postgres="postgres://postgres@127.0.0.1:1/app")
    result = world.walcast("explain", "--table", "todos", "--row", "{}", config_text=text)
    assert result.returncode == 1 and "postgres: connect" in result.stderr


# It only reads.

def test_it_changes_nothing(postgres):
    with Redis({"requirepass": REDIS_PASSWORD, "enable-debug-command": "yes"}) as redis, \
            World([RULE], postgres, redis, tables=TODOS) as world:
        world.sql("create table seen (x int); create function see() returns bool language sql as "
                  "'insert into public.seen values (1) returning true'; create domain seeing as int check (see()); "
                  "create table watched (id int primary key, x seeing)")
        agent = world.init().agent()
        world.sql("insert into todos (id, workspace_id) values (7, 1)")
        world.settle()
        agent.stop()
        digest = world.client.execute_command("DEBUG", "DIGEST")
        explain(world, "--table", "todos", "--key", "7")
        explain(world, "--sync-id", "1")
        result = world.walcast("explain", "--table", "watched", "--row", '{"id": 1, "x": 2}')
        assert result.returncode == 1 and "read-only transaction" in result.stderr
        assert world.client.execute_command("DEBUG", "DIGEST") == digest
        assert world.sql("select count(*) from seen") == [(0,)]
        assert world.sql("select count(*) from pg_replication_slots where slot_name <> %s", [world.slot]) == [(0,)]
