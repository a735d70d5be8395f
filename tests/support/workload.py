"""Random schemas, and random work on them: a seed gives a list of statements, each for one of a few sessions.

The generator runs each statement before it chooses the next one and asks the server how its tables look by then, so
that it need not know what a failed or rolled-back statement left. What it wrote can be played again, also with parts left
out: a statement that fails is part of the work.
"""

import collections
import io
import random

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_INERROR

# `alters` is the table whose rows are to be written anew before the transaction ends: DDL sends no rows, and a replica
# would keep the old ones.
Step = collections.namedtuple("Step", "session sql alters", defaults=[None])
Table = collections.namedtuple("Table", "name kind keys row_filter", defaults=["id in ({})"])

SESSIONS = 3
RULES = [{"table": "app*.*", "channels": ["everything"]}]  # The model is the table's name, the id its primary key.
COLUMNS = ["plain", "Plain", 'quo"te', "dot.ted", "größe 表", "select", "back\\slash", "syncId", " ", "a'b", "x,y", "{c}"]
WORDS = ["", "milk", "it's", 'a "quoted" word', "back\\slash\\", "tab\tline\nreturn\rbell\x07del\x7f\x01\x1f", "é😀表\u2028",
         "null", "NaN", "</script>", "{1,2}", "(1,2)", "\\x00", "%s {id} \\N", " padded ", "[0:1]={1}", "x" * 300]
