"""A line to a server that a test can cut at any byte, hold, move elsewhere or make slow."""

import collections
import select
import socket
import struct
import threading

UP, DOWN = "up", "down"  # What the client says, what the server says.

_BUFFER_MAX = 1 << 20


class _Flow:
    """One direction of a connection."""

    def __init__(self, direction, source, sink):
        self.direction, self.source, self.sink = direction, source, sink
        self.buffer = bytearray()
        self.held = False
        self.has_ended = self.is_shut = False


class _Pair:
    def __init__(self, client, server):
        self.sockets = (client, server)
        self.flows = {UP: _Flow(UP, client, server), DOWN: _Flow(DOWN, server, client)}
        self.is_cut = False  # What comes is thrown away until both have closed, or for ever.
        self.is_closed = False


class Link:
    """A proxy in one thread, so that a cut is exact: what was passed before it has been sent, nothing after it is."""

    def __init__(self, port):
        self._target = port
        self._lock = threading.RLock()
        self._pairs = []
        self._refuses = False
        self._held = set()          # Directions that new connections begin with held.
        self._cut = None            # [direction, bytes left, how]
        self._hold_at = None        # (marker, direction it is seen in, direction to hold)
        self._drips = False
        self._severing = None       # (how, done): for the thread, which alone closes what it waits for.
        self.cuts = 0
        self.edges = collections.defaultdict(list)  # Of each direction: the total after each piece passed.
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(50)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._ends = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with self._lock:
            self._ends = True
        self._wake.send(b"x")
        self._thread.join(10)

    # What a test says.

    def switch(self, port):
        """New connections go there."""
        with self._lock:
            self._target = port

    def refuse(self):
        with self._lock:
            self._refuses = True

    def accept(self):
        with self._lock:
            self._refuses = False

    def sever(self, how="rst"):
        """Ends what is connected, and returns when it has."""
        done = threading.Event()
        with self._lock:
            self._severing = (how, done)
        self._wake.send(b"x")
        assert done.wait(10), "the link's thread is gone"

    def cut_after(self, count, direction, how="rst"):
        """`count` more bytes pass in that direction, then their connection is cut: `fin`, `rst`, or `silence`, which
        neither side can see. A cut after 0 is at the first byte."""
        with self._lock:
            self._cut = [direction, count, how]

    def hold(self, *directions, new=True):
        """Keeps back what comes from now on; of new connections too, if so."""
        with self._lock:
            for direction in directions:
                for pair in self._pairs:
                    pair.flows[direction].held = True
                if new:
                    self._held.add(direction)

    def hold_at(self, marker, seen, held):
        """Holds direction `held` of the first connection in whose direction `seen` these bytes appear; they are held too,
        where it is the same."""
        with self._lock:
            self._hold_at = (marker, seen, held)

    def release(self):
        with self._lock:
            self._held.clear()
            self._hold_at = None
            for pair in self._pairs:
                for flow in pair.flows.values():
                    flow.held = False
        self._wake.send(b"x")

    def drip(self, is_slow=True):
        """One byte at a time."""
        with self._lock:
            self._drips = is_slow

    def holds(self, direction):
        """How many bytes are kept back in that direction."""
        with self._lock:
            return sum(len(pair.flows[direction].buffer) for pair in self._pairs if pair.flows[direction].held)

    def connections(self):
        with self._lock:
            return sum(not pair.is_cut for pair in self._pairs)

    # The thread.

    def _run(self):
        while True:
            with self._lock:
                if self._ends:
                    break
                reads, writes = [self._listener, self._woken], []
                for flow in self._flows():
                    if not flow.has_ended and len(flow.buffer) < _BUFFER_MAX:
                        reads.append(flow.source)
                    if flow.buffer and not flow.held:
                        writes.append(flow.sink)
            readable, writable, _ = select.select(reads, writes, [], 1)
            with self._lock:
                if self._woken in readable:
                    self._woken.recv(1000)
                if self._severing:
                    how, done = self._severing
                    self._severing = None
                    for pair in list(self._pairs):
                        self._cut_pair(pair, how)
                    done.set()
                if self._listener in readable:
                    self._connect()
                for pair in list(self._pairs):
                    for flow in pair.flows.values():
                        if not pair.is_closed and flow.source in readable:
                            self._read(pair, flow)
                    for flow in pair.flows.values():
                        if not pair.is_closed:
                            self._write(pair, flow)
                    self._close_if_done(pair)
        for pair in self._pairs:
            self._cut_pair(pair, "rst")
        for one in (self._listener, self._woken, self._wake):
            one.close()

    def _flows(self):
        return [flow for pair in self._pairs for flow in pair.flows.values()]

    def _connect(self):
        client, _ = self._listener.accept()
        try:
            if self._refuses:
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            _reset(client)
            return
        pair = _Pair(client, server)
        for one in pair.sockets:
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for direction in self._held:
            pair.flows[direction].held = True
        self._pairs.append(pair)

    def _read(self, pair, flow):
        try:
            data = flow.source.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            flow.has_ended = True
            return
        if pair.is_cut:
            return
        flow.buffer += data
        if self._hold_at and self._hold_at[1] == flow.direction and self._hold_at[0] in flow.buffer:
            pair.flows[self._hold_at[2]].held = True
            self._hold_at = None

    def _write(self, pair, flow):
        if pair.is_cut or flow.held:
            return
        if flow.buffer:
            count = 1 if self._drips else len(flow.buffer)
            is_cut_here = self._cut is not None and self._cut[0] == flow.direction
            if is_cut_here:
                count = min(count, self._cut[1])
            sent = 0
            try:
                sent = flow.sink.send(flow.buffer[:count]) if count else 0
            except BlockingIOError:
                pass
            except OSError:
                flow.buffer.clear()
                flow.has_ended = True
            if sent:
                del flow.buffer[:sent]
                self.edges[flow.direction].append(sent + (self.edges[flow.direction] or [0])[-1])
            if is_cut_here:
                self._cut[1] -= sent
                if self._cut[1] == 0:
                    how, self._cut = self._cut[2], None
                    self._cut_pair(pair, how)
                    self.cuts += 1
                    return
        if flow.has_ended and not flow.buffer and not flow.is_shut:
            flow.is_shut = True
            _shut(flow.sink)

    def _cut_pair(self, pair, how):
        if pair.is_closed:
            return
        pair.is_cut = True
        for flow in pair.flows.values():
            flow.buffer.clear()
        if how == "rst":
            for one in pair.sockets:
                _reset(one)
            self._forget(pair)
        elif how == "fin":
            for one in pair.sockets:
                _shut(one)

    def _close_if_done(self, pair):
        if pair.is_closed or not all(flow.has_ended for flow in pair.flows.values()):
            return
        if pair.is_cut or not any(flow.buffer for flow in pair.flows.values()):
            for one in pair.sockets:
                one.close()
            self._forget(pair)

    def _forget(self, pair):
        pair.is_closed = True
        self._pairs = [other for other in self._pairs if other is not pair]


def _reset(one):
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def _shut(one):
    try:
        one.shutdown(socket.SHUT_WR)
    except OSError:
        pass
