"""The same random work through every way of reading it: all give the same actions, and these give the tables.

    WALCAST_DIFF_SECONDS=600 WALCAST_SEED=17 WALCAST_PG=18 /usr/bin/python3 -m pytest -s tests/integration/test_differential.py

Cases run one after the other until the seconds are over; WALCAST_SEED is the first one's seed, the next has the next number.
A failing case is reduced, and printed with its seed and SQL. WALCAST_DIFF_VARIANTS=pgoutput,streaming runs only those.
"""

import collections
import json
import os
import pathlib
import random
import re
import time

import pytest

from support import history
from support.history import Number
from support.servers import Agent, Postgres, postgres_bindir, wait_until
from support.workload import RULES, Sessions, Step, Workload, ident, literal
from support.world import World

SECONDS = float(os.environ.get("WALCAST_DIFF_SECONDS") or 60)
# The short run is always the same one, as far as clocks and locks let it be.
SEED = int(os.environ.get("WALCAST_SEED") or ("WALCAST_DIFF_SECONDS" not in os.environ or random.SystemRandom().randrange(10**6)))
REDUCE_SECONDS = float(os.environ.get("WALCAST_DIFF_REDUCE_SECONDS") or max(60, SECONDS / 2))
MAJOR = int(os.environ.get("WALCAST_PG") or 15)

VARIANTS = {
    "pgoutput": {"plugin": "pgoutput"},
    "streaming": {"plugin": "pgoutput", "streaming": True},
    "wal2json2": {"plugin": "wal2json", "format_version": 2},
    "wal2json1": {"plugin": "wal2json", "format_version": 1},
}
BASE = "pgoutput"
# What the server itself cannot decode, whoever asks: such a case is counted and says nothing.
SERVER_ERRORS = ["could not open toast relation with OID", "could not convert row type"]

Case = collections.namedtuple("Case", "seed setup steps is_live is_immediate variants")
Item = collections.namedtuple("Item", "sync_id origin kind model model_id data unchanged")
# `kind` of a Failure is what a reduced case must share with the whole one.
Failure = collections.namedtuple("Failure", "kind text")


@pytest.fixture(scope="module")
def server():
    settings = {"logical_decoding_work_mem": "64kB"}
    if MAJOR == 15:
        settings["output_plugin_libraries"] = "pgoutput, test_decoding, wal2json"
    with Postgres(postgres_bindir(MAJOR), settings) as postgres:
        yield postgres


# --- one case ---


def variants_of(postgres, publishes_parts):
    names = os.environ.get("WALCAST_DIFF_VARIANTS", ",".join(VARIANTS)).split(",")
    # wal2json knows no publications, and so no row filters and column lists.
    has_wal2json = (pathlib.Path(postgres.bindir) / "../lib/wal2json.so").exists() and not publishes_parts
    return tuple(name for name in names if has_wal2json or "wal2json" not in name)


def make_case(seed, postgres, redis):
    """Writes a case and judges it at once: (Case, [Failure], counts)."""
    chooser = random.Random(seed)
    publishes_parts = MAJOR != 15 or chooser.random() < 0.3
    workload = Workload(seed, MAJOR, publishes_parts)
    case = Case(seed, workload.setup, workload.steps, is_live=chooser.random() < 0.7,
                is_immediate=MAJOR >= 16 and chooser.random() < 0.5, variants=variants_of(postgres, publishes_parts))
    count = chooser.choice([20, 60, 150, 300])
    failures, counts = play(case, postgres, redis, lambda sessions: workload.write(sessions, count))
    return case, failures, counts


def replay(case, postgres, redis):
    def run(sessions):
        for step in case.steps:
            sessions.run(step)
    return play(case, postgres, redis, run)[0]


