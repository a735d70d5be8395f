"""A world that is judged by the database's own record, also when Redis forgets and the epoch changes; and its traffic."""

import itertools
import random
import re
import threading

from support import history
from support.link import Link
from support.oracle import Oracle, Table
from support.servers import wait_until
from support.world import POSTGRES_PASSWORD, World

SCHEMA = """
create table todos (id int primary key, workspace_id int, assignee_id int, title text);
alter table todos replica identity full;
create table notes (id int primary key, title text);
"""
RULES = [
    {"table": "public.todos", "model": "Todo", "channels": ["workspace:{workspace_id}", "user:{assignee_id}"]},
    {"table": "public.notes", "model": "Note", "channels": ["notes"]},
]
TABLES = [
    Table("public.todos", full=True, rules=[("Todo", RULES[0]["channels"])]),
    Table("public.notes", rules=[("Note", RULES[1]["channels"])]),
]

_ids = itertools.count(1)


class Traffic:
    """Writers of random concurrent transactions, each with rows of its own."""

    def __init__(self, world, seed, writers=3, pause=0.03):
        self.committed = 0
        self._seed, self._pause = seed, pause
        self._ends = threading.Event()
        self._errors = []
        self._threads = [threading.Thread(target=self._write, args=[world.connect(autocommit=False), number], daemon=True)
                         for number in range(writers)]
        for thread in self._threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._ends.set()
        for thread in self._threads:
            thread.join(60)
        if self._errors:
            raise self._errors[0]

    def wait(self, count, timeout=30):
        """Until so many more transactions are committed."""
        goal = self.committed + count
        wait_until(lambda: self.committed >= goal or self._errors, timeout, f"{count} more transactions")

    def _write(self, connection, number):
        chance = random.Random(self._seed * 100 + number)
        rows = []
        try:
            while not self._ends.wait(chance.random() * self._pause):
                with connection.cursor() as cursor:
                    kept = list(rows)
                    for _ in range(chance.choice([1, 1, 2, 4])):
                        write_one(cursor, chance, kept)
                if chance.random() < 0.1:
                    connection.rollback()
                else:
                    connection.commit()
                    rows = kept
                    self.committed += 1
        except Exception as error:  # Told by stop().
            self._errors.append(error)
        finally:
            connection.close()


def write_one(cursor, chance, rows):
    step = chance.random()
    if step < 0.02:
        first = next(_ids)
        last = [next(_ids) for _ in range(200)][-1]
        cursor.execute("insert into notes select i, 'bulk' from generate_series(%s, %s) i", [first, last])
    elif step < 0.3:
        cursor.execute("insert into notes values (%s, %s)", [next(_ids), "note é " * chance.randrange(20)])
    elif step < 0.6 or not rows:
        rows.append(next(_ids))
        cursor.execute("insert into todos values (%s, %s, %s, 'new')", [rows[-1], chance.choice([1, 1, 2, None]), chance.choice([None, 7])])
    elif step < 0.75:
        cursor.execute("update todos set title = %s where id = %s", [str(chance.random()), chance.choice(rows)])
    elif step < 0.9:
        cursor.execute("update todos set workspace_id = %s where id = %s", [chance.choice([1, 2, 3, None]), chance.choice(rows)])
    else:
        cursor.execute("delete from todos where id = %s", [rows.pop(chance.randrange(len(rows)))])


