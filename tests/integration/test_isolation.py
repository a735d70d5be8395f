"""As an attacker would: values made to reach a channel that is not theirs, and columns that a rule hides."""

import itertools
import json

import pytest

from support import history
from support.rules import Rule, Template, describe, row_of
from support.servers import Agent, Postgres
from support.world import Subscriber, World

PLUGINS = {"pgoutput": {}, "wal2json": {"plugin": "wal2json", "format_version": 2}, "wal2json-1": {"plugin": "wal2json", "format_version": 1}}


@pytest.fixture(scope="module")
def postgres():
    with Postgres(settings={"output_plugin_libraries": "pgoutput, test_decoding, wal2json"}) as server:
        yield server


@pytest.fixture
def world(postgres, redis):
    worlds = []

    def make(rules, tables, **options):
        worlds.append(World(rules, postgres, redis, tables, **options).__enter__())
        return worlds[-1].init()

    yield make
    for one in worlds:
        one.__exit__(None, None, None)


# --- names of channels ---

EVIL = ["victim", "", "*", "?", "[a-z]", "{victim}", "}", "{", "victim:1", ":victim", "victim%3A1", "%3A", "%", "%%", "victim\n", "\nvictim", "\r\n$3\r\nfoo",
        "victim\t", "victim ", " victim", "Victim", "victím", "ｖictim", "victim\u200b", "victi\u0301m", "v\u0131ctim", "\ufeffvictim", "é", "e\u0301",
        "control", "walcast:control", "position", "walcast:position", "log:victim", "walcast:log:team:victim", "channels", "dead-letters",
        "\\u0000", "\\x00", "../victim", "victim/..", "'; drop table t; --", "\"", "\\", "victim,1", "victim|1", "\x7f", "\x01", "\x1b[31m", "\u2028",
        "\U0001F600", "-._~@+", "null", "NULL", "\\N", "x" * 1000, "x" * 100_000, "%" * 400]

TABLE = "create table t (id int primary key, team text, j json, b jsonb, tags text[], owner text)"
COLUMNS = {"id": "integer", "team": "text", "j": "json", "b": "jsonb", "tags": "text[]", "owner": "text"}
TEMPLATES = [
    Template(("text", "team:"), ("column", "team")),
    Template(("text", "both:"), ("column", "team"), ("text", ":"), ("column", "owner")),
    Template(("text", "j:"), ("json", "j", ["team_id"]), ("text", ":end")),
    Template(("text", "b:"), ("json", "b", ["a.b", "team"]), ("text", "|"), ("column", "team")),
    Template(("text", "tag:"), ("column", "tags")),
    Template(("column", "owner"), ("text", ":{*}:"), ("column", "tags")),
]


