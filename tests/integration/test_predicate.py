"""Random predicates on random rows: what tests/support/predicate_check.cpp says against what the server says."""

import collections
import os
import random
import re
import subprocess

import psycopg2
import psycopg2.extensions
import pytest

from support.servers import REPOSITORY

# As agent/pg_connection pins them.
PINNED = "-c datestyle=ISO -c timezone=UTC -c intervalstyle=postgres -c extra_float_digits=3 -c bytea_output=hex"
SEED = int(os.environ.get("WALCAST_SEED", random.SystemRandom().randrange(10**9)))
ROWS = 60
PREDICATES = 4000

# Values of each type; predicates compare with these and with others near to them.
POOLS = {
    "bool": ["t", "f"],
    "int2": ["-32768", "-1", "0", "1", "2", "10", "32767"],
    "int4": ["-2147483648", "-10", "-1", "0", "1", "9", "10", "2147483647"],
    "int8": ["-9223372036854775808", "-1", "0", "1", "9007199254740993", "9223372036854775807"],
    "oid": ["0", "1", "2147483648", "4294967295"],
    "numeric": ["0", "0.00", "-0.001", "0.1", "0.10", "0.09", "1", "1.5", "-1.5", "9", "10", "10.00", "1000000", "0.0000015",
                "123456789012345678901234567890.1", "123456789012345678901234567890.2", "NaN", "Infinity", "-Infinity",
                "1e100", "1e-100", "-1e100"],
    "numeric(10,2)": ["0", "1.5", "-1.55", "99999999.99"],
    "float4": ["0", "-0", "0.1", "0.5", "1.1", "16777216", "1e-45", "3.4028235e38", "NaN", "Infinity", "-Infinity", "-2.5"],
    "float8": ["0", "-0", "0.1", "0.5", "1.1", "9007199254740992", "5e-324", "1.7976931348623157e308", "1e20", "NaN", "Infinity",
               "-Infinity", "-2.5"],
    "text": ["", " ", "a", "A", "ab", "ab ", "abc", "é", "éa", "漢字", "😀", "50%", "a_b", "a\\b", "it's", "\\", "%", "_", "a\nb", "open"],
    "varchar(20)": ["", "a", "ab", "ab ", "é", "open", "a_b", "50%"],
    "name": ["", "a", "ab", "pg_class", "é", "a%"],
    '"char"': ["", "a", "b", "%", "\\"],
    "char(4)": ["", "a", "ab", "ab c", "é", "a%", "50%"],
    "predicates.mood": ["ok", "sad", "so 'so'"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12",
             "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "bytea": ["\\x", "\\x00", "\\x00ff", "\\xdeadbeef"],
    "date": ["2024-02-29", "2024-03-01", "2000-01-01", "1970-01-01", "0001-01-01", "0001-12-31 BC", "0044-03-15 BC", "0005-02-29 BC",
             "4714-11-24 BC", "9999-12-31", "10000-01-01", "5874897-12-31", "infinity", "-infinity"],
    "time": ["00:00:00", "04:05:06", "04:05:06.5", "04:05:06.000001", "23:59:59.999999", "24:00:00"],
    "timestamp": ["2024-01-02 03:04:05", "2024-01-02 03:04:05.12", "2024-01-02 00:00:00", "1999-12-31 23:59:59.999999", "2000-01-01 00:00:00",
                  "0044-03-15 10:00:00 BC", "0044-03-15 10:00:01 BC", "4714-11-24 00:00:00 BC", "10000-01-01 00:00:00",
                  "294276-12-31 23:59:59.999999", "infinity", "-infinity"],
    "timestamptz": ["2024-01-02 03:04:05+00", "2024-01-02 03:04:05.12+00", "2024-01-02 00:00:00+00", "2024-01-01 21:34:05+00",
                    "0044-03-15 10:00:00+00 BC", "4714-11-24 00:00:00+00 BC", "10000-01-01 00:00:00+00",
                    "294276-12-31 23:59:59.999999+00", "infinity", "-infinity"],
    "predicates.positive": ["0", "1", "7", "2147483647"],
    "predicates.word": ["", "a", "ab", "é"],
    "jsonb": ["{}", "null"],
    "int4[]": ["{}", "{1}"],
    "interval": ["1 day", "24:00:00"],
}
TEXTS = ["text", "varchar(20)", "name", "char(4)", "predicates.word"]
INTEGERS = ["int2", "int4", "int8", "predicates.positive"]
NUMBERS = [*INTEGERS, "oid", "numeric", "numeric(10,2)", "float4", "float8"]
NO_ORDER = [*TEXTS, '"char"', "predicates.mood"]
ONLY_NULL = ["jsonb", "int4[]", "interval"]


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def quoted_name(name):
    return '"' + name.replace('"', '""') + '"'


class Server:
    def __init__(self, postgres, values):
        self.connection = psycopg2.connect(f"{postgres._socket_dsn('postgres')} options='{PINNED}'")
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.run("drop schema if exists predicates cascade; create schema predicates; set search_path = predicates, pg_catalog;"
                 "create type mood as enum ('ok', 'sad', 'so ''so'''); create domain positive as int check (value >= 0);"
                 "create domain word as text")
        self.columns = [(type_, f"c{number}" if number % 4 else f"Camel {number}") for number, type_ in enumerate(POOLS)]
        self.run(f"create table t (id serial, {', '.join(f'{quoted_name(name)} {type_}' for type_, name in self.columns)})")
        for row in values:
            self.run(f"insert into t values (default, {', '.join('null' if cell is None else quoted(cell) for cell in row)})")

    def run(self, sql):
        self.cursor.execute(sql)

    def rows(self):
        """As the server prints them."""
        names = ", ".join(quoted_name(name) for _, name in self.columns)
        with self.connection.cursor() as cursor:
            cursor.execute(f"select {names} from t limit 0")
            oids = tuple({column.type_code for column in cursor.description})
            psycopg2.extensions.register_type(psycopg2.extensions.new_type(oids, "as_it_is", lambda text, _: text), cursor)
            cursor.execute(f"select {names} from t order by id")
            return cursor.fetchall()

    def oids(self):
        """Those of the columns as the catalog has them, where a domain is itself."""
        self.run("select atttypid from pg_attribute where attrelid = 't'::regclass and attnum > 1 order by attnum")
        return [str(oid) for oid, in self.cursor.fetchall()]

    def answer(self, predicate):
        """t, f or n for each row, or why it is refused."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(f"select ({predicate}\n) from t limit 0")  # By itself, lest what is broken pairs up.
                cursor.execute(f"select ({predicate}\n) is true, ({predicate}\n) is null from t order by id")
                return "".join("t" if is_true else "n" if is_null else "f" for is_true, is_null in cursor.fetchall()), None
        except psycopg2.Error as error:
            return None, str(error).splitlines()[0]


class Ours:
    def __init__(self):
        binary = os.environ.get("WALCAST_PREDICATE_CHECK") or str(REPOSITORY / "build/release/tests/predicate_check")
        self.process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def tell(self, *words):
        self.process.stdin.write(" ".join(words).encode() + b"\n")

    def answer(self, predicate):
        self.tell("predicate", predicate.encode().hex())
        self.process.stdin.flush()
        line = self.process.stdout.readline().decode()
        assert line, f"predicate_check ended at {predicate}"
        return (line[2:].rstrip("\n"), None) if line.startswith("=") else (None, line[2:].rstrip("\n"))

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0


class Predicates:
    """Random ones; `is_wild` ones may be wrong."""

    def __init__(self, choose, columns, is_wild):
        self.choose = choose
        self.columns = columns
        self.is_wild = is_wild

    def keyword(self, word):
        return self.choose.choice([word, word, word.upper(), word.title()])

    def name(self, name):
        return name if name.islower() and self.choose.random() < 0.8 else quoted_name(name)

    def number(self, text):
        kind = self.choose.randrange(6)
        if text in ("NaN", "Infinity", "-Infinity"):
            return quoted(text)
        if kind == 0:
            return text + (".0" if "." not in text and "e" not in text else "")
        if kind == 1 and "." not in text and "e" not in text:
            return text + self.choose.choice([".5", "e0", "E+0", "00e-2", ".", ".00000000000000000000001"])
        if kind == 3 and text.startswith("0."):
            return text[1:]
        if kind == 2:
            return text.replace("-", "- ") if text.startswith("-") else "+ " + text
        return text

    def literal(self, type_):
        choose = self.choose
        if self.is_wild and choose.random() < 0.2:
            type_ = choose.choice(list(POOLS))
        text = choose.choice(POOLS[type_])
        if type_ == "bool":
            return choose.choice(["true", "FALSE", quoted(choose.choice(["t", "Fa", " yes ", "no", "ON", "of", "1", "0"]))])
        if type_ in NUMBERS:
            if type_ in INTEGERS and choose.random() < 0.1:
                return choose.choice(["99999999999999999999", "1e30", "-1e-30", "3000000000", "1.5"])
            if choose.random() < 0.25:
                return quoted(choose.choice(["", " ", "+" if text[0].isdigit() else ""]) + text + choose.choice(["", " "]))
            return text if type_ == "oid" else self.number(text)
        if type_ == "uuid":
            return quoted(choose.choice([text, text.upper(), text.replace("-", ""), "{" + text + "}", text.replace("-", "", 1),
                                         text.replace("-9c", "9C")]))
        if type_ == "bytea":
            return quoted(choose.choice([text, "\\x" + text[2:].upper()]))
        if type_ == "char(4)":
            return quoted(text + choose.choice(["", " ", "   "]))
        if type_ == "timestamp":
            return quoted(choose.choice([text, text.replace(" ", "T", 1) if "infinity" not in text else text, "2024-01-02", "2024-01-02 00:00"]))
        is_near_the_end = text.startswith(("4714", "294276"))  # An offset may lead beyond it.
        if type_ == "timestamptz" and text.endswith("+00") and (self.is_wild or not is_near_the_end):
            moment = text[:-3]
            return quoted(choose.choice([text, moment, moment + "Z", moment + choose.choice(["+05:30", "-08", "+15:59:59", "-00:00:01"])]))
        if self.is_wild and type_ in ("date", "time") and choose.random() < 0.5:
            return quoted(choose.choice(["2023-02-29", "2024-13-01", "0000-01-01", "24:00:01", "12:60", "25:00", "5874898-01-01", "12:00:60"]))
        return quoted(text)

    def pattern(self):
        choose = self.choose
        text = choose.choice(POOLS["text"])
        kind = choose.randrange(5)
        if kind == 0:
            pieces = [choose.choice(["%", "_", "a", "b", "é", "\\%", "\\_", "\\\\", "\\a", " "]) for _ in range(choose.randrange(6))]
            return quoted("".join(pieces))
        if kind == 1 and text:
            at = choose.randrange(len(text))
            text = text[:at] + choose.choice("%_") + text[at + choose.randrange(2):]
        if kind == 2:
            text += "%"
        if not self.is_wild:
            text = text.rstrip("\\")
        return quoted(text)

    def condition(self):
        choose = self.choose
        type_, name = choose.choice(self.columns)
        is_not = self.keyword(" not ") if choose.random() < 0.3 else " "
        name = self.name(name)
        kinds = ["null"]
        if self.is_wild or type_ not in ONLY_NULL:
            kinds += ["=", "=", "in", "in"]
        if self.is_wild or type_ not in NO_ORDER + ONLY_NULL:
            kinds += ["order", "order", "order", "between", "between"]
        if self.is_wild or type_ in TEXTS:
            kinds += ["like", "like", "like"]
        if self.is_wild or type_ == "bool":
            kinds += ["bare", "is"]
        kind = choose.choice(kinds)
        if kind == "null":
            return f"{name} is{is_not}{self.keyword('null')}"
        if kind == "is":
            return f"{name} is{is_not}{self.keyword(choose.choice(['true', 'false']))}"
        if kind == "bare":
            return name
        if kind == "like":
            return f"{name}{is_not}{self.keyword('like')} {self.pattern()}"
        if kind == "in":
            return f"{name}{is_not}{self.keyword('in')} ({', '.join(self.literal(type_) for _ in range(choose.randrange(1, 4)))})"
        if kind == "between":
            return f"{name}{is_not}{self.keyword('between')} {self.literal(type_)} {self.keyword('and')} {self.literal(type_)}"
        operator = choose.choice(["=", "<>", "!="] if kind == "=" else ["<", "<=", ">", ">="])
        space = choose.choice(["", " "]) if operator != "!=" else " "
        if choose.random() < 0.1:
            return f"{self.literal(type_)}{space}{operator}{space}{name}"
        return f"{name}{space}{operator}{space}{self.literal(type_)}"

    def predicate(self, depth=3):
        kind = self.choose.randrange(8)
        if depth == 0 or kind < 3:
            return self.condition()
        if kind == 3:
            return f"{self.keyword('not')} ({self.predicate(depth - 1)})"
        if kind == 4:
            return f"({self.predicate(depth - 1)})"
        word = self.keyword(self.choose.choice([" and ", " or "]))
        return word.join(self.predicate(depth - 1) for _ in range(self.choose.randrange(2, 4)))


@pytest.fixture(scope="module")
def both(postgres):
    choose = random.Random(SEED)
    print(f"seed {SEED}")
    values = [[None if choose.random() < 0.1 else choose.choice(pool) for pool in POOLS.values()] for _ in range(ROWS)]
    server, ours = Server(postgres, values), Ours()
    rows = server.rows()
    for name, kind, base in [("mood", "enum", ""), ("positive", "domain", "23"), ("word", "domain", "25")]:
        server.run(f"select oid from pg_type where typname = '{name}' and typnamespace = 'predicates'::regnamespace")
        ours.tell(kind, str(server.cursor.fetchone()[0]), base)
    ours.tell("table", *(f"{name.encode().hex()}:{oid}" for (_, name), oid in zip(server.columns, server.oids())))
    cells = [["-" if cell is None else "=" + cell.encode().hex() for cell in row] for row in rows]
    for row in cells:
        ours.tell("row", *row)
    for row in cells:  # And once more, not all of it known.
        ours.tell("row", *("?" if choose.random() < 0.4 else cell for cell in row))
    yield server, ours
    ours.close()


# What we take and the server does not: labels that an enum does not have, which only the catalog knows; `a!=-1`, of
# which it takes `!=-` for the operator.
GRANTED = re.compile(r"invalid input value for enum|operator does not exist: .* !=[+-] ")

# What each letter of a row not wholly known allows the row to be.
ALLOWS = {"t": "t", "f": "f", "n": "n", "x": "fn", "?": "tfn"}


def check(server, ours, predicate):
    """How it went: answered, refused by both, by us, by the server."""
    theirs, their_error = server.answer(predicate)
    answer, error = ours.answer(predicate)
    where = f"WALCAST_SEED={SEED}\n{predicate}\nserver: {theirs or their_error}\nours:   {answer or error}"
    if theirs is None or answer is None:
        how = "refused by both" if theirs is answer else "refused by us" if answer is None else "refused by the server"
        if how == "refused by the server" and GRANTED.search(their_error):
            how = "granted"
        return how, where
    assert answer[:ROWS] == theirs, where
    assert all(real in ALLOWS[letter] for real, letter in zip(theirs, answer[ROWS:])), where
    return "answered", where


def test_predicates_are_what_the_server_says(both):
    server, ours = both
    predicates = Predicates(random.Random(SEED + 1), server.columns, is_wild=False)
    for _ in range(PREDICATES):
        how, where = check(server, ours, predicates.predicate())
        assert how == "answered", where
    print(f"WALCAST_SEED={SEED}: {PREDICATES} predicates on {ROWS} rows")


def test_what_the_server_refuses_is_refused(both):
    server, ours = both
    predicates = Predicates(random.Random(SEED + 2), server.columns, is_wild=True)
    counts = collections.Counter()
    for _ in range(PREDICATES):
        how, where = check(server, ours, predicates.predicate(depth=1))
        counts[how] += 1
        assert how != "refused by the server", where
    print(f"WALCAST_SEED={SEED}: {dict(counts)}")


def test_broken_predicates_are_refused_as_the_server_does(both):
    server, ours = both
    choose = random.Random(SEED + 3)
    predicates = Predicates(choose, server.columns, is_wild=False)
    counts = collections.Counter()
    for _ in range(PREDICATES):
        text = predicates.predicate(depth=2)
        at = choose.randrange(len(text))
        text = text[:at] + choose.choice(["", "", " ", "(", ")", "'", '"', ",", "-", ".", "not ", "1", "=", "x"]) + text[at + choose.randrange(3):]
        how, where = check(server, ours, text)
        counts[how] += 1
        assert how != "refused by the server", where
    print(f"WALCAST_SEED={SEED}: {dict(counts)}")
