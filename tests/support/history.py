"""Reads what Redis holds and judges it: the rules that every history keeps, and the actions that one must contain."""

import collections
import json
import re

LSN = re.compile(r"^[0-9A-F]+/[0-9A-F]+$")
COMMIT_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")
ACTION_KEYS = {"syncId", "action", "modelName", "modelId", "dataKind", "data", "unchanged", "omitted", "metadata"}

Entry = collections.namedtuple("Entry", "id message")  # As Redis has them: two byte strings.


class Action(collections.namedtuple("Action", "sync_id action model model_id data unchanged")):
    __slots__ = ()

    @classmethod
    def of(cls, json_action):
        return cls(json_action["syncId"], json_action["action"], json_action["modelName"], json_action["modelId"],
                   json_action.get("data"), tuple(json_action.get("unchanged", ())))


def action(sync_id, kind, model, model_id, data=None, unchanged=()):
    return Action(sync_id, kind, model, model_id, data, tuple(unchanged))


class Number(str):
    """A JSON number as it was written, so that 1 and 1.0 differ, and neither equals a string."""

    def __eq__(self, other):
        return type(other) is Number and str.__eq__(self, other)

    def __ne__(self, other):
        return not self == other

    __hash__ = str.__hash__


def _object(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"a key occurs twice: {names}")
    return dict(pairs)


def parse(message):
    return json.loads(message, object_pairs_hook=_object)


def parse_exactly(message):
    """As parse, with numbers kept as they were written."""
    return json.loads(message, object_pairs_hook=_object, parse_int=Number, parse_float=Number)


def lsn_number(text):
    high, low = (text.decode() if isinstance(text, bytes) else text).split("/")
    return int(high, 16) << 32 | int(low, 16)


def position(client, prefix="walcast:"):
    """The position's fields as text; empty when there is none."""
    return {name.decode(): value.decode() for name, value in client.hgetall(prefix + "position").items()}


def position_lsn(client, prefix="walcast:"):
    return lsn_number(position(client, prefix).get("lsn", "0/0"))


def read_stream(client, key, after="-"):
    entries = []
    while True:
        page = client.xrange(key, after, "+", count=1000)
        for stream_id, fields in page:
            assert set(fields) == {b"m"}, f"{key} {stream_id}: fields {sorted(fields)}"
            entries.append(Entry(stream_id, fields[b"m"]))
        if len(page) < 1000:
            return entries
        after = b"(" + page[-1][0]


def histories(client, prefix="walcast:"):
    """{channel: [Entry]} of every channel."""
    start = (prefix + "log:").encode()
    return {key[len(start):].decode(): read_stream(client, key) for key in client.scan_iter(match=start + b"*", count=1000)}


def actions(entries):
    """The sync actions and events of a channel's history, in its order."""
    found = []
    for message in (parse(entry.message) for entry in entries):
        if message["type"] == "event":
            found.append(action(message["lastSyncId"], "event", None, None, message.get("name")))
        found += map(Action.of, message.get("sync", ()))
    return found


def is_progress(message):
    return message.get("type") == "sync" and message.get("sync") == []


def problems(channels, epoch=None, first_prev=0):
    """What is wrong with these histories by the rules that hold for all of them; as sentences."""
    found = []
    for channel, entries in sorted(channels.items()):
        known = first_prev
        for entry in entries:
            where = f"{channel} {entry.id.decode()}"
            try:
                message = parse(entry.message)
                found += [f"{where}: {problem}" for problem in _problems_of_message(entry.id, message, epoch, known)]
                known = message["lastSyncId"]
            except (KeyError, TypeError, ValueError) as error:
                found.append(f"{where}: {type(error).__name__} {error}: {entry.message[:200]}")
    return found


def _problems_of_message(stream_id, message, epoch, known):
    kind, last, previous = message["type"], message["lastSyncId"], message["prevSyncId"]
    if stream_id != b"%d-0" % last:
        yield f"lastSyncId is {last}"
    if type(last) is not int or not 0 <= last < 2**53:
        yield f"lastSyncId {last!r} is no sync id"
    if known is not None and previous != known:
        yield f"prevSyncId is {previous}, the message before it ended at {known}"
    if type(previous) is not int or previous > last:
        yield f"prevSyncId is {previous!r}"
    if known is not None and last <= known:
        yield f"lastSyncId {last} does not rise above {known}"
    if epoch is not None and message["epoch"] != epoch:
        yield f"epoch is {message['epoch']!r}, not {epoch!r}"
    if kind not in ("sync", "event", "reset"):
        yield f"type is {kind!r}"
    if kind == "sync":
        yield from _problems_of_sync(message, previous, last)