class CheckedWorld(World):
    """Its agents reach Redis through `link`, and Postgres through `source`."""

    def __init__(self, postgres=None, redis=None, user="", **options):
        super().__init__(RULES, postgres, redis, SCHEMA, record=True, history={"length": 100_000_000, "age": "100d"}, **options)
        self.link, self.source = Link(self.redis.port), Link(self.postgres.port)
        self.options["redis"] = self.url_through(self.link, user)
        self.options["postgres"] = f"postgres://postgres:{POSTGRES_PASSWORD}@127.0.0.1:{self.source.port}/{self.db}"
        self.is_proven = True  # False from the start of a test that shares this world to the end of its check.
        self.ids_proven = 0    # How much there is to compare each time.
        self._record = []
        self.shift = self.epoch_start = 0  # Of this epoch: its ids less the oracle's, and its reset's id.
        self.init()
        self.epoch = self.position()["epoch"]

    def url_through(self, link, user=""):
        return self.redis.url(user=user).replace(f":{self.redis.port}/", f":{link.port}/")

    def __exit__(self, *error):
        super().__exit__(*error)
        self.link.close()
        self.source.close()

    def follow(self, redis):
        """From now on that one is the Redis."""
        self.redis, self.client = redis, redis.client()

    def row(self):
        """A small transaction, and its commit."""
        self.sql("insert into notes values (%s, 'one')", [next(_ids)])

    def rows(self, count):
        first = next(_ids)
        last = [first] + [next(_ids) for _ in range(count - 1)]
        self.sql("insert into todos select i, i %% 40, i %% 7, 'many' from generate_series(%s, %s) i", [first, last[-1]])

    # What must be in Redis.

    def settle(self, timeout=20):
        self.row()  # Which is published at once, where an idle stream's progress is told each second.
        self.wait_for_position(self.sql("select pg_current_wal_flush_lsn()::text")[0][0], timeout)

    def record(self):
        self._record += self.sql(
            "select lsn::text, xid::text, data from pg_logical_slot_get_changes(%s, null, null, 'include-xids', '1')",
            [self.record_slot])
        return Oracle(TABLES).feed(self._record)

    def expect_exact(self, timeout=60):
        """The same epoch, and every change in it exactly once, in order."""
        self.settle(timeout)
        assert self.position()["epoch"] == self.epoch, f"the epoch changed\n{self.logs()}"
        self._compare(self.record(), first_prev=None if self.epoch_start else 0)

    def expect_new_epoch(self, had=(), timeout=60):
        """A gap that is stated: the epoch changed; each history that Redis `had` begins with its reset; after it comes exactly
        what Postgres had not been told to forget, with ids that go on above all old ones. Returns the LSN at which it begins."""
        self.settle(timeout)
        oracle, channels, position = self.record(), self.histories(), self.position()
        assert position["epoch"] != self.epoch, f"the epoch did not change\n{self.logs()}"
        resets = [message for message in self.control() if "modelName" not in message]
        assert [message["epoch"] for message in resets] == [position["epoch"]], resets
        old_shift = self.shift
        self.epoch, self.epoch_start = position["epoch"], resets[0]["lastSyncId"]
        self.shift = int(position["sync_id"]) - oracle.last_id
        self._compare(oracle, first_prev=None)
        for name, entries in channels.items():
            first = history.parse(entries[0].message)
            assert first["prevSyncId"] >= self.epoch_start, f"{name} begins with {first}"
        for name in had:
            first = history.parse(channels[name][0].message)
            is_reset = first["type"] == "reset" and first["lastSyncId"] == self.epoch_start and "modelName" not in first
            assert is_reset, f"{name} begins with {first}"
        # What Postgres itself says of where the stream began anew.
        begins = self.streamed_after()
        before = [last for _, last, lsn in oracle.transactions.values() if lsn <= begins]
        assert self.epoch_start > max(before, default=0) + old_shift
        for xid, (first, last, lsn) in oracle.transactions.items():
            assert (lsn > begins) == (first + self.shift > self.epoch_start) == (last + self.shift > self.epoch_start), (
                f"transaction {xid} ({first}..{last}) ends at {lsn:X}, the new epoch begins at {begins:X}, {self.epoch_start} - {self.shift}")
        return begins

    def _compare(self, oracle, first_prev):
        channels = self.histories()
        expected = {name: [one._replace(sync_id=one.sync_id + self.shift) for one in actions if one.sync_id + self.shift > self.epoch_start]
                    for name, actions in oracle.expected.items()}
        transactions = {xid: (first + self.shift, last + self.shift, lsn) for xid, (first, last, lsn) in oracle.transactions.items()}
        found = history.problems(channels, self.epoch, first_prev) + history.differences(channels, expected)
        found += history.transaction_problems(channels, transactions)
        assert not found, "\n".join(found[:20]) + "\n" + self.logs()
        assert int(self.position()["sync_id"]) == oracle.last_id + self.shift
        self.is_proven, self.ids_proven = True, oracle.last_id

    def expect_sound(self, found, had):
        """Exact, unless Redis was `found` at a position that Postgres had already been told to forget. True when exact."""
        self.settle(60)
        if self.position()["epoch"] == self.epoch:
            self.expect_exact()
            return True
        assert self.expect_new_epoch(had) > found, "the epoch changed, although nothing was lost"
        return False

    def streamed_after(self):
        """The LSN after which Postgres sent, the last time."""
        lines = re.findall(rf'starting logical decoding for slot "{self.slot}"\n.*DETAIL:  Streaming transactions committing after (\S+),',
                           self.postgres.log())
        return history.lsn_number(lines[-1])

    def channels(self):
        return [name.decode() for name in self.client.zrange(self.prefix + "channels", 0, -1)]

    # Faults.

    def away(self, change):
        """`change()` happens while the agent cannot reach Redis. Returns the position and the channels that Redis then has."""
        self.link.refuse()
        change()
        self.link.sever()
        found = self.position_lsn(), self.channels()
        self.link.accept()
        return found
