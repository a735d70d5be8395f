"""Backlogs drained: rates, CPU and memory."""

import statistics
import time

from tests.bench.backlog import (FILL_TODOS, KEEPS_ALL, RULES, WORKSPACES, Usage, check_arrived, drain_by_walcast, has_peer, stage)
from tests.bench.report import of_pairs
from tests.support.servers import Agent, wait_until


def measure_drain(report, name, rows, size, repetitions):
    with stage(report) as here:
        path, whole = here.configure("walcast"), here.configure("whole", length=KEEPS_ALL)
        report.note(f"{name}: making the backlog")
        backlog = here.backlog(rows, size, FILL_TODOS.format(size=size, workspaces=WORKSPACES))
        ours, theirs = [], []
        peers = [Peer("Node", min(rows, 200_000), False), Peer("Node with flow control", min(rows, 50_000), True)] if has_peer() else []
        for repetition in range(repetitions + 1):
            is_warm_up = repetition == 0
            theirs.append(backlog.by_pg_recvlogical())
            ours.append(backlog.by_walcast(whole if is_warm_up else path))
            if is_warm_up:
                check_arrived(report, name, here.client, rows)
            text = (f"{name}: {repetition or 'warm-up'}: walcast {rows / ours[-1].seconds:,.0f} rows/s, "
                    f"pg_recvlogical {rows / theirs[-1].seconds:,.0f} rows/s")
            for peer in peers:
                peer.drains.append(backlog.by_peer(peer.rows, KEEPS_ALL if is_warm_up else 1000, peer.has_flow_control))
                text += f", {peer.name} {peer.rows / peer.drains[-1].seconds:,.0f} rows/s"
                if is_warm_up:
                    check_arrived(report, f"{name}, {peer.name}", here.client, peer.rows, prefix="peer:")
            report.note(text)
        _report_drain(report, name, rows, ours[1:], theirs[1:])
        for peer in peers:
            _report_peer(report, name, rows, ours[1:], peer)
        if not peers:
            report.note("no Node 20, or no build/peer: its program is left out (tests/bench/run.sh installs what it needs)")


class Peer:
    """The Node program, with or without bounds to its memory; it is slow, so it reads the first rows only."""

    def __init__(self, name, rows, has_flow_control):
        self.name = name
        self.rows = rows
        self.has_flow_control = has_flow_control
        self.drains = []


def mebibytes(count):
    return f"{count / 2**20:,.1f} MiB"


def per_row(drains, rows, part="usage"):
    """The median CPU time of a row, in µs."""
    return Usage(*(statistics.median(getattr(getattr(drain, part), kind) for drain in drains) / rows * 1e6 for kind in Usage._fields))


def median_rate(drains, rows):
    return statistics.median(rows / drain.seconds for drain in drains)


def _report_drain(report, name, rows, ours, theirs):
    ratio, spread = of_pairs([their.seconds for their in theirs], [our.seconds for our in ours])
    report.line(f"drain, {name}: rows/s", f"{median_rate(ours, rows):,.0f}", f"pg_recvlogical {median_rate(theirs, rows):,.0f}",
                spread, "≥ 0.95", ratio >= 0.95)
    mine, other, redis = per_row(ours, rows), per_row(theirs, rows), per_row(ours, rows, "redis")
    report.line(f"CPU, {name}: µs a row", f"{mine.user:.2f} user, {mine.system:.2f} sys",
                f"pg_recvlogical {other.user:.2f} user, {other.system:.2f} sys", target="≤ 1.00 user", met=mine.user <= 1)
    report.line(f"CPU of Redis, {name}: µs a row", f"{redis.user:.2f} user, {redis.system:.2f} sys")


def _report_peer(report, name, rows, ours, peer):
    drains = peer.drains[1:]
    ratio, spread = of_pairs([rows / our.seconds for our in ours], [peer.rows / drain.seconds for drain in drains])
    report.line(f"drain, {name}: rows/s", f"{median_rate(ours, rows):,.0f}", f"{peer.name} {median_rate(drains, peer.rows):,.0f}",
                spread, "≥ 8", ratio >= 8)
    mine, other = sum(per_row(ours, rows)), sum(per_row(drains, peer.rows))
    report.line(f"CPU, {name}: µs a row", f"{mine:.2f}", f"{peer.name} {other:.2f}", f"{other / mine:.1f} times")
    report.line(f"memory, {name}", mebibytes(max(drain.memory for drain in ours)),
                f"{peer.name} {mebibytes(max(drain.memory for drain in drains))}")


# ---- rules

def many_rules(count):
    """Rules over tables of four each, four of them for the one that is drained: one takes its rows, three look at each."""
    rules = list(RULES)
    for number in range(min(3, count - 1)):
        rules.append({"table": "public.todos", "model": f"Todo{number}", "channels": ["hidden:{workspace_id}"],
                      "where": f"workspace_id = {-1 - number} and title like 'nobody%'"})
    for number in range(count - len(rules)):
        rules.append({"table": f"public.other{number // 4 + 1}", "model": f"Other{number // 4 + 1}",
                      "channels": [f"other{number % 4}:{{id}}"], "where": f"kind = {number % 4}"})
    return rules


