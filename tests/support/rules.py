"""What channel rules mean, said again in the plainest way, by nobody who has seen the agent's code.

A row is what Postgres itself says of it (`describe`): its columns' texts, its JSON, and for each rule whether
`where` and `delete_when` are true. From this follow which channels hold it, under which id, with what data.
"""

import collections
import copy
import json
import re

from support import history

CHANNELS_MAX = 1024
CHANNEL_BYTES_MAX = 1024

# A row, as seen by the rules: {column: text or None}, {column: element texts}, {column: JSON}, {rule number: is in}
Row = collections.namedtuple("Row", "texts elements json is_in")
Put = collections.namedtuple("Put", "model_id data")


def ident(name):
    return '"' + name.replace('"', '""') + '"'


class Template:
    """Parts: ("text", t), ("column", name), ("json", name, keys)."""

    def __init__(self, *parts):
        self.parts = parts

    def written(self):
        return "".join(self._written(part) for part in self.parts)

    def _written(self, part):
        if part[0] == "text":
            return part[1].replace("{", "{{").replace("}", "}}")
        names = [part[1], *(part[2] if part[0] == "json" else [])]
        return "{" + ".".join(name if re.fullmatch(r"[^.}\"]+", name) else ident(name) for name in names) + "}"

    def fill(self, row):
        """The names that it gives: none where something is missing, several where an array fans out."""
        names = [""]
        for part in self.parts:
            names = [name + value for name in names for value in self._values(part, row)]
        return names

    def _values(self, part, row):
        if part[0] == "text":
            return [part[1]]
        if part[0] == "json":
            found = scalars_at(row.texts[part[1]], part[2])
        elif part[1] in row.elements:
            found = row.elements[part[1]]
        else:
            found = [row.texts[part[1]]]
        return [encode(value) for value in found if value is not None]


def encode(text):
    return "".join(c if re.fullmatch(r"[A-Za-z0-9._~@+\-]", c) or ord(c) >= 0x80 else f"%{ord(c):02X}" for c in text)


def scalars_at(document, keys):
    if document is None:
        return []
    value = json.loads(document, parse_int=history.Number, parse_float=history.Number)  # The last of twice the same key counts.
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return []
        value = value[key]
    return [as_text(item) for item in (value if isinstance(value, list) else [value]) if not isinstance(item, (dict, list))]


def as_text(scalar):
    if scalar is None:
        return None
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    return str(scalar)


class Rule:
    """A rule as a test writes it; `toml` is what the configuration gets."""

    def __init__(self, number, table, model, templates, key, id=(), where=None, delete_when=None, operations=(), columns=(),
                 exclude=(), rename=None, data="full", unroutable=None):
        self.number, self.table, self.model, self.templates = number, table, model, templates
        self.id, self.operations = list(id or key), operations or ("insert", "update", "delete")
        self.where, self.delete_when, self.columns, self.exclude = where, delete_when, columns, exclude
        self.rename, self.data, self.unroutable = rename or {}, data, unroutable or "reset"
        self.toml = {"table": table, "model": model, "channels": [template.written() for template in templates]}
        for name, value in (("id", id), ("where", where), ("delete_when", delete_when), ("operations", operations),
                            ("columns", columns), ("exclude", exclude), ("rename", rename),
                            ("data", data if data != "full" else None), ("unroutable", unroutable)):
            if value:
                self.toml[name] = list(value) if isinstance(value, tuple) else value

    def condition(self):
        """SQL: whether the rule sees a row."""
        return f"(({self.where or 'true'}) is true and ({self.delete_when or 'false'}) is not true)"

    def channels(self, row, prefix=""):
        """{name}; None when there are too many."""
        if row is None or not row.is_in[self.number]:
            return set()
        names = {prefix + name for template in self.templates for name in template.fill(row)}
        names = {name for name in names if len(name.encode()) <= CHANNEL_BYTES_MAX}
        return names if len(names) <= CHANNELS_MAX else None

    def model_id(self, row):
        if len(self.id) == 1:
            return row.texts[self.id[0]]
        texts = ["\\N" if row.texts[name] is None else re.sub(r"([,\\])", r"\\\1", row.texts[name]) for name in self.id]
        return ",".join(texts)

    def is_published(self, column):
        return column not in self.exclude and (not self.columns or column in self.columns)

    def put(self, row):
        data = {self.rename.get(name, name): value for name, value in row.json.items() if self.is_published(name)}
        return Put(self.model_id(row), data)

    def changed(self, old, new):
        """What the columns that changed are called in the data."""
        return {self.rename.get(name, name) for name in new.texts
                if self.is_published(name) and old.texts[name] != new.texts[name]}