def play(case, postgres, redis, work):
    """Sets a database up, lets `work(sessions)` run on it with the agents, and gives failures and counts."""
    with World(RULES, postgres, redis) as world:
        if case.is_immediate:
            world.sql(f"alter database {world.db} set debug_logical_replication_streaming = immediate")
        for sql in case.setup:
            try:
                world.sql(sql)
            except Exception as error:  # What a reduced case no longer has.
                if not case.steps:
                    raise AssertionError(f"{sql}: {error}") from None
        readers = [Reader(world, name) for name in case.variants]
        try:
            sessions = Sessions(lambda: postgres.connect(world.db))
            if case.is_live:
                start(readers)
            work(sessions)
            sessions.finish()
            if not case.is_live:
                start(readers)
            failures = [failure for reader in readers for failure in reader.settle()]
            counts = sessions.counts + collections.Counter(actions=sum(len(reader.items) for reader in readers[:1]))
            counts["streamed transactions"] = sum(reader.streamed() for reader in readers)
            return failures or judge(world, readers), counts
        finally:
            for reader in readers:
                reader.close()
            world.connection.close()
            postgres.execute(f"drop database if exists {world.db} with (force)")


def start(readers):
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.agent.wait_streaming()


class Reader:
    """One agent: its own slot, keys and configuration."""

    def __init__(self, world, name):
        self.world, self.name, self.agent, self.items = world, name, None, []
        self.slot, self.prefix = f"{name}_{world.db}", f"{name}:"
        self.text = world.config(slot=self.slot, prefix=self.prefix, **VARIANTS[name])
        result = world.walcast("init", config_text=self.text)
        assert result.returncode == 0, f"{name}: init: {result.stdout}\n{result.stderr}"

    def start(self):
        self.agent = Agent(self.text)

    def settle(self):
        """Waits until it has read everything; the failures seen so far."""
        lsn = history.lsn_number(self.world.sql("select pg_logical_emit_message(true, 'barrier', '')::text")[0][0])

        def is_done():
            position = history.position(self.world.client, self.prefix).get("lsn", "0/0")
            return not self.agent.alive() or history.lsn_number(position) >= lsn or len(self._errors()) > 4

        try:
            wait_until(is_done, 60, lambda: f"{self.name} has read everything")
        except TimeoutError as error:
            return [Failure(f"{self.name} hangs", f"{error}\n{self.agent.log()[-2000:]}")]
        if len(self._errors()) > 4:
            return [Failure(f"{self.name}: {re.sub('[0-9]+', 'N', self._errors()[-1])}", self.agent.log()[-600:])]
        if not self.agent.alive():
            return [Failure(f"{self.name} ended", self.agent.log()[-2000:])]
        return self._read()

    def _errors(self):
        return re.findall(r"session ended error=(.*) retry_in", self.agent.log())

    def _read(self):
        channels = history.histories(self.world.client, self.prefix)
        found = history.problems(channels, epoch=history.position(self.world.client, self.prefix)["epoch"])
        entries = channels.get("everything", []) + history.read_stream(self.world.client, self.prefix + "control")
        try:
            self.items = sorted((item for entry in entries for item in items_of(history.parse_exactly(entry.message))),
                                key=lambda item: item.sync_id)
        except (KeyError, ValueError) as error:
            found.append(f"{type(error).__name__}: {error}")
        found += sorted(set(channels) - {"everything"})
        return [Failure(f"{self.name} unsound", "\n".join(found[:10]))] if found else []

    def streamed(self):
        """How many transactions came before their end."""
        rows = self.world.sql("select stream_txns from pg_stat_replication_slots where slot_name = %s", [self.slot])
        return rows[0][0] if rows else 0

    def close(self):
        if self.agent:
            self.agent.close()
        sql = "select {} from pg_replication_slots where slot_name = %s"
        self.world.postgres.execute(sql.format("pg_terminate_backend(active_pid, 5000)"), [self.slot])
        self.world.postgres.execute(sql.format("pg_drop_replication_slot(slot_name)"), [self.slot])


def items_of(message):
    origin = tuple(message.get(key) for key in ("lsn", "xid", "commitTime"))
    if message["type"] == "reset":
        assert "modelName" in message, f"a reset of everything: {message}"
        yield Item(int(message["lastSyncId"]), origin, f"reset: {message['reason']}", message["modelName"], None, None, ())
    for item in message.get("sync", ()):
        assert "omitted" not in item
        yield Item(int(item["syncId"]), origin, item["action"], item["modelName"], item["modelId"], item.get("data"),
                   tuple(item.get("unchanged", ())))


# --- judging ---