TYPES = {
    "smallint": ["-32768", "7"],
    "integer": ["0", "-2147483648", "2147483647"],
    "bigint": ["1", "9007199254740991", "9007199254740992", "-9007199254740993", "-9223372036854775808"],
    "numeric": ["12.340", "-0.5", "1234567890.12345", "12345678901.12345", "1e20", "0.00000000000000000001", "NaN",
                "Infinity", "-Infinity", "123456789012345678901234567890.10"],
    "numeric(8,3)": ["12345.678", "-1"],
    "real": ["1.5", "3.4028235e38", "1e-30", "-0", "NaN", "-Infinity"],
    "double precision": ["0.1", "0.30000000000000004", "1e300", "5e-324", "-0", "NaN", "Infinity", "123456789012345680"],
    "boolean": ["t", "f"],
    "text": WORDS,
    "character varying(400)": WORDS,
    "character(5)": ["a", "", 'é"'],
    '"char"': ["a", '"', ""],
    "name": ["a name"],
    "bytea": ["\\x", "\\x00ff", "\\x5c22"],
    "json": ['{"a": 1.0,   "b":[1, "x"]}', "null", '"é\\u0041"', "[]", "1e5"],
    "jsonb": ['{"bb": 2.50, "a": null}', "null", '"\\"q\\\\"', "[[], {}]", "12345678901234567890.5"],
    "timestamp without time zone": ["2024-01-02 03:04:05.120", "infinity", "-infinity", "0044-03-15 12:00:00 BC",
                                    "12024-05-06 07:08:09.1"],
    "timestamp with time zone": ["2024-01-02 05:04:05.123456+02", "infinity", "0044-03-15 12:00:00+00 BC",
                                 "12024-05-06 07:08:09+00"],
    "date": ["2024-02-29", "infinity", "-infinity", "0044-03-15 BC", "12024-05-06"],
    "time without time zone": ["24:00:00", "03:04:05.5"],
    "time with time zone": ["24:00:00+13:30", "03:04:05-02"],
    "interval": ["1 year 2 mons -3 days 04:05:06.7", "0", "-1 day"],
    "uuid": ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"],
    "inet": ["10.1.2.3/8", "::1"],
    "cidr": ["10.0.0.0/8"],
    "macaddr": ["08:00:2b:01:02:03"],
    "bit(3)": ["101", "000"],
    "bit varying": ["", "1011"],
    "money": ["-12.34"],
    "xml": ["<a b=\"c\">é</a>"],
    "tsvector": ["'a''b':1A c"],
    "point": ["(1,-2.5)"],
    "box": ["(3,4),(1,2)"],
    "pg_lsn": ["16/B374D848"],
    "int4range": ["[2,6)", "empty", "(,3]"],
    "tstzrange": ["[2024-01-02 03:04:05+00,)"],
    "int4multirange": ["{[1,3),[5,7)}", "{}"],
    "integer[]": ["{1,NULL,3}", "{}", "{{1,2},{3,4}}", "[0:1]={5,6}", "[-1:0][2:2]={{1},{2}}"],
    "bigint[]": ["{9007199254740993,1}"],
    "text[]": ['{"a,b","q\\"q",NULL,"NULL","","{}","back\\\\slash",é}', "{}", "{{a,b},{c,NULL}}"],
    "numeric[]": ["{1.50,NaN,NULL}"],
    "boolean[]": ["{t,f,NULL}"],
    "jsonb[]": ['{"{\\"a\\": [1]}",NULL}'],
    "timestamp with time zone[]": ["{2024-01-02 03:04:05+00,infinity}"],
    "bytea[]": ['{"\\\\x00ff"}'],
    "box[]": ["{(3,4),(1,2);(5,6),(1,2)}"],
    'app."Mood é"': ['sad "quoted"', "ok", "a,b"],
    'app."Mood é"[]': ['{ok,"sad \\"quoted\\"",NULL}'],
    "app.small": ["5", "100"],
    "app.smaller": ["3"],
    "app.price": ["1.500", "NaN", "12345678901234567.5"],
    "app.label": WORDS,
    "app.list": ["{1,2,NULL}", "{}"],
    "app.small[]": ["{1,NULL,99}"],
    "app.pair": ['(1,"x ""y"" \\\\ é")', "(,)", '(-5,"")'],
    "app.pair[]": ['{"(1,a)",NULL,"(2,\\"b,c\\")"}'],
    "app.nested": ['("(1,x)","{1,2,NULL}",t,"{""a"": 1}","2024-01-02 03:04:05+00",3.50)', "(,,,,,)"],
    "app.span": ["[1.5,2.5]", "empty"],
    "hstore": ['a=>1, "b c"=>NULL, "q\\"q"=>"é\\\\"', ""],
}
SETUP = [
    "create schema app", 'create schema "app "" é."', "create schema side", "create extension hstore",
    """create type app."Mood é" as enum ('sad "quoted"', 'ok', 'a,b')""", "create domain app.small as int check (value < 1000)",
    "create domain app.smaller as app.small", "create domain app.price as numeric", "create domain app.label as text",
    "create domain app.list as int[]", 'create type app.pair as (a int, "b ""c" text)',
    "create type app.nested as (p app.pair, l int[], b bool, j jsonb, t timestamptz, n numeric)",
    "create type app.span as range (subtype = numeric)", "create table side.unpublished (id serial, note text)",
]
# Values that are stored out of line, where the column's storage is external.
LARGE = {
    "text": "repeat({}, 3000)", "app.label": "repeat({}, 3000)", "bytea": "convert_to(repeat({}, 3000), 'UTF8')",
    "jsonb": "to_jsonb(repeat({}, 3000))", "json": "to_json(repeat({}, 3000))", "text[]": "array_fill(repeat({}, 10), array[300])",
    "integer[]": "(select array_agg(i) from generate_series(1, 900) i where {} <> '')"}


