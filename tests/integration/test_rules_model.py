"""Random tables, rules and work: what readers end up with is what support/rules.py says of the tables.

    WALCAST_RULES_SECONDS=600 WALCAST_SEED=17 /usr/bin/python3 -m pytest -s tests/integration/test_rules_model.py

Triggers note each row before and after each change in tables that no slot sees. Postgres evaluates the predicates. A case
is all of one seed; the next case has the next number.
"""

import collections
import os
import random
import re
import time

import psycopg2
import pytest

from support import history
from support.rules import Reader, Rule, Template, describe, ident, row_of
from support.servers import Postgres
from support.world import Subscriber, World

SECONDS = float(os.environ.get("WALCAST_RULES_SECONDS") or 25)
SEED = int(os.environ.get("WALCAST_SEED") or ("WALCAST_RULES_SECONDS" not in os.environ or random.SystemRandom().randrange(10**6)))

VARIANTS = {"pgoutput": {}, "wal2json": {"plugin": "wal2json", "format_version": 2}}

WORDS = ["open", "closed", "Open", "", "a:b", "{x}", "100%", "a_b", "x,y\\z", "größe 表", "control", "a\nb", "%3A", "é", "e\u0301"]
POOLS = {
    "integer": ["0", "1", "2", "3", "-1", "2147483647"],
    "bigint": ["0", "1", "9007199254740993", "-5"],
    "smallint": ["0", "1", "-7"],
    "text": [f"'{word}'" for word in WORDS],
    "character varying(40)": [f"'{word}'" for word in WORDS],
    "character(6)": ["'open'", "'a b'", "''"],
    "boolean": ["true", "false"],
    "numeric": ["1", "1.0", "1.50", "-2", "'NaN'", "1e20", "0.000001"],
    "double precision": ["0", "'-0'", "1.5", "'NaN'", "'Infinity'", "1e300", "0.1"],
    "timestamp with time zone": ["'2024-01-31 12:00:00+02'", "'2024-01-31 10:00:00.5+00'", "'infinity'"],
    "date": ["'2024-02-29'", "'2024-03-01'", "'0044-03-15 BC'"],
    "uuid": ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12'"],
    "public.kind": ["'red'", "'green'", "'light blue'"],
    "bytea": [r"'\x'", r"'\x00ff'"],
    "jsonb": ['\'{"team_id": 5, "tags": ["a", "b:c", null, 1.50, {"x": 1}]}\'', '\'{"team_id": "5", "a.b": {"c": "x"}}\'', "'{}'", "'[1, 2]'", "'7'",
              "'null'", '\'{"team_id": null, "tags": []}\'', '\'{"team_id": {"deep": true}, "tags": "solo"}\'', '\'{"tags": [false, "é"]}\''],
    "json": ['\'{"team_id":  2.00}\'', '\'{"team_id": "q\\u0041\\"", "tags":[1,1,"x"]}\'', '\'{"a.b":{"c":[1,"2"]}}\''],
    "text[]": ["'{}'", "'{a,b}'", "'{a,NULL,\"a:b\"}'", "'{{b,c},{d,a}}'", "'[0:1]={x,\"\"}'", "'{\"NULL\",\"q\\\\\"z\"}'"],
    "integer[]": ["'{1,2,3}'", "'{2,3,4}'", "'{NULL}'", "'{}'"],
}
NAMES = ["status", "team", "Case", "odd.name", "sp ace", "note", "meta", "tags", "n", "at", "x/y~z", "größe"]
PATHS = [["team_id"], ["tags"], ["a.b", "c"], ["team_id", "deep"]]
KINDS = {
    "plain": {"id": "integer"},
    "composite": {"tenant": "integer", "name": "text"},
    "textual": {"key": "text"},
    "partitioned": {"id": "integer", "region": "integer"},
}
COMPARED = {"integer", "bigint", "smallint", "numeric", "double precision", "timestamp with time zone", "date", "uuid", "bytea"}
LIKE = {"text", "character varying(40)"}
REGIONS = 3
SCHEMA = """
create type kind as enum ('red', 'green', 'light blue');
create schema reference;
create sequence reference.seq;
"""


