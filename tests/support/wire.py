"""The network between a program and a real server: held up, cut or slow, in either direction."""

import os
import socket
import struct
import threading
import time

from support.fakes import FakeServer


class Wire(FakeServer):
    """Passes bytes on to a server of 127.0.0.1, and does to them what the test says.

    `held` is the set of directions that stand still: "to_client", "to_server". What is held is kept and not lost.
    """

    def __init__(self, port, chunk=1 << 16, interval=0.0):
        self._target, self._chunk, self._interval = port, chunk, interval
        self._free = {"to_client": threading.Event(), "to_server": threading.Event()}
        self._lock = threading.Lock()
        self._cut = None  # (connection, bytes left, how)
        self._pairs = []
        self.passed = {"to_client": 0, "to_server": 0}
        self.cuts = 0
        self.release()
        super().__init__(self._pass_on)

    def hold(self, *directions):
        for direction in directions or self._free:
            self._free[direction].clear()

    def release(self):
        for event in self._free.values():
            event.set()

    def cut_after(self, count, how):
        """After so many more bytes to the client the connection that carries them is "reset", "ended" (both directions, in good
        order), "half ended" (the client hears an end, the server does not), or "lost" (nothing is heard of it any more)."""
        with self._lock:
            self._cut = [count, how]

    def _pass_on(self, client):
        server = socket.create_connection(("127.0.0.1", self._target))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.append(server)
        lost = threading.Event()
        up = threading.Thread(target=self._pump, args=["to_server", client, server, lost], daemon=True)
        up.start()
        self._pump("to_client", server, client, lost)
        up.join()
        server.close()

    def _pump(self, direction, source, target, lost):
        try:
            while data := source.recv(self._chunk):
                self._free[direction].wait()
                if lost.is_set():
                    continue
                if direction == "to_client" and self._cut:
                    data = self._apply_cut(data, source, target, lost)
                    if data is None:
                        return
                target.sendall(data)
                self.passed[direction] += len(data)
                if self._interval:
                    time.sleep(self._interval)
            self._free[direction].wait()
            if not lost.is_set():
                target.shutdown(socket.SHUT_WR)
        except OSError:
            # Reset by one end: the other hears the same.
            if not lost.is_set():
                _reset(source, target)

    def _apply_cut(self, data, server, client, lost):
        with self._lock:
            if not self._cut:
                return data
            left, how = self._cut
            if len(data) < left:
                self._cut[0] -= len(data)
                return data
            self._cut = None
        client.sendall(data[:left])
        self.cuts += 1
        if how == "lost":
            lost.set()
            return data[:0]
        if how == "reset":
            _reset(server, client)
        elif how == "ended":
            for end in (client, server):
                end.shutdown(socket.SHUT_WR)
        else:
            assert how == "half ended", how
            client.shutdown(socket.SHUT_WR)
            while server.recv(self._chunk):
                pass
        return None


def _reset(*ends):
    for end in ends:
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Closing alone would leave it open for the thread that waits in it.
            end.shutdown(socket.SHUT_RD)
            os.close(end.detach())
        except OSError:
            pass