def make_other_tables(here, count):
    for table in range(1, count + 1):
        here.postgres.execute(f"create table other{table} (id bigint primary key, kind int not null)")
        here.postgres.execute(f"alter publication walcast add table other{table}")


def measure_rules(report, rows, repetitions):
    """The same backlog drained with one rule and with two hundred, in turns."""
    with stage(report) as here:
        make_other_tables(here, 49)
        one, many = here.configure("walcast"), here.configure("many", many_rules(200))
        report.note("rules: making the backlog")
        backlog = here.backlog(rows, 10, FILL_TODOS.format(size=10, workspaces=WORKSPACES))
        drains = {one: [], many: []}
        for repetition in range(repetitions + 1):
            for path, found in list(drains.items())[:: 1 if repetition % 2 else -1]:
                found.append(backlog.by_walcast(path))
            report.note(f"rules: {repetition or 'warm-up'}: one {rows / drains[one][-1].seconds:,.0f} rows/s, "
                        f"200 {rows / drains[many][-1].seconds:,.0f} rows/s")
        ours, theirs = drains[many][1:], drains[one][1:]
        ratio, spread = of_pairs([drain.seconds for drain in theirs], [drain.seconds for drain in ours])
        report.line("drain with 200 rules over 50 tables: rows/s", f"{median_rate(ours, rows):,.0f}",
                    f"one rule {median_rate(theirs, rows):,.0f}", spread, "≥ 0.95", ratio >= 0.95)
        report.line("CPU, the same: µs a row", f"{per_row(ours, rows).user:.2f} user", f"one rule {per_row(theirs, rows).user:.2f} user")


# ---- large transactions

LARGE = ("insert into todos (workspace_id, title, body) select i %% %s, 'Buy oat milk ' || i, repeat('x', 60) "
         "from generate_series(1, %s) i")


def measure_memory(report, rows):
    """One transaction, rows over all channels in turn: the hardest way to cut it into messages."""
    with stage(report) as here:
        before = int(here.client.hget("walcast:position", "sync_id"))
        report.note(f"memory: a transaction of {rows:,} rows")
        here.postgres.execute(LARGE, [WORKSPACES, rows])
        drain = drain_by_walcast(here, here.configure("whole", length=KEEPS_ALL), before + rows)
        reached = int(here.client.hget("walcast:position", "sync_id"))
        report.expect(reached == before + rows, f"memory: position is {reached}, not {before + rows}")
        check_arrived(report, "memory", here.client, rows)
        report.line(f"memory, one transaction of {rows:,} rows", mebibytes(drain.memory), target="≤ 64 MiB",
                    met=drain.memory <= 64 * 2**20)
        report.line("the same: rows/s", f"{rows / drain.seconds:,.0f}")


def measure_streaming(report, rows, repetitions):
    """In turns, an agent that takes transactions whole and one that takes them in progress."""
    with stage(report) as here:
        paths = {"whole": here.configure("large"), "streaming": here.configure("streaming", streaming=True)}
        waits, drains, memory = {"whole": [], "streaming": []}, {"whole": [], "streaming": []}, {}
        last_id = int(here.client.hget("walcast:position", "sync_id"))

        def position():
            return int(here.client.hget("walcast:position", "sync_id"))
        for _ in range(repetitions + 1):
            for mode, path in paths.items():
                with Agent(path) as agent:
                    agent.wait_streaming()
                    connection = here.postgres.connect(autocommit=False)
                    connection.cursor().execute(LARGE, [WORKSPACES, rows])
                    connection.commit()
                    begin = time.monotonic()
                    last_id += rows
                    wait_until(lambda: position() >= last_id, 300, "the last message", every=0.002)
                    waits[mode].append(time.monotonic() - begin)
                    memory[mode] = max(memory.get(mode, 0), agent.rss_max())
                    connection.close()
                    agent.stop()
        backlog = here.backlog(5 * rows, rows, FILL_TODOS.format(size=rows, workspaces=WORKSPACES))
        for _ in range(repetitions + 1):
            for mode, path in paths.items():
                drains[mode].append(5 * rows / backlog.by_walcast(path).seconds)
        report.expect(position() == backlog.last_id, "streaming: ids do not match")

        def compare(measured, what, form):
            ours, theirs = measured["streaming"][1:], measured["whole"][1:]  # The first is the warm-up.
            report.line(what, form(statistics.median(ours)), f"whole {form(statistics.median(theirs))}", of_pairs(ours, theirs)[1])
        compare(waits, f"streaming, {rows:,} rows: COMMIT to last message", lambda seconds: f"{seconds * 1000:,.0f} ms")
        compare(drains, f"streaming, 5 x {rows:,} rows: drain, rows/s", lambda rate: f"{rate:,.0f}")
        report.line("streaming: memory", mebibytes(memory["streaming"]), f"whole {mebibytes(memory['whole'])}",
                    target="≤ 64 MiB", met=memory["streaming"] <= 64 * 2**20)
