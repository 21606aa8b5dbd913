"""A server that answers requests with bytes of a test's choice, whatever HTTP says."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from types import TracebackType
from typing import Self

# What to send in answer to a request, piece by piece, each `pause_s` after the other.
Script = Callable[[], Iterable[bytes]]

DONE = b"HTTP/1.1 204 No Content\r\n\r\n"
HUGE = 300_000_000


def drips(head: bytes, rest: Iterable[bytes] = repeat(b"x")) -> Script:
    """Return a script that sends `head` and then the pieces of `rest` for as long as
    anybody listens."""

    def script() -> Iterator[bytes]:
        yield head
        yield from rest

    return script


def page(status: bytes, size: int, *, packed: bool = False) -> Script:
    """Return a script that sends a page of `size` bytes, compressed or not."""

    def script() -> Iterator[bytes]:
        encoding = b"Content-Encoding: gzip\r\n" if packed else b""
        body = gzip.compress(bytes(1_000_000)) * (size // 1_000_000) if packed else b""
        length = len(body) if packed else size
        yield b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n" % (status, encoding, length)
        if packed:
            yield body
        else:
            yield from repeat(bytes(1_000_000), size // 1_000_000)

    return script


class ScriptedServer:
    """Answers each request by the script in `script`; by `DONE` while that is None.

    `requests` counts the requests, `sent` the bytes sent by scripts.
    """

    def __init__(self, script: Script | None = None, context: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.pause_s = 0.0
        self.requests = 0
        self.sent = 0
        self._context = context
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._spawn(self._listen)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _spawn(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(0.1)
            if self._context is not None:
                connection.settimeout(10.0)
                connection = self._context.wrap_socket(connection, server_side=True)
                connection.settimeout(0.1)
            with connection:
                while self._request(connection):
                    self.requests += 1
                    if self.script is None:
                        connection.sendall(DONE)
                    else:
                        self._play(connection, self.script)
                        return

    def _request(self, connection: socket.socket) -> bool:
        """Read one request; tell whether there was one."""
        data = b""
        while b"\r\n\r\n" not in data:
            if not (piece := self._receive(connection)):
                return False
            data += piece
        head, body = data.split(b"\r\n\r\n", 1)
        fields = [line.lower().split(b":") for line in head.split(b"\r\n")]
        length = next((int(field[1]) for field in fields if field[0] == b"content-length"), 0)
        while len(body) < length:
            if not (piece := self._receive(connection)):
                return False
            body += piece
        return True

    def _receive(self, connection: socket.socket) -> bytes:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                return connection.recv(65_536)
        return b""

    def _play(self, connection: socket.socket, script: Script) -> None:
        for piece in script():
            view = memoryview(piece)
            while view:
                if self._closing.is_set():
                    return
                with contextlib.suppress(TimeoutError):
                    count = connection.send(view)
                    self.sent += count
                    view = view[count:]
            if self._closing.wait(self.pause_s):
                return