class Table:
    def __init__(self, chooser, number):
        self.name, self.kind = f"t{number}", chooser.choice(list(KINDS))
        self.keys = KINDS[self.kind]
        names = chooser.sample(NAMES, chooser.randint(3, 7))
        self.columns = {**self.keys, "code": "text", **{name: chooser.choice(list(POOLS)) for name in names}, "large": "text"}
        self.identity = chooser.choice(["full", "full", "default", "index"])
        # The primary key is the id where the replica identity has it; else that identity, in the order of the columns.
        code = ["region", "code"] if self.kind == "partitioned" else ["code"]
        self.id = code if self.identity == "index" else list(self.keys)
        self.uniques = [list(self.keys), code]

    def setup(self):
        def column(name, kind):
            return f"{ident(name)} {kind}{' not null' if name in self.keys or name == 'code' else ''}"
        columns = ", ".join(column(*item) for item in self.columns.items())
        keys = ", ".join(map(ident, self.keys))
        is_split = self.kind == "partitioned"
        yield f"create table {self.name} ({columns}, primary key ({keys})){' partition by list (region)' if is_split else ''}"
        leaves = [f"{self.name}_{region}" for region in range(REGIONS)] if is_split else []
        for region, leaf in enumerate(leaves):
            yield f"create table {leaf} partition of {self.name} for values in ({region})"
        yield f"create unique index {self.name}_code on {self.name} (code{', region' if is_split else ''})"
        for table in leaves + [self.name]:
            index = f"{table}_code_region_idx" if table in leaves else f"{self.name}_code"
            identity = f"using index {index}" if self.identity == "index" else self.identity
            yield f"alter table {table} replica identity {identity}; alter table {table} alter large set storage external"
        note = f"reference.note_{self.name}"
        yield f"""create unlogged table {note} (seq bigint default nextval('reference.seq'), op text, old public.{self.name}, new public.{self.name})"""
        old, new = (f"row({', '.join(f'{row}.{ident(name)}' for name in self.columns)})::public.{self.name}" for row in ("old", "new"))
        yield f"""create function {note}() returns trigger language plpgsql as $$ begin
            if tg_op = 'INSERT' then insert into {note} (op, new) values ('insert', {new});
            elsif tg_op = 'UPDATE' then insert into {note} (op, old, new) values ('update', {old}, {new});
            elsif tg_op = 'DELETE' then insert into {note} (op, old) values ('delete', {old});
            else insert into {note} (op) values ('truncate'); end if; return null; end $$"""
        yield f"create trigger note after insert or update or delete on {self.name} for each row execute function {note}()"
        yield f"create trigger note_truncate after truncate on {self.name} execute function {note}()"


# --- rules ---


