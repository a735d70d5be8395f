"""Names and texts beyond the ordinary: quotes, dots, case twins, other encodings, and rows that cannot be written at all."""

import re

import pytest

from support import history
from support.servers import Postgres
from support.world import World

PLUGINS = {"pgoutput": {}, "wal2json-2": {"plugin": "wal2json", "format_version": 2}, "wal2json-1": {"plugin": "wal2json", "format_version": 1}}


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture(scope="module")
def postgres():
    with Postgres(settings={"output_plugin_libraries": "pgoutput, test_decoding, wal2json"}) as server:
        yield server


@pytest.fixture
def world(postgres, redis):
    """Call it to get a world with the agent running."""
    worlds = []

    def make(rules, tables, **options):
        worlds.append(World(rules, postgres, redis, tables, **options).__enter__())
        worlds[-1].init().agent()
        return worlds[-1]

    yield make
    for one in worlds:
        one.__exit__(None, None, None)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_names_that_need_care(world, plugin):
    names = ["Id", "id", 'a "b"', "a.b", "é😀", "back\\slash", "new\nline", "sp ace", "x" * 63, "{brace}", "'", "select", "\x01"]
    columns = ", ".join(f"{quoted(name)} text" for name in names[2:])
    schema, table, kind = 'S "x".é', 'T.able "é"\\', 'My.Type "t"'
    one = world([{"table": "S*.*", "channels": ["c:{Id}:{id}"]}], f"""create schema {quoted(schema)};
        set search_path = {quoted(schema)}; create type {quoted(kind)} as ("A" int, "a" int, "a.b" text); create domain "D" as {quoted(kind)}[];
        create table {quoted(table)} ("Id" int, "id" int, {columns}, t {quoted(kind)}, d "D", primary key ("id"));
        """, **PLUGINS[plugin])
    one.sql(f"insert into {quoted(schema)}.{quoted(table)} values (1, 2, %s, '(1,2,x)', %s)" % (", ".join(["%s"] * (len(names) - 2)), "%s"),
            [*names[2:], '{"(3,4,)"}'])
    one.settle()

    (item,) = [item for entry in one.entries("c:1:2") for item in history.parse(entry.message)["sync"]]
    assert item == {"syncId": 1, "action": "insert", "modelName": table, "modelId": "2", "data": {
        "Id": 1, "id": 2, **{name: name for name in names[2:]}, "t": {"A": 1, "a": 2, "a.b": "x"}, "d": [{"A": 3, "a": 4, "a.b": None}]}}


LATIN1 = "encoding 'LATIN1' template template0 locale 'C'"
SQL_ASCII = "encoding 'SQL_ASCII' template template0 locale 'C'"
WORDS = [{"table": "public.words", "model": "Word", "channels": ["words:{id}", "all"]},
         {"table": "public.others", "model": "Other", "channels": ["others"]}]
WORD_TABLES = "create table words (id int primary key, title text); create table others (id int primary key, title text);"


@pytest.mark.parametrize("encoding, plugin", [(LATIN1, "pgoutput"), *((SQL_ASCII, plugin) for plugin in PLUGINS)],
                         ids=["latin1", *(f"sql_ascii-{plugin}" for plugin in PLUGINS)])
def test_other_encodings_come_as_utf8(world, encoding, plugin):
    text = "é ÿ ß \"q\"" if encoding == LATIN1 else "é😀 \"q\""
    tables = 'create table "wörter" (id int primary key, "größe" text, a text[]);'
    one = world([{"table": "public.w*", "channels": ["all"]}], tables, database=encoding, **PLUGINS[plugin])
    one.sql('insert into "wörter" values (1, %s, %s)', [text, [text]])
    one.settle()

    (item,) = one.actions("all")
    assert (item.model, item.data) == ("wörter", {"id": 1, "größe": text, "a": [text]})


def test_wal2json_is_refused_where_it_would_not_convert(postgres, redis):
    with World(WORDS, postgres, redis, WORD_TABLES, database=LATIN1, **PLUGINS["wal2json-2"]) as one:
        init = one.walcast("init")
        if init.returncode == 0:
            agent = one.agent(streaming=False)
            assert agent.wait() in (1, 2) and "LATIN1" in agent.log() and "pgoutput" in agent.log()
        assert init.returncode != 0 and "LATIN1" in init.stderr, "a slot that nobody can read would hold WAL back"
        assert postgres.slot(one.slot) is None


def insert_with_a_bad_row(one):
    """Returns the xid, and an LSN before its end."""
    bad = one.connect()
    with bad.cursor() as cursor:
        cursor.execute(b"begin; insert into words values (2, 'good'); insert into others values (1, 'before');"
                       b"insert into words values (3, E'bad \\xff\\xfe'); insert into words values (4, 'after'); insert into others values (2, 'after');"
                       b"select txid_current(), pg_current_wal_insert_lsn()::text")
        xid, lsn = cursor.fetchone()
        cursor.execute("commit")
    return str(xid % 2**32), history.lsn_number(lsn)


