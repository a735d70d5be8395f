"""What must be in Redis, computed from the database's own record.

The record is a second logical slot that test_decoding decodes: another plugin, another text, and none of walcast's
code. The oracle parses it, numbers its changes as design.md section 3 says, and applies the rules of a test.
"""

import collections
import json
import re

from support.history import Action, action, lsn_number

Change = collections.namedtuple("Change", "kind tables old new")  # old, new: {column: value} or None
Message = collections.namedtuple("Message", "transactional prefix content")

UNCHANGED = object()

_TABLE = re.compile(r"table (.*?): (INSERT|UPDATE|DELETE|TRUNCATE): ", re.DOTALL)
_COLUMN = re.compile(
    r"""\s*(?:"((?:[^"]|"")*)"|([^\s\["]+))     # name
        \[((?:[^\[\]]|\[\])*)\]:                # type
        (?:'((?:[^']|'')*)'|(\S+))              # value, quoted or bare
    """, re.VERBOSE | re.DOTALL)
_MESSAGE = re.compile(r"message: transactional: (\d) prefix: (.*?), sz: (\d+) content:(.*)", re.DOTALL)
_INTEGERS = {"smallint", "integer", "bigint"}


def _columns(text):
    row, at = {}, 0
    while at < len(text):
        match = _COLUMN.match(text, at)
        assert match, f"cannot read {text[at:at + 80]!r}"
        quoted_name, name, type_name, quoted, bare = match.groups()
        row[quoted_name.replace('""', '"') if quoted_name else name] = _value(type_name, quoted, bare)
        at = match.end()
    return row


def _value(type_name, quoted, bare):
    if quoted is not None:
        return quoted.replace("''", "'")
    if bare == "null":
        return None
    if bare == "unchanged-toast-datum":
        return UNCHANGED
    if bare in ("true", "false") and type_name == "boolean":
        return bare == "true"
    assert type_name in _INTEGERS, f"the oracle has no values of type {type_name}"
    value = int(bare)
    return value if abs(value) <= 2**53 else bare


def parse_line(text):
    """A Change or Message of test_decoding's line; None for BEGIN and COMMIT."""
    if text.startswith("message:"):
        transactional, prefix, _, content = _MESSAGE.match(text).groups()
        return Message(transactional == "1", prefix, content)
    match = _TABLE.match(text)
    if not match:
        assert text.startswith(("BEGIN", "COMMIT")), text[:100]
        return None
    tables, kind = match.group(1).split(", "), match.group(2).lower()
    rest = text[match.end():]
    if kind == "truncate":
        return Change(kind, tables, None, None)
    if kind == "delete":
        return Change(kind, tables, None if rest == "(no-tuple-data)" else _columns(rest), None)
    old = None
    if rest.startswith("old-key: "):
        # A text may hold this very phrase; quotes are whole only at the true one.
        old, rest = _split_old(rest[len("old-key: "):])
    return Change(kind, tables, old, _columns(rest))


def _split_old(text):
    at, row_end = 0, None
    while True:
        if text.startswith(" new-tuple: ", at):
            row_end = at
            break
        at = _COLUMN.match(text, at).end()
    return _columns(text[:row_end]), text[row_end + len(" new-tuple: "):]


class Table:
    """How a test's table is published: its key columns, whether the old row is whole, and its rules."""

    def __init__(self, name, key=("id",), full=False, rules=()):
        self.name, self.key, self.full, self.rules = name, key, full, rules  # rules: [(model, [channel template])]

    def channels(self, templates, row):
        """The channels a row belongs to, without those whose template reads a null."""
        filled = []
        for template in templates:
            values = {name: self._value(row, name) for name in re.findall(r"\{(\w+)\}", template)}
            if None not in values.values():
                channel = re.sub(r"\{(\w+)\}", lambda match: _text(values[match.group(1)]), template)
                if channel not in filled:
                    filled.append(channel)
        return filled

    def _value(self, row, name):
        if name not in row:
            # test_decoding leaves nulls out of old rows; under key identity the rest is not known at all.
            assert self.full, f"{self.name}: {name} is not in {sorted(row)}; the oracle routes no such change"
        return row.get(name)

    def model_id(self, row):
        assert len(self.key) == 1, "the oracle does not join keys"
        return _text(row[self.key[0]])


def _text(value):
    return ("t" if value else "f") if isinstance(value, bool) else str(value)


class Oracle:
    """Feed it the record in order; `expected` then has each channel's actions, `resets` the truncated models."""

    def __init__(self, tables):
        self.tables = {table.name: table for table in tables}
        self.expected = collections.defaultdict(list)
        self.resets = []  # (sync id, model)
        self.last_id = 0
        self.transactions = {}  # xid: (first id, last id, end LSN), of those that took ids
        self.changes = 0

    def _next(self):
        self.last_id += 1
        return self.last_id

    def feed(self, record):
        """`record`: rows (lsn, xid, data) as pg_logical_slot_get_changes gives them."""
        first = None
        for lsn, xid, data in record:
            if data.startswith("BEGIN"):
                first = self.last_id + 1
            elif data.startswith("COMMIT"):
                if self.last_id >= first:
                    self.transactions[int(xid)] = (first, self.last_id, lsn_number(lsn))
            else:
                self._apply(parse_line(data))
        return self

    def _apply(self, item):
        if isinstance(item, Message):
            if item.prefix == "walcast:event":
                self._event(self._next(), item.content)
            return
        tables = [self.tables[name] for name in item.tables if name in self.tables]
        if item.kind == "truncate":
            for table in tables:
                sync_id = self._next()
                self.resets += [(sync_id, model) for model, _ in table.rules]
        elif tables:
            self.changes += 1
            getattr(self, "_" + item.kind)(tables[0], item)

    def _event(self, sync_id, content):
        try:
            event = json.loads(content)
            self.expected[event["channel"]].append(action(sync_id, "event", None, None, event.get("name")))
        except (ValueError, KeyError, TypeError):
            pass  # It goes to the dead letters.

    def _insert(self, table, change):
        sync_id = self._next()
        for model, templates in table.rules:
            self._send(table.channels(templates, change.new), sync_id, "insert", model, table.model_id(change.new), change.new)

    def _delete(self, table, change):
        sync_id = self._next()
        old = change.old
        assert old, f"{table.name} has no identity"
        for model, templates in table.rules:
            self._send(table.channels(templates, old), sync_id, "delete", model, table.model_id(old))

    def _update(self, table, change):
        delete_id, sync_id = self._next(), self._next()
        # What the new row does not carry is in the old one, where that is whole.
        given = change.old or {}
        new = {name: given.get(name, UNCHANGED) if value is UNCHANGED else value for name, value in change.new.items()}
        old = change.old or new
        old_id, new_id = table.model_id(old), table.model_id(new)
        for model, templates in table.rules:
            was, is_now = table.channels(templates, old), table.channels(templates, new)
            left = was if old_id != new_id else [channel for channel in was if channel not in is_now]
            self._send(left, delete_id, "delete", model, old_id)
            for channel in is_now:
                kind = "update" if channel in was and old_id == new_id else "insert"
                self._send([channel], sync_id, kind, model, new_id, new)

    def _send(self, channels, sync_id, kind, model, model_id, row=None):
        data, unchanged = None, ()
        if row is not None:
            data = {name: value for name, value in row.items() if value is not UNCHANGED}
            unchanged = tuple(name for name, value in row.items() if value is UNCHANGED)
        for channel in channels:
            self.expected[channel].append(Action(sync_id, kind, model, model_id, data, unchanged))