@pytest.mark.parametrize("plugin, prefix", [("pgoutput", ""), ("pgoutput", "tenant{1}:"), ("wal2json", "")])
def test_no_value_reaches_a_channel_that_is_not_its_own(world, plugin, prefix):
    rule = Rule(0, "public.t", "T", TEMPLATES, ["id"], columns=("id",))
    one = world([rule.toml], TABLE, **({"channel_prefix": prefix} if prefix else {}), **PLUGINS[plugin])
    number = itertools.count(1)
    insert = "insert into t values (%s, %s, %s, %s, %s, %s)"
    for evil in ["victim", *EVIL]:
        document = json.dumps({"team_id": evil})
        nested = json.dumps({"a.b": {"team": [evil, {"team": "victim"}, None, 7]}, "team": "victim"})
        one.sql(insert, [next(number), evil, document, nested, [evil, None, "mine"], "me"])
        one.sql(insert, [next(number), None, None, None, [evil, evil], evil])
        one.sql(insert, [next(number), "me", '{"team_id": ["a", %s]}' % json.dumps(evil), "{}", [], evil])
    # What only a document can hold.
    for document in ('{"team_id": "victim\\u0000"}', '{"team_id": "x", "team_id": "\\u0076ictim"}', '{"team_id": {"team_id": "victim"}}',
                     '"victim"', "[]", '{"\\u0074eam_id": "escaped"}', '{"team_id": 1e400}', '{"team_id": -0}', '{"team_id": true}'):
        one.sql("insert into t (id, j) values (%s, %s)", [next(number), document])
    # Half a surrogate pair is no text: it stays as it is written.
    half = str(next(number))
    one.sql("insert into t (id, j) values (%s, %s)", [half, '{"team_id": "\\ud800victim"}'])
    with Subscriber(one.redis) as subscriber:
        one.agent()
        one.settle(60)

    wanted = {}
    for fields in one.sql(f"select {describe(COLUMNS, [rule])} from t where id <> {half}"):
        for channel in rule.channels(row_of(COLUMNS, [rule], *fields), prefix):
            wanted.setdefault(channel, set()).add(fields[0][0])
    wanted[f"{prefix}j:%5Cud800victim:end"] = {half}
    found = {channel: {item.model_id for item in history.actions(entries)} for channel, entries in one.histories().items()}
    assert set(found) == set(wanted), f"only found: {sorted(set(found) - set(wanted))[:5]}, missing: {sorted(set(wanted) - set(found))[:5]}"
    assert found == wanted
    # Nothing else is there, and all of it is what it should be.
    keys = {key.decode() for key in one.client.scan_iter(count=1000)}
    assert keys == {"walcast:position", "walcast:channels"} | {f"walcast:log:{name}" for name in wanted}
    for name in wanted:
        assert one.client.xinfo_stream(f"walcast:log:{name}")["length"] > 0
    heard = {channel for channel, _ in subscriber.received}
    assert heard <= set(wanted) | {"walcast:control"}
    assert {member.decode() for member in one.client.zrange("walcast:channels", 0, -1)} == set(wanted)
    one.assert_sound()


def test_two_values_never_share_a_name():
    names = [Template(("text", "t:"), ("column", "v")).fill(row_of({"v": "text"}, [], [value], json.dumps({"v": value}), [], []))[0] for value in EVIL]
    assert len(set(names)) == len(names)


REFUSED = [
    ("{a}", "", "control"), ("{a}ontrol", "", None), ("wal{a}", "", None), ("walcast:{a}", "", "control"), ("walcast:control", "", "control"),
    ("{a}", "walcast:", "control"), ("{a}-{b}", "", "values of"), ("x{a}.{b}", "", "values of"), ("{a}{b}", "", "nothing tells"),
    ("{n}-{m}", "", "values of"), ("{n}0{m}", "", "values of"), ("{a}%{b}", "", "values of"), ("{a}é{b}", "", "values of"), ("{t}-{a}", "", "values of"),
    ("{j.x}-{j.y}", "", "values of"), ("{a}:{b}", "", "control"), ("c:{a}:{b}", "", None), ("{n}x{a}", "", None), ("{u}-{a}", "", None), ("{a}-{u}", "", None), ("{n}:{m}", "", "control"), ("c:{n}:{m}", "", None),
    ("{n}x{m}x{n}", "", None), ("{a}{{{b}", "", None), ("{n}x{a}x{m}", "", "values of"),
]


@pytest.mark.parametrize("template, prefix, refusal", REFUSED, ids=[f"{t} {p}" for t, p, _ in REFUSED])
def test_templates_that_could_be_made_to_lie_are_refused(world, template, prefix, refusal):
    # Where keys begin with what values can spell, `{a}` is dangerous; not where they begin with `walcast:`.
    keys = {"prefix": "wal"} if refusal == "control" and template == "{a}" and not prefix else {}
    one = world([{"table": "public.t", "channels": ["ok:{id}"]}],
                "create table t (id int primary key, a text, b text, n int, m bigint, u uuid, j jsonb, t text[])")
    rules = [{"table": "public.t", "channels": [template]}]
    agent = one.agent(streaming=False, config_text=one.config(rules=rules, **keys, **({"channel_prefix": prefix} if prefix else {})))
    one.sql("insert into t values (1, 'x', 'y', 1, 2, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{}', '{a}')")
    if refusal is None:
        agent.wait_streaming()
        one.settle()
        assert len(one.histories()) == 1
        return
    assert agent.wait() in (1, 2)
    assert refusal in agent.log() and "walcast.toml:" in agent.log(), agent.log()
    assert not one.histories()