class RuleWriter:
    def __init__(self, chooser, tables):
        self.random, self.tables = chooser, tables

    def rules(self):
        return [self.rule(number, self.random.choice(self.tables)) for number in range(self.random.randint(1, 5))]

    def rule(self, number, table):
        chance = self.random.random
        names = list(table.columns)
        options = {}
        if chance() < 0.45:
            options["where"] = self.predicate(table)
        if chance() < 0.3:
            options["delete_when"] = self.predicate(table)
        if chance() < 0.2:
            options["operations"] = tuple(self.random.sample(["insert", "update", "delete"], self.random.randint(1, 2)))
        if chance() < 0.25:
            options["id"] = tuple(self.random.choice(table.uniques))
        ids = options.get("id") or table.id
        if chance() < 0.3:
            options["columns"] = tuple(self.random.sample(names, self.random.randint(1, len(names))))
        elif chance() < 0.4:
            left = [name for name in names if name not in ids]
            options["exclude"] = tuple(self.random.sample(left, self.random.randint(1, len(left) - 1)))
        published = [name for name in options.get("columns", names) if name not in options.get("exclude", ())]
        if chance() < 0.3:
            renamed = self.random.sample(published, min(2, len(published)))
            fresh = ["renamedOne", "a/b~c \"q\""]
            options["rename"] = dict(zip(renamed, reversed(renamed) if chance() < 0.3 and len(renamed) == 2 else fresh))
        # A reader that may not have the row has no use for what changed of it.
        is_whole = {"insert", "update"} <= set(options.get("operations", ("insert", "update")))
        if is_whole and chance() < 0.6:
            options["data"] = self.random.choice(["delta", "patch"])
        if chance() < 0.2:
            options["unroutable"] = "skip"
        templates = [self.template(number, table) for _ in range(self.random.randint(1, 3))]
        templates = list({template.written(): template for template in templates}.values())
        pattern = self.random.choice([f"public.{table.name}", f"publi?.{table.name}", f"p*.{table.name}"])
        return Rule(number, pattern, f"Model{number}", templates, table.id, **options), table

    def template(self, number, table):
        # Some names are this rule's own, and some are shared by several.
        first = self.random.choice([f"r{number}:", f"r{number}{{}}*:", "shared:", "all"])
        parts = [("text", first)]
        names = [name for name in table.columns if name != "large"]
        for i in range(self.random.choice([0, 1, 1, 1, 2, 2, 3])):
            if first == "all" or i:
                parts.append(("text", self.random.choice([":", "/", "|", " ", "::", "-:"])))
            name = self.random.choice(names)
            if table.columns[name] in ("json", "jsonb") and self.random.random() < 0.9:
                parts.append(("json", name, self.random.choice(PATHS)))
            else:
                parts.append(("column", name))
        if self.random.random() < 0.2:
            parts.append(("text", self.random.choice(["}", "-end", ":{{"])))
        return Template(*parts)

    # Predicates, which are SQL too.

    def predicate(self, table, depth=0):
        chance = self.random.random()
        if depth < 3 and chance < 0.35:
            words = [self.predicate(table, depth + 1) for _ in range(self.random.randint(2, 3))]
            return "(" + self.random.choice([" and ", " or ", " or ", " OR "]).join(words) + ")"
        if chance < 0.45:
            return f"not {self.predicate(table, depth + 1)}"
        return self.condition(table)

    def condition(self, table):
        name = self.random.choice([name for name in table.columns if name != "large" or self.random.random() < 0.3])
        kind, column = table.columns[name], ident(name)
        choices = [f"{column} is null", f"{column} is not null"]
        if kind not in ("json", "jsonb") and not kind.endswith("[]"):
            value, other = (self.random.choice(self.values(name, kind)) for _ in range(2))
            choices += [f"{column} = {value}", f"{column} <> {value}", f"{column} in ({value}, {other})", f"{column} not in ({other})"] * 2
            if kind in COMPARED and kind != "public.kind":
                operator = self.random.choice(["<", "<=", ">", ">="])
                choices += [f"{column} {operator} {value}", f"{value} {operator} {column}", f"{column} between {value} and {other}",
                            f"{column} not between {value} and {other}"] * 2
            if kind in LIKE:
                pattern = self.random.choice(["'%e%'", "'_pen'", "''", "'%'", "'a\\_b'", "'%:%'", "'gr__e%'"])
                choices += [f"{column} like {pattern}", f"{column} not like {pattern}"] * 2
            if kind == "boolean":
                choices += [column, f"not {column}", f"{column} is true", f"{column} is not false", f"{column} is not true"] * 2
        return self.random.choice(choices)

    @staticmethod
    def values(name, kind):
        return POOLS[kind] + (["'c1'"] if name == "code" else [])


# --- work ---


