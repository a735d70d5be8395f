"""`walcast tail --record` and `--replay`: a recording shows what the live tail showed, without a database, masked or not."""

import json
import os
import re
import resource
import signal
import stat
import subprocess

import pytest

from support import history
from support.servers import wait_until, walcast, walcast_binary, _dies_with_us
from support.world import World
from test_tail import Tail, assert_nothing_left, streams

SECRET = "Pangolin-7731-secret"
TABLES = """
    create extension if not exists hstore; create type mood as enum ('sad', 'ok'); create domain percent as int check (value between 0 and 100);
    create type address as (number int, street text, since date);
    create table notes (id int primary key, title text, body text); alter table notes alter body set storage external;
    create table moved (id bigint primary key, workspace int, owner text); alter table moved replica identity full;
    create table keyless (a text, b int);
    create table everything (id bigint primary key, flag bool, small smallint, number oid, price numeric, narrow real, wide float8,
        name text, code varchar(30), padded char(25), tag "char", key uuid, day date, clock time, zoned timetz, at timestamp, at_zone timestamptz,
        span interval, bytes bytea, plain json, binary_json jsonb, list int[], words text[], days date[], feeling mood, share percent,
        home address, homes address[], store hstore, net inet, network cidr, mac macaddr, cash money, flags bit(4), ints int4range,
        dates daterange, many int8multirange, pair point, shape polygon, doc xml, search tsvector, place pg_lsn);
"""


@pytest.fixture
def world(postgres, redis):
    with World([{"table": "public.notes", "model": "Note", "channels": ["note:{id}"]}], postgres, redis, TABLES) as world:
        yield world


def record(world, file, *arguments):
    tail = Tail(world.url(), "--json", "--record", file, *arguments)
    wait_until(lambda: streams(world) or tail.process.poll() is not None, 15, lambda: f"tail streams\n{tail.errors}")
    assert tail.process.poll() is None, tail.errors
    return tail


def replay(file, *arguments):
    return walcast("tail", "--replay", file, *arguments, env={"PGHOST": "/nowhere", "PGPORT": "1"})


def large(character="x"):
    return character * 20000


def write_everything(world):
    world.sql("insert into everything (id) select i from generate_series(-3, 3) i")
    world.sql("""insert into everything values (9007199254740993, true, -32768, 4294967295, 12.340, 1.5, -1e-7, %(s)s, %(s)s, %(s)s, 'x',
        '3f2504e0-4f89-41d3-9a0c-0305e82c3301', '2024-02-29', '23:59:59.5', '12:00:00+02', '2024-01-02 03:04:05.12', '2024-01-02 03:04:05.123456+02',
        '1 year 2 days 03:04:05', convert_to(%(s)s, 'UTF8'), %(j)s, %(j)s, '{1,NULL,3}', array[%(s)s, 'a b', null, 'NULL'], '{2024-02-29}', 'ok', 50,
        row(7, %(s)s, '1999-12-31'), array[row(null, %(s)s, null)::address], hstore(%(s)s, %(s)s), '192.168.7.9/24', '10.20.0.0/16',
        '08:00:2b:01:02:03', 1234.5, '1010', '[1,20)', '[2024-01-01,2024-03-01)', '{[1,3),[5,8)}', '(1.5,-2)', '((0,0),(1,0),(1,1))',
        xmlparse(content '<a>' || %(s)s || ' &amp; b</a>'), to_tsvector('simple', %(s)s), '16/B374D848')""",
              {"s": SECRET, "j": json.dumps({"secret": SECRET, SECRET: [1.50, True, None, SECRET, {"deep": SECRET}]})})
    world.sql("update everything set at = 'infinity', at_zone = '0044-03-15 10:00:00 BC', price = 'NaN', wide = '-Infinity' where id = 1")