@pytest.mark.parametrize("options", [
    {}, {"bad_rows": "stop"}, PLUGINS["wal2json-2"], PLUGINS["wal2json-1"], {**PLUGINS["wal2json-2"], "bad_rows": "set_aside"}],
    ids=["default", "stop", "wal2json-2", "wal2json-1", "wal2json-set_aside"])
def test_a_row_that_cannot_be_written_stops_the_agent(world, options):
    one = world(WORDS, WORD_TABLES, database=SQL_ASCII, **options)
    one.sql("insert into words values (1, 'first')")
    one.settle()
    xid, lsn = insert_with_a_bad_row(one)

    for _ in range(2):  # The same bytes come again after a restart.
        agent = one.agents[-1]
        assert agent.wait() == 1
        log = agent.log_since_start()
        # What wal2json sends is then no JSON at all, so only the transaction can be named.
        assert "plugin" in options and "UTF-8" in log or "words" in log and "title" in log, log
        assert xid in log and re.search(r"\b[0-9A-F]+/[0-9A-F]{4,}\b", log), log
        assert one.confirmed() <= one.position_lsn() <= lsn, "nothing of it is confirmed"
        agent.start()
    assert "bad" not in str(one.actions("all"))


def test_what_came_before_a_row_that_cannot_be_written_is_published(world):
    one = world(WORDS, WORD_TABLES, database=SQL_ASCII)
    one.agents[-1].stop()
    for number in range(20):
        one.sql("insert into words values (%s, 'good')", [number + 100])
    insert_with_a_bad_row(one)
    agent = one.agents[-1]
    for _ in range(2):
        agent.start()
        assert agent.wait() == 1
        ids = [action.model_id for action in one.actions("all") if action.model_id.isdigit() and int(action.model_id) >= 100]
        assert ids == [str(number + 100) for number in range(20)]
    one.assert_sound()


def test_a_row_that_cannot_be_written_is_set_aside(world):
    one = world(WORDS, WORD_TABLES, database=SQL_ASCII, bad_rows="set_aside")
    one.sql("insert into words values (1, 'first')")
    xid, _ = insert_with_a_bad_row(one)
    one.sql("update words set title = 'mended' where id = 3")
    one.settle()

    assert [(item.sync_id, item.model_id, item.data["title"]) for item in one.actions("all")] == [
        (1, "1", "first"), (2, "2", "good"), (5, "4", "after"), (8, "3", "mended")]
    assert [(item.sync_id, item.data["title"]) for item in one.actions("others")] == [(3, "before"), (6, "after")]
    assert one.position()["sync_id"] == "8"
    (reset,) = one.control()
    assert (reset["modelName"], reset["lastSyncId"]) == ("Word", 4) and reset["reason"]
    ((_, fields),) = one.client.xrange("walcast:dead-letters")
    everything = b"\n".join(fields.values())
    assert b"words" in everything and b"title" in everything and xid.encode() in everything and b"bad \xff\xfe" in everything, fields
    assert any(re.search(rb"^[0-9A-F]+/[0-9A-F]+$", value) for value in fields.values()), fields
    one.assert_sound()


def test_a_key_that_cannot_be_written_is_set_aside(world):
    rules = [*WORDS, {"table": "public.keys", "model": "Key", "channels": ["key:{k}", "keys"]}]
    one = world(rules, WORD_TABLES + "create table keys (k text primary key, v int)", database=SQL_ASCII, bad_rows="set_aside")
    for statement in ("insert into keys values ('good', 1)", r"insert into keys values (E'bad\xff', 2)", "update keys set v = v + 10",
                      r"update keys set k = 'mended' where k <> 'good'", r"update keys set k = E'bad\xff' where k = 'mended'", "delete from keys",
                      "insert into others values (1, 'last')"):
        one.sql(statement)
    one.settle()

    # Whoever fetches the model afresh after the last reset, and applies what is above it, has the table as it is.
    shapes = [(item.sync_id, item.action, item.model_id) for item in one.actions("keys")]
    assert shapes[:2] == [(1, "insert", "good"), (4, "update", "good")] and shapes[-1][1:] == ("delete", "good"), shapes
    assert [(item.sync_id, item.data["title"]) for item in one.actions("others")] == [(13, "last")]
    resets = one.control()
    assert {reset["modelName"] for reset in resets} == {"Key"} and resets[-1]["lastSyncId"] in (11, 12), resets
    assert len(one.client.xrange("walcast:dead-letters")) >= 4
    one.assert_sound()