def judge(world, readers):
    base = next((reader for reader in readers if reader.name == BASE), readers[0])
    failures = []
    for reader in readers:
        if reader is not base:
            wanted, found = base.items, reader.items
            if "wal2json" in reader.name:
                wanted, found = common_views(wanted, found, reader.name)
            text = first_difference(wanted, found)
            if text:
                failures.append(Failure(f"{reader.name} differs", text))
    return failures + replica_failures(world, base.items, without_old_rows(base.agent.log()))


def without_old_rows(log):
    """Tables with partitions that do not log what the table's own identity would: there an update resets the model."""
    return set(re.findall(r"table=app\.(.*) has a partition whose replica identity lacks columns", log))


def common_views(ours, theirs, variant):
    """Actions of pgoutput and of wal2json without what only one of them can tell."""
    ours, theirs = as_wal2json(ours, variant), as_wal2json(theirs, variant)
    pairs = list(zip(ours, theirs))
    return ([nulls_for_nan(one, other) for one, other in pairs] + ours[len(pairs):],
            [without_later_columns(other, one) for one, other in pairs] + theirs[len(pairs):])


def as_wal2json(items, variant):
    """No ids, no generated columns, a TRUNCATE as the set of its models, in format 1 not at all."""
    told, resets = [], set()
    for item in [*items, None]:
        if item is not None and item.kind.startswith("reset"):
            resets.add(item.model)
            continue
        if resets and variant != "wal2json1":
            told.append(Item(0, None, "resets", sorted(resets), None, None, ()))
        resets = set()
        if item is not None:
            data = item.data and without_generated(item.data)
            told.append(item._replace(sync_id=0, data=data, origin=item.origin[1]))
    return told


def nulls_for_nan(ours, theirs):
    """wal2json writes null for NaN and the infinities."""
    if ours.data is None or theirs.data is None:
        return ours
    return ours._replace(data={
        name: None if value in ("NaN", "Infinity", "-Infinity") and theirs.data.get(name, "") is None else value
        for name, value in ours.data.items()})


def without_later_columns(theirs, ours):
    """What wal2json leaves out is told by the catalog of a later moment, which may have columns that the row had not."""
    if ours.data is None:
        return theirs
    return theirs._replace(unchanged=tuple(name for name in theirs.unchanged if name in ours.data or name in ours.unchanged))


def first_difference(wanted, found):
    for number, (one, other) in enumerate(zip(wanted, found)):
        if one != other or list(one.data or ()) != list(other.data or ()):
            return f"item {number}:\n" + "\n".join(
                f"  {name}: {shown(a)}\n{' ' * len(name)}  : {shown(b)}" for name, a, b in zip(Item._fields, one, other)
                if a != b or (name == "data" and list(a or ()) != list(b or ()))) + f"\n  of {shown(one)}"
    if len(wanted) != len(found):
        extra = (wanted if len(wanted) > len(found) else found)[min(len(wanted), len(found))]
        return f"{len(wanted)} items, found {len(found)}; the first that only one has: {shown(extra)}"
    return None


def shown(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name!r}: {shown(item)}" for name, item in value.items()) + "}"
    if isinstance(value, Item):
        return f"Item({', '.join(shown(item) for item in value)})"
    text = f"{str(value)} (number)" if isinstance(value, Number) else repr(value)
    return text if len(text) < 120 else f"{text[:60]}… ({len(text)})"


def replica_failures(world, items, may_be_reset=frozenset()):
    """Applies the actions and compares with the tables; but for models that a client has to fetch afresh in between."""
    fetched = {item.model for item in items if item.kind == "reset: unroutable"} & may_be_reset
    rows, problems = replica_of([item for item in items if item.model not in fetched])
    parts = "attnames::text[], rowfilter" if MAJOR >= 15 else "null, null"
    published = world.sql(f"select schemaname, tablename, {parts} from pg_publication_tables where pubname = 'walcast'")
    for schema, table, *part in published:
        if table in fetched:
            continue
        truth = sorted(json.dumps(row, sort_keys=True) for row in table_rows(world, schema, table, *part))
        copy = sorted(json.dumps(canonical(without_generated(row)), sort_keys=True) for row in rows.pop(table, {}).values())
        missing, stray = list((collections.Counter(truth) - collections.Counter(copy)).elements()), list(
            (collections.Counter(copy) - collections.Counter(truth)).elements())
        if missing or stray:
            problems.append(f"{table}: {len(missing)} rows are missing, {len(stray)} are not in the table:\n"
                            f"  table:   {[shown(json.loads(row)) for row in missing[:2]]}\n"
                            f"  replica: {[shown(json.loads(row)) for row in stray[:2]]}")
    problems += [f"{model} is not published, and has {len(left)} rows" for model, left in rows.items() if left]
    return [Failure("replica", "\n".join(problems[:5]))] if problems else []


