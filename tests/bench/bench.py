"""Measures walcast on this machine, in one run, beside what Postgres itself can do, and prints a Markdown table.

- Drain: a backlog is made while nobody reads. Then, in turns, walcast (history and pub/sub on) and pg_recvlogical
  (same plugin options, output thrown away) read it from copies of one slot. Both times run from the start of the
  process to the last row: for walcast when Redis' position covers it, for pg_recvlogical when it ends at that LSN.
  Nobody subscribes meanwhile. With two cores pg_recvlogical has one beside Postgres' walsender; walcast and Redis share it.
  Histories keep about 1000 messages of each channel, but for the warm-up, where they keep all and every row is looked for.
- CPU: of the whole process, as the kernel accounts it at its end (start-up included).
- Memory: VmHWM while one transaction of a million rows passes.
- In-progress streaming ([source] streaming), beside the same agent with whole transactions: the time from COMMIT's return to
  the last message of a large transaction, with the agent at work meanwhile, and the drain of a backlog of such transactions.
- Latency: from just before COMMIT is sent to the moment a subscriber holds the message, at 500 transactions/s over four
  connections, walcast and LISTEN/NOTIFY in turns, never at the same time. Postgres has fsync and synchronous_commit on.

Ends with 1 if anything that was committed did not arrive exactly once; a missed target is shown, not an error.
"""

import argparse
import collections
import contextlib
import json
import multiprocessing
import os
import pathlib
import re
import resource
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.support.servers import Agent, Postgres, Redis, config, wait_until, walcast  # noqa: E402

WORKSPACES = 100
OUTPUT_OPTIONS = ["-o", "proto_version=1", "-o", "publication_names=walcast", "-o", "messages=true"]
RULES = [{"table": "public.todos", "model": "Todo", "channels": ["workspace:{workspace_id}"]}]

SCHEMA = """
create table todos (
    id bigint generated always as identity primary key,
    workspace_id bigint not null,
    title text not null,
    body text not null,
    done boolean not null default false,
    created_at timestamptz not null default clock_timestamp()
);
"""

# One workspace a transaction, as an application writes; rows of about 150 bytes.
FILL = """
do $$
declare n bigint := 0;
begin
    while n < {rows} loop
        insert into todos (workspace_id, title, body)
        select (n / {size}) % {workspaces}, 'Buy oat milk ' || n + i, 'Two litres, the unsweetened one, from the shop at the corner.'
        from generate_series(1, {size}) i;
        commit;
        n := n + {size};
    end loop;
end $$;
"""


class Bench:
    def __init__(self, options):
        self.options = options
        self.table = []
        self.failures = []
        self.load_before = os.getloadavg()[0]

    def note(self, text):
        print(text, file=sys.stderr, flush=True)

    def line(self, measure, measured, reference="", ratio="", target="", met=None):
        verdict = {None: "", True: "yes", False: "**no**"}[met]
        if self.options.quick and verdict:
            verdict = "too short"  # Starting the process alone is a microsecond a row then.
        self.table.append((measure, measured, reference, ratio, target, verdict))

    def expect(self, is_true, what):
        if not is_true:
            self.failures.append(what)

    def print(self):
        print(f"\n{self.machine()}\n")
        rows = [("measure", "walcast", "reference", "ratio", "target", "met")] + self.table
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        rows.insert(1, tuple("-" * width for width in widths))
        for row in rows:
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        print()
        for failure in self.failures:
            print(f"FAILED: {failure}")

    def machine(self):
        model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
        versions = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]
                    for command in (["/usr/lib/postgresql/15/bin/postgres", "--version"], ["redis-server", "--version"])]
        postgres, redis = (re.search(r"\d+\.[\d.]+", version).group() for version in versions)
        product = walcast("--version").stdout.strip()
        return (f"{product}; Postgres {postgres}, Redis {redis}; {os.cpu_count()} cores"
                f"{' of ' + model.group(1) if model else ''}; load average before the run {self.load_before:.1f}")


@contextlib.contextmanager
def servers(bench):
    """Postgres with the schema, Redis, and a configuration for which `walcast init` has run.

    Beside it lies whole.toml, the same with histories that keep everything, for `check_arrived`."""
    settings = {"fsync": "on", "synchronous_commit": "on", "shared_buffers": "512MB", "max_wal_size": "16GB",
                "checkpoint_timeout": "1h", "autovacuum": "off"}
    redis_settings = {"appendonly": "yes" if bench.options.appendonly else "no"}
    with Postgres(settings=settings) as postgres, Redis(settings=redis_settings) as redis:
        postgres.execute(SCHEMA)
        path = redis.directory / "walcast.toml"
        path.write_text(config(postgres, redis, RULES, history={"length": 1000, "age": "24h"}))
        path.with_name("whole.toml").write_text(config(postgres, redis, RULES, history={"length": 10_000_000, "age": "24h"}))
        made = walcast("init", "--config", path)
        if made.returncode != 0:
            raise RuntimeError(f"walcast init: {made.stderr}")
        yield postgres, redis, path