# --- columns that are hidden ---

SECRET = "S3CR3T"
HIDDEN = """create table t (id int primary key, team text, title text, hidden_note text, hidden_body text, hidden_json jsonb, hidden_at timestamptz default now(), n int);
    alter table t alter hidden_body set storage external; alter table t alter title set storage external; alter table t replica identity {identity}"""
NAMES = ["hidden_note", "hidden_body", "hidden_json"]
CHOICES = {
    "exclude": {"exclude": [*NAMES, "hidden_at"]},
    "columns": {"columns": ["id", "title", "n"]},
    "where": {"exclude": [*NAMES, "hidden_at"], "where": f"hidden_note like '{SECRET}%' and hidden_at > '2000-01-01'", "delete_when": "hidden_body is null"},
    "rename": {"columns": ["id", "title"], "rename": {"title": "hidden"}},
    "json": {"columns": ["id", "n"], "delete_when": "hidden_note is null"},
}


def work(one, secret):
    """Each kind of change, with a secret of its own in each hidden column."""
    numbers = itertools.count(1)

    def token():
        return f"{secret}{next(numbers):06d}"

    def large():
        return token() + "x" * 5000

    for _ in range(2):
        first = one.sql("select coalesce(max(id), 0) + 1 from t")[0][0]
        for id in range(first, first + 3):
            one.sql("insert into t values (%s, 'a', %s, %s, %s, %s, default, 1)", [id, "t" * 4000, token(), large(), json.dumps({"k": token(), "team": "x"})])
        one.sql("update t set n = n + 1")
        one.sql("update t set hidden_note = %s, hidden_json = %s", [token(), json.dumps({token(): token()})])
        one.sql("update t set hidden_body = %s", [large()])
        one.sql("update t set team = 'b' where id = %s", [first])
        one.sql("update t set hidden_note = null where id = %s", [first])
        one.sql("update t set hidden_note = %s where id = %s", [token(), first])
        one.sql("update t set hidden_body = null where id = %s", [first + 1])
        one.sql("update t set id = id + 1000 where id = %s", [first])
        one.sql("begin; update t set title = 'short', n = null; update t set hidden_body = 'y' || hidden_body; commit")
        one.sql("delete from t where id = %s", [first + 2])
    one.sql("truncate t")


def everything_in_redis(client):
    for key in client.scan_iter(count=1000):
        yield key
        kind = client.type(key)
        if kind == b"stream":
            for entry_id, fields in client.xrange(key):
                yield from [entry_id, *fields, *fields.values()]
        elif kind == b"hash":
            fields = client.hgetall(key)
            # The rules themselves, which name what they hide; never a value of it.
            rules = fields.pop(b"rules", b"")
            assert f"{SECRET}0".encode() not in rules
            yield from [part for item in fields.items() for part in item]
        elif kind == b"zset":
            yield from client.zrange(key, 0, -1)
        else:
            yield client.dump(key)