class Work:
    """Writes into the tables; every transaction is noted by its end."""

    def __init__(self, chooser, world, tables, pools):
        self.random, self.world, self.tables, self.pools, self.count = chooser, world, tables, pools, 0
        self.statements = []

    def run(self, sql):
        self.statements.append(sql)
        try:
            self.world.sql(sql)
        except psycopg2.Error as error:
            self.statements.append(f"-- {error}".strip().split("\n")[0])
            return False
        return True

    def transaction(self):
        self.run("begin")
        for _ in range(self.random.choice([1, 1, 2, 4])):
            table = self.random.choice(self.tables)
            choice = self.random.random()
            if choice < 0.15:
                self.run("savepoint s")
                is_kept = self.statement(table) and self.random.random() < 0.5
                self.run("release s" if is_kept else "rollback to s")
            elif not self.statement(table):
                break
        self.run("rollback" if self.random.random() < 0.08 else "commit")

    def statement(self, table):
        chance = self.random.random()
        if chance < 0.35:
            return self.insert(table)
        if chance < 0.75:
            return self.update(table)
        if chance < 0.85:
            return self.update_key(table)
        if chance < 0.97 or table.kind == "partitioned":
            return self.run(f"delete from {table.name} where {self.some(table)}")
        return self.run(f"truncate {table.name}")

    def value(self, name, kind):
        if name == "large":
            size = self.random.choice([0, 10, 5000, 9000])
            return f"'{self.random.choice('abc') * size}'"
        return "null" if self.random.random() < 0.2 else self.random.choice(self.pools[kind])

    def key(self, table, name):
        self.count += 1
        number = self.count
        if name == "region":
            return str(self.random.randrange(REGIONS))
        if table.keys.get(name) == "integer":
            return str(number)
        words = [f"'k{number}'", f"'a,{number}\\'", f"'x:{number}'", f"'{number} é'"]
        return self.random.choice(words) if name != "code" else f"'c{number}'"

    def insert(self, table):
        rows = []
        for _ in range(self.random.choice([1, 1, 2, 4])):
            rows.append("(" + ", ".join(self.key(table, name) if name in table.keys or name == "code" else self.value(name, kind)
                                        for name, kind in table.columns.items()) + ")")
        return self.run(f"insert into {table.name} values {', '.join(rows)}")

    def update(self, table):
        names = [name for name in table.columns if name not in table.keys and name != "code"]
        chosen = self.random.sample(names, self.random.choice([1, 1, 2, 3]))
        sets = ", ".join(f"{ident(name)} = {ident(name) if self.random.random() < 0.1 else self.value(name, table.columns[name])}"
                         for name in chosen)
        return self.run(f"update {table.name} set {sets} where {self.some(table)}")

    def update_key(self, table):
        name = self.random.choice([*table.keys, "code"])
        if table.kind == "composite" and name == "tenant":
            return self.run(f"update {table.name} set tenant = {self.random.randint(1, 4)} where {self.some(table)}")
        if name == "code":
            return self.run(f"update {table.name} set code = 'd' || nextval('reference.seq') where {self.some(table)}")
        if name == "region":
            return self.run(f"update {table.name} set region = {self.key(table, name)} where {self.some(table)}")
        is_text = table.keys[name] == "text"
        new = f"{name} || nextval('reference.seq')" if is_text else "nextval('reference.seq') + 1000"
        return self.run(f"update {table.name} set {name} = {new} where {self.some(table)}")

    def some(self, table):
        keys = ", ".join(map(ident, table.keys))
        return self.random.choice([
            f"({keys}) in (select {keys} from {table.name} order by random() limit {self.random.randint(1, 3)})",
            f"({keys}) = (select {keys} from {table.name} order by code desc limit 1)",
            f"({keys}) = (select {keys} from {table.name} order by code limit 1)"])


# --- the reference ---

Change = collections.namedtuple("Change", "first_id op table old new")
State = collections.namedtuple("State", "last_id changes rows")  # After a transaction; rows: {table: [Row]}


