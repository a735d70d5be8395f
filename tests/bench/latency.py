"""From just before COMMIT is sent to the moment a subscriber holds the message: walcast, LISTEN/NOTIFY and the floor in turns."""

import collections
import contextlib
import multiprocessing
import os
import re
import socket
import statistics
import subprocess
import time

import psycopg2

from tests.bench.backlog import WORKSPACES, stage
from tests.bench.report import of_pairs
from tests.support.servers import REPOSITORY, Agent, config, wait_until

INSERT = "insert into todos (workspace_id, title, body) values (%s, %s, 'Two litres, the unsweetened one.')"
INSERT_AND_NOTIFY = f"with made as ({INSERT} returning *) select pg_notify('todos', row_to_json(made)::text) from made"
TITLE = re.compile(rb'"title":\s*"#(\d+)"')
FLOOR = os.environ.get("WALCAST_LATENCY_FLOOR") or str(REPOSITORY / "build/release/tests/latency_floor")

Round = collections.namedtuple("Round", "latencies lost reached")  # In ms, sorted; how many; transactions a second.


class Addresses:
    """Where everybody connects to, writers, readers and subscribers alike: over TCP, or by Unix sockets."""

    def __init__(self, here, is_unix):
        directory = here.postgres.directory
        host = directory if is_unix else "127.0.0.1"
        self.postgres = f"host={host} port={here.postgres.port} user=postgres dbname=postgres"
        self.postgres_url = f"postgres://postgres@:{here.postgres.port}/postgres?host={directory}" if is_unix else here.postgres.url()
        self.redis = str(here.redis.directory / "socket") if is_unix else ("127.0.0.1", here.redis.port)
        self.redis_url = f"unix://{self.redis}" if is_unix else here.redis.url()
        self.redis_of_floor = self.redis if is_unix else str(here.redis.port)

    def connect_to_redis(self):
        if isinstance(self.redis, str):
            client = socket.socket(socket.AF_UNIX)
            client.connect(self.redis)
            return client
        client = socket.create_connection(self.redis)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client


def write_steadily(conninfo, statement, first, step, count, rate, results):
    """One connection: at each tick a transaction; notes the time just before its COMMIT is sent."""
    connection = psycopg2.connect(conninfo)
    cursor = connection.cursor()
    cursor.execute("select 1")
    connection.commit()
    sent = []
    begin = time.monotonic()
    for n in range(count):
        pause = begin + (first + n * step) / rate - time.monotonic()  # The connections take turns.
        if pause > 0:
            time.sleep(pause)
        number = first + n * step
        cursor.execute(statement, [number % WORKSPACES, f"#{number}"])
        sent.append((number, time.monotonic_ns()))
        connection.commit()
    results.put((sent, time.monotonic() - begin))
    connection.close()


def listen_to_redis(addresses, count, ready, results):
    """A subscriber that takes the time of each read and looks into it afterwards."""
    client = addresses.connect_to_redis()
    client.sendall(b"PSUBSCRIBE workspace:*\r\n")
    client.recv(1024)
    ready.set()
    client.settimeout(20)
    received, tail = {}, b""
    with contextlib.suppress(socket.timeout):
        while len(received) < count:
            data = client.recv(1 << 18)
            now = time.monotonic_ns()
            data = tail + data
            for match in TITLE.finditer(data):
                received.setdefault(int(match.group(1)), now)
            tail = data[-40:]  # A title cut by the end of a read; setdefault ignores one seen twice.
    results.put(received)


def listen_to_postgres(addresses, count, ready, results):
    connection = psycopg2.connect(addresses.postgres)
    connection.autocommit = True
    connection.cursor().execute("listen todos")
    ready.set()
    client = socket.socket(fileno=os.dup(connection.fileno()))
    client.settimeout(20)
    received = {}
    with contextlib.suppress(socket.timeout):
        while len(received) < count:
            client.recv(1, socket.MSG_PEEK)
            connection.poll()
            now = time.monotonic_ns()
            for notification in connection.notifies:
                received.setdefault(int(TITLE.search(notification.payload.encode()).group(1)), now)
            connection.notifies.clear()
    results.put(received)