def fill(postgres, rows, size):
    connection = postgres.connect()
    connection.cursor().execute("set synchronous_commit = off")
    connection.cursor().execute(FILL.format(rows=rows, size=size, workspaces=WORKSPACES))
    connection.close()


Usage = collections.namedtuple("Usage", "user system")


class Children:
    """The CPU time of the children that end inside."""

    def __enter__(self):
        self._before = resource.getrusage(resource.RUSAGE_CHILDREN)
        return self

    def __exit__(self, *_):
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.usage = Usage(after.ru_utime - self._before.ru_utime, after.ru_stime - self._before.ru_stime)


def process_cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return Usage(int(fields[11]) / ticks, int(fields[12]) / ticks)


Drain = collections.namedtuple("Drain", "seconds usage redis")


def drain_by_walcast(redis, path, last_id):
    """From the start of the agent until the position covers sync id `last_id`."""
    client = redis.client()
    redis_before = process_cpu(redis.pid)
    with Children() as children:
        begin = time.monotonic()
        agent = Agent(path)
        try:
            def is_drained():
                if not agent.alive():
                    raise ChildProcessError(agent.log()[-3000:])
                return int(client.hget("walcast:position", "sync_id") or 0) >= last_id
            wait_until(is_drained, 300, "backlog drained", every=0.01)
            seconds = time.monotonic() - begin
            redis_cpu = process_cpu(redis.pid)
            memory = agent.rss_max()
            agent.stop()
        finally:
            agent.close()
    redis_used = Usage(redis_cpu.user - redis_before.user, redis_cpu.system - redis_before.system)
    return Drain(seconds, children.usage, redis_used), memory


def drain_by_pg_recvlogical(postgres, slot, end_lsn):
    arguments = [postgres.bindir / "pg_recvlogical", "-d", postgres.url(), "--slot", slot, "--start", "--no-loop",
                 "--endpos", end_lsn, "-f", "/dev/null", *OUTPUT_OPTIONS]
    with Children() as children:
        begin = time.monotonic()
        subprocess.run(arguments, check=True, timeout=300)
        seconds = time.monotonic() - begin
    return Drain(seconds, children.usage, None)


def copy_slot(postgres, source, target):
    for _ in range(100):  # The walsender of the last reader may still be leaving.
        if not (postgres.slot(target) or {}).get("active"):
            break
        time.sleep(0.05)
    if postgres.slot(target):
        postgres.execute("select pg_drop_replication_slot(%s)", [target])
    postgres.execute("select pg_copy_logical_replication_slot(%s, %s)", [source, target])


def measure_drain(bench, name, rows, size, repetitions):
    with servers(bench) as (postgres, redis, path):
        client = redis.client()
        start = client.hgetall("walcast:position")
        copy_slot(postgres, "walcast", "base")
        bench.note(f"{name}: making the backlog")
        fill(postgres, rows, size)
        [(end_lsn,)] = postgres.execute("select pg_current_wal_insert_lsn()")
        # The reference ends at the first record at or after `end_lsn`: give it one, rather than let it wait for a keepalive.
        fill(postgres, 1, 1)
        postgres.execute("checkpoint")
        last_id = int(start[b"sync_id"]) + rows
        ours, theirs = [], []
        for repetition in range(repetitions + 1):
            copy_slot(postgres, "base", "reference")
            theirs.append(drain_by_pg_recvlogical(postgres, "reference", end_lsn))
            copy_slot(postgres, "base", "walcast")
            client.flushall()
            client.hset("walcast:position", mapping=start)
            is_warm_up = repetition == 0
            drain, _ = drain_by_walcast(redis, path.with_name("whole.toml") if is_warm_up else path, last_id)
            ours.append(drain)
            bench.note(f"{name}: {repetition or 'warm-up'}: walcast {rows / drain.seconds:,.0f} rows/s, "
                       f"pg_recvlogical {rows / theirs[-1].seconds:,.0f} rows/s")
            if is_warm_up:
                check_arrived(bench, name, client, rows)
        report_drain(bench, name, rows, ours[1:], theirs[1:])


