#!/usr/bin/python3
"""Records what a real PostgreSQL sends for the changes of golden cases.

    tests/golden/record.py [CASE]...        # all cases, unless some are named

For each case it starts a fresh server, makes the publication and a slot, runs changes.sql, and writes pgoutput.hex: one
message a line. A line `-- session NAME` in changes.sql hands what follows to that connection, so that transactions can
interleave; a statement ends at a line that ends with a semicolon.

Then `WALCAST_ACCEPT=1 golden_test` writes messages.jsonl anew. LSNs, xids, OIDs and times change with each recording; all
else in the diff is a change of behaviour and wants a reader.
"""

import pathlib
import sys

GOLDEN = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(GOLDEN.parents[1]))

from tests.support.servers import Postgres  # noqa: E402

# As agent/pg_connection pins them: they decide how values are printed.
PINNED = {"datestyle": "ISO", "timezone": "UTC", "intervalstyle": "postgres", "extra_float_digits": "3",
          "bytea_output": "hex", "xmlbinary": "base64"}
OPTIONS = "'proto_version', '1', 'publication_names', 'walcast', 'messages', 'true'"


def statements(text):
    """Pairs of session and statement, in order."""
    session, lines = "main", []
    for line in text.splitlines():
        if line.startswith("-- session "):
            session = line.removeprefix("-- session ").strip()
        elif not line.startswith("--"):
            lines.append(line)
            if line.rstrip().endswith(";"):
                yield session, "\n".join(lines).strip()
                lines = []
    assert not "".join(lines).strip(), f"a statement without its end: {lines}"


def record(case):
    with Postgres(settings={"autovacuum": "off"}) as postgres:
        postgres.execute("CREATE PUBLICATION walcast FOR ALL TABLES")
        postgres.execute("SELECT pg_create_logical_replication_slot('golden', 'pgoutput')")
        sessions = {}
        for name, statement in statements((case / "changes.sql").read_text()):
            if name not in sessions:
                sessions[name] = postgres.connect()
            sessions[name].cursor().execute(statement)
        reader = postgres.connect().cursor()
        for name, value in PINNED.items():
            reader.execute(f"SET {name} = {value}")
        reader.execute(f"SELECT data FROM pg_logical_slot_peek_binary_changes('golden', NULL, NULL, {OPTIONS})")
        messages = [bytes(data).hex() for (data,) in reader.fetchall()]
    (case / "pgoutput.hex").write_text("".join(message + "\n" for message in messages))
    print(f"{case.name}: {len(messages)} messages")


def main():
    cases = [GOLDEN / name for name in sys.argv[1:]] or sorted(path.parent for path in GOLDEN.glob("*/changes.sql"))
    for case in cases:
        record(case)


if __name__ == "__main__":
    main()