def one_round(addresses, statement, listener, rate, seconds, writers=4):
    count = int(rate * seconds) // writers
    results, sent_results, ready = multiprocessing.Queue(), multiprocessing.Queue(), multiprocessing.Event()
    subscriber = multiprocessing.Process(target=listener, args=(addresses, count * writers, ready, results), daemon=True)
    subscriber.start()
    assert ready.wait(20), "subscriber is not ready"
    processes = [multiprocessing.Process(target=write_steadily, daemon=True,
                                         args=(addresses.postgres, statement, first, writers, count, rate, sent_results))
                 for first in range(writers)]
    for process in processes:
        process.start()
    sent, elapsed = {}, []
    for _ in processes:
        times, took = sent_results.get(timeout=seconds * 5 + 60)
        sent.update(times)
        elapsed.append(took)
    received = results.get(timeout=60)
    for process in processes + [subscriber]:
        process.join(10)
    arrived = sorted((received[number] - at) / 1e6 for number, at in sent.items() if number in received)
    return Round(arrived, len(sent) - len(arrived), len(sent) / max(elapsed))


def round_of_walcast(here, addresses, path, rate, seconds):
    with Agent(path) as agent:
        agent.wait_streaming()
        [(rows,)] = here.postgres.execute("select count(*) from todos")
        # The id counts rows; those of other rounds are in the slot.
        wait_until(lambda: int(here.client.hget("walcast:position", "sync_id")) >= rows, 60, "the agent has caught up")
        found = one_round(addresses, INSERT, listen_to_redis, rate, seconds)
        agent.stop()  # With its walsender, so that nothing of ours burdens the others.
        return found


def round_of_floor(here, addresses, rate, seconds):
    here.drop_slot("floor")
    here.postgres.execute("select pg_create_logical_replication_slot('floor', 'pgoutput')")
    floor = subprocess.Popen([FLOOR, addresses.postgres, "floor", addresses.redis_of_floor], stdout=subprocess.PIPE, text=True)
    try:
        assert floor.stdout.readline() == "ready\n"
        return one_round(addresses, INSERT, listen_to_redis, rate, seconds)
    finally:
        floor.kill()
        floor.wait()
        here.drop_slot("floor")


def measure_latency(report, rate, seconds, rounds, is_unix=False):
    with stage(report) as here:
        addresses = Addresses(here, is_unix)
        path = here.redis.directory / "latency.toml"
        path.write_text(config(addresses.postgres_url, addresses.redis_url, [{"table": "public.todos", "model": "Todo",
                                                                               "channels": ["workspace:{workspace_id}"]}]))
        readers = {"walcast": lambda: round_of_walcast(here, addresses, path, rate, seconds),
                   "LISTEN/NOTIFY": lambda: one_round(addresses, INSERT_AND_NOTIFY, listen_to_postgres, rate, seconds)}
        if os.path.exists(FLOOR):
            readers["floor"] = lambda: round_of_floor(here, addresses, rate, seconds)
        else:
            report.note(f"latency: no {FLOOR}: the floor is left out (tests/bench/run.sh builds it)")
        found = {name: [] for name in readers}
        for repetition in range(rounds + 1):
            for name, measure in readers.items():
                found[name].append(measure())
                last = found[name][-1]
                report.expect(last.lost == 0, f"latency: {last.lost} messages of {name} did not arrive")
                report.note(f"latency{' by Unix sockets' if is_unix else ''}: {repetition or 'warm-up'}: {name} "
                            f"p50 {percentile(last.latencies, 50):.2f} ms, p99 {percentile(last.latencies, 99):.2f} ms "
                            f"at {last.reached:,.0f} tx/s")
        _report_latency(report, {name: measured[1:] for name, measured in found.items()}, is_unix)


def _report_latency(report, found, is_unix):
    reached = statistics.median(one.reached for measured in found.values() for one in measured)
    transport = " by Unix sockets" if is_unix else ""
    for p in (50, 99):
        times = {name: [percentile(one.latencies, p) for one in measured] for name, measured in found.items()}
        medians = {name: f"{statistics.median(measured):.2f} ms" for name, measured in times.items()}
        ratio, spread = of_pairs(times["walcast"], times["LISTEN/NOTIFY"])
        report.line(f"latency p{p} at {reached:,.0f} tx/s{transport}", medians["walcast"], f"LISTEN/NOTIFY {medians['LISTEN/NOTIFY']}",
                    spread, "≤ 1.00", ratio <= 1)
        if "floor" in times:
            report.line("the same beside the floor", medians["walcast"], f"bare PUBLISH {medians['floor']}",
                        of_pairs(times["walcast"], times["floor"])[1])


def percentile(values, p):
    return values[min(len(values) - 1, int(len(values) * p / 100))] if values else float("nan")