def many_rules():
    """Two hundred rules over fifty tables, four of them for the one that is drained: one takes its rows, three look at each."""
    rules = list(RULES)
    for number in range(3):
        rules.append({"table": "public.todos", "model": f"Todo{number}", "channels": ["hidden:{workspace_id}"],
                      "where": f"workspace_id = {-1 - number} and title like 'nobody%'"})
    for table in range(1, 50):
        rules += [{"table": f"public.other{table}", "model": f"Other{table}", "channels": [f"other{number}:{{id}}"],
                   "where": f"kind = {number}"} for number in range(4)]
    return rules


def measure_rules(bench, rows, repetitions):
    """The same backlog drained with one rule and with two hundred, in turns."""
    with servers(bench) as (postgres, redis, path):
        client = redis.client()
        for table in range(1, 50):
            postgres.execute(f"create table other{table} (id bigint primary key, kind int not null)")
            postgres.execute(f"alter publication walcast add table other{table}")
        many = path.with_name("many.toml")
        many.write_text(config(postgres, redis, many_rules(), history={"length": 1000, "age": "24h"}))
        start = client.hgetall("walcast:position")
        copy_slot(postgres, "walcast", "base")
        bench.note("rules: making the backlog")
        fill(postgres, rows, 10)
        postgres.execute("checkpoint")
        last_id = int(start[b"sync_id"]) + rows
        drains = {path: [], many: []}
        for repetition in range(repetitions + 1):
            for of, found in list(drains.items())[:: 1 if repetition % 2 else -1]:
                copy_slot(postgres, "base", "walcast")
                client.flushall()
                client.hset("walcast:position", mapping=start)
                drain, _ = drain_by_walcast(redis, of, last_id)
                found.append(drain)
            bench.note(f"rules: {repetition or 'warm-up'}: one {rows / drains[path][-1].seconds:,.0f} rows/s, "
                       f"200 {rows / drains[many][-1].seconds:,.0f} rows/s")
        one, two_hundred = drains[path][1:], drains[many][1:]
        ratios = [a.seconds / b.seconds for a, b in zip(one, two_hundred)]
        ratio = statistics.median(ratios)
        def rate(found):
            return f"{statistics.median(rows / drain.seconds for drain in found):,.0f}"
        def user(found):
            return statistics.median(drain.usage.user for drain in found) / rows * 1e6
        bench.line("drain with 200 rules over 50 tables: rows/s", rate(two_hundred), f"one rule {rate(one)}",
                   f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})", "≥ 0.95", ratio >= 0.95)
        bench.line("CPU, the same: µs a row", f"{user(two_hundred):.2f} user", f"one rule {user(one):.2f} user")


def report_drain(bench, name, rows, ours, theirs):
    def per_row(drains, part):
        return statistics.median(getattr(drain, part).user for drain in drains) / rows * 1e6, \
            statistics.median(getattr(drain, part).system for drain in drains) / rows * 1e6

    our_rate = statistics.median(rows / drain.seconds for drain in ours)
    their_rate = statistics.median(rows / drain.seconds for drain in theirs)
    # Each pair ran side by side in time, so the machine's moods hit both.
    ratios = [their.seconds / our.seconds for our, their in zip(ours, theirs)]
    ratio = statistics.median(ratios)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    bench.line(f"drain, {name}: rows/s", f"{our_rate:,.0f}", f"pg_recvlogical {their_rate:,.0f}", f"{ratio:.2f} ({spread})",
               "≥ 0.95", ratio >= 0.95)
    user, system = per_row(ours, "usage")
    their_user, their_system = per_row(theirs, "usage")
    bench.line(f"CPU, {name}: µs a row", f"{user:.2f} user, {system:.2f} sys",
               f"pg_recvlogical {their_user:.2f} user, {their_system:.2f} sys", target="≤ 1.00 user", met=user <= 1.0)
    user, system = per_row(ours, "redis")
    bench.line(f"CPU of Redis, {name}: µs a row", f"{user:.2f} user, {system:.2f} sys")


def check_arrived(bench, name, client, rows):
    """Every row in exactly one history, once."""
    ids = collections.Counter()
    for key in client.scan_iter("walcast:log:*", count=1000):
        for _, fields in client.xrange(key):
            ids.update(action["data"]["id"] for action in json.loads(fields[b"m"])["sync"])
    bench.expect(len(ids) >= rows and max(ids.values()) == 1,
                 f"{name}: {len(ids)} of {rows} rows arrived, at most {max(ids.values(), default=0)} times each")