def replica_of(items):
    """({model: {id: row}}, problems)"""
    models, problems, removed = collections.defaultdict(dict), [], {}
    for item in items:
        rows = models[item.model]
        if item.kind.startswith("reset"):
            rows.clear()
        elif item.kind == "delete":
            removed = rows.pop(item.model_id, None)
            if removed is None:
                problems.append(f"{shown(item)}: no such row")
            continue
        else:
            known = rows.get(item.model_id)
            if (known is None) == (item.kind == "update"):
                problems.append(f"{shown(item)}: {'no such row' if known is None else 'the row is there'}")
            # A change of id is a delete and an insert: what the insert does not carry is in the row just removed. What is
            # in neither (a column just renamed) is missing, until the row is written anew.
            known = known or removed or {}
            rows[item.model_id] = {**item.data, **{name: known[name] for name in item.unchanged if name in known}}
        removed = {}
    return models, problems


def table_rows(world, schema, table, names, condition):
    """The rows that are published as to_json gives them; arrays whose bounds do not begin at 1 as the server's text."""
    columns = world.sql("""select attname from pg_attribute a join pg_type t on t.oid = atttypid
        left join pg_type base on base.oid = t.typbasetype
        where attrelid = format('%%I.%%I', %s, %s)::regclass and attnum > 0 and not attisdropped
        and coalesce(base.typcategory, t.typcategory) = 'A'""", [schema, table])
    shifted = " || ".join(["'{}'::jsonb"] + [
        f"case when t.{ident(name)}::text like '[%' then jsonb_build_object({literal(name)}, t.{ident(name)}::text) else '{{}}' end"
        for name, in columns])
    for text, arrays in world.sql(
            f"select row_to_json(t)::text, ({shifted})::text from {ident(schema)}.{ident(table)} t where {condition or 'true'}"):
        row = {**history.parse_exactly(text), **json.loads(arrays)}
        yield canonical(without_generated({name: value for name, value in row.items() if names is None or name in names}))


def without_generated(row):
    return {name: value for name, value in row.items() if name != "generated"}


def canonical(value):
    """One form for what is written in two: to_json has +00:00 for Z, and numbers of any length as numbers."""
    if isinstance(value, dict):
        return {name: canonical(item) for name, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, Number):
        digits = re.sub(r"[eE].*|[-.]", "", value).lstrip("0")
        return f"number {value}" if len(digits) <= 15 else str(value)
    if isinstance(value, str):
        return re.sub(r"^(\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)\+00:00( BC)?$", r"\1Z\2", value)
    return value


# --- reducing ---