class Reference:
    def __init__(self, world, tables, rules, prefix):
        self.world, self.tables, self.prefix = world, tables, prefix
        self.rules = [rule for rule, _ in rules]
        self.rules_of = {table.name: [rule for rule, its in rules if its is table] for table in tables}
        self.published = {table.name for _, table in rules for table in [table]}
        self.last_id, self.last_seq, self.states = 0, 0, []
        self.table_named = {table.name: table for table in tables}

    def note(self):
        """Takes what one transaction did."""
        noted = []
        for table in self.tables:
            noted += self._changes(table)
        changes = []
        for seq, op, table, old, new in sorted(noted, key=lambda item: item[0]):
            self.last_seq = seq
            if table.name in self.published:
                changes.append(Change(self.last_id + 1, op, table.name, old, new))
                self.last_id += 2 if op == "update" else 1
        self.states.append(State(self.last_id, changes, {table.name: self._rows(table, table.name) for table in self.tables}))

    def _rows(self, table, source):
        rules = self.rules_of[table.name]
        return [row_of(table.columns, rules, *fields) for fields in self.world.sql(f"select {describe(table.columns, rules)} from {source} t")]

    def _changes(self, table):
        rules = self.rules_of[table.name]
        found = {}
        for which, ops in (("old", "'update', 'delete'"), ("new", "'insert', 'update'")):
            sql = (f"select n.seq, n.op, {describe(table.columns, rules)} from reference.note_{table.name} n, lateral (select (n.{which}).*) t "
                   f"where n.seq > {self.last_seq} and n.op in ({ops})")
            for seq, op, *fields in self.world.sql(sql):
                found.setdefault(seq, {"op": op})[which] = row_of(table.columns, rules, *fields)
        for (seq,) in self.world.sql(f"select seq from reference.note_{table.name} where seq > {self.last_seq} and op = 'truncate'"):
            found[seq] = {"op": "truncate"}
        return [(seq, item["op"], table, item.get("old"), item.get("new")) for seq, item in found.items()]

    def wanted(self, state):
        """{channel: {model: {id: data}}} of the tables as they were."""
        wanted = collections.defaultdict(lambda: collections.defaultdict(dict))
        for table, rows in state.rows.items():
            for rule in self.rules_of[table]:
                for row in rows:
                    put = rule.put(row)
                    for channel in rule.channels(row, self.prefix):
                        wanted[channel][rule.model][put.model_id] = put.data
        return wanted

    def changes(self):
        return [change for state in self.states for change in state.changes]

    def actions(self):
        """{channel: [(id, action, model, model id, data or the changed columns)]} where the old rows are whole."""
        wanted = collections.defaultdict(list)
        for change in self.changes():
            for rule in self.rules_of[change.table]:
                if change.op not in rule.operations:
                    continue
                was, is_now = rule.channels(change.old, self.prefix), rule.channels(change.new, self.prefix)
                old_id, new_id = (row and rule.model_id(row) for row in (change.old, change.new))
                # Who keeps the rows of several channels together has it removed by then.
                is_part = rule.data != "full" and was <= is_now
                put_id = change.first_id + (change.op == "update")
                for channel in was:
                    if channel not in is_now or old_id != new_id:
                        wanted[channel].append((change.first_id, "delete", rule.model, old_id, None))
                for channel in is_now:
                    is_update = channel in was and old_id == new_id
                    data = rule.put(change.new).data
                    if is_update and is_part:
                        data = {name: data[name] for name in rule.changed(change.old, change.new)}
                    wanted[channel].append((put_id, "update" if is_update else "insert", rule.model, new_id, data))
        return {channel: sorted(items, key=lambda item: (item[0], item[2])) for channel, items in wanted.items()}

    def fetch(self, sync_id, model, model_id):
        """One row as of that change: what a bootstrap would give."""
        for change in self.changes():
            if change.op != "truncate" and sync_id == change.first_id + (change.op == "update"):
                for rule in self.rules_of[change.table]:
                    if rule.model == model and rule.model_id(change.new) == model_id:
                        return rule.put(change.new).data
        raise AssertionError(f"no change {sync_id} of {model} {model_id}")


# --- judging ---