def ident(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    return "'" + text.replace("'", "''") + "'"


class Sessions:
    """Connections that run steps. A failing statement is left at that: its transaction ends as one that failed."""

    def __init__(self, connect):
        self.connections = [connect() for _ in range(SESSIONS)]
        self.altered = [set() for _ in range(SESSIONS)]
        self.counts = collections.Counter()
        for number in range(SESSIONS):
            self.query(number, "set lock_timeout = '60ms'; set client_min_messages = error")

    def query(self, session, sql):
        with self.connections[session].cursor() as cursor:
            if sql.startswith("copy "):
                statement, rows = sql.split("\n", 1)
                cursor.copy_expert(statement, io.StringIO(rows))
                return []
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def run(self, step):
        """Whether it went well."""
        try:
            if step.alters:
                self.altered[step.session].add(step.alters)
            if step.sql == "commit" or step.sql.startswith("prepare transaction"):
                self._write_anew(step.session)
            self.query(step.session, step.sql)
            if self.is_idle(step.session):
                if step.alters:
                    self._write_anew(step.session)
                self.altered[step.session].clear()
            self.counts["ok"] += 1
            return True
        except psycopg2.Error as error:
            self.counts[(error.pgcode or type(error).__name__) + " " + str(error).split("\n")[0][:60]] += 1
            return False

    def is_idle(self, session):
        return self.connections[session].info.transaction_status == TRANSACTION_STATUS_IDLE

    def has_failed(self, session):
        return self.connections[session].info.transaction_status == TRANSACTION_STATUS_INERROR

    def columns(self, session, table):
        """[(name, type)] of those that can be written."""
        return self.query(session, f"""select attname, format_type(atttypid, atttypmod) from pg_attribute
            where attrelid = to_regclass({literal(table)}) and attnum > 0 and not attisdropped and attgenerated = ''
            order by attnum""")

    def _write_anew(self, session):
        for table in sorted(self.altered[session]):
            if self.has_failed(session):
                return
            names = ", ".join(ident(name) for name, _ in self.columns(session, table))
            if names:
                self.query(session, f"with gone as (delete from {table} returning *) "
                                    f"insert into {table} ({names}) select {names} from gone")

    def finish(self):
        for number, connection in enumerate(self.connections):
            self.query(number, "rollback")
            for (gid,) in self.query(number, "select gid from pg_prepared_xacts where database = current_database()"):
                self.query(number, f"rollback prepared {literal(gid)}")
            connection.close()


class Workload:
    """Makes `setup`, and with write() `steps`."""

    def __init__(self, seed, major=15, publishes_parts=True):
        self.random = random.Random(seed)
        self.major = major
        self.publishes_parts = publishes_parts and major >= 15  # Row filters and column lists.
        self.setup, self.steps, self.tables = list(SETUP), [], []
        self.savepoints = [0] * SESSIONS
        self.prepared, self.ever_full, self.never_full, self.filtered, self.listed = [], set(), set(), set(), {}
        self.number = collections.Counter()
        self._make_schema()

    # The schema.

    def _make_schema(self):
        schema = self.random.choice(["app", ident('app " é.')])
        names = ["items", "Items", 'odd "na.me', "größe 表", "select", "a*b?[c]"]
        self.random.shuffle(names)
        for kind in ["plain"] + self.random.sample(["plain", "composite", "textual", "indexed", "partitioned", "child", "loose"],
                                                   self.random.randint(2, 5)):
            self.tables.append(self._make_table(kind, f"{schema}.{ident(names.pop())}"))
        if self.publishes_parts and self.random.random() < 0.4:
            self._publish_parts()

    def _make_table(self, kind, name):
        columns = [] if kind == "loose" else self._column_definitions(self.random.randint(1, 9))
        self.listed[name] = [ident(COLUMNS[0])] * any(column.startswith(ident(COLUMNS[0])) for column in columns)
        keys, primary, row_filter = {"id": "{n}"}, "primary key (id)", "id in ({})"
        extra, partition = [], ""
        first = ["id integer not null"]
        if kind == "composite":
            keys, primary = {"id": "{n}", "Part, B": "('b,\\' || {n} % 2)"}, 'primary key ("Part, B", id)'
            columns.append('"Part, B" text')
        elif kind == "textual":
            long = self.random.random() < 0.3
            unit = "repeat('k', 2240)" if long else """'k"é,\\'"""
            keys, primary = {"key": f"({unit} || {{n}})"}, "primary key (key)"
            row_filter = f"key in (select {unit} || unnest(array[{{}}]))"
            first = ["key text not null"]
            extra += [f"alter table {name} alter key set storage external"] * long
        elif kind == "indexed":
            first.append("code integer not null default 7")
            extra.append(f"create unique index {ident('by code é')} on {name} (code, id)")
            extra.append(f"alter table {name} replica identity using index {ident('by code é')}")
        elif kind == "partitioned":
            first.insert(0, "region integer not null")
            keys, primary = {"id": "{n}", "region": "({n} % 3)"}, "primary key (region, id)"
            partition = " partition by list (region)"
        elif kind == "child":
            columns.append(f"parent integer references {self.tables[0].name} deferrable initially deferred")
        elif kind == "loose":
            columns, primary, extra = ["note text", "number bigint"], "", [f"alter table {name} replica identity full"]
        is_generated = self.random.random() < 0.25 and kind != "loose"
        if is_generated:
            columns.append(f"generated text generated always as (({next(iter(keys))})::text || 'g') "
                           + ("virtual" if self.major >= 18 and self.random.random() < 0.4 else "stored"))
        if kind == "partitioned":
            extra += self._first_partitions(name, first + columns)
        body = first + columns + [primary] * bool(primary)
        self.setup.append(f"create table {name} ({', '.join(body)}){partition}")
        self.setup += extra
        for column in columns:
            if self.random.random() < 0.8 and any(column.endswith(f" {type_name}") for type_name in LARGE):
                self.setup.append(f"alter table {name} alter {column[:-len(column.split(' ')[-1])]}set storage external")
        # From 18 on an update fails where the identity has generated columns that are not published.
        if is_generated and self.major >= 18:
            self.never_full.add(name)
        elif kind not in ("loose", "indexed") and self.random.random() < 0.3:
            self.setup.append(f"alter table {name} replica identity full")
            self.ever_full.add(name)
            # A partition has an identity of its own.
            self.setup += [f"alter table {self._leaf(name, leaf)} replica identity full" for leaf in (0, 1, "rest")
                           if kind == "partitioned" and self.random.random() < 0.6]
        return Table(name, kind, keys, row_filter)

    def _publish_parts(self):
        """Row filters and column lists; `init` adds the other tables."""
        self.setup.append("create publication walcast with (publish_via_partition_root = true)")
        for table in self.tables:
            if table.kind not in ("plain", "composite", "partitioned") or table.name in self.ever_full:
                continue
            columns, condition = "", ""
            if self.random.random() < 0.4:
                self.never_full.add(table.name)
                columns = f" ({', '.join([*map(ident, table.keys), *self.listed[table.name]])})"
            if self.random.random() < 0.5:
                self.filtered.add(table.name)
                condition = f" where (id % 5 <> {self.random.randrange(5)})"
            self.setup.append(f"alter publication walcast add table {table.name}{columns}{condition}")

    def _first_partitions(self, name, columns):
        shuffled = columns[:]
        self.random.shuffle(shuffled)
        first = self._leaf(name, 0)
        return [f"create table {first} ({', '.join(shuffled)})", f"alter table {name} attach partition {first} for values in (0)",
                f"create table {self._leaf(name, 1)} partition of {name} for values in (1)",
                f"create table {self._leaf(name, 'rest')} partition of {name} default"]

    def _leaf(self, name, value):
        return f"{name[:-1]} leaf {value}{chr(34)}"

    def _column_definitions(self, count):
        names = self.random.sample(COLUMNS, count)
        # Every other one of a type that may be stored out of line: those have the subtle cases.
        return [f"{ident(name)} {self.random.choice(sorted(LARGE if self.random.random() < 0.4 else TYPES))}" for name in names]

    # Values.

    def value(self, type_name):
        if self.random.random() < 0.12:
            return f"null::{type_name}"
        if type_name in LARGE and self.random.random() < 0.35:
            unit = literal(self.random.choice("xyz") + self.random.choice(["", "é", '"']))
            return f"({LARGE[type_name].format(unit)})::{type_name}"
        samples = TYPES.get(type_name)
        return f"{literal(self.random.choice(samples))}::{type_name}" if samples else "null"

    # Work.

    def write(self, sessions, count):
        """Runs `count` steps as it makes them."""
        while len(self.steps) < count:
            session = self.random.randrange(SESSIONS)
            for _ in range(self.random.choice([1, 2, 4, 8])):
                self._step(sessions, session)
        for session in range(SESSIONS):
            if not sessions.is_idle(session):
                self._run(sessions, Step(session, "commit"))
        return self.steps

    def _run(self, sessions, step):
        self.steps.append(step)
        return sessions.run(step)

    def _step(self, sessions, session):
        chance = self.random.random()
        if sessions.has_failed(session):
            depth = self.savepoints[session]
            if depth and chance < 0.5:
                return self._run(sessions, Step(session, f"rollback to s{depth}"))
            self.savepoints[session] = 0
            return self._run(sessions, Step(session, "rollback"))
        if sessions.is_idle(session):
            self.savepoints[session] = 0
            if chance < 0.7:
                return self._run(sessions, Step(session, "begin"))
            if chance < 0.74:
                return self._run(sessions, Step(session, f"vacuum full {self.random.choice(self.tables).name}"))
            if chance < 0.8 and self.prepared:
                gid = self.prepared.pop(self.random.randrange(len(self.prepared)))
                end = self.random.choice(["commit", "commit", "rollback"])
                return self._run(sessions, Step(session, f"{end} prepared '{gid}'"))
        elif chance < 0.13:
            return self._end(sessions, session)
        elif chance < 0.27:
            return self._savepoint(sessions, session)
        choose = self.random.choices(
            [self.insert, self.update, self.delete, self.change_key, self.upsert, self.copy, self.bulk, self.truncate, self.message,
             self.alter, self.other],
            [22, 22, 8, 6, 6, 4, 5, 2, 3, 7, 3])[0]
        step = choose(session, self.random.choice(self.tables), sessions)
        if step:
            self._run(sessions, step)

    def _end(self, sessions, session):
        self.savepoints[session] = 0
        chance = self.random.random()
        if chance < 0.1 and len(self.prepared) < 2:
            gid = f"{self.random.randrange(10**9)}"
            if self._run(sessions, Step(session, f"prepare transaction '{gid}'")):
                self.prepared.append(gid)
        else:
            self._run(sessions, Step(session, "rollback" if chance < 0.2 else "commit"))

    def _savepoint(self, sessions, session):
        depth = self.savepoints[session]
        if depth and self.random.random() < 0.55:
            at = self.random.randint(1, depth)
            self.savepoints[session] = at - 1
            return self._run(sessions, Step(session, f"{self.random.choice(['release', 'rollback to', 'rollback to'])} s{at}"))
        self.savepoints[session] = depth + 1
        return self._run(sessions, Step(session, f"savepoint s{depth + 1}"))

    def _new(self, session, table, count=1):
        """Numbers of rows that only this session writes: session modulo SESSIONS."""
        first = self.number[table.name, session]
        self.number[table.name, session] += count
        return [(first + i) * SESSIONS + session for i in range(count)]

    def _some(self, session, table):
        top = self.number[table.name, session]
        picked = {max(0, top - 1 - int(self.random.expovariate(0.15))) for _ in range(self.random.choice([1, 1, 2, 5]))}
        return table.row_filter.format(", ".join(str(i * SESSIONS + session) for i in sorted(picked)))

    def _row(self, session, table, sessions, chance=0.8):
        """{column: its expression} of some columns that are not keys."""
        return {name: self.value(kind) for name, kind in sessions.columns(session, table.name)
                if name not in table.keys and name not in ("parent", "code") and self.random.random() < chance}

    def insert(self, session, table, sessions):
        row = self._row(session, table, sessions)
        names = ", ".join(map(ident, [*table.keys, *row]))
        count = self.random.choice([1, 1, 2, 5])
        rows = []
        for number in self._new(session, table, count):
            values = [key.format(n=number) for key in table.keys.values()]
            rows.append("(" + ", ".join(values + list(row.values())) + ")")
        return Step(session, f"insert into {table.name} ({names}) values {', '.join(rows)}")

    def bulk(self, session, table, sessions):
        row = {name: value for name, value in self._row(session, table, sessions, 0.5).items() if "3000" not in value}
        count = self.random.choice([50, 300, 1500])
        numbers = self._new(session, table, count)
        if self.random.random() < 0.25:
            return Step(session, f"delete from {table.name}")  # May meet the others' rows.
        names = ", ".join(map(ident, [*table.keys, *row]))
        values = [key.format(n="n") for key in table.keys.values()] + list(row.values())
        return Step(session, f"insert into {table.name} ({names}) select {', '.join(values)} "
                             f"from generate_series({numbers[0]}, {numbers[-1]}, {SESSIONS}) n")

    def update(self, session, table, sessions):
        row = self._row(session, table, sessions, self.random.choice([0.15, 0.4, 1]))
        key = ident(next(iter(table.keys)))
        sets = [f"{ident(name)} = {value}" for name, value in row.items()] or [f"{key} = {key}"]
        if table.kind == "indexed" and self.random.random() < 0.3:
            sets.append(f"code = code + {self.random.randint(1, 3)}")
        if table.kind == "partitioned" and self.random.random() < 0.4:
            sets.append("region = (region + 1) % 4")
        return Step(session, f"update {table.name} set {', '.join(sets)} where {self._some(session, table)}")

    def change_key(self, session, table, sessions):
        (number,) = self._new(session, table)
        # A row that enters a publication comes without what the update left alone: so it leaves nothing alone.
        row = self._row(session, table, sessions, 1 if table.name in self.filtered else 0.2)
        sets = [f"{ident(name)} = {key.format(n=number)}" for name, key in table.keys.items()]
        sets += [f"{ident(name)} = {value}" for name, value in row.items()]
        old = max(0, self.number[table.name, session] - self.random.randint(2, 6)) * SESSIONS + session
        return Step(session, f"update {table.name} set {', '.join(sets)} where {table.row_filter.format(old)}")

    def delete(self, session, table, sessions):
        return Step(session, f"delete from {table.name} where {self._some(session, table)}")

    def upsert(self, session, table, sessions):
        row = self._row(session, table, sessions, 0.5)
        if table.kind == "loose" or not row:
            return None
        number = max(0, self.number[table.name, session] - self.random.randint(0, 3)) * SESSIONS + session
        names = ", ".join(map(ident, [*table.keys, *row]))
        values = ", ".join([key.format(n=number) for key in table.keys.values()] + list(row.values()))
        sets = ", ".join(f"{ident(name)} = excluded.{ident(name)}" for name in row)
        keys = ", ".join(map(ident, table.keys))
        if self.major >= 15 and self.random.random() < 0.3:
            return Step(session, f"merge into {table.name} t using (select {values}) v ({names}) on "
                                 + " and ".join(f"t.{ident(name)} = v.{ident(name)}" for name in table.keys)
                                 + f" when matched then update set {sets.replace('excluded.', 'v.')}"
                                 f" when not matched then insert ({names}) values ({names})")
        action = self.random.choice(["do nothing", f"({keys}) do update set {sets}"])
        return Step(session, f"insert into {table.name} ({names}) values ({values}) on conflict {action}")

    def copy(self, session, table, sessions):
        if table.kind in ("textual", "composite", "partitioned"):
            return None
        texts = [name for name, kind in sessions.columns(session, table.name) if kind in ("text", "app.label")]
        names = ", ".join(map(ident, ["id", *texts]))
        rows = ""
        for number in self._new(session, table, self.random.choice([1, 5, 200])):
            words = [self.random.choice(["\\N", "copied", "t\\tab\\\\", "é"]) for _ in texts]
            rows += "\t".join([str(number), *words]) + "\n"
        return Step(session, f"copy {table.name} ({names}) from stdin\n{rows}")

    def truncate(self, session, table, sessions):
        names = {table.name, self.random.choice(self.tables).name, self.random.choice(["side.unpublished", table.name])}
        how = self.random.choice(["", " cascade", " restart identity cascade"])
        return Step(session, f"truncate {', '.join(sorted(names))}{how}")

    def message(self, session, table, sessions):
        return Step(session, f"select pg_logical_emit_message({self.random.choice(['true', 'false'])}, 'noise', repeat('m', 100))")

    def other(self, session, table, sessions):
        return Step(session, self.random.choice([
            "insert into side.unpublished (note) select 'n' from generate_series(1, 5)", f"analyze {table.name}",
            f"comment on table {table.name} is 'c'", f"grant select on {table.name} to public", "insert into app.gone values (1)",
            "create temp table if not exists scratch (a int); insert into scratch values (1)",
            f"do $$ begin delete from {table.name} where {self._some(session, table)}; raise exception 'no'; "
            f"exception when raise_exception then insert into side.unpublished (note) values ('caught'); end $$"]))

    # What changes tables.

    def alter(self, session, table, sessions):
        if table.kind == "loose":
            return None
        columns = [(name, kind) for name, kind in sessions.columns(session, table.name)
                   if name not in table.keys and name not in ("parent", "code")]
        column, kind = self.random.choice(columns) if columns else (None, None)
        free = [name for name in COLUMNS if name not in dict(columns)]
        new = ident(self.random.choice(free)) if free else "spare"
        new_type = self.random.choice(sorted(TYPES))
        default = self.value(new_type)
        choices = [f"add column {new} {new_type}", f"add column {new} {new_type} default {default}",
                   f"add column {new} text default clock_timestamp()::text"]
        if column:
            retyped = f"bytea using convert_to({ident(column)}, 'UTF8')" if kind == "text" else "text"
            choices += [f"drop column {ident(column)}", f"rename column {ident(column)} to {new}",
                        f"alter column {ident(column)} type {retyped}"]
            if kind in LARGE:
                choices.append(f"alter column {ident(column)} set storage {self.random.choice(['external', 'main', 'extended'])}")
        identity = ["default"] + ["full"] * (table.name not in self.never_full)
        identity += [f"using index {ident('by code é')}"] * 2 * (table.kind == "indexed")
        choices += [f"replica identity {self.random.choice(identity)}"] * 2
        choice = self.random.choice(choices + ["moved"])
        if choice == "moved":
            return self._move(session, table, sessions)
        if choice == "replica identity full":
            self.ever_full.add(table.name)
        return Step(session, f"alter table {table.name} {choice}", None if choice.startswith("replica") else table.name)

    def _move(self, session, table, sessions):
        if table.kind == "partitioned":
            # Rows of a partition that comes or goes are not sent: it has none.
            leaf = self._leaf(table.name, 1)
            empty = f"lock table {table.name} in access exclusive mode; delete from {table.name} where region = 1; "
            if self.random.random() < 0.5:
                return Step(session, f"{empty}alter table {table.name} detach partition {leaf}; drop table {leaf}")
            columns = ", ".join(f"{ident(name)} {kind}{' not null' * (name in table.keys)}"
                                for name, kind in reversed(sessions.columns(session, table.name)))
            return Step(session, f"{empty}create table {leaf} ({columns}); "
                                 f"alter table {table.name} attach partition {leaf} for values in (1)")
        # The order of a key's columns, and under full identity the key, are the catalog's alone to tell, which no longer has
        # them when the change is read.
        if table.kind != "plain" or table is self.tables[0] or table.name in self.ever_full:
            return None
        columns = [f"{ident(name)} {self.random.choice(sorted(TYPES))}" for name in self.random.sample(COLUMNS, 3)]
        return Step(session, f"lock table {table.name} in access exclusive mode; delete from {table.name}; "
                             f"drop table {table.name}; "
                             f"create table {table.name} ({', '.join(columns)}, id integer primary key); "
                             f"alter publication walcast add table {table.name}")
