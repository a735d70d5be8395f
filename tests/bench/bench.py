"""Measures walcast on this machine, in one run, beside what Postgres itself can do, and prints Markdown tables.

- Drain: a backlog is made while nobody reads. Then, in turns, walcast (history and pub/sub on), pg_recvlogical (same plugin
  options, output thrown away) and a Node program (peer/) read it from copies of one slot. Times run from the start of the
  process to the last row: for walcast when Redis' position covers it, for pg_recvlogical when it ends at that LSN, for
  Node when Redis has answered. Nobody subscribes meanwhile. With two cores pg_recvlogical has one beside Postgres'
  walsender; walcast and Redis, or Node and Redis, share it.
  Histories keep about 1000 messages of each channel, but for the warm-up, where they keep all and every row is looked for.
- CPU: of the whole process, as the kernel accounts it at its end (start-up included).
- Memory: VmHWM while one transaction of a million rows passes.
- In-progress streaming ([source] streaming), beside the same agent with whole transactions: the time from COMMIT's return to
  the last message of a large transaction, with the agent at work meanwhile, and the drain of a backlog of such transactions.
- Latency: from just before COMMIT is sent to the moment a subscriber holds the message, at 500 transactions/s over four
  connections; walcast, LISTEN/NOTIFY and the floor in turns, never at the same time. Postgres has fsync and synchronous_commit
  on. The floor (latency_floor.cpp) is the least that any program between a slot and Redis can do: a bare PUBLISH of each row.
- Shape: cost against work. One series for each thing that may grow, drained like the others.

Ends with 1 if anything that was committed did not arrive exactly once; a missed target is shown, not an error.
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.bench.drain import measure_drain, measure_memory, measure_rules, measure_streaming  # noqa: E402
from tests.bench.latency import measure_latency  # noqa: E402
from tests.bench.report import Report  # noqa: E402
from tests.bench.shape import measure_shape  # noqa: E402

PARTS = ("tens", "singles", "rules", "memory", "streaming", "latency", "unix", "shape")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small run that checks that everything arrives; targets are not judged")
    parser.add_argument("--rows", type=int, default=500_000, help="of each backlog (default 500000)")
    parser.add_argument("--repetitions", type=int, default=5, help="of each measurement, after a warm-up (default 5)")
    parser.add_argument("--only", action="append", choices=PARTS, help="may be repeated; unix: latency by Unix sockets")
    parser.add_argument("--series", action="append", help="of shape, by the beginning of its name; may be repeated")
    parser.add_argument("--appendonly", action="store_true", help="Redis with its append-only file on")
    parser.add_argument("--into", type=pathlib.Path, metavar="PAGE", help="write the tables into this page, too: docs/benchmarks.md")
    report = Report(parser.parse_args())
    options = report.options
    rows, repetitions, memory_rows, seconds, rounds = options.rows, options.repetitions, 1_000_000, 10, 3
    shape_scale, shape_repetitions = options.rows / 500_000, min(3, options.repetitions)
    if options.quick:
        rows, repetitions, memory_rows, seconds, rounds = 20_000, 1, 100_000, 2, 1
        shape_scale, shape_repetitions = 0.01, 1
    parts = {
        "tens": lambda: measure_drain(report, "transactions of 10", rows, 10, repetitions),
        "singles": lambda: measure_drain(report, "single rows", rows, 1, repetitions),
        "rules": lambda: measure_rules(report, rows, repetitions),
        "memory": lambda: measure_memory(report, memory_rows),
        "streaming": lambda: measure_streaming(report, memory_rows // 4, repetitions),
        "latency": lambda: measure_latency(report, 500, seconds, rounds),
        "unix": lambda: measure_latency(report, 500, seconds, rounds, is_unix=True),
        "shape": lambda: measure_shape(report, shape_scale, shape_repetitions, options.series),
    }
    for name in PARTS:
        if name in (options.only or PARTS):
            parts[name]()
    print(f"\n{report.text()}\n")
    if options.into:
        report.write_into(options.into)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