class Judge:
    def __init__(self, world, reference, tables, rules):
        self.world, self.reference, self.problems = world, reference, []
        self.table_of = {rule.number: table for rule, table in rules}
        self.rules = {rule.model: rule for rule, _ in rules}
        self.identity = {rule.model: table.identity for rule, table in rules}
        self.counts = collections.Counter()

    def judge(self):
        channels = self.world.histories()
        self.problems += history.problems(channels, epoch=self.world.position()["epoch"])
        self.messages = {channel: [history.parse_exactly(entry.message) for entry in entries] for channel, entries in channels.items()}
        self.actions = {channel: [item for message in messages for item in message["sync"]] for channel, messages in self.messages.items()}
        self.resets = [history.parse_exactly(entry.message) for entry in history.read_stream(self.world.client, "walcast:control")]
        self.counts["actions"] = sum(map(len, self.actions.values()))
        self.counts["resets"] = len(self.resets)
        if int(self.world.position()["sync_id"]) != self.reference.last_id:
            self.problems.append(f"the position is at {self.world.position()['sync_id']}, the reference at {self.reference.last_id}")
            return self.problems
        self.check_resets()
        self.check_exactly()
        self.check_isolation()
        if not self.problems:
            self.check_readers()
        return self.problems

    def check_resets(self):
        wanted = {}
        for change in self.reference.changes():
            if change.op == "truncate":
                models = {rule.model for rule in self.reference.rules_of[change.table] if "delete" in rule.operations}
                if models:
                    wanted[change.first_id] = models.pop() if len(models) == 1 else None
        for reset in self.resets:
            sync_id, model = int(reset["lastSyncId"]), reset.get("modelName")
            if reset["reason"] == "truncate":
                if wanted.pop(sync_id, "none") != model:
                    self.problems.append(f"not wanted: {reset}")
                continue
            change = self.change_of(sync_id)
            identity = self.reference.table_named[change.table].identity
            if reset["reason"] != "unroutable" or identity == "full":
                self.problems.append(f"a reset of a table with identity {identity}: {reset}")
        self.problems += [f"no reset for the truncate {item}" for item in wanted.items()]

    def change_of(self, sync_id):
        return next(change for change in self.reference.changes()
                    if change.first_id <= sync_id <= change.first_id + (change.op == "update"))

    def check_exactly(self):
        """Where old rows are whole every single action is known."""
        wanted = self.reference.actions()
        for channel in sorted(set(wanted) | set(self.actions)):
            want = [item for item in wanted.get(channel, []) if self.identity[item[2]] == "full"]
            have = sorted(((int(item["syncId"]), item["action"], item["modelName"], item["modelId"], self.data_of(item))
                           for item in self.actions.get(channel, []) if self.identity[item["modelName"]] == "full"),
                          key=lambda item: (item[0], item[2]))
            for one, other in zip(want + [None] * len(have), have + [None] * len(want)):
                if one != other:
                    self.problems.append(f"{channel}:\n  wanted {shown(one)}\n  found  {shown(other)}")
                    break

    def data_of(self, item):
        rule = self.rules[item["modelName"]]
        kind = item.get("dataKind")
        if kind not in (None, rule.data) or (kind and item["action"] != "update"):
            self.problems.append(f"dataKind is {kind}: {shown(item)}")
        if kind != "patch":
            return item.get("data")
        pointer = {"/" + name.replace("~", "~0").replace("/", "~1"): name for name in [*self.table_of[rule.number].columns, *rule.rename.values()]}
        return {pointer[step["path"]]: step["value"] for step in item["data"]}

    def check_isolation(self):
        """Nothing goes where the row neither was nor is, and of the two ids of an update a delete has the first."""
        changes = {}
        for change in self.reference.changes():
            for sync_id in range(change.first_id, change.first_id + 1 + (change.op == "update")):
                changes[sync_id] = change
        for channel, items in self.actions.items():
            for item in items:
                sync_id, rule = int(item["syncId"]), self.rules[item["modelName"]]
                change = changes[sync_id]
                assert rule in self.reference.rules_of[change.table], item
                was, is_now = rule.channels(change.old, self.reference.prefix), rule.channels(change.new, self.reference.prefix)
                is_delete = item["action"] == "delete"
                row = change.old if is_delete else change.new
                problem = None
                if change.op not in rule.operations:
                    problem = f"{change.op} is none of its operations"
                elif (sync_id == change.first_id) != (is_delete or change.op == "insert"):
                    problem = "has the wrong one of the two ids"
                elif item["modelId"] != rule.model_id(row):
                    problem = f"the id is {rule.model_id(row)}"
                elif not is_delete and channel not in is_now:
                    problem = "the row is not in this channel"
                elif is_delete and channel not in was and self.identity[rule.model] == "full":
                    problem = "the row was not in this channel"
                elif is_delete and channel not in was:
                    # A soft delete may come again, and an old id is removed where the row is now.
                    shown_once = row._replace(is_in={rule.number: True})
                    if not (rule.delete_when and channel in rule.channels(shown_once, self.reference.prefix)) and channel not in is_now:
                        problem = "the row was not in this channel"
                elif not is_delete and set(item.get("unchanged", ())) - set(rule.put(change.new).data):
                    problem = "names columns that are not published"
                if problem:
                    self.problems.append(f"{channel}: {shown(item)}: {problem}")

    def check_readers(self):
        """At the end of each transaction each reader has what is in the tables."""
        follow = {rule.model for rule in self.rules.values() if len(rule.operations) == 3
                  and (self.identity[rule.model] == "full" or rule.unroutable == "reset")}
        wanted = [self.reference.wanted(state) for state in self.reference.states]
        names = set(self.actions).union(*wanted) if wanted else set()
        for channel in sorted(names):
            reader, items, dropped = Reader(self.reference.fetch), list(self.actions.get(channel, [])), {}
            for state, want in zip(self.reference.states, wanted):
                for reset in self.resets:
                    first = state.changes[0].first_id if state.changes else state.last_id + 1
                    if first <= int(reset["lastSyncId"]) <= state.last_id:
                        for model in [reset["modelName"]] if "modelName" in reset else list(self.rules):
                            dropped[model] = state.last_id
                while items and int(items[0]["syncId"]) <= state.last_id:
                    item = items.pop(0)
                    if item["modelName"] in follow and int(item["syncId"]) > dropped.get(item["modelName"], 0):
                        reader.apply(item)
                for model in follow:
                    if dropped.get(model) == state.last_id:
                        reader.models[model] = dict(want[channel][model]) if channel in want else {}
                for model in sorted(follow):
                    want_rows = want[channel][model] if channel in want else {}
                    have_rows = reader.models[model]
                    if want_rows != have_rows:
                        self.problems.append(f"{channel}: {model} after id {state.last_id}:\n  wanted {shown(want_rows)}\n  has    {shown(have_rows)}")
                        break
                else:
                    self.counts["states"] += 1
                    continue
                break
            self.counts["fetched"] += reader.fetched
            self.counts["channels"] += 1


