"""Servers that answer what real ones seldom do."""

import socket
import struct
import threading


class FakeServer:
    """Gives each connection to `serve(connection)` in a thread of its own."""

    def __init__(self, serve, port=0):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(50)
        self.port = self._listener.getsockname()[1]
        self._serve = serve
        self._connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._talk, args=[connection], daemon=True).start()

    def _talk(self, connection):
        try:
            self._serve(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def close(self):
        # Closing alone would leave accept() in its thread with the port.
        for one in [self._listener] + self._connections:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()


def redis_that_answers(reply):
    """Every command gets this error."""
    def serve(connection):
        lines = connection.makefile("rb")
        while True:
            head = lines.readline()
            if not head:
                return
            for _ in range(int(head[1:])):
                length = int(lines.readline()[1:])
                lines.read(length + 2)
            connection.sendall(reply.encode() + b"\r\n")
    return serve


def pooler_that_refuses(message, sqlstate="08P01"):
    """The start of every session gets this error, as from a connection pooler."""
    def serve(connection):
        stream = connection.makefile("rb")
        while True:
            (length,) = struct.unpack("!i", stream.read(4))
            body = stream.read(length - 4)
            code = struct.unpack("!i", body[:4])[0]
            if code not in (80877103, 80877104):  # SSLRequest, GSSENCRequest
                break
            connection.sendall(b"N")
        fields = b"".join(kind + text.encode() + b"\0" for kind, text in
                          ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", sqlstate), (b"M", message))) + b"\0"
        connection.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)
    return serve


class Proxy(FakeServer):
    """Passes bytes on to a real server. While held, what the server says is kept back; after cut(), what it says from
    then on is lost, and so is its end; release() lets through what was kept. So a network is partitioned."""

    def __init__(self, port):
        self._passing = threading.Event()
        self._passing.set()
        self._is_cut = threading.Event()
        self._target = port
        self.held_bytes = 0
        super().__init__(self._pass_on)

    def hold(self):
        self._passing.clear()

    def cut(self):
        self._is_cut.set()

    def release(self):
        self._passing.set()

    def _pass_on(self, client):
        server = socket.create_connection(("127.0.0.1", self._target))
        threading.Thread(target=self._upstream, args=[client, server], daemon=True).start()
        server.settimeout(0.05)
        kept, is_ended = b"", False
        while not is_ended or kept:
            data = b""
            try:
                data = server.recv(1 << 16)
                is_ended = not data
            except TimeoutError:
                pass
            if self._is_cut.is_set():
                break
            kept += data
            if self._passing.is_set():
                client.sendall(kept)
                kept = b""
            self.held_bytes = len(kept)
        if self._is_cut.is_set():
            self._passing.wait()
            client.sendall(kept)
            threading.Event().wait(60)  # The client hears nothing more, and does not learn of the end.
        server.close()

    @staticmethod
    def _upstream(client, server):
        try:
            while data := client.recv(1 << 16):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The server is gone; what the client says is for nobody.