def write_all(world):
    """Types, TOAST, moves, keys, DDL in the middle, truncates, logical messages, many batches."""
    write_everything(world)
    world.sql("insert into notes values (1, 'a', %s)", [large()])
    world.sql("update notes set title = 'unchanged body' where id = 1")
    world.sql("update notes set id = 2 where id = 1")
    world.sql("insert into moved values (7, 1, %s)", [SECRET])
    world.transaction("update moved set workspace = 2", "update moved set id = 8", "delete from moved")
    world.sql("insert into keyless values (%s, 1)", [SECRET])
    world.transaction("insert into notes values (3, 'b')", "alter table notes add extra address default row(1, 'x', null)::address",
                      "insert into notes values (4, 'c', 'd', row(2, 'New street', '2001-01-01'))")
    world.sql("alter type address add attribute late numeric")
    world.sql("insert into notes values (5, 'c', 'd', row(2, 'New street', '2001-01-01', 1.5))")
    world.sql(f"select pg_logical_emit_message(true, 'walcast:event', '{{\"name\": \"n\", \"data\": \"{SECRET}\"}}')")
    world.sql(f"select pg_logical_emit_message(false, 'other', '{SECRET}')")
    world.sql("truncate notes, moved")
    world.sql("insert into notes select i, 'many', repeat('y', 300) from generate_series(100, 4099) i")
    world.sql("create table late (id int primary key, feeling mood); alter table notes drop body; insert into notes values (9000, 'last')")


def finish(world, tail, last="9000"):
    wait_until(lambda: any(item.model_id == last for item in tail.actions()[-3:]), 30, lambda: tail.text[-500:] + tail.errors)
    assert tail.end() == 0, tail.errors


def test_a_replay_is_the_live_tail_byte_for_byte(world, tmp_path):
    file = tmp_path / "all.rec"
    with record(world, file) as tail:
        write_all(world)
        finish(world, tail)
    assert_nothing_left(world)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    result = replay(file, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == tail.text
    assert len(tail.actions()) > 4000
    assert '"unchanged":["body"]' in tail.text and '"type":"reset"' in tail.text
    assert replay(file, "--json").stdout == result.stdout


def test_a_replay_as_text_has_a_line_an_action(world, tmp_path):
    file = tmp_path / "text.rec"
    with record(world, file) as tail:
        world.sql("insert into notes values (1, 'a', %s)", [large()])
        world.sql("update notes set title = 'b' where id = 1; delete from notes where id = 1")
        tail.wait_actions(3)
        assert tail.end() == 0

    lines = replay(file, "--text").stdout.splitlines()
    assert [line.split()[2] for line in lines] == ["insert", "update", "delete"]
    assert lines[1].endswith('update notes 1 {"id":1,"title":"b"} body=(unchanged) #3')


@pytest.mark.parametrize("form", ["--json", "--text"])
def test_a_screen_that_cannot_be_written_is_told(world, tmp_path, form):
    file = tmp_path / "shown.rec"
    with record(world, file) as tail:
        world.sql("insert into notes values (1, 'a', 'b')")
        tail.wait_actions(1)
        assert tail.end() == 0

    command = [walcast_binary(), "tail", "--replay", file, form]
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=10)
    assert (result.returncode, result.stderr) == (1, "walcast: cannot write to standard output: No space left on device\n")

    def limited():  # SIGXFSZ does what it does by default.
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
    with open(tmp_path / "small", "w") as small:
        result = subprocess.run(command, stdout=small, stderr=subprocess.PIPE, text=True, timeout=10, preexec_fn=limited)
    assert (result.returncode, result.stderr) == (1, "walcast: cannot write to standard output: File too large\n")


# Masking.