def shown(value):
    text = re.sub(r"(\w)\1{20,}", r"\1…\1", repr(value))
    return text if len(text) < 1500 else f"{text[:1500]}… ({len(text)})"


# --- cases ---


def play(seed, variant, postgres, redis):
    chooser = random.Random(seed)
    # wal2json has null for what is no number.
    pools = {kind: [value for value in values if variant == "pgoutput" or value not in ("'NaN'", "'Infinity'")] for kind, values in POOLS.items()}
    tables = [Table(chooser, number) for number in range(chooser.randint(1, 3))]
    rules = RuleWriter(chooser, tables).rules()
    prefix = chooser.choice(["", "", "acme:"])
    options = {**VARIANTS[variant], **({"channel_prefix": prefix} if prefix else {})}
    setup = [SCHEMA] + [sql for table in tables for sql in table.setup()]
    with World([rule.toml for rule, _ in rules], postgres, redis, "; ".join(setup), values={"numbers": "numbers"}, **options) as world:
        world.sql("select setseed(0.5)")
        reference = Reference(world, tables, rules, prefix)
        try:
            world.init()
            if variant == "wal2json":
                reference.published = {table.name for table in tables}
            with Subscriber(redis) as subscriber:
                agent = world.agent()
                work = Work(chooser, world, tables, pools)
                for _ in range(chooser.choice([20, 50, 100])):
                    work.transaction()
                    reference.note()
                world.settle()
                assert agent.alive()
            judge = Judge(world, reference, tables, rules)
            problems = judge.judge()
            ends = [history.parse_exactly(data) for _, data in subscriber.received]
            ends = [int(message["lastSyncId"]) for message in ends if message.get("sync")]
            problems += [f"{other} came after {one}" for one, other in zip(ends, ends[1:]) if other < one]
            subscriber.assert_within(world.histories())
        finally:
            world.connection.close()
            for agent in world.agents:
                agent.kill9()
            # The walsender of an agent that has ended may take a moment.
            postgres.execute("select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = %s", [world.slot])
            postgres.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s", [world.slot])
            postgres.execute(f"drop database if exists {world.db} with (force)")
    if problems:
        print("\n".join(map(str, (rule.toml for rule, _ in rules))))
        print("\n".join(sql for sql in setup if "note" not in sql))
        print("\n".join(shown(sql) for sql in work.statements))
    assert not problems, f"WALCAST_SEED={seed}, {variant}:\n" + "\n".join(problems[:6])
    judge.counts["changes"] = len(reference.changes())
    judge.counts["refused statements"] = sum(sql.startswith("--") for sql in work.statements)
    return judge.counts


@pytest.fixture(scope="module")
def postgres():
    with Postgres(settings={"output_plugin_libraries": "pgoutput, test_decoding, wal2json"}) as server:
        yield server


@pytest.mark.limit(int(SECONDS * 2 + 120))
@pytest.mark.parametrize("variant", VARIANTS)
def test_readers_have_what_the_rules_say(variant, postgres, redis):
    share = SECONDS * (0.7 if variant == "pgoutput" else 0.3)
    end, seed, counts = time.monotonic() + share, SEED, collections.Counter()
    while time.monotonic() < end:
        counts += play(seed, variant, postgres, redis)
        seed += 1
    print(f"\n{variant}: seeds {SEED} to {seed - 1}: {dict(counts)}")
    assert counts["states"] > 0