def _problems_of_sync(message, previous, last):
    if not LSN.match(message["lsn"]):
        yield f"lsn is {message['lsn']!r}"
    if not COMMIT_TIME.match(message["commitTime"]):
        yield f"commitTime is {message['commitTime']!r}"
    if type(message["xid"]) is not int:
        yield f"xid is {message['xid']!r}"
    if not message["sync"]:
        yield "a message without actions is in history"
        return
    if message["sync"][-1]["syncId"] != last:
        yield f"lastSyncId is {last}, its last action is {message['sync'][-1]['syncId']}"
    below = previous
    models_of_id = set()
    for item in message["sync"]:
        sync_id = item["syncId"]
        # Two rules may make two models of one change: the same id, once for each model.
        models_of_id = models_of_id if sync_id == below else set()
        if sync_id < below or (sync_id == below and (sync_id == previous or item["modelName"] in models_of_id)):
            yield f"action {sync_id} follows {below}"
        models_of_id.add(item["modelName"])
        below = sync_id
        if set(item) - ACTION_KEYS:
            yield f"action {sync_id} has the unknown keys {sorted(set(item) - ACTION_KEYS)}"
        if item["action"] not in ("insert", "update", "delete"):
            yield f"action {sync_id} is {item['action']!r}"
        if ("data" in item) == (item["action"] == "delete"):
            yield f"action {sync_id}, a {item['action']}, {'has' if 'data' in item else 'lacks'} data"
        if type(item["modelId"]) is not str:
            yield f"action {sync_id} has the modelId {item['modelId']!r}"


def differences(channels, expected, shown=5):
    """How the histories' actions differ from {channel: [Action]}: every one exactly once, in order; as sentences."""
    found = []
    for channel in sorted(set(channels) | set(expected)):
        want, have = expected.get(channel, []), actions(channels.get(channel, []))
        if want == have:
            continue
        found.append(f"{channel}: {len(have)} actions, expected {len(want)}")
        have_counts = collections.Counter(item.sync_id for item in have)
        want_counts = collections.Counter(item.sync_id for item in want)
        for name, ids in (("missing", want_counts - have_counts), ("too many", have_counts - want_counts)):
            if ids:
                found.append(f"{channel}: {name}: {sum(ids.values())}, first ids {sorted(ids)[:shown]}")
        unequal = [(a, b) for a, b in zip(want, have) if a != b]
        for a, b in unequal[:shown]:
            found.append(f"{channel}: expected {_short(a)}\n{' ' * len(channel)}       found {_short(b)}")
    return found


def _short(item):
    text = str(tuple(item))
    return text if len(text) < 300 else text[:300] + "…"


def order_problems(received):
    """What is wrong with the order in which one connection received (channel, message): ids never go back."""
    found = []
    last = -1
    for channel, raw in received:
        message = parse(raw)
        if message.get("type") != "sync" or is_progress(message):
            continue
        first, end = message["sync"][0]["syncId"], message["lastSyncId"]
        # The same run in another channel ends at the same id; any other message begins above.
        if first <= last != end:
            found.append(f"{channel}: message {first}..{end} came after {last}")
        last = max(last, end)
    return found


def transaction_problems(channels, transactions):
    """Whether each message's xid and lsn are those of its actions, by {xid: (first id, last id, end LSN)}."""
    found = []
    for channel, entries in channels.items():
        for entry in entries:
            message = parse(entry.message)
            if message["type"] != "sync":
                continue
            first, last, end_lsn = transactions.get(message["xid"], (None, None, None))
            ids = [item["syncId"] for item in message["sync"]]
            if first is None:
                found.append(f"{channel} {entry.id.decode()}: the database knows no transaction {message['xid']}")
            elif ids[0] < first or ids[-1] > last:
                found.append(f"{channel} {entry.id.decode()}: ids {ids[0]}..{ids[-1]}, transaction {message['xid']} has {first}..{last}")
            # The commit record begins below its end, by its own size: a few dozen bytes, more with many subtransactions.
            elif not end_lsn - 65536 <= lsn_number(message["lsn"]) < end_lsn:
                found.append(f"{channel} {entry.id.decode()}: lsn {message['lsn']}, its commit ends at {end_lsn:X}")
    return found