def shape(value):
    """What masking keeps: structure, types, lengths of texts, what is null, true or false."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    if isinstance(value, history.Number):
        return re.sub(r"\d", "0", value)
    if isinstance(value, str):
        return len(value)
    return value


def shapes(text, keep=("action", "modelName", "epoch", "lsn", "commitTime", "type", "reason")):
    found = []
    for line in text.splitlines():
        message = history.parse_exactly(line)
        for item in message.get("sync", ()):
            data = dict(item.get("data") or {})
            for name in ("plain", "binary_json", "store"):
                data[name] = len(json.dumps(data.get(name)))
            found.append((message["lastSyncId"], message["xid"], message["lsn"], item["syncId"], item["action"], item["modelName"],
                          len(item["modelId"]), shape(data), tuple(item.get("unchanged", ()))))
        if message["type"] != "sync":
            found.append({key: message.get(key) for key in ("lastSyncId", "type", "modelName", "reason", "xid")})
    return found


def test_a_masked_recording_keeps_the_shape_and_no_value(world, tmp_path):
    file, twin = tmp_path / "masked.rec", tmp_path / "twin.rec"
    with record(world, file, "--mask") as tail, record(world, twin, "--mask") as other:
        both = "select count(*) from pg_stat_replication where state = 'streaming' and pid in (select active_pid from pg_replication_slots)"
        wait_until(lambda: world.sql(both) == [(2,)], 15, lambda: other.errors)
        write_all(world)
        finish(world, tail)
        finish(world, other)

    raw = file.read_bytes()
    assert SECRET.encode() in tail.text.encode(), "the screen shows what is, only the file is masked"
    for secret in (SECRET, "Pangolin", "pangolin", SECRET.encode().hex(), "New street", large(), "y" * 300, "3f2504e0", "2024-02-29",
                   "192.168.7", "9007199254740993", "2001-01-01", "1,234.50"):
        assert secret.encode() not in raw, secret
    result = replay(file, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    masked = shapes(result.stdout)
    live = shapes(tail.text)
    assert len(masked) == len(live)
    for one, two in zip(masked, live):
        assert one == two
    # Another key in each file.
    assert replay(twin, "--json").stdout.split('"sync":', 1)[1] != result.stdout.split('"sync":', 1)[1]


def test_masked_keys_and_moves_still_meet(world, tmp_path):
    file = tmp_path / "keys.rec"
    with record(world, file, "--mask") as tail:
        world.sql("insert into moved select i, i % 3, 'owner ' || i % 7 from generate_series(1, 500) i")
        world.sql("update moved set workspace = workspace + 1; delete from moved where id <= 250")
        tail.wait_actions(500 + 500 + 250)
        assert tail.end() == 0

    actions = [history.Action.of(item) for line in replay(file, "--json").stdout.splitlines() for item in history.parse(line)["sync"]]
    inserted = [item.model_id for item in actions[:500]]
    assert len(set(inserted)) == 500, "different keys stay different"
    assert [item.model_id for item in actions[500:1000]] == inserted, "equal ones equal"
    assert [item.model_id for item in actions[1000:]] == inserted[:250]
    assert len({item.data["owner"] for item in actions[:500]}) == 7


def test_values_of_a_masked_recording_are_values_of_their_types(world, tmp_path):
    file = tmp_path / "types.rec"
    with record(world, file, "--mask") as tail:
        write_everything(world)
        tail.wait_actions(9)
        assert tail.end() == 0

    row = [item for line in replay(file, "--json").stdout.splitlines() for item in history.parse_exactly(line)["sync"]][7]["data"]
    forms = {"small": "smallint", "number": "oid", "price": "numeric", "narrow": "real", "wide": "float8", "key": "uuid", "day": "date",
             "clock": "time", "zoned": "timetz", "at": "timestamp", "at_zone": "timestamptz", "span": "interval", "net": "inet",
             "network": "cidr", "mac": "macaddr", "cash": "money", "flags": "bit(4)", "ints": "int4range", "dates": "daterange",
             "pair": "point", "shape": "polygon", "doc": "xml", "place": "pg_lsn", "bytes": "bytea"}
    for name, kind in forms.items():
        # Text as it was sent to the server: the server takes it.
        assert world.sql(f"select %s::{kind} is not null", [row[name]]) == [(True,)], (name, row[name])
    assert set(row["home"]) == {"number", "street", "since"}
    assert row["words"][1][1] == " " and row["words"][2] is None


# Files that are not whole.

def test_a_recorder_that_is_killed_leaves_all_that_it_has_shown(world, tmp_path):
    file = tmp_path / "killed.rec"
    with record(world, file) as tail:
        world.sql("insert into notes select i, 'many', 'x' from generate_series(1, 20000) i")
        world.sql("insert into notes values (90000, 'last')")
        tail.wait_actions(20001)
        tail.process.send_signal(signal.SIGKILL)
        tail.process.wait(10)

    result = replay(file, "--json")
    assert result.returncode == 1
    assert "killed.rec" in result.stderr and "at byte" in result.stderr and "stopped short" in result.stderr
    assert result.stdout == tail.text


def test_a_cut_or_damaged_file_is_shown_up_to_there(world, tmp_path):
    file, broken = tmp_path / "whole.rec", tmp_path / "broken.rec"
    with record(world, file) as tail:
        for number in range(30):
            world.sql("insert into notes values (%s, 'a')", [number])
        tail.wait_actions(30)
        assert tail.end() == 0
    raw, whole = file.read_bytes(), replay(file, "--json").stdout

    for size in range(0, len(raw), 397):
        broken.write_bytes(raw[:size])
        result = replay(broken, "--json")
        assert result.returncode == 1 and "broken.rec" in result.stderr, result.stderr
        assert whole.startswith(result.stdout)
    for place in range(0, len(raw), 397):
        broken.write_bytes(raw[:place] + bytes([raw[place] ^ 0x10]) + raw[place + 1:])
        result = replay(broken, "--json")
        assert result.returncode == 1 and "broken.rec" in result.stderr, (place, result.stderr)
        assert whole.startswith(result.stdout)


def test_what_cannot_be_recorded_is_told(world, tmp_path):
    file = tmp_path / "there.rec"
    file.write_text("precious")
    refused = walcast("tail", world.url(), "--record", file)
    assert refused.returncode == 2 and "there.rec" in refused.stderr and "already" in refused.stderr
    assert file.read_text() == "precious"

    refused = walcast("tail", world.url(), "--record", tmp_path / "no" / "such.rec")
    assert refused.returncode == 2 and "such.rec" in refused.stderr

    refused = walcast("tail", "--replay", tmp_path / "missing.rec")
    assert refused.returncode == 2 and "missing.rec" in refused.stderr

    refused = walcast("tail", "--replay", file)
    assert refused.returncode == 1 and "not a recording" in refused.stderr

    never = walcast("tail", "postgres://127.0.0.1:1/app", "--record", tmp_path / "never.rec")
    assert never.returncode == 1 and not (tmp_path / "never.rec").exists()
    assert_nothing_left(world)


def test_a_full_disk_ends_the_tail_and_says_so(world, tmp_path):
    file = tmp_path / "full.rec"

    def limited():
        _dies_with_us(signal.SIGKILL)()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    process = subprocess.Popen([walcast_binary(), "tail", world.url(), "--record", file], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, preexec_fn=limited, restore_signals=False)
    try:
        wait_until(lambda: streams(world), 15, "tail streams")
        world.sql("insert into notes select i, 'many', repeat('x', 500) from generate_series(1, 5000) i")
        shown, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 1 and b"full.rec" in errors and b"File too large" in errors, errors
    result = replay(file, "--json")
    assert result.returncode == 1 and "cut short" in result.stderr
    assert_nothing_left(world)


@pytest.mark.parametrize("arguments", [
    ["redis://localhost", "--channel", "a", "--record", "x.rec"], ["--channel", "a", "--record", "x.rec"], ["--replay", "x.rec", "--record", "y.rec"],
    ["postgres://localhost/app", "--replay", "x.rec"], ["postgres://localhost/app", "--mask"], ["--replay", "x.rec", "--channel", "a"],
    ["--replay", "x.rec", "--from", "3"], ["--replay", "x.rec", "--table", "a"], ["--xid", "many"], ["--xid", "0"], ["--action", "upsert"],
    ["--model", ""], ["--mutation-id", ""], ["postgres://localhost/app", "--record", ""], ["--replay", ""],
    *(["redis://localhost", "--channel", "a", "--from", wrong] for wrong in ("-1", "", "1x", "0x10", "9007199254740992", "99999999999999999999"))])
def test_what_does_not_go_together_is_wrong_usage(arguments, tmp_path):
    result = subprocess.run([walcast_binary(), "tail", *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=10)
    assert result.returncode == 2 and "--" in result.stderr, result.stderr
    assert os.listdir(tmp_path) == []


# Filters.

def test_filters_of_a_recording(world, tmp_path):
    file = tmp_path / "filters.rec"
    with record(world, file) as tail:
        world.transaction("insert into notes values (1, 'a')", "insert into moved values (1, 1, 'x')", "update notes set title = 'b'")
        world.sql("delete from notes")
        world.sql("truncate moved")
        tail.wait_actions(4)
        wait_until(lambda: '"reset"' in tail.text, 15, "the reset")
        assert tail.end() == 0

    def shown(*arguments):
        lines = replay(file, "--json", *arguments).stdout.splitlines()
        return [(item["syncId"], item["action"]) for line in lines for item in json.loads(line).get("sync", [{"syncId": 0, "action": "reset"}])]

    xid = str(tail.messages()[0]["xid"])
    assert shown() == [(1, "insert"), (2, "insert"), (4, "update"), (5, "delete"), (0, "reset")]
    assert shown("--model", "notes") == [(1, "insert"), (4, "update"), (5, "delete")]
    assert shown("--model", "no*", "--model", "moved") == shown()
    assert shown("--action", "delete", "--action", "reset") == [(5, "delete"), (0, "reset")]
    assert shown("--model", "moved", "--action", "insert") == [(2, "insert")]
    assert shown("--xid", xid) == [(1, "insert"), (2, "insert"), (4, "update")]
    assert shown("--xid", xid, "--action", "update") == [(4, "update")]
    assert shown("--mutation-id", "m-1") == []
    whole = replay(file, "--json").stdout.splitlines()[0]
    part = replay(file, "--json", "--model", "moved", "--action", "insert").stdout
    assert json.loads(part) == {**json.loads(whole), "sync": [json.loads(whole)["sync"][1]]}
    assert len(replay(file, "--text", "--action", "update").stdout.splitlines()) == 1


def test_filters_of_a_live_tail(world):
    with Tail(world.url(), "--model", "notes", "--action", "update") as tail:
        wait_until(lambda: streams(world), 15, lambda: tail.errors)
        world.transaction("insert into notes values (1, 'a')", "insert into moved values (1, 1, 'x')", "update notes set title = 'b'")
        assert [(item.sync_id, item.action) for item in tail.wait_actions(1)] == [(4, "update")]
        assert tail.end() == 0


def test_filters_and_moves_of_redis(postgres, redis):
    rules = [{"table": "public.moved", "model": "Moved", "channels": ["w:{workspace}", "o:{owner}"]}]
    with World(rules, postgres, redis, TABLES) as world:
        world.init()
        world.agent()
        world.sql("insert into moved values (7, 1, 'me')")
        world.sql("update moved set workspace = 2")
        world.settle()
        message = '{"type":"sync","epoch":"e","prevSyncId":3,"lastSyncId":4,"lsn":"0/1","xid":9,"mutationId":"m-71","sync":[' \
                  '{"syncId":4,"action":"delete","modelName":"Moved","modelId":"7"}]}'
        with Tail(world.redis.url(), "--channel", "[wo]:*", "--from", 0, "--text", "--color", "never") as tail:
            wait_until(lambda: tail.text.count("\n") >= 5, 15, lambda: tail.text + tail.errors)
            assert tail.end() == 0
        lines = [re.sub(r"^\S+ +", "", line) for line in tail.text.splitlines()]
        assert "w:1            delete Moved 7 #2" in lines
        assert 'w:2            insert Moved 7 {"id":7,"workspace":2,"owner":"me"} (moved here from w:1: #2) #3' in lines
        assert 'o:me           update Moved 7 {"id":7,"workspace":2,"owner":"me"} (left w:1: #2) #3' in lines
        with Tail(world.redis.url(), "--channel", "w:9", "--mutation-id", "m-71") as tail:
            wait_until(lambda: any(client["sub"] != "0" for client in world.client.client_list()), 15, lambda: tail.errors)
            world.client.publish("w:9", message.replace("m-71", "m-72").replace('"lastSyncId":4', '"lastSyncId":3'))
            world.client.publish("w:9", "hello")
            world.client.publish("w:9", message)
            wait_until(lambda: tail.text.endswith("\n"), 15, lambda: tail.errors)
            assert tail.end() == 0
        assert tail.text == message + "\n"