def measure_memory(bench, rows):
    """One transaction, rows over all channels in turn: the hardest way to cut it into messages."""
    with servers(bench) as (postgres, redis, path):
        client = redis.client()
        before = int(client.hget("walcast:position", "sync_id"))
        bench.note(f"memory: a transaction of {rows:,} rows")
        postgres.execute("insert into todos (workspace_id, title, body) select i %% %s, 'Buy oat milk ' || i, "
                         "repeat('x', 60) from generate_series(1, %s) i", [WORKSPACES, rows])
        drain, memory = drain_by_walcast(redis, path.with_name("whole.toml"), before + rows)
        reached = int(client.hget("walcast:position", "sync_id"))
        bench.expect(reached == before + rows, f"memory: position is {reached}, not {before + rows}")
        check_arrived(bench, "memory", client, rows)
        bench.line(f"memory, one transaction of {rows:,} rows", f"{memory / 2**20:.1f} MiB", target="≤ 64 MiB",
                   met=memory <= 64 * 2**20)
        bench.line("the same: rows/s", f"{rows / drain.seconds:,.0f}")


# ---- transactions in progress

LARGE = ("insert into todos (workspace_id, title, body) select i %% %s, 'Buy oat milk ' || i, repeat('x', 60) "
         "from generate_series(1, %s) i")


