#!/usr/bin/python3
"""Records what a real PostgreSQL sends for the changes of golden cases.

    tests/golden/record.py [CASE]...        # all cases, unless some are named

For each case it starts a fresh server, makes the publication and the slots, runs changes.sql, and writes what each output
plugin tells of the same transactions:

    pgoutput.hex      one message a line
    wal2json.jsonl    format version 2: LSN of the frame, a tab, the frame
    wal2json1.jsonl   format version 1 in chunks: the same
    tables.txt        what the catalog says afterwards (decoders/event.hpp: TableDescription), fields parted by tabs:
                          table SCHEMA NAME OID ROOT_SCHEMA ROOT_NAME REPLICA_IDENTITY
                          column NAME TYPE_OID TYPE_MODIFIER FLAGS     of the table above; k key, l large, g generated
                          key COLUMN                                   of its primary key, in the key's order

A line `-- session NAME` in changes.sql hands what follows to that connection, so that transactions can interleave; a
statement ends at a line that ends with a semicolon. The server must have wal2json (package postgresql-15-wal2json).

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
PGOUTPUT = {"proto_version": "1", "publication_names": "walcast", "messages": "true"}
# As agent/replication_stream asks for them.
WAL2JSON = {"format-version": "2", "include-lsn": "true", "include-xids": "true", "include-timestamp": "true",
            "include-types": "false", "include-type-oids": "true"}
WAL2JSON_1 = {**WAL2JSON, "format-version": "1", "write-in-chunks": "true"}

# The identity is the partition's own, since its rows are logged; all else is the root's.
TABLES = """
SELECT n.nspname, t.relname, r.oid, rn.nspname, r.relname, t.relreplident, a.attname, a.atttypid, a.atttypmod,
    t.relreplident = 'f' OR coalesce(own.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]), false) AS is_key,
    y.typlen = -1 AND y.typstorage <> 'p' AS is_large, a.attgenerated = 'v' AS is_generated,
    array_position((p.indkey::int2[])[0:p.indnkeyatts - 1], a.attnum) AS place_in_key
FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_class r ON r.oid = coalesce(pg_partition_root(t.oid), t.oid)
JOIN pg_namespace rn ON rn.oid = r.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attribute own ON own.attrelid = t.oid AND own.attname = a.attname AND own.attnum > 0
LEFT JOIN pg_type y ON y.oid = a.atttypid
LEFT JOIN pg_index i ON i.indrelid = t.oid AND i.indisvalid AND i.indimmediate
    AND CASE t.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
LEFT JOIN pg_index p ON p.indrelid = r.oid AND p.indisprimary
WHERE t.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY n.nspname, t.relname, a.attnum
"""


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


def peek(cursor, slot, options):
    arguments = ", ".join(f"'{word}'" for option in options.items() for word in option)
    cursor.execute(f"SELECT lsn, data FROM pg_logical_slot_peek_binary_changes('{slot}', NULL, NULL, {arguments})")
    return [(lsn, bytes(data)) for lsn, data in cursor.fetchall()]


def describe_tables(cursor):
    cursor.execute(TABLES)
    tables = {}
    for *table, name, type_oid, type_modifier, is_key, is_large, is_generated, place in cursor.fetchall():
        columns, keys = tables.setdefault(tuple(table), ([], []))
        if name is None:
            continue
        flags = "k" * is_key + "l" * is_large + "g" * is_generated
        columns.append(("column", name, type_oid, type_modifier, flags))
        if place is not None:
            keys.append((place, ("key", name)))
    for table, (columns, keys) in tables.items():
        for fields in [("table", *table), *columns, *(key for _, key in sorted(keys))]:
            yield "\t".join(map(str, fields))


def record(case):
    settings = {"autovacuum": "off", "output_plugin_libraries": "pgoutput, wal2json"}
    with Postgres(settings=settings) as postgres:
        postgres.execute("CREATE PUBLICATION walcast FOR ALL TABLES")
        for slot, plugin in ("golden", "pgoutput"), ("golden2", "wal2json"), ("golden1", "wal2json"):
            postgres.execute(f"SELECT pg_create_logical_replication_slot('{slot}', '{plugin}')")
        sessions = {}
        for name, statement in statements((case / "changes.sql").read_text()):
            if name not in sessions:
                sessions[name] = postgres.connect()
            sessions[name].cursor().execute(statement)
        reader = postgres.connect().cursor()
        for name, value in PINNED.items():
            reader.execute(f"SET {name} = {value}")
        messages = [data.hex() for _, data in peek(reader, "golden", PGOUTPUT)]
        files = {"pgoutput.hex": messages, "tables.txt": list(describe_tables(reader))}
        for name, slot, options in ("wal2json", "golden2", WAL2JSON), ("wal2json1", "golden1", WAL2JSON_1):
            frames = [f"{lsn}\t{data.decode()}" for lsn, data in peek(reader, slot, options)]
            assert not any("\n" in frame for frame in frames)
            files[f"{name}.jsonl"] = frames
    for name, lines in files.items():
        (case / name).write_text("".join(line + "\n" for line in lines))
    print(f"{case.name}: {len(messages)} messages")


def main():
    cases = [GOLDEN / name for name in sys.argv[1:]] or sorted(path.parent for path in GOLDEN.glob("*/changes.sql"))
    for case in cases:
        record(case)


if __name__ == "__main__":
    main()
