"""A subscriber as docs/protocol.md has it, written from that page alone: its rows are those of the tables in the end."""

import collections
import json
import threading
import time

import redis as redis_client

MISSING = "<unchanged, and never seen: to be fetched>"

# Rows: {channel: {(model, id): row}}.
Bootstrap = collections.namedtuple("Bootstrap", "epoch sync_id rows")


class CannotFetch(Exception):
    """The application's own query failed; it is tried again."""


class Reader(threading.Thread):
    """Follows channels from a thread of its own. `fetch()` is the application's bootstrap: the rows of all channels, and the
    epoch and sync id that they belong to. With `shares_id` all channels have one known id, and one set of rows ("")."""

    PING, SILENCE = 0.5, 3.0  # Seconds between signs of life that are asked for, and without any that are put up with.

    def __init__(self, connect, channels, fetch, prefix="walcast:", shares_id=False, on_start=lambda: None):
        super().__init__(daemon=True)
        self.connect, self.channels, self.fetch, self.prefix = connect, list(channels), fetch, prefix
        self.control = prefix + "control"
        self.shares_id, self.on_start = shares_id, on_start
        self.epoch = None
        self.known, self.rows = {}, {}
        self.counts = collections.Counter()
        self.error = None
        self._ends = threading.Event()
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ends.set()
        self.join(20)

    def scope(self, channel):
        return "" if self.shares_id else channel

    def has(self, epoch, ends):
        """Whether it has got as far as these last ids of the channels."""
        known = dict(self.known)
        return self.epoch == epoch and all(known.get(self.scope(channel), -1) >= last for channel, last in ends.items())

    def run(self):
        try:
            self.on_start()
            while not self._ends.is_set():
                try:
                    self._follow()
                except (redis_client.RedisError, OSError, CannotFetch) as error:
                    self.counts[type(error).__name__] += 1
                    self._ends.wait(0.2)
        except Exception as error:
            self.error = error
            raise

    # Steps 1 to 4 of the page.

    def _follow(self):
        client = self.connect()
        subscription = self._subscription = client.pubsub()
        try:
            names = self.channels + [self.control]
            subscription.subscribe(*names)
            heard_at = pinged_at = time.monotonic()
            confirmed = 0
            while not self._ends.is_set():
                item = subscription.get_message(timeout=0.1)
                now = time.monotonic()
                if now - pinged_at > self.PING:
                    subscription.ping()
                    pinged_at = now
                if not item:
                    if now - heard_at > self.SILENCE:
                        raise redis_client.TimeoutError("nothing heard")
                    continue
                heard_at = now
                if item["type"] == "subscribe":
                    confirmed += 1
                    # What comes from now on waits in the socket.
                    if confirmed == len(names):
                        self._catch_up(client)
                elif item["type"] == "message":
                    self._hear(client, item["channel"].decode(), json.loads(item["data"]))
                heard_at = time.monotonic()  # Not the server was silent while we were busy.
        finally:
            subscription.close()
            client.close()

    def _catch_up(self, client):
        if self.epoch is None:
            self._fetch_afresh()
        while not self._read_history(client):
            self._fetch_afresh()

    def _read_history(self, client):
        """Step 2 and 3; false when only fetching afresh helps (as any reset does: this reader fetches all models together)."""
        self.counts["histories read"] += 1
        names = self.channels + [self.control]
        with client.pipeline(transaction=True) as pipeline:
            pipeline.hmget(self.prefix + "position", "epoch", "floor")
            for name in names:
                pipeline.xrange(self._log(name), f"({self.known[self.scope(name)]}-0", "+")
            (epoch, floor), *logs = pipeline.execute()
        if epoch is None or epoch.decode() != self.epoch:
            return False
        actions, ends = [], {}
        for name, entries in zip(names, logs):
            messages = [json.loads(fields[b"m"]) for _, fields in entries]
            scope = self.scope(name)
            reaches_back = messages[0]["prevSyncId"] if messages else int(floor)
            if reaches_back > self.known[scope] or any(message["type"] == "reset" for message in messages):
                return False
            if messages:
                ends[scope] = max(ends.get(scope, 0), messages[-1]["lastSyncId"])
            actions += [(action["syncId"], scope, action) for message in messages for action in message.get("sync", ())
                        if action["syncId"] > self.known[scope]]
        # By id: of channels that share one known id none may overtake another, and the known id rises at the end only.
        for _, scope, action in sorted(actions, key=lambda one: one[0]):
            self._act(self.rows[scope], action)
        self.known.update(ends)
        return True

    def _log(self, name):
        return name if name == self.control else f"{self.prefix}log:{name}"

    def _hear(self, client, channel, message):
        if message["epoch"] != self.epoch:
            self.counts["other epochs heard"] += 1
            self._fetch_afresh()
            return self._catch_up(client)
        if message["prevSyncId"] > self.known[self.scope(channel)]:
            self.counts["holes"] += 1
            self._catch_up(client)
        if message["epoch"] == self.epoch and not self._apply(channel, message):
            self._fetch_afresh()
            self._catch_up(client)

    def _fetch_afresh(self):
        self.counts["fetched afresh"] += 1
        while self._subscription.get_message(timeout=0):
            pass  # What came before the rows are fetched is in them, or of an old epoch.
        bootstrap = self.fetch()
        names = self.channels + [self.control]
        self.rows = {self.scope(name): {} for name in names}
        for channel, rows in bootstrap.rows.items():
            self.rows[self.scope(channel)].update(rows)
        self.known = {self.scope(name): bootstrap.sync_id for name in names}
        self.epoch = bootstrap.epoch

    def _apply(self, channel, message):
        """False when the message says that what is known is no longer true."""
        scope = self.scope(channel)
        if message["lastSyncId"] <= self.known[scope]:
            self.counts["known already"] += 1
            return True
        if message["type"] == "reset":
            return False
        for action in message.get("sync", ()):
            if action["syncId"] > self.known[scope]:
                self._act(self.rows[scope], action)
        self.known[scope] = message["lastSyncId"]
        return True

    def _act(self, rows, action):
        self.counts["actions"] += 1
        key = (action["modelName"], action["modelId"])
        if action["action"] == "delete":
            rows.pop(key, None)
            return
        assert "dataKind" not in action, "this reader has no rows in parts"
        had = rows.get(key, {})
        kept = {name: had.get(name, MISSING) for name in action.get("unchanged", []) + action.get("omitted", [])}
        rows[key] = {**action["data"], **kept}
