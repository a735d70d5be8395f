"""A team's own application beside walcast, as the tests of real clients need one: its tables, writers at work in them, and the
HTTP endpoints that the clients ask."""

import http.server
import json
import random
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import psycopg2

from support.servers import REPOSITORY, wait_until

TABLES = (REPOSITORY / "sql/functions.sql").read_text() + """
create table todos (id text primary key, list_id text not null, assignee text, title text not null, done boolean not null,
    position integer not null, body text);
create table entries (id text primary key, list_id text not null, amount integer not null);
alter table todos replica identity full;
alter table entries replica identity full;
"""
RULES = [
    {"table": "public.todos", "model": "Todo", "channels": ["list.{list_id}", "user.{assignee}"]},
    {"table": "public.entries", "model": "Entry", "channels": ["list.{list_id}"]},
]
TABLE_OF = {"Todo": "todos", "Entry": "entries"}
COLUMNS = {"Todo": ["id", "list_id", "assignee", "title", "done", "position", "body"], "Entry": ["id", "list_id", "amount"]}
CHANNELS_OF = {"Todo": [("list.", "list_id"), ("user.", "assignee")], "Entry": [("list.", "list_id")]}
LISTS, USERS = ["a", "b", "c"], ["u1", "u2", None]
TITLES = ["Buy milk", "größe 表", "a\nb\t\"c\"", "\U0001f95b", "", "\\u0000 {x}"]


def belongs(model, row, channels):
    return any(row[column] is not None and before + row[column] in channels for before, column in CHANNELS_OF[model])