def reduce_case(case, failures, postgres, redis):
    """The smallest case found in time that fails alike: pieces are left out, ever smaller ones."""
    kinds, deadline = {failure.kind for failure in failures}, time.monotonic() + REDUCE_SECONDS

    def fails(candidate):
        try:
            return kinds & {failure.kind for failure in replay(candidate, postgres, redis)}
        except (AssertionError, ChildProcessError):
            return False

    if not fails(case):
        return case, False
    for part in ("steps", "setup"):
        size = max(1, len(getattr(case, part)) // 2)
        while time.monotonic() < deadline:
            at, shrunk = 0, False
            while at < len(getattr(case, part)) and time.monotonic() < deadline:
                whole = getattr(case, part)
                candidate = case._replace(**{part: whole[:at] + whole[at + size:]})
                if fails(candidate):
                    case, shrunk = candidate, True
                else:
                    at += size
            if size == 1 and not shrunk:
                break
            size = max(1, size // 2)
    return case, True


def script(case):
    lines = [f"-- seed {case.seed}, PostgreSQL {MAJOR}, {'live' if case.is_live else 'agents started afterwards'}"
             + ", streaming = immediate" * case.is_immediate]
    lines += [f"{sql};" for sql in case.setup]
    for step in case.steps:
        anew = f" -- at the transaction's end all rows of {step.alters} are written anew" * bool(step.alters)
        lines.append(f"/* {step.session} */ {step.sql};{anew}")
    return "\n".join(lines)


# --- the tests ---


@pytest.mark.limit(int(SECONDS + REDUCE_SECONDS) + 200)
def test_every_way_gives_the_same_actions_and_these_give_the_tables(server, redis):
    deadline, seed, totals = time.monotonic() + SECONDS, SEED, collections.Counter()
    while time.monotonic() < deadline:
        case, failures, counts = make_case(seed, server, redis)
        totals += counts + collections.Counter(cases=1, commits=sum(step.sql == "commit" for step in case.steps))
        totals.update(case.variants)
        if failures and all(any(error in failure.kind for error in SERVER_ERRORS) for failure in failures):
            totals[f"server: {failures[0].kind[:150]}"] += 1
        elif failures:
            print("\n".join(f"{failure.kind}: {failure.text}" for failure in failures))
            reduced, is_again = reduce_case(case, failures, server, redis)
            text = "\n".join(f"{failure.kind}: {failure.text}" for failure in failures)
            pytest.fail(f"WALCAST_SEED={seed} WALCAST_PG={MAJOR}\n{text}\n"
                        + ("" if is_again else "It did not fail again.\n") + script(reduced), pytrace=False)
        seed += 1
    print(f"WALCAST_SEED={SEED}: {seed - SEED} cases; {dict(totals.most_common())}")


def test_a_corrupted_action_is_found(server, redis):
    """The comparison itself: each kind of damage to what one agent said must show."""
    with World(RULES, server, redis) as world:
        world.sql("create schema app; create table app.t (id int primary key, v text, n numeric)")
        reader = Reader(world, BASE)
        try:
            reader.start()
            world.sql("insert into app.t values (1, 'a', 1.5), (2, 'b', 'NaN')")
            world.sql("update app.t set v = 'c' where id = 1")
            world.sql("delete from app.t where id = 2; truncate app.t; insert into app.t values (3, 'd', 2)")
            assert reader.settle() == []
            assert replica_failures(world, reader.items) == [] and first_difference(reader.items, list(reader.items)) is None
            # insert, insert, update, delete, reset, insert
            assert [item.kind for item in reader.items] == ["insert", "insert", "update", "delete", "reset: truncate", "insert"]
            last = reader.items[-1]
            damages = {
                "another value": reader.items[:-1] + [last._replace(data={**last.data, "v": "D"})],
                "a number as a string": reader.items[:-1] + [last._replace(data={**last.data, "n": "2"})],
                "null for a value": reader.items[:-1] + [last._replace(data={**last.data, "v": None})],
                "a column too few": reader.items[:-1] + [last._replace(data={"id": last.data["id"]})],
                "unchanged without a value": reader.items[:-1] + [last._replace(data={"id": last.data["id"], "n": last.data["n"]},
                                                                               unchanged=("v",))],
                "one missing": reader.items[:-1],
                "one twice": reader.items + [last],
                "no reset": [item for item in reader.items if not item.kind.startswith("reset")][:1] + reader.items[-1:],
            }
            for what, damaged in damages.items():
                assert replica_failures(world, damaged), what
                assert first_difference(reader.items, damaged), what
                assert first_difference(*common_views(reader.items, damaged, "wal2json2")), what
            swapped = [reader.items[1], reader.items[0], *reader.items[2:]]
            assert first_difference(reader.items, swapped), "another order"
        finally:
            reader.close()


def test_a_failing_case_is_reduced(monkeypatch):
    case = Case(1, ["a", "b"], [Step(0, f"s{number}") for number in range(40)], True, False, ("pgoutput",))
    monkeypatch.setattr(f"{__name__}.replay", lambda case, *_: [Failure("replica", "")] * (
        {"s7", "s31"} <= {step.sql for step in case.steps} and "b" in case.setup))
    reduced, is_again = reduce_case(case, [Failure("replica", "")], None, None)
    assert is_again and (reduced.setup, [step.sql for step in reduced.steps]) == (["b"], ["s7", "s31"])
