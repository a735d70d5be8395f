"""Cost against work: one series for each thing that may grow. What a series should show is a cost that stays the same."""

import collections
import statistics

from tests.bench.backlog import FILL_TODOS, RULES, TODOS, WORKSPACES, stage
from tests.bench.drain import make_other_tables, many_rules, median_rate, per_row
from tests.bench.report import of_pairs

# `rows` is for the full run. `statement` is what Stage.insert wants.
Point = collections.namedtuple("Point", "label rows size table statement rules length others", defaults=(RULES, 1000, 0))

HEADINGS = ("", "rows", "rows/s", "MB/s", "messages/s", "pg_recvlogical rows/s", "ratio", "user µs a row", "user ns a byte",
            "Redis µs a row", "Redis µs a message")


def todos(size):
    return FILL_TODOS.format(size=size, workspaces=WORKSPACES)


def rule(table, channel):
    return [{"table": f"public.{table}", "model": "Shape", "channels": [channel]}]


def of_transactions():
    return [Point(f"{size:,}", 300_000, size, TODOS, todos(size)) for size in (1, 10, 100, 1000, 100_000)]


def of_columns():
    def point(count, rows):
        columns = ", ".join(f"c{number} {'int' if number % 2 else 'text'}" for number in range(2, count))
        values = ", ".join(f"i + {number}" if number % 2 else "'some text'" for number in range(2, count))
        table = f"columns{count}"
        return Point(f"{count:,}", rows, 10, f"create table {table} (id int primary key, channel int, {columns})",
                     f"insert into {table} select i, i / 10 % 100, {values}", rule(table, "columns:{channel}"))
    return [point(5, 300_000), point(50, 60_000), point(500, 6_000)]


def of_width():
    def point(label, width, rows):
        table = f"width{width}"
        return Point(label, rows, 10, f"create table {table} (id int primary key, channel int, body text); "
                                      f"alter table {table} alter body set storage external",
                     f"insert into {table} select i, i / 10 % 100, left(repeat(md5(i::text), {width} / 32 + 1), {width})",
                     rule(table, "width:{channel}"))
    return [point("100 B", 100, 300_000), point("1 kB", 1000, 150_000), point("10 kB", 10_000, 30_000), point("100 kB", 100_000, 3_000)]


def of_channels_a_row():
    def point(count, rows):
        table = f"fan{count}"
        return Point(f"{count:,}", rows, 10, f"create table {table} (id int primary key, members int[])",
                     f"insert into {table} select i, array(select (i + j) % 10000 from generate_series(1, {count}) j)",
                     rule(table, "user:{members}"))
    return [point(1, 200_000), point(10, 50_000), point(100, 5_000), point(1000, 500)]


def of_channels():
    """Each row is a message of its own, but in the one channel, where ten are one."""
    def point(count, rows):
        table = f"channels{count}"
        return Point(f"{count:,}", rows, 10, f"create table {table} (id int primary key, channel int, body text)",
                     f"insert into {table} select i, i % {count}, 'Two litres, the unsweetened one, from the shop at the corner.'",
                     rule(table, "room:{channel}"))
    return [point(1, 300_000), point(100, 300_000), point(10_000, 300_000), point(1_000_000, 1_000_000)]


def of_rules():
    return [Point(f"{count:,}", 300_000, 10, TODOS, todos(10), many_rules(count), 1000, 49) for count in (1, 10, 200)]


def of_history():
    """Two channels in turns, so that even the longest history is full at last."""
    def point(length):
        table = f"history{length}"
        return Point(f"{length:,}", 300_000, 10, f"create table {table} (id int primary key, channel int, body text)",
                     f"insert into {table} select i, i % 2, 'Two litres, the unsweetened one, from the shop at the corner.'",
                     rule(table, "room:{channel}"), length)
    return [point(1), point(100), point(1000), point(100_000)]


SERIES = {"rows a transaction": of_transactions, "columns": of_columns, "row width": of_width, "channels a row": of_channels_a_row,
          "channels overall": of_channels, "rules": of_rules, "history length": of_history}


def measure_shape(report, scale, repetitions, only):
    for name, points in SERIES.items():
        if not only or any(name.startswith(beginning) for beginning in only):
            _measure_series(report, name, points(), scale, repetitions)


def _measure_series(report, name, points, scale, repetitions):
    rows = report.series(f"Cost against {name}", (name,) + HEADINGS[1:])
    schema = ";\n".join(dict.fromkeys(point.table.rstrip().rstrip(";") for point in points))
    all_rules = list({one["table"]: one for point in points for one in point.rules if "other" not in one["table"]}.values())
    with stage(report, schema, all_rules) as here:
        make_other_tables(here, max(point.others for point in points))
        for point in points:
            rows.append(_measure_point(here, name, point, max(int(point.rows * scale), 1), repetitions))


def _measure_point(here, name, point, rows, repetitions):
    report = here.report
    path = here.configure("point", point.rules, point.length)
    report.note(f"{name}, {point.label}: making the backlog")
    backlog = here.backlog(rows, point.size, point.statement)
    stream_bytes = backlog.stream_bytes()
    ours, theirs, messages = [], [], 0
    for repetition in range(repetitions + 1):
        theirs.append(backlog.by_pg_recvlogical())
        here.client.config_resetstat()
        ours.append(backlog.by_walcast(path))
        messages = here.client.info("commandstats")["cmdstat_xadd"]["calls"]
        report.note(f"{name}, {point.label}: {repetition or 'warm-up'}: walcast {rows / ours[-1].seconds:,.0f} rows/s, "
                    f"pg_recvlogical {rows / theirs[-1].seconds:,.0f} rows/s")
    reached = int(here.client.hget("walcast:position", "sync_id"))
    report.expect(reached == rows, f"{name}, {point.label}: position is {reached}, not {rows}")
    ours, theirs = ours[1:], theirs[1:]
    user, redis = per_row(ours, rows).user, statistics.median(sum(drain.redis) for drain in ours) / rows * 1e6
    rate = median_rate(ours, rows)
    _, spread = of_pairs([their.seconds for their in theirs], [our.seconds for our in ours])
    return (point.label, f"{rows:,}", f"{rate:,.0f}", f"{rate * stream_bytes / rows / 1e6:,.1f}", f"{rate * messages / rows:,.0f}",
            f"{median_rate(theirs, rows):,.0f}", spread, f"{user:,.2f}", f"{user * 1000 * rows / stream_bytes:,.2f}",
            f"{redis:,.2f}", f"{redis * rows / messages:,.2f}")