def assert_hidden(one, subscriber, *words):
    found = [*everything_in_redis(one.client), *[part for name, data in subscriber.received for part in (name.encode(), data)]]
    found += [agent.log().encode() + agent.output().encode() for agent in one.agents]
    assert len(found) > 10
    for word in words:
        for item in found:
            assert word.encode() not in item, f"{word} in {item[:2000]}"


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("identity", ["full", "default"])
@pytest.mark.parametrize("choice", CHOICES)
def test_a_hidden_column_is_nowhere(world, postgres, redis, choice, identity, plugin):
    if plugin == "wal2json-1" and choice not in ("exclude", "where") or plugin == "wal2json" and choice == "rename":
        pytest.skip("seen above")
    channels = ["all", "team:{team}"] + (["k:{hidden_json.team}"] if choice == "json" else [])
    rules = [{"table": "public.t", "model": model, "channels": channels, "data": data, **CHOICES[choice]}
             for model, data in (("Full", "full"), ("Delta", "delta"), ("Patch", "patch"))]
    one = world(rules, HIDDEN.format(identity=identity), **PLUGINS[plugin])
    with Subscriber(redis) as subscriber:
        agent = Agent(one.config(), command=("run", "-v"))
        one.agents.append(agent)
        agent.wait_streaming()
        work(one, SECRET)
        one.settle()
        agent.stop()
    assert sum(len(one.actions(channel)) for channel in one.histories()) > 20
    # Names of hidden columns are nobody's business either: not even in `unchanged`.
    assert_hidden(one, subscriber, f"{SECRET}0", *NAMES)


SQL_ASCII = "encoding 'SQL_ASCII' template template0 locale 'C'"
BAD = {
    "title": rb"insert into t (id, team, title, hidden_note) values (2, 'a', E'bad \xff S3CR3T-title', 'S3CR3T000001')",
    "hidden": rb"insert into t (id, team, title, hidden_note) values (2, 'a', 'fine', E'\xff S3CR3T000001')",
    "both": rb"insert into t (id, team, title, hidden_note) values (2, 'a', E'bad \xff', E'\xff S3CR3T000001')",
    "json": rb"""insert into t (id, team, title, hidden_json) values (2, 'a', 'fine', E'{"team": "\xff S3CR3T000001"}')""",
    "update": rb"update t set title = E'bad \xff', hidden_note = 'S3CR3T000001' where id = 1",
    "delete": rb"insert into t (id, team, title, hidden_note) values (2, 'a', E'bad \xff', 'S3CR3T000001'); delete from t where id = 2",
}


@pytest.mark.parametrize("bad_rows", ["stop", "set_aside"])
@pytest.mark.parametrize("plugin", ["pgoutput", "wal2json"])
@pytest.mark.parametrize("bad", BAD)
def test_a_row_that_cannot_be_written_does_not_tell_what_is_hidden(world, redis, bad, plugin, bad_rows):
    template = ["k:{hidden_json.team}"] if bad == "json" else []
    rules = [{"table": "public.t", "model": "T", "channels": ["all", *template], "exclude": [*NAMES, "hidden_at"], "where": "hidden_note is null or hidden_note <> 'x'"}]
    one = world(rules, HIDDEN.format(identity="full").replace("jsonb", "json"), database=SQL_ASCII, bad_rows=bad_rows, **PLUGINS[plugin])
    one.sql("insert into t (id, team, title) values (1, 'a', 'first')")
    with Subscriber(redis) as subscriber:
        agent = Agent(one.config(), command=("run", "-v"))
        one.agents.append(agent)
        agent.wait_streaming()
        bytewise = one.connect()
        with bytewise.cursor() as cursor:
            cursor.execute(BAD[bad])
        one.sql("insert into t (id, team, title) values (3, 'a', 'last')")
        try:
            one.settle(10)
        except (ChildProcessError, TimeoutError):
            assert bad_rows == "stop" or plugin == "wal2json", agent.log()
    for _ in everything_in_redis(one.client):
        pass
    everything = [*everything_in_redis(one.client), *[data for _, data in subscriber.received], agent.log().encode(), agent.output().encode()]
    for item in everything:
        assert b"S3CR3T0" not in item, item[:2000]
        assert b"hidden_note\"" not in item or item == agent.log().encode(), item[:2000]
    if bad_rows == "set_aside" and plugin == "pgoutput":
        assert [item.model_id for item in one.actions("all")][-1] == "3"
        assert bad == "hidden" or one.client.xlen("walcast:dead-letters") >= 1
