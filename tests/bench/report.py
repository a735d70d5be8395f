"""What a run found: Markdown tables, and whatever did not arrive as it should."""

import datetime
import os
import pathlib
import re
import statistics
import subprocess
import sys

from tests.support.servers import postgres_bindir, walcast


class Report:
    HEADINGS = ("measure", "walcast", "reference", "ratio", "target", "met")

    def __init__(self, options):
        self.options = options
        self.failures = []
        self._rows = []
        self._series = []  # Title, headings and rows of each.
        self._load_before = os.getloadavg()[0]

    def note(self, text):
        print(text, file=sys.stderr, flush=True)

    def line(self, measure, measured, reference="", ratio="", target="", met=None):
        verdict = {None: "", True: "yes", False: "**no**"}[met]
        if self.options.quick and verdict:
            verdict = "too short"  # Starting the process alone is a microsecond a row then.
        self._rows.append((measure, measured, reference, ratio, target, verdict))

    def series(self, title, headings):
        """A table of its own; returns the list to put its rows in."""
        rows = []
        self._series.append((title, headings, rows))
        return rows

    def expect(self, is_true, what):
        if not is_true:
            self.failures.append(what)

    def text(self):
        parts = [self.machine()]
        if self._rows:
            parts.append(_table(self.HEADINGS, self._rows))
        for title, headings, rows in self._series:
            parts += [title, _table(headings, rows)]
        return "\n\n".join(parts + [f"FAILED: {failure}" for failure in self.failures])

    def write_into(self, path):
        """Between the two lines of a page that say where the tables are."""
        page = path.read_text()
        begin, end = "<!-- tables -->\n", "<!-- end of tables -->\n"
        before, after = page.split(begin)[0], page.split(end)[1]
        path.write_text(f"{before}{begin}\n{datetime.date.today()}: {self.text()}\n\n{end}{after}")

    def machine(self):
        model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
        postgres, redis = (re.search(r"\d+\.[\d.]+", _first_line(command)).group()
                           for command in ([postgres_bindir() / "postgres", "--version"], ["redis-server", "--version"]))
        return (f"{walcast('--version').stdout.strip()}; Postgres {postgres}, Redis {redis}; {os.cpu_count()} cores"
                f"{' of ' + model.group(1) if model else ''}; load average before the run {self._load_before:.1f}")


def _first_line(command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]


def _table(headings, rows):
    rows = [headings] + rows
    widths = [max(len(row[column]) for row in rows) for column in range(len(headings))]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows)


def of_pairs(ours, theirs):
    """The median of the ratios of neighbours in time, which the machine's moods hit alike, and their spread as text."""
    ratios = [our / their for our, their in zip(ours, theirs)]
    return statistics.median(ratios), f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