def measure_streaming(bench, rows, repetitions):
    """In turns, an agent that takes transactions whole and one that takes them in progress."""
    with servers(bench) as (postgres, redis, path):
        client = redis.client()
        text = path.with_name("whole.toml").read_text().replace("length = 10000000", "length = 1000")
        paths = {"whole": path.with_name("large.toml"), "streaming": path.with_name("streaming.toml")}
        paths["whole"].write_text(text)
        paths["streaming"].write_text(text.replace("[source]", "[source]\nstreaming = true"))
        waits, drains, memory = {"whole": [], "streaming": []}, {"whole": [], "streaming": []}, {}
        last_id = int(client.hget("walcast:position", "sync_id"))
        for repetition in range(repetitions + 1):
            for mode, configuration in paths.items():
                with Agent(configuration) as agent:
                    agent.wait_streaming()
                    connection = postgres.connect(autocommit=False)
                    connection.cursor().execute(LARGE, [WORKSPACES, rows])
                    connection.commit()
                    begin = time.monotonic()
                    last_id += rows
                    wait_until(lambda: int(client.hget("walcast:position", "sync_id")) >= last_id, 300, "the last message", every=0.002)
                    waits[mode].append(time.monotonic() - begin)
                    memory[mode] = max(memory.get(mode, 0), agent.rss_max())
                    connection.close()
                    agent.stop()
        start = client.hgetall("walcast:position")
        copy_slot(postgres, "walcast", "base")
        for _ in range(5):
            postgres.execute(LARGE, [WORKSPACES, rows])
        postgres.execute("checkpoint")
        for repetition in range(repetitions + 1):
            for mode, configuration in paths.items():
                copy_slot(postgres, "base", "walcast")
                client.flushall()
                client.hset("walcast:position", mapping=start)
                drain, _ = drain_by_walcast(redis, configuration, last_id + 5 * rows)
                drains[mode].append(5 * rows / drain.seconds)
        bench.expect(int(client.hget("walcast:position", "sync_id")) == last_id + 5 * rows, "streaming: ids do not match")

        def compare(measured, what, form):
            ours, theirs = measured["streaming"][1:], measured["whole"][1:]  # The first is the warm-up.
            ratios = [our / their for our, their in zip(ours, theirs)]
            bench.line(what, form(statistics.median(ours)), f"whole {form(statistics.median(theirs))}",
                       f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        compare(waits, f"streaming, {rows:,} rows: COMMIT to last message", lambda seconds: f"{seconds * 1000:,.0f} ms")
        compare(drains, f"streaming, 5 x {rows:,} rows: drain, rows/s", lambda rate: f"{rate:,.0f}")
        bench.line("streaming: memory", f"{memory['streaming'] / 2**20:.1f} MiB", f"whole {memory['whole'] / 2**20:.1f} MiB",
                   target="≤ 64 MiB", met=memory["streaming"] <= 64 * 2**20)


# ---- latency

INSERT = "insert into todos (workspace_id, title, body) values (%s, %s, 'Two litres, the unsweetened one.')"
INSERT_AND_NOTIFY = f"with made as ({INSERT} returning *) select pg_notify('todos', row_to_json(made)::text) from made"
TITLE = re.compile(rb'"title":\s*"#(\d+)"')


def write_steadily(postgres, statement, first, step, count, rate, results):
    """One connection: at each tick a transaction; notes the time just before its COMMIT is sent."""
    connection = postgres.connect(autocommit=False)
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


def listen_to_redis(port, count, ready, results):
    """A subscriber that takes the time of each read and looks into it afterwards."""
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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


def listen_to_postgres(postgres, count, ready, results):
    connection = postgres.connect()
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


Round = collections.namedtuple("Round", "latencies lost reached")  # In ms, sorted; how many; transactions a second.


def one_latency_round(postgres, statement, listener, rate, seconds, writers=4):
    count = rate * seconds // writers
    results, sent_results, ready = multiprocessing.Queue(), multiprocessing.Queue(), multiprocessing.Event()
    subscriber = multiprocessing.Process(target=listener, args=(count * writers, ready, results), daemon=True)
    subscriber.start()
    assert ready.wait(20), "subscriber is not ready"
    processes = [multiprocessing.Process(target=write_steadily, daemon=True,
                                         args=(postgres, statement, first, writers, count, rate, sent_results))
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


def measure_latency(bench, rate, seconds, rounds):
    with servers(bench) as (postgres, redis, path):
        def listen_to_walcast(count, ready, results):
            listen_to_redis(redis.port, count, ready, results)

        def listen_to_notify(count, ready, results):
            listen_to_postgres(postgres, count, ready, results)

        ours, theirs = [], []
        with Agent(path) as agent:
            agent.wait_streaming()
            for repetition in range(rounds + 1):
                ours.append(one_latency_round(postgres, INSERT, listen_to_walcast, rate, seconds))
                agent.stop()  # With its walsender, so that nothing of ours burdens the other.
                theirs.append(one_latency_round(postgres, INSERT_AND_NOTIFY, listen_to_notify, rate, seconds))
                agent.start()
                agent.wait_streaming()
                catch_up(postgres, redis)
                for name, round_ in (("walcast", ours[-1]), ("LISTEN/NOTIFY", theirs[-1])):
                    bench.expect(round_.lost == 0, f"latency: {round_.lost} messages of {name} did not arrive")
                    bench.note(f"latency: {repetition or 'warm-up'}: {name} p50 {percentile(round_.latencies, 50):.2f} ms, "
                               f"p99 {percentile(round_.latencies, 99):.2f} ms at {round_.reached:,.0f} tx/s")
        reached = statistics.median(round_.reached for round_ in ours[1:] + theirs[1:])
        for p in (50, 99):
            pairs = [[percentile(round_.latencies, p) for round_ in pair] for pair in zip(ours[1:], theirs[1:])]
            mine, other = (statistics.median(values) for values in zip(*pairs))
            ratios = [walcast_ms / notify_ms for walcast_ms, notify_ms in pairs]
            bench.line(f"latency p{p} at {reached:,.0f} tx/s", f"{mine:.2f} ms", f"LISTEN/NOTIFY {other:.2f} ms",
                       f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", "≤ 1.00", statistics.median(ratios) <= 1)


def catch_up(postgres, redis):
    client = redis.client()
    [(rows,)] = postgres.execute("select count(*) from todos")
    wait_until(lambda: int(client.hget("walcast:position", "sync_id")) >= rows, 60, "the agent has caught up")


def percentile(values, p):
    return values[min(len(values) - 1, int(len(values) * p / 100))] if values else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small run that checks that everything arrives; targets are not judged")
    parser.add_argument("--rows", type=int, default=500_000, help="of each backlog (default 500000)")
    parser.add_argument("--repetitions", type=int, default=5, help="of each measurement, after a warm-up (default 5)")
    parser.add_argument("--only", action="append", choices=["tens", "singles", "rules", "memory", "streaming", "latency"], help="may be repeated")
    parser.add_argument("--appendonly", action="store_true", help="Redis with its append-only file on")
    bench = Bench(parser.parse_args())
    options = bench.options
    rows, repetitions, memory_rows, seconds = options.rows, options.repetitions, 1_000_000, 10
    if options.quick:
        rows, repetitions, memory_rows, seconds = 20_000, 1, 100_000, 2
    parts = {
        "tens": lambda: measure_drain(bench, "transactions of 10", rows, 10, repetitions),
        "singles": lambda: measure_drain(bench, "single rows", rows, 1, repetitions),
        "rules": lambda: measure_rules(bench, rows, repetitions),
        "memory": lambda: measure_memory(bench, memory_rows),
        "streaming": lambda: measure_streaming(bench, memory_rows // 4, repetitions),
        "latency": lambda: measure_latency(bench, 500, seconds, 1 if options.quick else 3),
    }
    for name, measure in parts.items():
        if name in (options.only or parts):
            measure()
    bench.print()
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
