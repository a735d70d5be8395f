"""Writers of random concurrent transactions, and the tables, rules and oracle's tables that go with them."""

import collections
import os
import random
import threading
import time

import psycopg2

from support.oracle import Table

SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
WRITERS = 4

SCHEMA = """
create table todos (id int primary key, workspace_id int, assignee_id int, title text, body text);
alter table todos replica identity full;
alter table todos alter body set storage external;
create table notes (id int primary key, title text, body text);
alter table notes alter body set storage external;
create table unruled (id int primary key, note text);
create table unpublished (id serial, note text);
"""
RULES = [
    {"table": "public.todos", "model": "Todo", "channels": ["workspace:{workspace_id}", "user:{assignee_id}"]},
    {"table": "public.notes", "model": "Note", "channels": ["notes"]},
]
TABLES = [
    Table("public.todos", full=True, rules=[("Todo", RULES[0]["channels"])]),
    Table("public.notes", rules=[("Note", RULES[1]["channels"])]),
    Table("public.unruled"),
]
WORDS = ["milk", "it's", 'a "quoted" word', "back\\slash", "tab\tnewline\n", "é😀", "", " new-tuple: ", "null", "x" * 300]


class Writer(threading.Thread):
    """Random transactions, interleaved with those of the other writers; each has its own range of ids."""

    prefixes = ["walcast:event", "walcast", "other"]  # Of the logical messages.

    def __init__(self, world, number, ends, seed=SEED):
        super().__init__(daemon=True)
        self.world = world
        self.random = random.Random(seed * 1000 + number)
        self.number, self.next_id, self.ends = number, number * 100_000_000, ends
        self.counts = collections.Counter()
        self.error = None
        self.connect()

    def connect(self):
        self.connection = self.world.connect(autocommit=False)
        self.connection.cursor().execute("set deadlock_timeout = '20ms'")  # They meet often, and shall not wait long.
        self.connection.commit()

    def run(self):
        try:
            while not self.ends.is_set():
                self.transaction()
                if self.random.random() < 0.3:
                    time.sleep(self.random.random() * 0.03)
        except Exception as error:
            self.error = error
            raise

    def transaction(self):
        cursor = self.connection.cursor()
        try:
            for _ in range(self.random.choice([1, 1, 2, 3, 5, 12])):
                self.step(cursor)
                if self.random.random() < 0.2:
                    time.sleep(self.random.random() * 0.01)
            if self.random.random() < 0.12:
                self.connection.rollback()
                self.counts["rolled back"] += 1
            else:
                self.connection.commit()
                self.counts["committed"] += 1
        except psycopg2.errors.DeadlockDetected:
            self.connection.rollback()
            self.counts["deadlocked"] += 1

    def step(self, cursor, depth=0):
        steps = {self.insert: 30, self.update: 25, self.move: 12, self.change_key: 6, self.delete: 8, self.note: 14, self.bulk: 0.4,
                 self.other: 5, self.message: 5, self.savepoint: 12 if depth < 3 else 0}
        step = self.random.choices(list(steps), list(steps.values()))[0]
        self.counts[step.__name__] += 1
        step(cursor, depth) if step == self.savepoint else step(cursor)

    def new_id(self, count=1):
        self.next_id += count
        return self.next_id - count

    def word(self):
        return self.random.choice(WORDS)

    def workspace(self):
        return self.random.choice([1, 1, 2, 3, 4, None])

    def body(self):
        return self.random.choice([None, "short", "".join(self.random.choices("abcdef", k=3000))])

    def insert(self, cursor):
        cursor.execute("insert into todos values (%s, %s, %s, %s, %s)",
                       [self.new_id(), self.workspace(), self.random.choice([None, 7, 8]), self.word(), self.body()])

    def some(self, table):
        # Any writer's rows, so that they wait for each other; a few, so that they seldom meet.
        start = self.random.randrange(WRITERS) * 100_000_000 + self.random.randrange(self.next_id % 100_000_000 + 1)
        return f"id in (select id from {table} where id >= {start} order by id limit {self.random.choice([1, 1, 1, 3, 20])})"

    def update(self, cursor):
        cursor.execute(f"update todos set title = %s where {self.some('todos')}", [self.word()])

    def move(self, cursor):
        cursor.execute(f"update todos set workspace_id = %s, assignee_id = %s where {self.some('todos')}",
                       [self.workspace(), self.random.choice([None, 7, 8])])

    def change_key(self, cursor):
        table = self.random.choice(["todos", "notes"])
        cursor.execute(f"update {table} set id = %s where id = (select min(id) from {table} where id >= %s)",
                       [self.new_id(), self.random.randrange(WRITERS) * 100_000_000])

    def delete(self, cursor):
        table = self.random.choice(["todos", "notes", "unruled"])
        cursor.execute(f"delete from {table} where {self.some(table)}")

    def note(self, cursor):
        if self.random.random() < 0.6:
            cursor.execute("insert into notes values (%s, %s, %s)", [self.new_id(), self.word(), self.body()])
        else:
            cursor.execute(f"update notes set title = %s where {self.some('notes')}", [self.word()])

    def bulk(self, cursor):
        count = self.random.choice([500, 3000, 8000])
        start = self.new_id(count)
        kind = self.random.random()
        if kind < 0.4:  # One run.
            cursor.execute("insert into notes select i, 'bulk', repeat('y', 100) from generate_series(%s, %s) i", [start, start + count - 1])
        elif kind < 0.8:  # Another set of channels with each row.
            cursor.execute("insert into todos select i, i %% 4 + 1, nullif(i %% 3, 0), 'bulk', repeat('z', 60) from generate_series(%s, %s) i",
                           [start, start + count - 1])
        else:
            cursor.execute("delete from notes where id >= %s and id < %s and title = 'bulk'",
                           [self.number * 100_000_000, self.number * 100_000_000 + 100_000_000])

    def other(self, cursor):
        cursor.execute("insert into unpublished (note) select 'n' from generate_series(1, 3)")
        cursor.execute("insert into unruled values (%s, 'n')", [self.new_id()])

    def message(self, cursor):
        prefix = self.random.choice(self.prefixes)
        cursor.execute("select pg_logical_emit_message(%s, %s, %s)", [self.random.random() < 0.5, prefix, '{"channel":"c","name":"n"}'])

    def savepoint(self, cursor, depth):
        name = f"s{depth}"
        cursor.execute(f"savepoint {name}")
        for _ in range(self.random.randrange(1, 5)):
            self.step(cursor, depth + 1)
        cursor.execute(self.random.choice([f"release {name}", f"rollback to {name}", f"rollback to {name}"]))


class PersistentWriter(Writer):
    """Goes on when Postgres was away. Whether a commit went through then is for the database to tell."""

    def transaction(self):
        try:
            if self.connection.closed:
                self.connect()
            super().transaction()
        except psycopg2.Error as error:
            # A lost connection has errors of several kinds, of which those of the server's alone have a code.
            if error.pgcode and not isinstance(error, psycopg2.OperationalError):
                raise
            self.connection.close()
            self.counts["lost"] += 1
            self.ends.wait(0.1)
