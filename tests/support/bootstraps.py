"""Asks for bootstraps over HTTP, and keeps rows as a strict reader would: one that bears no doubled and no missing change."""

import contextlib
import http.client
import json
import urllib.parse

from support import history


def port_of(agent):
    return int(agent.wait_log(r"http listening on=[0-9.]+:(\d+)").group(1))


def ask(port, path, query=(), headers=None, method="GET", body=None, timeout=60):
    """Status and bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection):
        target = path + ("?" + urllib.parse.urlencode(list(query)) if query else "")
        connection.request(method, target, headers=headers or {}, body=body)
        response = connection.getresponse()
        return response.status, response.read()


def position_of(port, snapshot, **parameters):
    """Status and what the JSON says."""
    status, text = ask(port, "/position-of", [("snapshot", snapshot)], **parameters)
    return status, json.loads(text)


class Position:
    """Which ids something has seen."""

    def __init__(self, said):
        self.epoch, self.last, self.visible = said["epoch"], said["lastSyncId"], said["visible"]
        known = self.last
        for first, last in self.visible:
            assert known < first <= last, said
            known = last

    def has_seen(self, sync_id):
        return sync_id <= self.last or any(first <= sync_id <= last for first, last in self.visible)


class Bootstrap:
    """A whole one, of its lines."""

    def __init__(self, text):
        assert text.endswith(b"\n"), f"cut short: {text[-200:]}"
        self.lines = text.splitlines()
        parsed = [history.parse(line) for line in self.lines]
        self.head, self.end = parsed[0], parsed[-1]
        assert self.head["type"] == "bootstrap" and self.end["type"] == "end", (self.head, self.end)
        self.position = Position(self.head)
        self.marks = [item for item in parsed if item.get("type") == "mark"]
        self.rows = [item for item in parsed if "type" not in item]
        self.row_lines = [line for line, item in zip(self.lines, parsed) if "type" not in item]
        assert self.end["rows"] == len(self.rows)

    def by_id(self):
        rows = {(row["modelName"], row["modelId"]): row["data"] for row in self.rows}
        assert len(rows) == len(self.rows), "a row came twice"
        return rows


def bootstrap(port, channels=(), models=(), after=None, **parameters):
    query = [("channel", name) for name in channels] + [("model", name) for name in models] + ([("after", after)] if after else [])
    status, text = ask(port, "/bootstrap", query, **parameters)
    assert status == 200, (status, text[:500])
    return Bootstrap(text)


def lines_of(text):
    """Of a bootstrap that was cut: the whole lines."""
    return [history.parse(line) for line in text[:text.rfind(b"\n") + 1].splitlines()]


def apply_strictly(rows, actions, has_seen, may_delete_twice=False):
    """Applies what `rows`, {(model, id): data}, have not seen; `has_seen(action)` tells. Rows with a `version` count their updates: what
    comes twice, or too early, or not at all, is told."""
    for item in actions:
        key = (item.model, item.model_id)
        if item.action == "event" or has_seen(item):
            continue
        where = f"{item.sync_id} {item.action} {key}"
        if item.action == "delete" and may_delete_twice:
            rows.pop(key, None)
            continue
        if item.action == "insert":
            assert key not in rows, f"{where}: it is there already"
        else:
            assert key in rows, f"{where}: it is not there"
        if item.action == "delete":
            del rows[key]
            continue
        if item.action == "update" and "version" in item.data:
            assert item.data["version"] == rows[key]["version"] + 1, f"{where}: version {item.data['version']} after {rows[key]['version']}"
        rows[key] = item.data
    return rows