class Application:
    """Serves on 127.0.0.1; `url` is where. Every request has its own connection to the database. With the agent's HTTP port it
    takes every second bootstrap from a snapshot, while writers go on."""

    def __init__(self, world, agent_port=None):
        self.world, self.agent_port = world, agent_port
        self.snapshots = self.bootstraps = self.unsettled = 0
        self.faults = []
        self.routes = {("GET", "/bootstrap"): self.bootstrap, ("POST", "/write"): self.write}
        application = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self):
                url = urllib.parse.urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                status, answer = application.answer(self.command, url.path, urllib.parse.parse_qs(url.query), body)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _answer

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, error_type, *_):
        self._server.shutdown()
        self._server.server_close()
        if not error_type:
            assert not self.faults, self.faults[:3]

    def answer(self, method, path, query, body):
        route = self.routes.get((method, path)) or next(
            (route for (asked, begin), route in self.routes.items() if asked == method and begin.endswith("/") and path.startswith(begin)), None)
        if not route:
            return 404, {"error": f"no {method} {path}"}
        try:
            parameters = json.loads(body) if body[:1] == b"{" else {name: values if name in ("channel", "audience") else values[-1]
                                                                  for name, values in query.items()}
            found = route(path, parameters)
            return found if isinstance(found, tuple) else (200, found)  # With its own status, and perhaps as the bytes of a body.
        except Exception as error:  # The client has to be answered; the test hears of it at its end.
            self.faults.append(f"{method} {path} {query}: {type(error).__name__} {error}")
            return 500, {"error": str(error)}

    def connect(self, **parameters):
        return self.world.postgres.connect(self.world.db, **parameters)

    # Rows.

    def rows(self, cursor, channels, model, columns=None):
        columns = columns or COLUMNS[model]
        cursor.execute(f"select {', '.join(COLUMNS[model])} from {TABLE_OF[model]}")
        found = [dict(zip(COLUMNS[model], row)) for row in cursor.fetchall()]
        return [{name: row[name] for name in columns} for row in found if belongs(model, row, channels)]

    def expected(self, channels):
        """What a client of these channels has to end up with, by id."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                return {model: {row["id"]: row for row in self.rows(cursor, channels, model)} for model in TABLE_OF}
        finally:
            connection.close()

    def stand_still(self, read, tables=tuple(TABLE_OF.values())):
        """What `read(cursor)` gives while nobody writes, and the position that it belongs to: docs/protocol.md, the way that needs
        nothing but SQL."""
        locking, asking = self.connect(autocommit=False), self.connect()
        try:
            with locking.cursor() as lock, asking.cursor() as cursor:
                # The writers take rows in any order, and may stand in the way for good.
                while not self._locks(locking, lock, tables):
                    pass
                cursor.execute("select pg_logical_emit_message(true, 'barrier', '')::text")
                self.world.wait_for_position(cursor.fetchone()[0], 60)
                position = self.world.position()
                return read(lock), position["epoch"], int(position["sync_id"])
        finally:
            locking.close()
            asking.close()

    def _locks(self, connection, cursor, tables):
        try:
            cursor.execute(f"lock table {', '.join(tables)} in share mode")
            return True
        except psycopg2.errors.DeadlockDetected:
            connection.rollback()
            return False

    def as_seen(self, read, is_settled=False):
        """What `read(cursor)` gives in a snapshot, and what the agent says of that; settled: one that has seen nothing above its id."""
        def ask():
            connection = self.connect(autocommit=False)
            try:
                with connection.cursor() as cursor:
                    cursor.execute("set transaction isolation level repeatable read read only")
                    cursor.execute("select pg_current_snapshot()::text")
                    (snapshot,) = cursor.fetchone()
                    with urllib.request.urlopen(f"http://127.0.0.1:{self.agent_port}/position-of?snapshot={snapshot}", timeout=60) as answer:
                        position = json.load(answer)
                    if is_settled and position["visible"]:
                        self.unsettled += 1
                        return None
                    self.snapshots += 1
                    return read(cursor), position
            except urllib.error.HTTPError as error:
                assert error.code in (409, 503), f"{error.code}: {error.read()}"  # Try again.
            except OSError:
                pass  # The agent is away.
            finally:
                connection.close()
        return wait_until(ask, 90, "the agent tells what a snapshot has seen", every=0.1)

    def bootstrap(self, _, parameters):
        def read(cursor):
            return {model: self.rows(cursor, parameters["channel"], model) for model in TABLE_OF}

        self.bootstraps += 1
        if self.agent_port and self.bootstraps % 2 == 0:
            rows, position = self.as_seen(read)
            return {**position, "rows": rows}
        rows, epoch, sync_id = self.stand_still(read)
        return {"epoch": epoch, "lastSyncId": sync_id, "visible": [], "rows": rows}

    # Writes of the clients.

    def write(self, _, body):
        """One transaction, annotated with its mutation id; answers as its receipt says."""
        mutation = body["mutationId"]
        connection = self.connect(autocommit=False)
        try:
            with connection.cursor() as cursor:
                cursor.execute("select walcast.annotate(%s, %s)", [mutation, json.dumps(body.get("annotation", {}))])
                for model, row in body.get("put", []):
                    put(cursor, model, row)
                for model, key in body.get("delete", []):
                    cursor.execute(f"delete from {TABLE_OF[model]} where id = %s", [key])
                if "rejects" in body:
                    rejects = body["rejects"]
                    cursor.execute("select walcast.reject(%s, %s, %s, data => %s)", [
                        mutation, rejects["reason"], rejects.get("channel"), json.dumps(rejects["data"]) if "data" in rejects else None])
            connection.rollback() if "rejects" in body else connection.commit()
        finally:
            connection.close()
        key = f"{self.world.prefix}receipt:{mutation}"
        receipt = json.loads(wait_until(lambda: self.world.client.get(key), 60, f"receipt of {mutation}"))
        if receipt["status"] == "rejected":
            return {"ok": False, "error": "server", "reason": receipt["reason"]}
        return {"ok": True, "value": {"lastSyncId": receipt["lastSyncId"]}}


def put(cursor, model, row):
    columns = list(row)
    sets = ", ".join(f"{name} = excluded.{name}" for name in columns)
    cursor.execute(f"insert into {TABLE_OF[model]} ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))}) "
                   f"on conflict (id) do update set {sets}", list(row.values()))


class Writers:
    """Concurrent transactions, some of them long, late, large or rolled back, until the block ends."""

    rolled_back_by = (psycopg2.errors.DeadlockDetected, psycopg2.errors.UniqueViolation)  # Writers that meet.

    def __init__(self, application, seed, count=3, pace=0.002):
        self.application, self.seed, self.pace = application, seed, pace
        self.transactions = 0
        self._error = None
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, error_type, *_):
        self._ends.set()
        for thread in self._threads:
            thread.join(60)
        if not error_type:
            assert not self._error, self._error
            assert self.transactions > 0, "nothing was written"

    def has_done(self, more):
        """A condition: that many transactions more than now."""
        goal = self.transactions + more

        def done():
            assert not self._error, self._error
            return self.transactions >= goal
        return done

    def _run(self, number):
        chooser = random.Random(f"{self.seed}/{number}")
        made = []
        try:
            connection = self.application.connect(autocommit=False)
            while not self._ends.is_set():
                try:
                    self._transaction(connection, chooser, number, made)
                except self.rolled_back_by:
                    connection.rollback()
                self.transactions += 1
                time.sleep(self.pace * chooser.random())
            connection.close()
        except Exception as error:
            self._error = error
            raise

    def _transaction(self, connection, chooser, number, made):
        with connection.cursor() as cursor:
            many = chooser.random() < 0.03
            for _ in range(chooser.choice([200, 400]) if many else chooser.choice([1, 1, 1, 2, 3, 6])):
                self._change(cursor, chooser, number, made)
            if chooser.random() < 0.1:
                time.sleep(0.02)  # It commits after others that began later: ids of sequences would be out of order.
        connection.rollback() if chooser.random() < 0.08 else connection.commit()

    def _change(self, cursor, chooser, number, made):
        what = chooser.random()
        if what < 0.15:
            made.append(f"e{number}-{len(made)}")
            cursor.execute("insert into entries values (%s, %s, %s)", [made[-1], chooser.choice(LISTS), chooser.randint(-9, 9)])
        elif what < 0.5:
            # Ids come again after deletes, so that inserts follow them.
            body = chooser.choice([None, "x" * 3000, chooser.randbytes(1500).hex()]) if chooser.random() < 0.2 else None
            put(cursor, "Todo", {"id": f"t{chooser.randrange(60)}", "list_id": chooser.choice(LISTS), "assignee": chooser.choice(USERS),
                                 "title": chooser.choice(TITLES), "done": False, "position": chooser.randrange(1000), "body": body})
        elif what < 0.7:
            cursor.execute("update todos set title = %s, done = not done where id = %s", [chooser.choice(TITLES), f"t{chooser.randrange(60)}"])
        elif what < 0.85:
            column, value = chooser.choice([("list_id", chooser.choice(LISTS)), ("assignee", chooser.choice(USERS))])
            cursor.execute(f"update todos set {column} = %s where id = %s", [value, f"t{chooser.randrange(60)}"])
        else:
            cursor.execute("delete from todos where id = %s", [f"t{chooser.randrange(60)}"])