def describe(columns, rules):
    """What to select `from ... t` to make rows of: `columns` is {name: type}."""
    texts = [f"case when t.{ident(name)} is not null then format('%s', t.{ident(name)}) end" for name in columns]
    arrays = [name for name, kind in columns.items() if kind.endswith("[]")]
    elements = [f"(select array_agg(format('%s', e)) filter (where e is not null) from unnest(t.{ident(name)}) e)" for name in arrays]
    conditions = [rule.condition() for rule in rules]
    return (f"array[{', '.join(texts)}]::text[], to_json(t)::text, "
            f"array[{', '.join(conditions)}]::bool[], array[{', '.join(f'to_json({e})::text' for e in elements)}]::text[]")


def row_of(columns, rules, texts, document, conditions, elements):
    arrays = [name for name, kind in columns.items() if kind.endswith("[]")]
    is_in = {rule.number: condition for rule, condition in zip(rules, conditions)}
    values = json.loads(document, parse_int=history.Number, parse_float=history.Number)
    texts = dict(zip(columns, texts))
    # Bounds that do not begin at 1 are in no JSON array.
    values = {name: texts[name] if name in arrays and (texts[name] or "").startswith("[") else values[name] for name in columns}
    for name, kind in columns.items():
        if kind == "timestamp with time zone" and values[name]:
            values[name] = values[name].replace("+00:00", "Z")
    return Row(texts, {name: json.loads(text) if text else [] for name, text in zip(arrays, elements)}, values, is_in)


# --- readers ---


class Reader:
    """Applies one channel's actions as docs/protocol.md says. `fetch(sync_id, model, model_id)` is its bootstrap of one row."""

    def __init__(self, fetch):
        self.models = collections.defaultdict(dict)
        self.fetch = fetch
        self.fetched = 0

    def apply(self, item):
        rows = self.models[item["modelName"]]
        model_id = item["modelId"]
        if item["action"] == "delete":
            rows.pop(model_id, None)
            return
        known = rows.get(model_id)
        kind = item.get("dataKind", "full")
        if kind == "full":
            row = dict(item["data"])
            gaps = item.get("unchanged", [])
            if gaps and (known is None or item["action"] == "insert"):
                known = self.fetch(int(item["syncId"]), item["modelName"], model_id)
                self.fetched += 1
            for name in gaps:
                row[name] = known[name]
        elif known is None:
            raise AssertionError(f"a {kind} of a row that the reader does not have: {item}")
        elif kind == "delta":
            row = {**known, **item["data"]}
        else:
            assert kind == "patch", item
            row = apply_patch(known, item["data"])
        rows[model_id] = row


def apply_patch(document, patch):
    """RFC 6902, strictly: what a patch replaces must be there."""
    document = copy.deepcopy(document)
    for step in patch:
        assert set(step) == {"op", "path", "value"}, step
        tokens = [token.replace("~1", "/").replace("~0", "~") for token in step["path"].split("/")[1:]]
        at = document
        for token in tokens[:-1]:
            at = at[int(token)] if isinstance(at, list) else at[token]
        if step["op"] == "replace":
            assert tokens[-1] in at, f"{step}: not there"
        else:
            assert step["op"] == "add", step
        at[tokens[-1]] = step["value"]
    return document

